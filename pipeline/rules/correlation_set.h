// CorrelationSet: the correlations of a rule set, resolved: which rules feed which, under which values they count.
//
// Correlations follow the detection rules in RuleSet::rules(), each after those it refers to. Immutable; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/model/fields.h"
#include "pipeline/rules/correlation.h"

namespace triaged::rules {

inline constexpr size_t kMaxGroupKeyBytes = 512;  // longer ones end in a hash

// One rule that a correlation counts.
struct CorrelatedRule {
  uint32_t rule = 0;              // index into RuleSet::rules()
  std::vector<FieldId> group_by;  // in the order of `group-by`, aliases resolved
  std::vector<FieldId> value;     // the condition's fields
};

struct Correlation {
  uint32_t rule = 0;  // its own index
  CorrelationSpec spec;
  std::vector<CorrelatedRule> rules;
  std::vector<std::string> group_names;  // as written
  // Names its state: the id, and a hash of all that gives the stored observations their meaning.
  std::string state_name;
};

class CorrelationSet {
 public:
  struct Link {
    uint32_t rule = 0;         // a match of this
    uint32_t correlation = 0;  // counts here …
    uint32_t position = 0;     // … as this of its rules
  };

  CorrelationSet() = default;
  // `helpers`: rules that only serve correlations, ascending.
  CorrelationSet(std::vector<Correlation> correlations, std::vector<uint32_t> helpers);

  bool empty() const { return correlations_.empty(); }
  const std::vector<Correlation>& all() const { return correlations_; }
  // The one with this state, or nullptr.
  const Correlation* FindState(std::string_view state_name) const;
  // Where matches of a rule are counted.
  std::span<const Link> LinksOf(uint32_t rule) const;
  // Whether a match of the rule means something by itself (Sigma `generate`).
  bool StandsAlone(uint32_t rule) const;

 private:
  std::vector<Correlation> correlations_;
  std::vector<Link> links_;  // ascending by rule
  std::vector<uint32_t> helpers_;
};

// The values that `rule` groups this event by, lower-cased and escaped; nullopt when one is missing.
std::optional<std::string> GroupKey(const CorrelatedRule& rule, const FieldTable& fields);

// What the condition looks at; empty when one of its fields is missing.
std::string ConditionValue(const CorrelatedRule& rule, const FieldTable& fields);

}  // namespace triaged::rules
