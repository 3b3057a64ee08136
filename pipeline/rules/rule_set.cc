// RuleSet::Compile: from rule files to a compiled set.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "pipeline/rules/budget.h"
#include "pipeline/rules/correlation_resolver.h"
#include "pipeline/rules/expression.h"
#include "pipeline/rules/filter.h"
#include "pipeline/rules/lower.h"
#include "pipeline/rules/raw_event.h"
#include "pipeline/rules/routing.h"
#include "pipeline/rules/rule_reader.h"
#include "pipeline/rules/rules.h"

namespace triaged {
namespace rules {
namespace {

// Reads and lowers all files; the rules and expressions run in parallel.
class SetCompiler {
 public:
  SetCompiler(FieldCatalog* catalog, Diagnostics* diagnostics, const RuleOptions& options)
      : catalog_(catalog),
        diagnostics_(diagnostics),
        names_here_{options.raw ? catalog->Resolve(kEveryValue) : kKeywords, options.mapping.get()},
        budget_(options.budget) {}

  void File(const SourceFile& file) {
    Diagnostics parsing;
    std::optional<YamlFile> yaml = ParseYaml(file, &parsing);
    diagnostics_->Append(parsing);
    if (!yaml) return;
    SourceNotes notes(*yaml->source, diagnostics_);
    const auto& documents = yaml->documents;
    const auto has_action = [](const YamlNode& document) { return document.Find("action") != nullptr; };
    // The parts of a collection are no rules; what is wrong is said once, of the `action`.
    const bool collection = std::any_of(documents.begin(), documents.end(), has_action);
    for (const YamlNode& document : documents) {
      if (!document.IsNull() && (!collection || has_action(document))) Document(document, yaml->source, &notes);
    }
  }

  // nullptr after errors, of which those of a mapping's logsources are found only now.
  std::shared_ptr<const RuleSet> Finish() {
    CheckSet();
    ApplyFilters(filters_, names_, &expressions_, diagnostics_);
    const auto field = [this](const PlacedText& written, SourceNotes* notes) {
      return Lowering(catalog_, &predicates_, notes, names_here_).ResolveField(written.text, written.place);
    };
    auto correlations = ResolveCorrelations(std::move(correlations_), names_, &rules_, field, diagnostics_);
    std::optional<Routes> routes;
    const bool routed = names_here_.mapping != nullptr && !names_here_.mapping->logsources.empty();
    if (routed) routes = PlanRoutes();
    if (diagnostics_->HasErrors()) return nullptr;
    LoweredRules lowered{std::move(rules_), std::move(expressions_), {}, std::move(correlations), budget_.alert};
    lowered.predicates = predicates_.Take();
    if (!routed) return MakeCompiledSet(std::move(lowered), *catalog_);
    return MakeRoutedSet(std::move(lowered), routes->of_rule, std::move(routes->expressions), *catalog_);
  }

 private:
  struct Routes {
    std::vector<uint32_t> of_rule;
    std::vector<Expr> expressions;
  };

  // The entries of the mapping that count for rules of `logsource`: those that cover it with the most parts.
  std::vector<size_t> Entries(const Logsource& logsource) const {
    std::vector<size_t> entries;
    size_t most = 0;
    for (size_t i = 0; i < names_here_.mapping->logsources.size(); ++i) {
      const RuleMapping::Logsource& entry = names_here_.mapping->logsources[i];
      const Logsource covering{entry.product, entry.category, entry.service};
      if (!covering.Covers(logsource)) continue;
      const size_t parts = !entry.product.empty() + !entry.category.empty() + !entry.service.empty();
      if (parts > most) entries.clear();
      most = std::max(most, parts);
      if (parts == most) entries.push_back(i);
    }
    return entries;
  }

  std::optional<Routes> PlanRoutes() {
    SourceNotes notes(*names_here_.mapping->yaml.source, diagnostics_);
    std::vector<Expr> when;
    for (const RuleMapping::Logsource& entry : names_here_.mapping->logsources) {
      const bool whole = entry.when->IsMap() && entry.when->Find("condition") != nullptr;
      Lowering lowering(catalog_, &predicates_, &notes, names_here_);
      std::optional<Expr> expr;
      if (whole) {
        if (const auto detection = ReadDetection(*entry.when, &notes)) expr = lowering.Detection(*detection);
      } else if (const auto selection = ReadSelection(*entry.when, &notes)) {
        expr = lowering.Selection(*selection);
      }
      when.push_back(expr ? std::move(*expr) : Expr{});
    }
    if (notes.errors() > 0) return std::nullopt;
    Routes routes;
    std::map<std::vector<size_t>, uint32_t> known;
    for (const RuleNames& rule : names_) {
      const std::vector<size_t> entries = Entries(rule.logsource);
      const auto [it, added] = known.emplace(entries, static_cast<uint32_t>(known.size()));
      routes.of_rule.push_back(it->second);
      if (!added) continue;
      std::vector<Expr> any;
      for (size_t entry : entries) any.push_back(when[entry]);
      if (entries.empty()) any.push_back(Expr{names_here_.mapping->try_unmapped ? Op::kTrue : Op::kFalse, 0, {}});
      routes.expressions.push_back(OrExpr(std::move(any)));
    }
    return routes;
  }

