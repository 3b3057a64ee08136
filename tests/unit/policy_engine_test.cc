// The settings of the engine's mechanisms: read as they say, and refused where they stand when they cannot take effect.
#include <doctest/doctest.h>

#include <string>

#include "daemon/config.h"
#include "pipeline/decide/explain.h"
#include "pipeline/model/watch.h"
#include "pipeline/policy/engine.h"
#include "pipeline/policy/policy.h"
#include "tests/unit/policy_pack.h"

namespace triaged {
namespace {

using namespace std::chrono_literals;

// Refused where `to` begins, or where `line_of` stands.
void CheckRefused(const std::string& from, const std::string& to, const std::string& message,
                  const char* line_of = "") {
  CheckRefusedIn(FullPack(), from, to, message, line_of);
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
  CheckRefused("when: {case.tags: customer_impact}", "when: {case.severity: P9}", "there is no 'P9'");
  CheckRefused("when: {case.tags: customer_impact}",
               "when: {a: {case.status: open}, b: {case.status: closed}, condition: a and b}",
               "trigger 'customers_feel_it' of role 'communications' can never hold");
  CheckRefused("when: {case.contained: true}", "when: {case.contained: maybe}", "there is no 'maybe'");
  CheckRefused("when: {case.tags: minimal}",
               "when: {a: {case.level: L1}, b: {case.level: L2}, condition: a and b}",
               "guard 'minimal_impact' can never hold");
  CheckRefused("when: {case.distinct.user|gte: 3}",
               "when: {a: {case.severity: P1}, b: {case.severity: P0}, condition: a and b}",
               "raise 'wide_spread' can never hold");
  CheckRefused("when: {case.severity: [P0, P1]}",
               "when: {a: {case.severity: P0}, b: {case.severity: P1}, condition: a and b}",
               "follow-up 'post_mortem' can never hold");
  CheckRefused("when: {case.verdict: needs_review}", "when: {case.roles: leagl}", "did you mean 'legal'?");
  CheckRefused("when: {case.verdict: needs_review}", "when: {case.team: frist}", "did you mean 'first'?");
  CheckRefused("due: {P0: 24h, P1: 48h, P2: never, P3: never}", "due: {P0: never, P1: never, P2: never, P3: never}",
               "is never owed: it has no duration");
  CheckRefused("{name: wide_spread, to: P1", "{name: wide_spread, to: P3", "nothing is milder than 'P3'");
  CheckRefused("hard_limit: {to: L2, P0: 30m, P1: 2h", "hard_limit: {to: L2, P0: never, P1: never",
               "the hard limit has no duration");
  CheckRefused("ack_timeout: {P0: 30m, P1: 1h, P2: 4h", "ack_timeout: {P0: never, P1: never, P2: never",
               "ack_timeout has no duration");
  CheckRefused("max_pause: 6h\n", "max_pause: 6h\npause_on: []\n", "`max_pause` has no effect", "max_pause");
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

TEST_CASE("policy: numbers that leave nothing are refused with their reason") {
  const std::string uncertain = "when: {case.verdict: needs_review}";
  CheckRefused(uncertain, "when: {case.alert_count|gte: 10, case.alert_count|lt: 5}",
               "this can never hold: 'case.alert_count|gte: 10' and 'case.alert_count|lt: 5' leave no number");
  // Beside a field where anything may stand, and in one selection of several.
  CheckRefused(uncertain, "when: {case.tags: x, case.risk|gt: 7, case.risk|lte: 7}", "leave no number");
  CheckRefused(uncertain, "when: {a: {case.risk: 3, case.risk|gt: 3}, b: {case.tags: x}, condition: a or b}",
               "'case.risk|gt: 3' and 'case.risk: 3' leave no number");
  // Across selections; a number that cannot be so large.
  CheckRefused(uncertain, "when: {a: {case.risk|gte: 10}, b: {case.risk|lt: 10}, condition: a and b}",
               "criterion 'uncertain' can never hold");
  CheckRefused(uncertain, "when: {case.verdict_confidence|gt: 100}", "criterion 'uncertain' can never hold");
  CheckRefused(uncertain, "when: {a: {case.severity: P0}, b: {case.risk|gte: 0}, condition: a and not b}",
               "criterion 'uncertain' can never hold");
  CheckRefused("when: {case.tags: minimal}", "when: {case.alert_count|gte: 4, case.alert_count|lte: 3}", "leave no number");
  CheckRefused("{name: host, by: [host.name]", "{name: host, when: {event.severity|gt: 80, event.severity|lt: 20}, by: [host.name]",
               "leave no number");
  for (const char* fine : {"when: {case.alert_count|gte: 5, case.alert_count|lt: 6}", "when: {case.verdict_confidence|gte: 100}",
                           "when: [{case.risk|gte: 10}, {case.risk|lt: 5}]", "when: {case.risk|gt: 1, case.alert_count|lt: 1}",
                           "when: {a: {case.risk|gte: 10}, b: {case.risk|lt: 11}, condition: a and b}"}) {
    const Compiled compiled(Replaced(FullPack(), uncertain, fine));
    CHECK_MESSAGE(compiled.policy, compiled.diagnostics.Render());
  }
}

TEST_CASE("policy: what an earlier entry always takes is refused with its reason") {
  const std::string last = "  - {name: uncertain, at: [L1], when: {case.verdict: needs_review}, request: Decide.}\n";
  const auto refused = [&](const std::string& entry, const std::string& by) {
    CheckRefused(last, last + entry, "'" + by + "' in line", entry.c_str());
  };
  refused("  - {name: late, at: [L1], when: {case.verdict: needs_review, case.tags: x}}\n", "uncertain");
  refused("  - {name: late, at: [L1], when: {case.tags: multiple_services}}\n", "multiple_services");
  refused("  - {name: late, at: [L2], when: {case.resolution_failures|gte: 2}}\n", "resolution_failed");
  refused("  - {name: late, at: [L1], when: {a: {case.recurrence: 7}, b: {case.severity: P0}, condition: a and not b}}\n",
          "recurrence");
  refused("  - {name: late, at: [L1, L2], when: {case.tags: breach}, to: L3, bypass: true}\n", "security_breach");
  // At a level more, with a wider condition, behind one that moves nothing, or as a bypass it has its turn.
  for (const char* fine : {"  - {name: late, at: [L1, L2], when: {case.verdict: needs_review}}\n",
                           "  - {name: late, at: [L1], when: {case.verdict: [needs_review, true_positive]}}\n",
                           "  - {name: late, at: [L1], when: {case.resolution_failures|gte: 0}}\n",
                           "  - {name: late, at: [L1], when: {case.tags: lateral}}\n",
                           "  - {name: late, at: [L1], when: {case.tags|contains|all: [multiple, services]}}\n",
                           "  - {name: late, at: [L1], when: {case.verdict: needs_review}, to: L3, bypass: true}\n"}) {
    const Compiled compiled(Replaced(FullPack(), last, last + fine));
    CHECK_MESSAGE(compiled.policy, compiled.diagnostics.Render());
  }
  const std::string host = "  - {name: host, by: [host.name], idle: 4h, max: 24h, reopen: 1h}\n";
  CheckRefused(host, host + "  - {name: pair, by: [user.name, host.name]}\n", "'host' in line", "  - {name: pair");
  CheckRefused(host, host + "  - {name: loud, when: {event.severity|gte: 80}, by: [host.name]}\n", "'host' in line",
               "  - {name: loud");
  const std::string loud = "  - {name: loud, when: {event.severity|gte: 80}, by: [host.name]}\n";
  const Compiled compiled(Replaced(FullPack(), host, loud + host + "  - {name: user, by: [user.name]}\n"));
  CHECK_MESSAGE(compiled.policy, compiled.diagnostics.Render());
}

TEST_CASE("policy: one behind a policy that takes every alert is warned of") {
  const auto said = [](const std::string& first) {
    Diagnostics diagnostics;
    EngineSources sources;
    sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
    sources.policies = {{"first.yaml", first}, {"second.yaml", Replaced(FullPack(), "policy: engine", "policy: second")}};
    CHECK(CompileEngine(sources, {}, &diagnostics) != nullptr);
    return diagnostics.Render();
  };
  const std::string warning = "second.yaml:1:1: warning: policy 'second' never gets an alert";
  CHECK(said(FullPack()).find(warning) != std::string::npos);
  CHECK(said(Replaced(FullPack(), "policy: engine\n", "policy: engine\nwhen: {host.name: a}\n")).empty());
}

TEST_CASE("policy: storms and feeds are refused with their reason") {
  const std::string storm = "storm: {escalations: 3, window: 10m}\n";
  CheckRefused(storm, "storm: {escalations: 0}\n", "escalations");
  CheckRefused(storm, "storm: {escalations: 1001}\n", "1000");
  CheckRefused(storm, "storm: {window: 10m}\n", "escalations");
  const auto feed = [&](const std::string& text) { return storm + "feeds: [" + text + "]\n"; };
  const char* line = "feeds: [";
  CheckRefused(storm, feed("{name: edr, silent_after: 1h, severity: P1}"), "needs `topic`, `product` or both", line);
  CheckRefused(storm, feed("{name: edr, topic: t, silent_after: 1h, severity: P7}"), "no severity 'P7'", line);
  CheckRefused(storm, feed("{name: edr, topic: t, silent_after: 1s, severity: P1}"), "silent_after", line);
  CheckRefused(storm, feed("{name: edr, topic: t, severity: P1}"), "silent_after", line);
  CheckRefused(storm, feed("{name: 'e/r', topic: t, silent_after: 1h, severity: P1}"), "cannot be the name", line);
  const std::string edr = "{name: edr, topic: t, silent_after: 1h, severity: P1}";
  CheckRefused(storm, feed(edr + ", " + edr), "listed twice", line);
  const Compiled compiled(Replaced(FullPack(), storm, "storm: {escalations: 1000}\nfeeds: [" + edr + "]\n"));
  REQUIRE_MESSAGE(compiled.policy, compiled.diagnostics.Render());
  CHECK(compiled.policy->storm.escalations == kMaxWatchTimes);
  CHECK(compiled.policy->storm.window == Duration(10min));
  CHECK(compiled.policy->feeds.front().silent_after == Duration(1h));
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
