#include "pipeline/policy/policy.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "pipeline/model/command.h"
#include "tests/unit/policy_pack.h"

using namespace triaged;
using namespace std::chrono_literals;

namespace {

// The smallest pack that compiles; tests change one line of it.
const std::string kPack = R"(policy: small
title: A small pack
severities:
  - {name: high, min_score: 50}
  - {name: low, min_score: 0}
default_severity: low
levels:
  - {name: L1, role: First, team: one, channels: [c1]}
  - {name: L2, role: Second, team: two}
  - {name: L3, role: Third, team: two}
matrix:
  since: case_opened
  L2: {high: 10m, low: 1h}
  L3: {high: 30m, low: never}
clocks:
  acknowledge: {high: 5m, low: 1h, at_risk: 80%}
repeat: {interval: 5m, max: 2}
criteria:
  - name: tagged
    at: [L1]
    when: {case.tags: bad}
    request: Look.
grouping:
  - {name: host, by: [host.name]}
  - {name: alone, by: [event.id], idle: 1h, max: 2h, max_alerts: 10, reopen: 0}
roles:
  l1: [ack, note]
  lead: all
people:
  ann: {name: Ann}
  bob: {}
teams:
  one: {members: [ann], fallback: two}
  two: {members: [bob]}
)";

void CheckRefused(const std::string& from, const std::string& to, const std::string& message) {
  CheckRefusedIn(kPack, from, to, message, nullptr);
}

}  // namespace

TEST_CASE("policy: the small pack compiles to what it says") {
  Compiled compiled(kPack);
  INFO(compiled.diagnostics.Render());
  REQUIRE(compiled.policy);
  const Policy& policy = *compiled.policy;
  CHECK(policy.name == "small");
  CHECK(policy.title == "A small pack");
  CHECK_FALSE(policy.when);
  REQUIRE(policy.severities.size() == 2);
  CHECK(policy.severities[0].min_score == 50);
  CHECK(policy.default_severity == 1);
  REQUIRE(policy.levels.size() == 3);
  CHECK(policy.levels[0].channels == std::vector<std::string>{"c1"});
  CHECK(policy.levels[1].team == "two");
  CHECK_FALSE(policy.levels[0].reached_after[0]);
  CHECK(policy.levels[1].reached_after[0] == Duration(10min));
  CHECK(policy.levels[2].reached_after[0] == Duration(30min));
  CHECK_FALSE(policy.levels[2].reached_after[1]);
  CHECK(policy.matrix_since == MatrixSince::kCaseOpened);
  const ClockSpec& ack = policy.clocks[static_cast<size_t>(ClockKind::kAcknowledge)];
  CHECK(ack.duration[1] == Duration(1h));
  CHECK(ack.at_risk.percent == 80);
  CHECK_FALSE(policy.clocks[static_cast<size_t>(ClockKind::kResolve)].duration[0]);
  CHECK(policy.repeat_interval == Duration(5min));
  CHECK(policy.repeat_max == 2);
  CHECK(policy.escalated_status == "escalated");
  CHECK(policy.dedup_window == Duration(24h));
  CHECK(policy.confirm_timeout == Duration(0));
  REQUIRE(policy.criteria.size() == 1);
  CHECK(policy.criteria[0].at_levels == 1);
  CHECK_FALSE(policy.criteria[0].to_level);
  CHECK(policy.criteria[0].request == "Look.");
  CHECK(policy.criteria_fields == std::vector<FieldId>{field::kCaseTags});
  REQUIRE(policy.grouping.size() == 2);
  CHECK(policy.grouping[0].by == std::vector<FieldId>{field::kHostName});
  CHECK(policy.grouping[0].idle == Duration(4h));
  CHECK(policy.grouping[1].max == Duration(2h));
  CHECK(policy.grouping[1].max_alerts == 10);
  CHECK(policy.grouping[1].reopen == Duration(0));
  REQUIRE(policy.roles.size() == 2);
  CHECK(policy.roles[0].actions ==
        (1u << static_cast<int>(CommandAction::kAck) | 1u << static_cast<int>(CommandAction::kNote)));
  CHECK(policy.roles[1].actions == 0x7ffffff);
  REQUIRE(policy.roster);
  CHECK(policy.roster->At("one", Timestamp{}).person == "ann");
  CHECK(policy.roster->FindPerson("bob")->name == "bob");
}

TEST_CASE("policy: severity of an alert by its score") {
  Compiled compiled(kPack);
  REQUIRE(compiled.policy);
  Alert alert;
  CHECK(compiled.policy->SeverityFor(alert) == 1);  // no score: the default
  for (const auto& [score, severity] : {std::pair{100, 0}, {50, 0}, {49, 1}, {0, 1}}) {
    alert.score = static_cast<int16_t>(score);
    CHECK(compiled.policy->SeverityFor(alert) == severity);
  }
}

