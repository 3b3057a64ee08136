// Whole rule sets against the plain evaluator: filters, field mapping, logsource routing, and an alert's budget.
// TRIAGED_SEED repeats a run, TRIAGED_CASES makes it longer.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "pipeline/rules/mapping.h"
#include "tests/unit/rules_plain.h"

namespace triaged::rules_test {
namespace {

struct Source {
  std::string product, category;

  bool Covers(const Source& other) const {
    return (product.empty() || product == other.product) && (category.empty() || category == other.category);
  }
  size_t Parts() const { return (product.empty() ? 0 : 1) + (category.empty() ? 0 : 1); }
  // "" where nothing is said.
  std::string Yaml() const {
    std::string inner = product.empty() ? "" : "product: " + product;
    if (!category.empty()) inner += (inner.empty() ? "" : ", ") + ("category: " + category);
    return inner;
  }
};

struct SetRule {
  Source source;
  PlainRule rule;
};
struct SetFilter {
  Source source;
  std::set<size_t> rules;  // empty: any
  PlainRule keeps;
};
struct SetEntry {
  Source source;
  PlainRule when;
};

// One random rule set, as text and as plain values.
class RandomSet {
 public:
  explicit RandomSet(uint64_t seed) : maker_(seed) {
    for (size_t i = 0; i < 12; ++i) rules_.push_back({RandomSource(true), maker_.MakeRule()});
    for (size_t i = maker_.Below(4); i > 0; --i) {
      SetFilter filter{maker_.Chance(50) ? Source{} : RandomSource(true), {}, maker_.MakeRule()};
      for (size_t n = maker_.Below(4); n > 0; --n) filter.rules.insert(maker_.Below(rules_.size()));
      filters_.push_back(std::move(filter));
    }
    for (size_t i = maker_.Below(5); i > 0; --i) entries_.push_back({RandomSource(false), maker_.MakeRule()});
    try_unmapped_ = maker_.Chance(50);
  }

  std::string Rules() {
    std::string text;
    // Filters first, last and in between: order must not matter.
    for (size_t i = 0; i < rules_.size(); ++i) {
      if (i < filters_.size()) text += FilterYaml(&filters_[i]);
      std::string rule = RuleText(DetectionYaml(&rules_[i].rule), "rule-" + std::to_string(i));
      const std::string source = rules_[i].source.Yaml();
      if (!source.empty()) rule += "logsource: {" + source + "}\n";
      text += rule + "---\n";
    }
    return Renamed(text);
  }

  std::string Mapping() {
    std::string text = "mapping: random\nfields: {Image: process.name, Text: message}\n";
    text += std::string("unmapped: ") + (try_unmapped_ ? "try" : "skip") + "\n";
    if (!entries_.empty()) text += "logsources:\n";
    for (SetEntry& entry : entries_) {
      text += "  - " + (entry.source.product.empty() ? "" : "product: " + entry.source.product + "\n    ");
      if (!entry.source.category.empty()) text += "category: " + entry.source.category + "\n    ";
      text += "when:\n" + Indent(DetectionYaml(&entry.when), 6) + "\n";
    }
    return Renamed(text);
  }

  std::vector<uint32_t> Expected(const PlainEvent& event) const {
    std::vector<uint32_t> matched;
    for (size_t i = 0; i < rules_.size(); ++i) {
      bool holds = Tried(rules_[i].source, event) && PlainMatches(rules_[i].rule, event);
      for (const SetFilter& filter : filters_) {
        const bool meant = (filter.rules.empty() || filter.rules.contains(i)) && filter.source.Covers(rules_[i].source);
        if (meant) holds = holds && PlainMatches(filter.keeps, event);
      }
      if (holds) matched.push_back(static_cast<uint32_t>(i));
    }
    return matched;
  }

  RuleMaker& maker() { return maker_; }

 private:
  Source RandomSource(bool may_be_empty) {
    while (true) {
      Source source;
      if (maker_.Chance(70)) source.product = maker_.Chance(50) ? "windows" : "linux";
      if (maker_.Chance(50)) source.category = maker_.Chance(50) ? "process_creation" : "file_event";
      if (may_be_empty || source.Parts() > 0) return source;
    }
  }

  std::string FilterYaml(SetFilter* filter) {
    std::string text = "title: F\n";
    if (filter->source.Parts() > 0) text += "logsource: {" + filter->source.Yaml() + "}\n";
    std::string names;
    for (size_t rule : filter->rules) names += (names.empty() ? "" : ", ") + ("rule-" + std::to_string(rule));
    text += "filter:\n  rules: " + (filter->rules.empty() ? "any" : "[" + names + "]") + "\n";
    return text + Indent(DetectionYaml(&filter->keeps), 2) + "\n---\n";
  }

