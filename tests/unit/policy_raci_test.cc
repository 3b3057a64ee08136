// `raci`: who has which part in an activity; what it refuses, and that `explain --policy` shows it.
#include <doctest/doctest.h>

#include <string>

#include "pipeline/decide/explain.h"
#include "pipeline/policy/policy.h"

using namespace triaged;

namespace {

const std::string kPack = R"(policy: small
severities: [{name: high, min_score: 0}]
default_severity: high
levels:
  - {name: L1, team: one}
  - {name: L2, team: one}
matrix: {L2: {high: 10m}}
engaged_roles: [{name: legal, team: one}]
raci:
  - {activity: Triage, R: [L1], A: L2, C: [legal]}
grouping: [{name: alone, by: [event.id]}]
roles: {l1: all}
people: {ada: {name: Ada}}
teams: {one: {members: [ada]}}
)";

std::shared_ptr<const Policy> Compile(const std::string& text, std::string* errors) {
  FieldCatalog alerts(FieldCatalog::Taxonomy::kAlert);
  FieldCatalog cases(FieldCatalog::Taxonomy::kCase);
  Diagnostics diagnostics;
  auto policy = CompilePolicy({"small.yaml", text}, &alerts, &cases, &diagnostics);
  *errors = diagnostics.Render();
  return policy;
}

void Refused(const std::string& from, const std::string& to, const std::string& message) {
  std::string text = kPack;
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  std::string errors;
  CHECK_FALSE(Compile(text, &errors));
  CAPTURE(errors);
  CHECK(errors.find(message) != std::string::npos);
}

TEST_CASE("raci: the parts are read, and explain shows them") {
  std::string errors;
  const auto policy = Compile(kPack, &errors);
  CAPTURE(errors);
  REQUIRE(policy);
  REQUIRE(policy->raci.size() == 1);
  CHECK(policy->raci[0].accountable == std::vector<std::string>{"L2"});
  const std::string shown = ExplainPolicy(*policy, *ParseTimestamp("2026-03-02T08:00:00Z"));
  CHECK(shown.find("  Triage: R L1; A L2; C legal\n") != std::string::npos);
}

TEST_CASE("explain: a policy without times says so") {
  std::string text = kPack;
  text.replace(text.find("{high: 10m}"), 11, "{high: never}");
  text += "criteria: [{name: asked, at: [L1], when: {case.tags: asked}}]\n";
  std::string errors;
  const auto policy = Compile(text, &errors);
  CAPTURE(errors);
  REQUIRE(policy);
  const std::string shown = ExplainPolicy(*policy, *ParseTimestamp("2026-03-02T08:00:00Z"));
  CHECK(shown.find("nothing fires: every clock of high has ended, was missed or is not set, and no time leads from L1 "
                   "further up") != std::string::npos);
}

TEST_CASE("raci: strangers, gaps and slips are refused") {
  Refused("R: [L1]", "R: [L3]", "there is no level or role 'L3'");
  Refused(", A: L2", "", "'A' is missing");
  Refused("C: [legal]", "C: [L1]", "'L1' has a part in this activity already");
  Refused("C: [legal]", "X: [legal]", "unknown key 'X'");
  Refused("  - {activity: Triage, R: [L1], A: L2, C: [legal]}",
          "  - {activity: Triage, R: [L1], A: L2}\n  - {activity: Triage, R: [L1], A: L1}", "listed twice");
}

}  // namespace
