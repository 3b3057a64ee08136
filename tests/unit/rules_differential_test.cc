// The engine against a plain evaluator (rules_plain.h): on random rule sets and events both must name the same rules.
// TRIAGED_SEED repeats a run, TRIAGED_CASES makes it longer.
#include <string>
#include <vector>

#include "tests/unit/rules_plain.h"

namespace triaged::rules_test {
namespace {

std::string RuleYaml(PlainRule* rule, size_t number) {
  return "---\n" + RuleText(DetectionYaml(rule), "rule-" + std::to_string(number));
}

// The rules on which the two disagree, and the event.
std::string Difference(const std::vector<uint32_t>& found, const std::vector<uint32_t>& expected,
                       std::vector<PlainRule>& rules, const PlainEvent& event) {
  std::string text;
  for (uint32_t i = 0; i < rules.size(); ++i) {
    const bool by_engine = std::find(found.begin(), found.end(), i) != found.end();
    const bool by_plain = std::find(expected.begin(), expected.end(), i) != expected.end();
    if (by_engine == by_plain) continue;
    text += std::string("engine says ") + (by_engine ? "match" : "no match") + ", plain the opposite:\n" +
            RuleYaml(&rules[i], i);
  }
  for (size_t f = 0; f < kFields.size() && !text.empty(); ++f) {
    for (const PlainValue& value : event[f])
      text += kFields[f] + " = " + (value.null ? "null" : Quoted(value.text)) + "\n";
  }
  return text;
}

TEST_CASE("rules: engine and plain evaluator agree on random rules and events") {
  const uint64_t seed = FromEnvironment("TRIAGED_SEED", 20261121);
  const uint64_t cases = FromEnvironment("TRIAGED_CASES", 100'000);  // rule × event
  MESSAGE("seed " << seed << ", cases " << cases);
  constexpr size_t kRules = 20;
  constexpr size_t kEvents = 20;
  size_t matches = 0;
  uint64_t done = 0;
  for (uint64_t round = 0; done < cases; ++round) {
    RuleMaker maker(seed + round);
    std::vector<PlainRule> plain;
    std::string text;
    for (size_t i = 0; i < kRules; ++i) {
      plain.push_back(maker.MakeRule());
      text += RuleYaml(&plain.back(), i);
    }
    FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
    const auto rules = MustCompile(text, &catalog);
    for (size_t e = 0; e < kEvents; ++e, done += kRules) {
      const PlainEvent values = maker.MakeEvent();
      const Event event = ToEvent(values, &catalog);
      std::vector<uint32_t> expected;
      for (uint32_t i = 0; i < kRules; ++i) {
        if (PlainMatches(plain[i], values)) expected.push_back(i);
      }
      matches += expected.size();
      const std::vector<uint32_t> found = Evaluate(*rules, event.table());
      INFO("seed " << seed + round << " event " << e << "\n" << Difference(found, expected, plain, values));
      REQUIRE(found == expected);
    }
  }
  CHECK(matches > done / 20);  // the generator must not be blind
  CHECK(matches < done * 19 / 20);
}

}  // namespace
}  // namespace triaged::rules_test
