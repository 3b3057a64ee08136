// Each named limit of policies and cases at its edge: what stands on it works, one more is refused, counted or linked;
// and what has a limit does not grow beyond it.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "daemon/config.h"
#include "daemon/replay.h"
#include "storage/codec.h"
#include "tests/unit/policy_pack.h"

namespace triaged {
namespace {

using Json = nlohmann::json;

constexpr Timestamp kStart = FromUnixMillis(1'772'438'400'000);  // 2026-03-02T08:00:00Z

// A list of so many, each made by `one`, for a place in a pack.
template <typename One>
std::string Many(size_t count, One one) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += one(std::to_string(i));
  return text;
}

std::string WithCriteria(size_t count) {
  return Replaced(FullPack(), "criteria:\n", "criteria:\n" + Many(count - 7, [](const std::string& n) {
                    return "  - {name: c" + n + ", at: [L1], when: {case.tags: t" + n + "}}\n";
                  }));
}

std::string WithPeople(size_t count) {
  std::string pack = Replaced(FullPack(), "people:\n", "people:\n" + Many(count, [](const std::string& n) {
                                return "  p" + n + ": {contact: p" + n + "@example.org}\n";
                              }));
  return Replaced(pack, "third: {members: [hana]}",
                  "third: {members: [hana" + Many(count, [](const std::string& n) { return ", p" + n; }) +
                      "], rotation: {every: 1d, handoff: \"09:00\", zone: Europe/Berlin, start: 2020-01-01}}");
}

class World {
 public:
  explicit World(const std::string& pack, int32_t partitions = 1) : replay_(Engine(pack), "limits", partitions) {
    REQUIRE(replay_.Open().ok());
  }

  void Alert(const std::string& host, const std::string& rule, int severity, Duration at) {
    const Json alert = {{"ecs.version", "8.11.0"},
                        {"event.kind", "alert"},
                        {"event.id", "a" + std::to_string(++alerts_)},
                        {"@timestamp", FormatTimestamp(kStart + at)},
                        {"host.name", host},
                        {"user.name", "u" + std::to_string(alerts_ % 997)},
                        {"process.command_line", "run " + std::to_string(alerts_)},
                        {"rule.name", rule},
                        {"event.severity", severity}};
    REQUIRE(replay_.TakeAlert(alert.dump(), kStart + at).ok());
  }

  void Command(const std::string& action, const std::string& id, const Json& arguments, Duration at) {
    const Json command = {{"id", "c" + std::to_string(++commands_)}, {"case_id", id}, {"actor", "ada"},
                          {"role", "l1"}, {"action", action}, {"arguments", arguments}};
    REQUIRE(replay_.TakeCommand(command.dump(), kStart + at).ok());
  }

  // The reasons of what was refused since the last call, one a line.
  std::string Refused() {
    std::string reasons;
    for (const OutputRecord& record : replay_.TakeOutputs()) {
      if (record.topic != OutputTopic::kDeadLetter) continue;
      for (const Header& header : record.headers) {
        if (header.name == "triaged.error.reason") reasons += header.value + "\n";
      }
    }
    return reasons;
  }

  uint64_t Cases(int32_t partition) { return replay_.store(partition).progress().next_case - 1; }
  Case Find(uint64_t sequence, int32_t partition = 0) {
    auto found = replay_.store(partition).Find({partition, sequence});
    REQUIRE(found.ok());
    REQUIRE(*found != nullptr);
    return **found;
  }
  CaseStore& store() { return replay_.store(0); }
  const Balance& balance() const { return replay_.balance(); }

 private:
  static std::shared_ptr<const triaged::Engine> Engine(const std::string& pack) {
    Diagnostics diagnostics;
    EngineSources sources;
    sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
    sources.rules = ReadSources({TRIAGED_SOURCE_DIR "/tests/scenario/engine/rules.yaml"}, &diagnostics);
    sources.policies = {{"pack.yaml", pack}};
    auto engine = CompileEngine(sources, {}, &diagnostics);
    REQUIRE_MESSAGE(engine != nullptr, diagnostics.Render());
    return engine;
  }

