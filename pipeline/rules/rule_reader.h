// One YAML document of a rules file: checked, and split into what the rule is (Rule) and what it asks (DetectionAst).
#pragma once

#include <optional>

#include "pipeline/rules/detection.h"
#include "pipeline/rules/rules.h"
#include "pipeline/rules/source.h"

namespace triaged::rules {

inline constexpr size_t kMaxRuleIdBytes = 128;

struct RuleAst {
  Rule rule;
  DetectionAst detection;
};

// nullopt after errors; all errors of the document are reported.
std::optional<RuleAst> ReadRule(const YamlNode& document, SourceNotes* notes);

// The `triage` block. Reports into `notes`.
Triage ReadTriage(const YamlNode& node, SourceNotes* notes);

}  // namespace triaged::rules
