#include "pipeline/rules/filter.h"

#include <utility>

namespace triaged::rules {
namespace {

std::vector<FilterAst::Reference> ReadReferences(const YamlNode& filter, SourceNotes* notes) {
  std::vector<FilterAst::Reference> references;
  const YamlNode* rules = filter.Find("rules");
  if (rules == nullptr) {
    notes->Error(PlaceOf(filter), "the filter has no 'rules'", "list the ids of the rules, or write 'rules: any'");
    return references;
  }
  if (rules->IsScalar()) {
    if (rules->scalar() != "any") references.push_back({rules->scalar(), PlaceOf(*rules)});
    return references;
  }
  if (!rules->IsList()) {
    notes->Error(PlaceOf(*rules), "'rules' must be a list of rule ids, or 'any'");
    return references;
  }
  for (const YamlNode& rule : rules->list()) {
    if (rule.IsScalar()) {
      references.push_back({rule.scalar(), PlaceOf(rule)});
    } else {
      notes->Error(PlaceOf(rule), "a rule is named by its id, name or title");
    }
  }
  return references;
}

bool Names(const RuleNames& names, const std::string& wanted) {
  return names.id == wanted || names.title == wanted || (!wanted.empty() && names.name == wanted);
}

}  // namespace

bool IsFilter(const YamlNode& document) { return document.IsMap() && document.Find("filter") != nullptr; }

std::optional<FilterAst> ReadFilter(const YamlNode& document, SourceNotes* notes) {
  const int errors_before = notes->errors();
  const YamlNode& filter = *document.Find("filter");
  if (document.Find("title") == nullptr) notes->Error(PlaceOf(document), "the filter has no 'title'");
  if (document.Find("detection") != nullptr) {
    notes->Error(PlaceOf(*document.Find("detection")), "a filter has its selections and condition below 'filter'");
  }
  if (!filter.IsMap()) {
    notes->Error(PlaceOf(filter), "'filter' must be a map of 'rules', selections and a condition",
                 "for example 'filter: {rules: any, selection: {host.name: lab-1}, condition: not selection}'");
    return std::nullopt;
  }
  FilterAst ast;
  ast.logsource = ReadLogsource(document, notes);
  ast.rules = ReadReferences(filter, notes);
  std::optional<DetectionAst> detection = ReadDetection(filter, notes, "rules");
  if (!detection || notes->errors() > errors_before) return std::nullopt;
  ast.detection = std::move(*detection);
  return ast;
}

void ApplyFilters(const std::vector<Filter>& filters, const std::vector<RuleNames>& names, std::vector<Expr>* expressions,
                  Diagnostics* diagnostics) {
  for (const Filter& filter : filters) {
    std::vector<bool> meant(names.size(), filter.rules.empty());
    for (const Filter::Reference& reference : filter.rules) {
      bool found = false;
      for (size_t i = 0; i < names.size(); ++i) {
        if (!Names(names[i], reference.rule)) continue;
        found = true;
        meant[i] = true;
      }
      if (!found) {
        diagnostics->Warning(reference.where, "no rule has the id, name or title '" + reference.rule + "'",
                             reference.snippet, "the filter does nothing for it");
      }
    }
    for (size_t i = 0; i < names.size(); ++i) {
      if (!meant[i] || !filter.logsource.Covers(names[i].logsource)) continue;
      std::vector<Expr> both;
      both.push_back(std::move((*expressions)[i]));
      both.push_back(filter.condition);
      (*expressions)[i] = AndExpr(std::move(both));
    }
  }
}

}  // namespace triaged::rules
