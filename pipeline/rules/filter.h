// Filter documents: a condition added to rules written elsewhere, usually to take known false positives out.
//
// A rule that a filter names (by id, name or title; an empty list or `any`: every rule) matches only where the filter's
// condition holds too, so a filter says what must remain: `condition: not selection`. Where the filter has a logsource,
// only rules of that logsource are meant. Source: Sigma filters specification 2.1.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/rules/detection.h"
#include "pipeline/rules/expression.h"
#include "pipeline/rules/rule_reader.h"
#include "pipeline/rules/source.h"

namespace triaged::rules {

struct FilterAst {
  struct Reference {
    std::string rule;  // id, name or title
    Place place;
  };
  std::vector<Reference> rules;  // empty: every rule
  Logsource logsource;
  DetectionAst detection;
};

// True for a document that is a filter and not a rule.
bool IsFilter(const YamlNode& document);

// nullopt after errors.
std::optional<FilterAst> ReadFilter(const YamlNode& document, SourceNotes* notes);

// A filter whose condition is compiled; `snippets` go into what Apply reports.
struct Filter {
  struct Reference {
    std::string rule;
    SourceLocation where;
    std::string snippet;
  };
  std::vector<Reference> rules;
  Logsource logsource;
  Expr condition;
};

// What a filter can name.
struct RuleNames {
  std::string id, name, title;
  Logsource logsource;
};

// Adds each filter's condition to the expressions of its rules. Warns of references that name no rule.
void ApplyFilters(const std::vector<Filter>& filters, const std::vector<RuleNames>& names, std::vector<Expr>* expressions,
                  Diagnostics* diagnostics);

}  // namespace triaged::rules