  void FilterDocument(const YamlNode& document, SourceNotes* notes) {
    std::optional<FilterAst> ast = ReadFilter(document, notes);
    if (!ast) return;
    std::optional<Expr> condition = Lowering(catalog_, &predicates_, notes, names_here_).Detection(ast->detection);
    if (!condition) return;
    Filter& filter = filters_.emplace_back();
    filter.logsource = std::move(ast->logsource);
    filter.condition = std::move(*condition);
    for (FilterAst::Reference& reference : ast->rules) {
      filter.rules.push_back({std::move(reference.rule), notes->Where(reference.place),
                              SourceLine(notes->file(), reference.place.line)});
    }
  }

  void TakeId(const YamlNode& document, const Rule& rule, SourceNotes* notes) {
    if (rule.id.empty()) return;
    const auto [it, added] = ids_.emplace(rule.id, rule.where);
    if (added) return;
    const SourceLocation& first = it->second;
    notes->Error(PlaceOf(*document.Find("id")), "the id '" + rule.id + "' is already taken",
                 "first used at " + first.file + ":" + std::to_string(first.line));
  }

  void CorrelationDocument(const YamlNode& document, const std::shared_ptr<const SourceFile>& file,
                           SourceNotes* notes) {
    std::optional<CorrelationAst> ast = ReadCorrelation(document, notes);
    if (!ast) return TakeNames(document);
    TakeId(document, ast->rule, notes);
    correlations_.push_back({std::move(*ast), file});
  }

  // Of a refused rule: what refers to it is not wrong for that, and is to be said what else is.
  void TakeNames(const YamlNode& document) {
    if (!document.IsMap()) return;
    const auto text = [&document](std::string_view key) {
      const YamlNode* node = document.Find(key);
      return node != nullptr && node->IsScalar() ? node->scalar() : std::string();
    };
    Rule& rule = rules_.emplace_back();
    rule.id = text("id");
    rule.title = text("title");
    names_.push_back({rule.id, text("name"), rule.title, {}});
    expressions_.push_back({});
  }

  // The rules of a set share the budget of an alert; the one that costs most is named.
  void CheckSet() {
    uint64_t all = 0;
    for (const Predicate& predicate : predicates_.all()) all += predicate.weight;
    if (all <= budget_.set || expressions_.empty()) return;
    size_t worst = 0;
    std::vector<uint64_t> weights;
    for (const Expr& expr : expressions_) weights.push_back(WeightOf(expr, predicates_.all()));
    worst = static_cast<size_t>(std::max_element(weights.begin(), weights.end()) - weights.begin());
    diagnostics_->Error(rules_[worst].where,
                        "the rules together cost up to " + std::to_string(all) + " steps for each byte; the limit is " +
                            std::to_string(budget_.set),
                        "", "this rule ('" + rules_[worst].title + "') costs most: " + std::to_string(weights[worst]));
  }

  void Document(const YamlNode& document, const std::shared_ptr<const SourceFile>& file, SourceNotes* notes) {
    if (IsFilter(document)) return FilterDocument(document, notes);
    if (IsCorrelation(document)) return CorrelationDocument(document, file, notes);
    std::optional<RuleAst> ast = ReadRule(document, notes);
    if (!ast) return TakeNames(document);
    TakeId(document, ast->rule, notes);
    std::optional<Expr> expr = Lowering(catalog_, &predicates_, notes, names_here_).Detection(ast->detection);
    if (!expr || !IsBounded(*expr, predicates_.all(), budget_.rule, PlaceOf(*document.Find("detection")), notes)) {
      return TakeNames(document);
    }
    names_.push_back({ast->rule.id, std::move(ast->name), ast->rule.title, std::move(ast->logsource)});
    rules_.push_back(std::move(ast->rule));
    expressions_.push_back(std::move(*expr));
  }

  FieldCatalog* catalog_;
  Diagnostics* diagnostics_;
  NamesHere names_here_;
  RuleBudget budget_;
  PredicateTable predicates_;
  std::vector<Rule> rules_;
  std::vector<RuleNames> names_;
  std::vector<Expr> expressions_;
  std::vector<Filter> filters_;
  std::vector<ReadCorrelationDocument> correlations_;
  std::map<std::string, SourceLocation> ids_;
};

}  // namespace
}  // namespace rules

std::shared_ptr<const RuleSet> RuleSet::Compile(const std::vector<SourceFile>& files, FieldCatalog* catalog,
                                                Diagnostics* diagnostics, const RuleOptions& options) {
  Diagnostics found;
  rules::SetCompiler compiler(catalog, &found, options);
  for (const SourceFile& file : files) compiler.File(file);
  auto set = compiler.Finish();
  diagnostics->Append(found);
  return set;
}

}  // namespace triaged