TEST_CASE("policy: bad references are refused where they stand, with a hint") {
  CheckRefused("default_severity: low", "default_severity: hihg", "did you mean 'high'");
  CheckRefused("team: one, channels", "team: oen, channels", "did you mean 'one'");
  CheckRefused("at: [L1]", "at: [L7]", "there is no level 'L7'");
  CheckRefused("request: Look.", "to: L9", "there is no level 'L9'");
  CheckRefused("l1: [ack, note]", "l1: [akc, note]", "did you mean 'ack'");
  CheckRefused("members: [bob]", "members: [bbo]", "did you mean 'bob'");
  CheckRefused("fallback: two", "fallback: tow", "did you mean 'two'");
  CheckRefused("by: [host.name]", "by: [host.nane]", "did you mean 'host.name'");
  CheckRefused("by: [host.name]", "by: [hostname]", "did you mean 'host.name'");
  CheckRefused("by: [host.name]", "by: [raw:host.name]", "leave 'raw:' out");
  CheckRefused("title: A small pack", "report_zone: Europe/Belrin", "no IANA time zone");
  CheckRefused("title: A small pack", "titel: A small pack", "did you mean 'title'");
  CheckRefused("when: {case.tags: bad}", "when: {case.tag: bad}", "case.tag");
}

TEST_CASE("policy: raw paths group when they cannot be a slip") {
  for (const char* name : {"kibana.alert.uuid", "raw:kibana.alert.uuid", "raw:nodot"}) {
    Compiled compiled(Replaced(kPack, "by: [host.name]", std::string("by: [\"") + name + "\"]"));
    INFO(compiled.diagnostics.Render());
    REQUIRE(compiled.policy);
    const FieldId id = compiled.policy->grouping[0].by.at(0);
    CHECK(id >= compiled.alerts.normalised_size());
    const std::string path = std::string(name).rfind("raw:", 0) == 0 ? name + 4 : name;
    CHECK(compiled.alerts.Name(id) == path);
  }
}

TEST_CASE("policy: a matrix must be complete and rise") {
  CheckRefused("L2: {high: 10m, low: 1h}", "L2: {high: 10m}", "says nothing about severity 'low'");
  CheckRefused("L2: {high: 10m, low: 1h}", "L2: {high: 2h, low: 1h}", "may not wait longer");
  CheckRefused("L2: {high: 10m, low: 1h}", "L2: {high: never, low: 1h}", "may not wait longer");
  CheckRefused("L2: {high: 10m, low: 1h}", "L2: {high: 10, low: 1h}", "'10' is no duration");
  CheckRefused("L2: {high: 10m, low: 1h}", "L2: {high: 10m, low: 1h, medium: 1h}", "medium");
  CheckRefused("L3: {high: 30m, low: never}", "L3: {high: 10m, low: never}", "would never be reached by time");
  CheckRefused("  L3: {high: 30m, low: never}\n", "", "no row for level 'L3'");
  CheckRefused("  since: case_opened", "  L1: {high: 1m, low: 1m}", "no time leads there");
  CheckRefused("  since: case_opened", "  since: opened", "since");
  // From the entry of each level there is no such order.
  Compiled compiled(
      Replaced(Replaced(kPack, "since: case_opened", "since: level_entered"), "L3: {high: 30m", "L3: {high: 5m"));
  INFO(compiled.diagnostics.Render());
  REQUIRE(compiled.policy);
  CHECK(compiled.policy->matrix_since == MatrixSince::kLevelEntered);
}

TEST_CASE("policy: settings that could never take effect are errors") {
  CheckRefused("{name: low, min_score: 0}", "{name: low, min_score: 60}", "no alert could get severity 'low'");
  CheckRefused("{name: low, min_score: 0}", "{name: low, min_score: 10}", "needs min_score: 0");
  CheckRefused("{name: high, min_score: 50}", "{name: low, min_score: 50}", "listed twice");
  CheckRefused("name: L2, role", "name: L1, role", "listed twice");
  CheckRefused("at: [L1]", "at: [L3]", "is the last level");
  CheckRefused("request: Look.", "to: L1", "cannot be escalated to");
  CheckRefused("request: Look.", "to: L3", "skips 'L2'");
  CheckRefused("by: [host.name]", "by: [event.id]", "is never reached");
  CheckRefused("by: [event.id]", "by: [host.id]", "would have no case");
  CheckRefused("by: [event.id]", "when: {host.name: x}, by: [event.id]", "would have no case");
  CheckRefused("by: [host.name]", "by: []", "strangers would share a case");
  CheckRefused("by: [host.name]", "by: [host.name, host.name]", "listed twice");
  CheckRefused("idle: 1h, max: 2h", "idle: 3h, max: 2h", "longer than max");
  CheckRefused("  one: {members: [ann], fallback: two}", "  one: {members: [ann]}\n  three: {members: [ann]}",
               "uses team 'three'");
  CheckRefused("two: {members: [bob]}", "two: {members: [bob], fallback: one}", "circle");
  CheckRefused("at_risk: 80%", "at_risk: 100%", "no share");
  CheckRefused("at_risk: 80%", "at_risk: 0.8", "no share");
  CheckRefused("repeat: {interval: 5m, max: 2}", "repeat: {interval: 5m}", "max");
  CheckRefused("policy: small", "policy: not a name", "cannot be the name");
}