  bool Tried(const Source& source, const PlainEvent& event) const {
    if (entries_.empty()) return true;
    size_t most = 0;
    for (const SetEntry& entry : entries_) {
      if (entry.source.Covers(source)) most = std::max(most, entry.source.Parts());
    }
    if (most == 0) return try_unmapped_;
    for (const SetEntry& entry : entries_) {
      if (entry.source.Covers(source) && entry.source.Parts() == most && PlainMatches(entry.when, event)) return true;
    }
    return false;
  }

  // Two fields go by the names that the mapping translates.
  static std::string Renamed(std::string text) {
    const std::map<std::string, std::string> names = {{"'process.name", "'Image"}, {"'message", "'Text"}};
    for (const auto& [from, to] : names) {
      for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
    }
    return text;
  }

  RuleMaker maker_;
  std::vector<SetRule> rules_;
  std::vector<SetFilter> filters_;
  std::vector<SetEntry> entries_;
  bool try_unmapped_ = true;
};

std::string Listed(const std::vector<uint32_t>& rules) {
  std::string text;
  for (uint32_t rule : rules) text += " " + std::to_string(rule);
  return text;
}

// With less budget an answer may lack matches, never invent them, and says so.
void CheckBudget(const RuleSet& rules, const FieldTable& event, const std::vector<uint32_t>& expected, RuleMaker* maker) {
  const auto scratch = rules.NewScratch();
  std::vector<uint32_t> matched;
  rules.Evaluate(event, scratch.get(), &matched);
  REQUIRE_FALSE(scratch->over_limit);
  const uint64_t needed = scratch->steps;
  scratch->limit = maker->Below(needed + 2);
  matched.clear();
  rules.Evaluate(event, scratch.get(), &matched);
  REQUIRE(scratch->steps <= scratch->limit);
  REQUIRE(scratch->over_limit == (scratch->limit < needed));
  for (uint32_t rule : matched) REQUIRE(std::find(expected.begin(), expected.end(), rule) != expected.end());
  if (!scratch->over_limit) REQUIRE(matched == expected);
  std::vector<uint32_t> again;
  const std::vector<uint32_t> given_up = scratch->given_up;
  rules.Evaluate(event, scratch.get(), &again);
  REQUIRE(again == matched);
  REQUIRE(scratch->given_up == given_up);
}

// A scratch that has seen other events, and then this one, answers as a new one does, at the same cost.
void CheckUsed(const RuleSet& rules, const FieldTable& event, const std::vector<uint32_t>& expected, RuleScratch* used) {
  const auto fresh = rules.NewScratch();
  std::vector<uint32_t> matched;
  rules.Evaluate(event, fresh.get(), &matched);
  for (int again = 0; again < 2; ++again) {
    matched.clear();
    rules.Evaluate(event, used, &matched);
    REQUIRE(matched == expected);
    REQUIRE(used->steps == fresh->steps);
  }
}

TEST_CASE("rules: filters, mappings and routing agree with the plain evaluator, and no budget invents a match") {
  const uint64_t seed = FromEnvironment("TRIAGED_SEED", 20261121);
  const uint64_t cases = FromEnvironment("TRIAGED_CASES", 60'000);  // rule × event
  MESSAGE("seed " << seed << ", cases " << cases);
  uint64_t done = 0;
  uint64_t matches = 0;
  for (uint64_t round = 0; done < cases; ++round) {
    RandomSet random(seed + round);
    Diagnostics diagnostics;
    RuleOptions options;
    const std::string mapping = random.Mapping();
    const std::string text = random.Rules();
    options.mapping = RuleMapping::Read({"mapping.yaml", mapping}, &diagnostics);
    REQUIRE_MESSAGE(options.mapping != nullptr, diagnostics.Render());
    FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
    for (const std::string& field : kFields) REQUIRE(catalog.Resolve(field) != kNoField);
    const auto rules = RuleSet::Compile({{"rules.yaml", text}}, &catalog, &diagnostics, options);
    REQUIRE_MESSAGE(rules != nullptr, diagnostics.Render());
    const auto used = rules->NewScratch();  // for all events: what it remembers must change nothing
    for (size_t e = 0; e < 25; ++e, done += rules->rules().size()) {
      const PlainEvent values = random.maker().MakeEvent();
      const Event event = ToEvent(values, &catalog);
      const std::vector<uint32_t> expected = random.Expected(values);
      const std::vector<uint32_t> found = Evaluate(*rules, event.table());
      INFO("seed " << seed + round << " event " << e << ": engine" << Listed(found) << ", plain" << Listed(expected)
                   << "\n" << mapping << text);
      REQUIRE(found == expected);
      CheckUsed(*rules, event.table(), expected, used.get());
      CheckBudget(*rules, event.table(), expected, &random.maker());
      matches += expected.size();
    }
  }
  CHECK(matches > done / 50);  // the generator must not be blind
  CHECK(matches < done * 9 / 10);
}

}  // namespace
}  // namespace triaged::rules_test