  Replay replay_;
  int alerts_ = 0;
  int commands_ = 0;
};

TEST_CASE("limits: a thousand criteria, and one more") {
  const Compiled full(WithCriteria(kMaxCriteria));
  REQUIRE_MESSAGE(full.policy, full.diagnostics.Render());
  CHECK(full.policy->criteria.size() == kMaxCriteria);
  const Compiled over(WithCriteria(kMaxCriteria + 1));
  CHECK_FALSE(over.policy);
  CHECK(over.diagnostics.Render().find("`criteria` has 1001 elements; at most 1000 are taken") != std::string::npos);
}

TEST_CASE("limits: a team of a thousand people, and one more") {
  const Compiled full(WithPeople(999));  // and hana
  REQUIRE_MESSAGE(full.policy, full.diagnostics.Render());
  const OnShift shift = full.policy->roster->At("third", kStart);
  CHECK(shift.person.starts_with("p"));  // the 2252nd day of a thousand people's days
  CHECK(full.policy->roster->At("third", kStart + std::chrono::hours(24 * 1000)).person == shift.person);
  const Compiled over(WithPeople(1000));
  CHECK_FALSE(over.policy);
  CHECK(over.diagnostics.Render().find("1000") != std::string::npos);
}

TEST_CASE("limits: ten thousand silences, and one more") {
  World world(FullPack());
  world.Alert("a", "x", 50, Duration{0});
  const auto silence = [&](size_t number) {
    world.Command("silence", "0-0",
                  {{"name", "s" + std::to_string(number)}, {"reason", "x"}, {"until", "2026-03-03T08:00:00Z"},
                   {"match", {{"host.name", "h" + std::to_string(number)}}}}, Duration{0});
  };
  for (size_t i = 0; i < kMaxSilences - 1; ++i) {
    SilenceRule rule;
    rule.id = "s" + std::to_string(i);
    rule.match = {{field::kHostName, "h" + std::to_string(i)}};
    rule.until = kStart + std::chrono::hours(24);
    world.store().PutSilence(std::move(rule));
  }
  silence(kMaxSilences - 1);
  CHECK(world.Refused().empty());
  CHECK(world.store().silences().rules().size() == kMaxSilences);
  silence(kMaxSilences);
  CHECK(world.Refused() == "too_many\n");
  silence(17);  // replacing one needs no room
  CHECK(world.Refused().empty());
  world.Alert("h9999", "x", 50, Duration{0});
  CHECK(world.Find(2).silenced_by == "s9999");
}

TEST_CASE("limits: cases merged into one, and one more, here and across partitions") {
  for (const int32_t from : {0, 1}) {
    CAPTURE(from);
    World world(FullPack(), from + 1);
    for (int host = 0; world.Cases(from) < kMaxMergedCases + 2 || world.Cases(0) < 1; ++host) {
      world.Alert("h" + std::to_string(host), "x", 50, Duration{0});
    }
    // Of one partition, the first case is the target; it takes as many as the limit says.
    const uint64_t first = from == 0 ? 2 : 1;
    for (uint64_t i = 0; i < kMaxMergedCases; ++i) {
      world.Command("merge", std::to_string(from) + "-" + std::to_string(first + i), {{"into", "0-1"}, {"reason", "x"}},
                    Duration{0});
    }
    CHECK(world.Find(1).merged_from.size() == kMaxMergedCases);
    CHECK(world.Find(1).alert_count == kMaxMergedCases + 1);
    CHECK(world.Refused().empty());
    const uint64_t last = first + kMaxMergedCases;
    world.Command("merge", std::to_string(from) + "-" + std::to_string(last), {{"into", "0-1"}, {"reason", "x"}},
                  Duration{0});
    CHECK(world.Find(1).alert_count == kMaxMergedCases + 1);
    const Case refused = world.Find(last, from);
    CHECK(IsActive(refused));
    CHECK(refused.merged_into.empty());
    CHECK(refused.timeline.back().what == (from == 0 ? "opened" : "undone"));
  }
}

TEST_CASE("limits: watched rules, of which the one that is quiet longest is forgotten") {
  World world(FullPack());
  world.Alert("a", "x", 50, Duration{0});
  for (size_t i = 0; i < kMaxWatches; ++i) {
    Watch watch;
    watch.id = std::string(kStormWatch) + "engine/r" + std::to_string(i);
    watch.times = {kStart};
    watch.due = kStart + std::chrono::hours(1) + Duration(static_cast<int64_t>(i == 77 ? 0 : i + 1));
    world.store().PutWatch(std::move(watch));
  }
  world.Alert("b", "breach", 95, Duration{0});
  const WatchTable& watches = world.store().watches();
  CHECK(watches.watches().size() == kMaxWatches);
  CHECK(watches.Find(std::string(kStormWatch) + "engine/r77") == nullptr);
  CHECK(watches.Find(std::string(kStormWatch) + "engine/r78") != nullptr);
}

TEST_CASE("limits: a case keeps its size, however many alerts it takes") {
  World world(Replaced(FullPack(), "by: [host.name], idle: 4h", "by: [host.name], max_alerts: 1000000000, idle: 4h"));
  size_t after_some = 0;
  for (int i = 1; i <= 6000; ++i) {
    world.Alert("a", "rule-" + std::to_string(i), 20, Duration(i));
    if (i == 2000) after_some = EncodeCase(world.Find(1)).size();
  }
  const Case c = world.Find(1);
  CHECK(c.alert_count == 6000);
  CHECK(c.evidence.size() == kMaxEvidence);
  CHECK(c.evidence.size() + c.evidence_dropped == 6000);
  uint64_t rules = 0;
  for (const Observed& seen : c.observed) rules += seen.field == field::kRuleName;
  CHECK(rules == kMaxObservedPerField);
  CHECK(c.timeline.size() <= kMaxTimeline);
  CHECK(EncodeCase(c).size() < after_some + after_some / 20);
}

// Every piece of kept bytes belongs to one piece of evidence, and is what that alert said.
void CheckKeptBytes(CaseStore& store, const Case& c) {
  std::set<uint8_t> slots;
  for (const Evidence& evidence : c.evidence) {
    if (!evidence.raw_slot) continue;
    CAPTURE(evidence.alert_id);
    CHECK(*evidence.raw_slot < kMaxEvidence);
    CHECK(slots.insert(*evidence.raw_slot).second);
    const auto raw = store.GetEvidenceRaw(c.id, *evidence.raw_slot);
    REQUIRE(raw.ok());
    REQUIRE(raw->has_value());
    CHECK(Json::parse(**raw)["event.id"] == evidence.alert_id);
  }
}

TEST_CASE("limits: evidence keeps its own bytes through splits, undo, merges and stronger alerts") {
  World world(FullPack());
  for (size_t i = 0; i < kMaxEvidence + 4; ++i) world.Alert("a", "x", 40, Duration(static_cast<int64_t>(i)));  // a1 … a20
  world.Alert("b", "x", 40, Duration(50));                                                                     // a21
  // Some with bytes, and the latest, which are references alone; each can be split off once, and counts once.
  world.Command("split", "0-1", {{"alerts", {"a1", "a2", "a2", "a6", "a7", "a17", "a18", "a19"}}, {"reason", "x"}}, Duration(60));
  CHECK(world.Refused().empty());
  CHECK(world.Find(3).alert_count == 7);
  CHECK(world.Find(3).evidence.size() == 7);
  CHECK(world.Find(1).alert_count == kMaxEvidence + 4 - 7);
  CHECK(world.Find(1).evidence.size() == kMaxEvidence - 7);
  world.Command("split", "0-1", {{"alerts", {"a2"}}, {"reason", "x"}}, Duration(61));
  CHECK(world.Refused() == "unknown_alert\n");
  for (uint64_t id : {1, 3}) CheckKeptBytes(world.store(), world.Find(id));
  // What is merged into the split-off case brings its key along: stronger alerts take the places of weaker ones.
  world.Command("merge", "0-2", {{"into", "0-3"}, {"reason", "x"}}, Duration(62));
  for (int i = 0; i < 40; ++i) world.Alert("b", "x", 41 + i % 50, Duration(100 + i));
  for (int i = 0; i < 40; ++i) world.Alert("a", "x", 41 + i % 50, Duration(200 + i));
  for (uint64_t id : {1, 3}) {
    CHECK(world.Find(id).evidence.size() >= kMaxEvidence - 4);
    CheckKeptBytes(world.store(), world.Find(id));
  }
  world.Command("undo", "0-1", {{"reason", "x"}}, Duration(300));
  CHECK(world.Refused().empty());
  CHECK(world.Find(1).alert_count == kMaxEvidence + 4 + 1 + 80);
  CheckKeptBytes(world.store(), world.Find(1));
  for (int i = 0; i < 40; ++i) world.Alert("b", "x", 60 + i % 40, Duration(400 + i));
  CheckKeptBytes(world.store(), world.Find(1));
}

TEST_CASE("limits: a case at the top that nobody answers costs an event a day, however long") {
  World world(FullPack());
  world.Alert("a", "x", 95, Duration{0});
  const auto events_until = [&](Duration at) {
    world.Alert("b", "x", 10, at);
    return world.Find(1).next_event;
  };
  events_until(std::chrono::hours(24 * 30));
  const uint64_t month = world.Find(1).next_event;
  CHECK(world.Find(1).level == 3);
  for (int year = 1; year <= 3; ++year) {
    CHECK(events_until(std::chrono::hours(24 * (30 + 365 * year))) == month + 365u * static_cast<uint64_t>(year));
  }
  CHECK(world.Find(1).timeline_dropped == 0);
  world.Command("ack", "0-1", Json::object(), std::chrono::hours(24 * 2000));
  CHECK(world.Find(1).next_repeat == Timestamp{});
}

TEST_CASE("limits: notes and the timeline keep the newest, and count what went") {
  World world(FullPack());
  world.Alert("a", "x", 10, Duration{0});
  for (size_t i = 0; i < kMaxTimeline + 10; ++i) {
    world.Command("note", "0-1", {{"text", "note " + std::to_string(i)}}, Duration(static_cast<int64_t>(i)));
  }
  CHECK(world.Refused().empty());
  const Case c = world.Find(1);
  CHECK(c.notes.size() == kMaxNotes);
  CHECK(c.notes.back().text == "note " + std::to_string(kMaxTimeline + 9));
  CHECK(c.timeline.size() == kMaxTimeline);
  CHECK(c.timeline_dropped == 11);  // the opening is the first to go
}

}  // namespace
}  // namespace triaged