TEST_CASE("policy: what is required is asked for") {
  for (const std::string key :
       {"policy", "severities", "default_severity", "levels", "grouping", "roles", "people", "teams"}) {
    CAPTURE(key);
    Compiled compiled(Replaced("\n" + kPack, "\n" + key + ":", "\nx-" + key + ":"));
    CHECK_FALSE(compiled.policy);
    CHECK(compiled.diagnostics.Render().find(key) != std::string::npos);
  }
  for (const std::string list : {"severities", "levels", "grouping"}) {
    Compiled compiled("policy: p\n" + list + ": []\n");
    CHECK(compiled.diagnostics.Render().find("`" + list + "` must be a list") != std::string::npos);
  }
}

TEST_CASE("policy: all problems are reported at once, each in its line") {
  std::string text = Replaced(kPack, "default_severity: low", "default_severity: lwo");
  text = Replaced(text, "L3: {high: 30m, low: never}", "L3: {high: 5m, low: never}");
  text = Replaced(text, "lead: all", "lead: [everything]");
  text = Replaced(text, "by: [host.name]", "by: [host.nmae]");
  Compiled compiled(text);
  CHECK_FALSE(compiled.policy);
  std::vector<int> lines;
  for (const Diagnostic& item : compiled.diagnostics.items()) {
    lines.push_back(item.where.line);
    CHECK_FALSE(item.snippet.empty());
  }
  std::sort(lines.begin(), lines.end());
  CHECK(lines == std::vector<int>{LineOf(text, "lwo"), LineOf(text, "high: 5m"), LineOf(text, "host.nmae"),
                                  LineOf(text, "everything")});
}

TEST_CASE("policy: an error of another file does not spoil this one") {
  FieldCatalog alerts(FieldCatalog::Taxonomy::kAlert);
  FieldCatalog cases(FieldCatalog::Taxonomy::kCase);
  Diagnostics diagnostics;
  CHECK_FALSE(CompilePolicy({"a.yaml", "policy: ["}, &alerts, &cases, &diagnostics));
  CHECK(CompilePolicy({"b.yaml", kPack}, &alerts, &cases, &diagnostics));
  CHECK(diagnostics.HasErrors());
}

TEST_CASE("policy: garbage never compiles and never crashes") {
  for (const std::string text :
       {"", "null", "[]", "42", "policy: {}", "levels: 3\nseverities: x\ngrouping: {}\n",
        "severities: [1, [], {}]\nlevels: [1]\ngrouping: [x]\ncriteria: [[]]\nroles: [a]\n",
        "matrix: 1\nclocks: []\nteams: 4\npeople: x\nrepeat: no\nauto_close: 1\n", "a: b\n---\nc: d\n"}) {
    CAPTURE(text);
    Compiled compiled(text);
    CHECK_FALSE(compiled.policy);
    CHECK(compiled.diagnostics.HasErrors());
  }
  // Each line of the pack left out, and each cut in the middle.
  std::stringstream lines(kPack);
  std::string line;
  size_t at = 0;
  while (std::getline(lines, line)) {
    Compiled without(kPack.substr(0, at) + kPack.substr(at + line.size() + 1));
    Compiled cut(kPack.substr(0, at + line.size() / 2));
    CHECK(without.diagnostics.HasErrors() == (without.policy == nullptr));
    CHECK(cut.diagnostics.HasErrors() == (cut.policy == nullptr));
    at += line.size() + 1;
  }
}

