// One YAML document of a rules file: checked, and split into what the rule is (Rule) and what it asks (DetectionAst).
#pragma once

#include <compare>
#include <optional>
#include <string>

#include "pipeline/rules/detection.h"
#include "pipeline/rules/rules.h"
#include "pipeline/rules/source.h"

namespace triaged::rules {

inline constexpr size_t kMaxRuleIdBytes = 128;

// Where the events come from that a rule is about; an empty part stands for any.
struct Logsource {
  std::string product, category, service;
  bool Covers(const Logsource& other) const {
    return (product.empty() || product == other.product) && (category.empty() || category == other.category) &&
           (service.empty() || service == other.service);
  }
  auto operator<=>(const Logsource&) const = default;
};

struct RuleAst {
  Rule rule;
  std::string name;  // Sigma `name`, or ""
  Logsource logsource;
  DetectionAst detection;
};

// nullopt after errors; all errors of the document are reported.
std::optional<RuleAst> ReadRule(const YamlNode& document, SourceNotes* notes);

// What rules and correlations have in common: identity, tags, the triage block. `name` is Sigma's, or "".
Rule ReadRuleHead(const YamlNode& document, std::string* name, SourceNotes* notes);

// Warns of keys that a correlation does not have.
void CheckCorrelationKeys(const YamlNode& document, SourceNotes* notes);

// The document's `logsource`; all parts empty when absent.
Logsource ReadLogsource(const YamlNode& document, SourceNotes* notes);

// The `triage` block. Reports into `notes`.
Triage ReadTriage(const YamlNode& node, SourceNotes* notes);

}  // namespace triaged::rules
