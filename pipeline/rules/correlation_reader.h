// Correlation documents: one YAML document → what it is (Rule) and what it counts, checked as far as it stands alone.
// Source: Sigma correlation rules specification 2.1, and its JSON schema.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/rules/correlation.h"
#include "pipeline/rules/rules.h"
#include "pipeline/rules/source.h"

namespace triaged::rules {

inline constexpr size_t kMaxGroupBy = 16;
inline constexpr Duration kMaxTimespan = std::chrono::hours(24 * 31);

struct PlacedText {
  std::string text;
  Place place;
};

struct CorrelationAst {
  struct Alias {
    std::string name;
    std::vector<std::pair<PlacedText, PlacedText>> fields;  // rule (id or name) → its field
  };
  Rule rule;
  std::string name;  // Sigma `name`, or ""
  CorrelationSpec spec;
  std::vector<PlacedText> rules;     // ids or names
  std::vector<PlacedText> group_by;  // fields or aliases
  std::vector<PlacedText> fields;    // of the condition; several count together
  std::vector<Alias> aliases;
  bool generate = false;             // its rules count for themselves, too
};

// True for a document that is a correlation and not a rule.
bool IsCorrelation(const YamlNode& document);

// nullopt after errors; all errors of the document are reported.
std::optional<CorrelationAst> ReadCorrelation(const YamlNode& document, SourceNotes* notes);

}  // namespace triaged::rules
