#include "pipeline/rules/explain.h"

#include <utility>

#include "pipeline/rules/expression.h"
#include "pipeline/rules/filter.h"
#include "pipeline/rules/lower.h"
#include "pipeline/rules/raw_event.h"
#include "pipeline/rules/rule_reader.h"

namespace triaged {
namespace rules {
namespace {

constexpr size_t kMaxShownBytes = 200;  // of a value
constexpr size_t kNoValues = static_cast<size_t>(-1);

// One part of the rule: its expression stands at `start` of the program.
struct Part {
  size_t depth = 0;
  std::string text;
  uint32_t start = 0;
  size_t field = kNoValues;  // whose values are shown
};

std::string Trimmed(const std::string& line) {
  const size_t begin = line.find_first_not_of(" \t-");
  return begin == std::string::npos ? std::string() : line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
}

class Explainer final : public RuleExplainer {
 public:
  explicit Explainer(FieldCatalog* catalog) : catalog_(catalog) {}

  bool Matches(const FieldTable& event) const override { return Answer(whole_, event); }

  std::string Explain(const FieldTable& event) const override {
    std::string text = id_ + (Matches(event) ? " matches: " : " does not match: ") + title_ + "\n";
    for (const Part& part : parts_) {
      text += std::string(2 + 2 * part.depth, ' ') + (Answer(part.start, event) ? "[x] " : "[ ] ") + part.text;
      if (part.field != kNoValues) text += "   <- " + Values(static_cast<FieldId>(part.field), event);
      text += "\n";
    }
    return text;
  }

  // True when the file holds the rule; reports into `notes`.
  bool TakeRule(const RuleAst& ast, SourceNotes* notes, NamesHere names) {
    id_ = ast.rule.id;
    title_ = ast.rule.title;
    names_ = {{ast.rule.id, ast.name, ast.rule.title, ast.logsource}};
    // Items are lowered once for themselves and once for the whole, which reports what there is to say.
    Diagnostics repeated;
    SourceNotes silent(notes->file(), &repeated);
    Lowering parts(catalog_, &predicates_, &silent, names);
    for (const NamedSelection& selection : ast.detection.selections) {
      AddPart(selection.body, selection.name + ":", 0, &parts, notes->file());
    }
    std::optional<Expr> expr = Lowering(catalog_, &predicates_, notes, names).Detection(ast.detection);
    if (expr) expressions_.push_back(std::move(*expr));
    return expr.has_value();
  }

  void TakeFilter(const FilterAst& ast, Place place, SourceNotes* notes, NamesHere names) {
    Filter filter;
    filter.logsource = ast.logsource;
    for (const FilterAst::Reference& reference : ast.rules) filter.rules.push_back({reference.rule, {}, {}});
    std::optional<Expr> condition = Lowering(catalog_, &predicates_, notes, names).Detection(ast.detection);
    if (!condition) return;
    filter.condition = std::move(*condition);
    Diagnostics others;  // references to other rules are not ours to report
    std::vector<Expr> alone{Expr{Op::kTrue, 0, {}}};
    ApplyFilters({filter}, names_, &alone, &others);
    if (alone.front().op == Op::kTrue) return;
    parts_.push_back({0, "filter of " + notes->file().name + ":" + std::to_string(place.line),
                      program_.Append(alone.front()), kNoValues});
    expressions_.push_back(std::move(alone.front()));
  }

  void Finish() { whole_ = program_.Append(AndExpr(std::move(expressions_))); }

 private:
  void AddPart(const SelectionAst& selection, const std::string& text, size_t depth, Lowering* lowering,
               const SourceFile& file) {
    const std::optional<Expr> expr = lowering->Selection(selection);
    if (!expr) return;
    size_t field = kNoValues;
    if (selection.kind == SelectionAst::Kind::kItem) {
      const Expr* first = &*expr;  // every predicate of an item is about its field
      while (!first->children.empty()) first = &first->children.front();
      if (first->op == Op::kPredicate) field = predicates_.all()[first->value].field;
    }
    if (field == kKeywords) field = kNoValues;
    parts_.push_back({depth, text, program_.Append(*expr), field});
    for (const SelectionAst& child : selection.children) {
      const bool item = child.kind == SelectionAst::Kind::kItem;
      const std::string line = item ? Trimmed(SourceLine(file, child.item.place.line)) : "a map of the list:";
      AddPart(child, line, depth + 1, lowering, file);
    }
  }

  bool Answer(uint32_t start, const FieldTable& event) const {
    return program_.Evaluate(
        start, [&](PredicateId id) { return Holds(predicates_.all()[id], event, catalog_->normalised_size()); });
  }

  std::string Values(FieldId field, const FieldTable& event) const {
    std::string text;
    for (const Value& value : event.Get(field)) {
      text += text.empty() ? "" : ", ";
      text += value.kind == ValueKind::kString ? "'" + std::string(value.text.substr(0, kMaxShownBytes)) + "'"
                                               : std::string(value.text);
    }
    return text.empty() ? "absent" : text;
  }

  FieldCatalog* catalog_;
  std::string id_, title_;
  std::vector<RuleNames> names_;
  PredicateTable predicates_;
  Program program_;
  std::vector<Part> parts_;
  std::vector<Expr> expressions_;
  uint32_t whole_ = 0;
};

}  // namespace
}  // namespace rules

std::unique_ptr<const RuleExplainer> RuleExplainer::Compile(const std::vector<SourceFile>& files, std::string_view id,
                                                            FieldCatalog* catalog, Diagnostics* diagnostics,
                                                            const RuleOptions& options) {
  auto explainer = std::make_unique<rules::Explainer>(catalog);
  const rules::NamesHere names{options.raw ? catalog->Resolve(kEveryValue) : rules::kKeywords, options.mapping.get()};
  Diagnostics found;
  bool taken = false;
  // The rule first: filters need its names.
  for (const bool filters : {false, true}) {
    for (const SourceFile& file : files) {
      if (!filters && file.text.find(id) == std::string::npos) continue;
      if (filters && file.text.find("filter:") == std::string::npos) continue;
      Diagnostics others;
      const std::optional<YamlFile> yaml = ParseYaml(file, &others);
      if (!yaml) continue;
      for (const YamlNode& document : yaml->documents) {
        rules::SourceNotes notes(*yaml->source, &found);
        const YamlNode* own = document.Find("id");
        if (filters && taken && rules::IsFilter(document)) {
          const auto ast = rules::ReadFilter(document, &notes);
          if (ast) explainer->TakeFilter(*ast, rules::PlaceOf(document), &notes, names);
        } else if (!filters && own != nullptr && own->IsScalar() && own->scalar() == id) {
          const auto ast = rules::ReadRule(document, &notes);
          taken = ast && explainer->TakeRule(*ast, &notes, names);
        }
      }
    }
  }
  if (!taken && !found.HasErrors()) found.Error({}, "no rule has the id '" + std::string(id) + "'");
  const bool failed = found.HasErrors();
  diagnostics->Append(found);
  if (failed) return nullptr;
  explainer->Finish();
  return explainer;
}

}  // namespace triaged
