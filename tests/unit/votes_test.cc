// More rules than a case has places for votes: what decides is kept.
#include <doctest/doctest.h>

#include <string>

#include "daemon/config.h"
#include "daemon/timeline.h"
#include "tests/unit/policy_pack.h"

namespace triaged {
namespace {

std::string Id(size_t number) {
  const std::string digits = std::to_string(number);
  return "22222222-0000-4000-8000-" + std::string(12 - digits.size(), '0') + digits;
}

std::string RuleText(size_t number, const std::string& name, const std::string& triage) {
  return "---\ntitle: Rule " + std::to_string(number) + "\nid: " + Id(number) +
         "\nlogsource: {category: test}\ndetection:\n  selection: {rule.name: " + name + "}\n  condition: selection\n" +
         triage;
}

// As many rules as one case has places for speak of `noise`, and say nothing of it.
std::shared_ptr<const Engine> CrowdedEngine() {
  std::string rules;
  for (size_t i = 0; i < kMaxCaseRules; ++i) rules += RuleText(i, "noise", "");
  rules += RuleText(100, "real", "triage: {verdict: true_positive, confidence: 90}\n");
  rules += RuleText(101, "doubt", "triage: {verdict: needs_review, confidence: 30}\n");
  rules += RuleText(102, "surer", "triage: {verdict: true_positive, confidence: 95}\n");
  Diagnostics diagnostics;
  EngineSources sources;
  sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
  sources.rules = {{"rules.yaml", rules}};
  sources.policies = {{"pack.yaml", FullPack()}};
  auto engine = CompileEngine(sources, {}, &diagnostics);
  REQUIRE_MESSAGE(engine, diagnostics.Render());
  return engine;
}

void Run(const std::string& text) {
  const auto result = RunTimeline({"votes.timeline", text}, CrowdedEngine());
  REQUIRE_MESSAGE(result.ok(), result.error().message);
  for (const std::string& failure : result->failures) FAIL_CHECK(failure);
}

TEST_CASE("votes: the vote of one rule more takes the place of a rule that says nothing") {
  Run("00:00 alert host=a rule=noise severity=20 → opens 0-1\n"
      "00:01 alert host=a rule=doubt severity=20 → verdict_changed 0-1: rule; escalates 0-1 to L2: uncertain\n"
      "00:02 alert host=a rule=real severity=20 → verdict_changed 0-1: rule\n"
      "00:03 ack 0-1 by cleo as l2 → acknowledged 0-1: command\n"
      "00:04 alert host=a rule=noise severity=20 → nothing\n"
      "00:05 alert host=a rule=doubt severity=20 → nothing\n"
      "00:06 alert host=a rule=surer severity=20 → nothing\n"
      "end 0-1 verdict/name=true_positive verdict/confidence=95\n");
}

TEST_CASE("votes: of a case that is merged into a crowded one, too") {
  Run("00:00 alert host=a rule=noise severity=20 → opens 0-1\n"
      "00:01 alert host=b rule=real severity=20 → opens 0-2; verdict_changed 0-2: rule\n"
      "00:02 merge 0-2 by ada as l1 into=0-1 reason=same → merged 0-2: into 0-1; verdict_changed 0-1: rule; merged 0-1: from 0-2\n"
      "end 0-1 verdict/name=true_positive\n");
}

}  // namespace
}  // namespace triaged
