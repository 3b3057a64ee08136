// The engine at its limits: a roster of five hundred people, a policy with a thousand criteria, ten thousand silences,
// a case that takes alert after alert. Each next to a limit measured in the same run; fails below the floors that the
// first runs set.
//
//   engine_bench [--alerts N]   (default 200000; 1000000 for a case with a million alerts)
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "daemon/config.h"
#include "daemon/replay.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/model/silence.h"
#include "pipeline/base/zone.h"
#include "tests/bench/thread_clock.h"

namespace triaged {
namespace {

// The first runs gave 0.107 to 0.16, 1.08, 0.197 and 1.16: a fifth may be lost, and the last one is bounded by what it means.
constexpr double kRosterFloor = 0.085;   // of wall-clock conversions
constexpr double kCriteriaFloor = 0.86;  // of a tenth of the criteria, per criterion
constexpr double kSilenceFloor = 0.157;  // of look-ups in a table of one
constexpr double kCaseFloor = 0.8;       // the last alerts of a case, of as many first ones: no slowing down
constexpr Timestamp kStart = FromUnixMillis(1'772'438'400'000);

constexpr int kRounds = 25;             // short ones: the best of them was disturbed least
constexpr int kMostAgain = 4;

// Times per second that `what` runs, best of the rounds.
template <typename Do>
double PerSecond(int times, Do what) {
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double begin = Now();
    for (int i = 0; i < times; ++i) what(i);
    best = std::max(best, times / (Now() - begin));
  }
  return best;
}

// A pack with so many people and criteria, none of which holds.
SourceFile Pack(size_t people, size_t criteria) {
  std::string text = R"(policy: bench
severities: [{name: high, min_score: 50}, {name: low, min_score: 0}]
default_severity: low
levels: [{name: L1, team: all}, {name: L2, team: all}]
matrix: {L2: {high: 1h, low: 4h}}
clocks: {acknowledge: {high: 15m, low: 1h}, resolve: {high: 4h, low: 24h}}
grouping: [{name: host, by: [host.name], max_alerts: 1000000000}, {name: alone, by: [event.id]}]
roles: {l1: all}
criteria:
)";
  for (size_t i = 0; i < criteria; ++i) {
    const std::string n = std::to_string(i);
    text += "  - {name: c" + n + ", at: [L1], when: {case.tags: tag" + n + ", case.alert_count|gte: 1000000000}}\n";
  }
  std::string members;
  text += "people:\n";
  for (size_t i = 0; i < people; ++i) {
    const std::string id = "p" + std::to_string(i);
    text += "  " + id + ": {contact: " + id + "@example.org}\n";
    members += (i ? ", " : "") + id;
  }
  text += "teams:\n  all: {members: [" + members +
          "], rotation: {every: 1d, handoff: \"09:00\", zone: Europe/Berlin, start: 2020-01-01}}\n";
  return {"bench.yaml", text};
}

std::shared_ptr<const Engine> Compiled(size_t people, size_t criteria) {
  Diagnostics diagnostics;
  EngineSources sources;
  sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
  sources.policies = {Pack(people, criteria)};
  auto engine = CompileEngine(sources, {}, &diagnostics);
  std::fputs(diagnostics.Render().c_str(), stderr);
  return engine;
}

double Roster() {
  const auto engine = Compiled(500, 1);
  const auto zone = Zone::Find("Europe/Berlin");
  int64_t days = 0;
  size_t named = 0;
  const double limit = PerSecond(
      100'000, [&](int i) { days += zone->DayOf(kStart + std::chrono::minutes(i)).time_since_epoch().count(); });
  const double rate = PerSecond(100'000, [&](int i) {
    named += engine->policies.front()->roster->At("all", kStart + std::chrono::minutes(i)).person.size();
  });
  std::printf("roster of 500: %.0f look-ups/s; wall-clock conversions %.0f/s (%zu)\n", rate, limit,
              named + (days == 0));
  return rate / limit;
}