TEST_CASE("policy: the shipped SOC pack") {
  Compiled compiled(ReadText(TRIAGED_SOURCE_DIR "/configs/policies/soc-tiered.yaml"));
  INFO(compiled.diagnostics.Render());
  REQUIRE(compiled.policy);
  CHECK(compiled.diagnostics.items().empty());
  const Policy& policy = *compiled.policy;
  // DOMAIN.md, Levels, clocks, matrix: critical / high / medium / low.
  const auto times = [](const auto& durations) {
    std::string text;
    for (size_t i = 0; i < 4; ++i) text += (i ? " " : "") + (durations[i] ? FormatDuration(*durations[i]) : "never");
    return text;
  };
  REQUIRE(policy.severities.size() == 4);
  REQUIRE(policy.levels.size() == 3);
  CHECK(times(policy.clocks[static_cast<size_t>(ClockKind::kAcknowledge)].duration) == "5m 15m 1h 8h");
  CHECK(times(policy.clocks[static_cast<size_t>(ClockKind::kResolve)].duration) == "4h 8h 1d 5d");
  CHECK(times(policy.levels[1].reached_after) == "10m 30m 4h 1d");
  CHECK(times(policy.levels[2].reached_after) == "30m 2h never never");
  Alert alert;
  for (const auto& [score, name] : {std::pair{99, "critical"},
                                    {74, "critical"},
                                    {73, "high"},
                                    {48, "high"},
                                    {47, "medium"},
                                    {22, "medium"},
                                    {21, "low"},
                                    {0, "low"}}) {
    alert.score = static_cast<int16_t>(score);
    CHECK(policy.severities[policy.SeverityFor(alert)].name == name);
  }
  std::vector<std::string> names;
  for (const Criterion& criterion : policy.criteria) names.push_back(criterion.name);
  CHECK(names == std::vector<std::string>{"major_attack_indicators", "remediation_required", "cross_team",
                                          "active_scanning", "wordlist_scanning", "vulnerability_scanning",
                                          "web_flood", "exploitation", "web_shell",
                                          "web_attack_goes_on", "password_guessing",
                                          "command_execution", "account_switch",
                                          "privilege_escalation", "load_after_intrusion", "resource_hijacking",
                                          "exfiltration",
                                          "uncertain_verdict", "true_positive_confirmed", "major_incident"});
  CHECK(policy.criteria.back().to_level == policy.LevelIndex("IR"));
  CHECK(policy.criteria.back().bypass);
  // Somebody is on shift at every level at any time since 2000.
  for (const LevelSpec& level : policy.levels) {
    for (const char* time : {"2001-02-03T04:05:06Z", "2026-11-21T04:08:00Z", "2036-12-31T23:59:59Z"}) {
      const OnShift on_shift = policy.roster->At(level.team, *ParseTimestamp(time));
      CHECK_FALSE(on_shift.person.empty());
      CHECK_FALSE(on_shift.fell_back);
    }
    CHECK(policy.roster->At(level.team, *ParseTimestamp("1999-01-01T00:00:00Z")).person == "ines");
  }
}

TEST_CASE("policy: the SOC pack's criteria hold when the guide says so") {
  Compiled compiled(ReadText(TRIAGED_SOURCE_DIR "/configs/policies/soc-tiered.yaml"));
  REQUIRE(compiled.policy);
  using Facts = std::vector<std::pair<FieldId, const char*>>;
  const auto first = [&](int level, const Facts& facts) -> std::string {
    FieldTable fields;
    fields.Reset(compiled.cases.size());
    for (const auto& [id, text] : facts) fields.Add(id, Value(text));
    for (const Criterion& criterion : compiled.policy->criteria) {
      if ((criterion.at_levels >> level & 1) && criterion.when->Matches(fields)) return criterion.name;
    }
    return "";
  };
  CHECK(first(0, {{field::kCaseTags, "major_attack"}}) == "major_attack_indicators");
  CHECK(first(0, {{field::kCaseClassification, "ransomware"}}) == "major_attack_indicators");
  CHECK(first(0, {{field::kCaseTags, "major_attack"}, {field::kCaseVerdict, "true_positive"}}) ==
        "major_attack_indicators");
  CHECK(first(0, {{field::kCaseTags, "major_attack"}, {field::kCaseVerdict, "false_positive"}}) == "");
  CHECK(first(0, {{field::kCaseTags, "remediation_required"}}) == "remediation_required");
  CHECK(first(0, {{field::kCaseTags, "cross_team"}, {field::kCaseTags, "remediation_required"}}) ==
        "remediation_required");
  CHECK(first(0, {{field::kCaseTags, "cross_team"}}) == "cross_team");
  CHECK(first(0, {{field::kCaseTags, "cross_team"}, {field::kCaseVerdict, "false_positive"}}) == "");
  CHECK(first(0, {{field::kCaseVerdict, "needs_review"}}) == "uncertain_verdict");
  CHECK(first(0, {{field::kCaseVerdict, "true_positive"}}) == "true_positive_confirmed");
  CHECK(first(0, {{field::kCaseVerdict, "benign_true_positive"}}) == "");
  CHECK(first(0, {}) == "");
  CHECK(first(1, {{field::kCaseTags, "major_attack"}, {field::kCaseVerdict, "true_positive"}}) == "");
  CHECK(first(1, {{field::kCaseIncident, "minor"}}) == "");
  CHECK(first(1, {{field::kCaseIncident, "major"}}) == "major_incident");
  CHECK(first(0, {{field::kCaseIncident, "major"}}) == "major_incident");
  CHECK(first(2, {{field::kCaseIncident, "major"}}) == "");
}
