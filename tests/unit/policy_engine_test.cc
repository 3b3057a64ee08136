// The settings of the engine's mechanisms: read as they say, and refused where they stand when they cannot take effect.
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "pipeline/decide/explain.h"
#include "pipeline/policy/policy.h"

namespace triaged {
namespace {

using namespace std::chrono_literals;

std::string FullPack() {
  std::ifstream in(TRIAGED_SOURCE_DIR "/tests/scenario/engine/pack.yaml");
  std::stringstream text;
  text << in.rdbuf();
  REQUIRE_FALSE(text.str().empty());
  return text.str();
}

struct Compiled {
  FieldCatalog alerts{FieldCatalog::Taxonomy::kAlert};
  FieldCatalog cases{FieldCatalog::Taxonomy::kCase};
  Diagnostics diagnostics;
  std::shared_ptr<const Policy> policy;
  explicit Compiled(std::string text) {
    policy = CompilePolicy({"pack.yaml", std::move(text)}, &alerts, &cases, &diagnostics);
  }
};

// The full pack with `from` replaced is refused, in the line where `to` begins (or `line_of` stands), saying `message`.
void CheckRefused(const std::string& from, const std::string& to, const std::string& message,
                  std::string line_of = {}) {
  CAPTURE(from);
  CAPTURE(to);
  std::string text = FullPack();
  size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  if (!line_of.empty()) at = text.find(line_of);
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  const Compiled compiled(text);
  const std::string rendered = compiled.diagnostics.Render();
  CAPTURE(rendered);
  CHECK_FALSE(compiled.policy);
  CHECK(rendered.find(message) != std::string::npos);
  CHECK(rendered.find("pack.yaml:" + std::to_string(line) + ":") != std::string::npos);
}

TEST_CASE("policy: the engine's settings are read as they say") {
  const Compiled compiled(FullPack());
  REQUIRE_MESSAGE(compiled.policy, compiled.diagnostics.Render());
  const Policy& policy = *compiled.policy;
  const ClockSpec& ack = policy.clocks[static_cast<size_t>(ClockKind::kAcknowledge)];
  CHECK(ack.duration[3] == Duration(8h));
  CHECK(ack.business[3]);
  CHECK_FALSE(ack.business[2]);
  CHECK(policy.clocks[static_cast<size_t>(ClockKind::kRegulatoryEarly)].at_risk.kind == AtRiskRule::Kind::kAfter);
  CHECK(policy.hard_limit->to_level == 1);
  CHECK(policy.guards[0].acted_within == Duration(10min));
  CHECK(policy.guards[1].at_levels == 1);
  CHECK(policy.engaged_roles[0].triggers.size() == 2);
  CHECK(policy.follow_ups[1].due.duration[2] == Duration(16h));
  CHECK(policy.criteria[0].engage == std::vector<uint8_t>{1});
  CHECK(*policy.risk.threshold[0] == 400);
  CHECK(std::is_sorted(policy.criteria_fields.begin(), policy.criteria_fields.end()));
}

TEST_CASE("policy: calendars and clocks are refused with their reason") {
  CheckRefused("zone: Europe/Berlin, hours", "zone: Europe/Berlim, hours", "did you mean 'Europe/Berlin'?");
  CheckRefused("hours: \"09:00-17:00\"", "hours: \"17:00-09:00\"", "no opening hours of one day");
  CheckRefused("2026-04-06]", "2026-04-31]", "is no date");
  CheckRefused("2026-04-06]", "2026-04-03]", "a holiday is listed twice");
  CheckRefused("P3: 1bd, calendar: office, at_risk: 80%", "P3: 1bd, at_risk: 80%",
               "business time ('1bd') needs a `calendar`");
  CheckRefused("P3: 1bd, calendar: office", "P3: 1bd, calendar: ofice", "did you mean 'office'?");
  CheckRefused("at_risk: 12h", "at_risk: 100%", "no share of a clock's time");
  CheckRefused("contain: {P0: 1h, P1", "contain: {P0: never, P1", "never runs: it has no duration");
  CheckRefused("contain: {P0: 1h, P1: never, P2: never", "contain: {P0: 1h, P1: 30m, P2: never",
               "is sooner than the worse P0");
  CheckRefused("receipt: {P0: 10m, P1: 1h, P2: never, P3: never}", "recipt: {P0: 10m, P1: 1h, P2: never, P3: never}",
               "receipt");
}

TEST_CASE("policy: limits, guards and windows are refused with their reason") {
  CheckRefused("hard_limit: {to: L2", "hard_limit: {to: L1", "a case begins at level 'L1'");
  CheckRefused("hard_limit: {to: L2", "hard_limit: {to: L9", "there is no level 'L9'");
  CheckRefused("hard_limit: {to: L2, P0: 30m", "hard_limit: {to: L2", "says nothing about severity 'P0'");
  CheckRefused("- {name: actively_worked_on, acted_within: 10m}", "- {name: actively_worked_on}",
               "would hold back everything for ever");
  CheckRefused("acted_within: 10m}", "acted_within: 10m, recheck: 1h}", "`recheck` has no effect");
  CheckRefused("when: {case.tags: minimal}", "when: {case.severity: P7}", "can never hold: there is no 'P7'");
  CheckRefused("to: 2026-03-02T12:00:00Z", "to: 2026-03-02T07:00:00Z", "ends before it begins");
  CheckRefused("owner: hana\n    ", "", "owner", "- name: patch-night");
}

TEST_CASE("policy: roles, follow-ups and severities are refused with their reason") {
  CheckRefused("team: sun\n", "team: son\n", "there is no team 'son'");
  CheckRefused("engage: [legal]", "engage: [leagl]", "did you mean 'legal'?");
  CheckRefused("name: post_mortem", "name: resolve", "is the name of a clock");
  CheckRefused("on: closed, calendar", "on: clsed, calendar", "closed");
  CheckRefused("high: {P1: P0", "high: {P1: P2", "the urgency matrix only raises");
  CheckRefused("{name: wide_spread, to: P1", "{name: wide_spread, to: P5", "there is no severity 'P5'");
  CheckRefused("P0: 400, P1: 200", "P0: 100, P1: 200", "a worse severity is reached at less risk already");
  CheckRefused("risk: {window: 24h, P0: 400, P1: 200}", "risk: {window: 24h}", "adds up to nothing");
}

TEST_CASE("policy: what the whole pack shows is refused with its reason") {
  CheckRefused("when: {case.verdict: needs_review}",
               "when: {a: {case.severity: P0}, b: {case.severity: P1}, condition: a and b}",
               "criterion 'uncertain' can never hold");
  CheckRefused("calendars:\n", "calendars:\n  spare: {zone: UTC, hours: \"09:00-17:00\"}\n",
               "nothing uses calendar 'spare'", "spare:");
  // Without repeat and times, L4 is reached by nobody.
  std::string text = FullPack();
  for (const std::string gone :
       {"repeat: {interval: 20m, max: 2}\n", "ack_timeout: {P0: 30m, P1: 1h, P2: 4h, P3: never}\n"}) {
    text.erase(text.find(gone), gone.size());
  }
  const std::string row = "L4: {P0: 1h, P1: 4h,";
  text.replace(text.find(row), row.size(), "L4: {P0: never, P1: never,");
  const Compiled compiled(text);
  CHECK_FALSE(compiled.policy);
  CHECK(compiled.diagnostics.Render().find("nothing leads to level 'L4'") != std::string::npos);
}

TEST_CASE("roster: overrides, regions and hours are refused with their reason") {
  CheckRefused("replace: ada, with: hana}", "replace: ada, with: hanna}", "did you mean 'hana'?");
  CheckRefused("replace: ada, with: hana}", "with: hana}", "needs one of `add`, `remove`, `replace`");
  CheckRefused("to: 2026-03-06T00:00:00Z", "to: 2026-03-04T00:00:00Z", "the override ends before it begins");
  CheckRefused("regions: [region-emea, region-amer", "regions: [region-emea, region-amr",
               "there is no team 'region-amr'");
  CheckRefused("regions: [region-emea, region-amer, region-apac], fallback: third}",
               "regions: [region-emea, region-amer, region-apac], members: [hana]}", "has regions");
  CheckRefused("from_to: \"16:00-24:00\"", "from_to: \"16:00-25:00\"", "are no hours");
  CheckRefused("days: [monday, tuesday", "days: [mondy, tuesday", "did you mean 'monday'?");
}

TEST_CASE("explain: an untouched case of each severity, and a graph of the ladder") {
  const Compiled compiled(FullPack());
  REQUIRE(compiled.policy);
  const std::string text = ExplainPolicy(*compiled.policy, *ParseTimestamp("2026-03-02T08:00:00Z"));
  for (const char* line :
       {"P0\n", "15m  goes to L2: uncertain_verdict (cleo)", "40m  goes to L3: unresolved_in_time (hana)",
        "10m  sla.breached: receipt_breached", "P3\n"}) {
    CHECK_MESSAGE(text.find(line) != std::string::npos, line);
  }
  const std::string graph = PolicyGraph(*compiled.policy);
  CHECK(graph.starts_with("digraph \"engine\" {"));
  CHECK(graph.find("\"L1\" -> \"L3\" [label=\"security_breach (bypass)\"") != std::string::npos);
  CHECK(graph.find("hard limit\\nP0 30m\\nP1 2h") != std::string::npos);
}

TEST_CASE("roster: the lint finds gaps, fallbacks and people without contact") {
  std::string text = FullPack();
  const auto replace = [&](const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
  };
  replace("cleo: {name: Cleo, contact: cleo@example.org}", "cleo: {name: Cleo}");
  replace("holidays: [2026-04-03]}\n    fallback: third", "holidays: [2026-04-03]}");
  const Compiled compiled(text);
  REQUIRE_MESSAGE(compiled.policy, compiled.diagnostics.Render());
  const auto problems = compiled.policy->roster->Lint({"first", "second"}, *ParseTimestamp("2026-03-02T06:00:00Z"),
                                                      *ParseTimestamp("2026-03-04T00:00:00Z"));
  std::string found;
  for (const RosterProblem& problem : problems) {
    found += std::string(problem.kind == RosterProblem::Kind::kGap         ? "gap "
                         : problem.kind == RosterProblem::Kind::kNoContact ? "no contact "
                                                                           : "fallback ") +
             problem.team + " " + FormatTimestamp(problem.from).substr(5, 11) + " " +
             FormatTimestamp(problem.to).substr(5, 11) + "\n";
  }
  CHECK(found ==
        "gap second 03-02T06:00 03-02T07:00\n"
        "no contact second 03-02T07:00 03-02T17:00\n"
        "gap second 03-02T17:00 03-03T07:00\n"
        "gap second 03-03T17:00 03-04T00:00\n");
}

}  // namespace
}  // namespace triaged