double CriteriaRate(size_t count) {
  const auto engine = Compiled(2, count);
  Case c;
  c.policy = "bench";
  c.tags = {"another", "some"};
  std::vector<CaseEvent> events;
  return PerSecond(static_cast<int>(200'000 / count), [&](int) {
    CaseContext ctx{*engine->policies.front(), c, kStart, events};
    AskCriteria(ctx);
  });
}

double Criteria() {
  const double thousand = CriteriaRate(kMaxCriteria), hundred = CriteriaRate(kMaxCriteria / 10);
  std::printf("criteria: a thousand asked %.0f times/s, a hundred %.0f times/s\n", thousand, hundred);
  return thousand * 10 / hundred;
}

double SilenceRate(size_t count) {
  SilenceTable table;
  for (size_t i = 0; i < count; ++i) {
    SilenceRule rule;
    rule.id = std::to_string(i);
    rule.match = {{field::kHostName, "host-" + std::to_string(i)}};
    rule.until = kStart;
    table.Put(std::move(rule));
  }
  FieldTable fields;
  fields.Reset(field::kAlertFieldCount);
  fields.Add(field::kHostName, Value("host-5000"));
  size_t found = 0;
  const double rate = PerSecond(500'000, [&](int) { found += table.Match(fields, kStart - Duration(1)) != nullptr; });
  std::printf("silences: %zu in the table, %.0f look-ups/s (%zu)\n", count, rate, found);
  return rate;
}

// Alerts into one case, through the whole pipeline: the best of the short runs among its last ones, of that among as
// many first ones.
double OneCase(size_t alerts) {
  const auto engine = Compiled(2, 1);
  Replay replay(engine, "bench", 1);
  if (!replay.Open()) return 0;
  const size_t part = std::clamp<size_t>(alerts / 10, 1, 10'000);
  const size_t run = std::max<size_t>(part / static_cast<size_t>(kRounds), 1);
  double first = 0, last = 0, begin = Now();
  for (size_t i = 0; i < alerts; ++i) {
    const std::string n = std::to_string(i);
    const std::string alert = R"({"ecs.version":"8.11.0","event.kind":"alert","event.id":"a)" + n +
                              R"(","@timestamp":"2026-03-02T08:00:00Z","host.name":"db7","user.name":"u)" +
                              std::to_string(i % 5000) + R"(","rule.name":"x","event.severity":20})";
    if (!replay.TakeAlert(alert, kStart)) return 0;
    if ((i + 1) % run != 0) continue;
    const double end = Now();
    double& best = i < part ? first : last;
    if (i < part || i >= alerts - part) best = std::max(best, static_cast<double>(run) / (end - begin));
    begin = end;
  }
  std::printf("one case of %zu alerts: among the first %zu up to %.0f decisions/s, among the last %zu up to %.0f\n", alerts,
              part, first, part, last);
  return last / first;
}

// The ratio, measured again while it is below its floor: another load on the machine's caches seldom lasts so long.
template <typename Measure>
double AtLeast(double floor, Measure measure) {
  double best = measure();
  for (int again = 0; again < kMostAgain && best < floor; ++again) best = std::max(best, measure());
  return best;
}

int Main(int argc, char** argv) {
  size_t alerts = 200'000;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], "--alerts") == 0) alerts = std::strtoull(argv[i + 1], nullptr, 10);
  }
  const double roster = AtLeast(kRosterFloor, Roster);
  const double criteria = AtLeast(kCriteriaFloor, Criteria);
  const double silences = AtLeast(kSilenceFloor, [] { return SilenceRate(kMaxSilences) / SilenceRate(1); });
  const double one_case = AtLeast(kCaseFloor, [alerts] { return OneCase(alerts); });
  std::printf("ratios: roster %.3f (floor %.3f), criteria %.3f (%.3f), silences %.3f (%.3f), one case %.3f (%.3f)\n",
              roster, kRosterFloor, criteria, kCriteriaFloor, silences, kSilenceFloor, one_case, kCaseFloor);
  const bool held =
      roster >= kRosterFloor && criteria >= kCriteriaFloor && silences >= kSilenceFloor && one_case >= kCaseFloor;
  return held ? 0 : 1;
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
