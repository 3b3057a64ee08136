// Condition: one detection outside a rule set, evaluated predicate by predicate. Policies have tens of them, asked once
// per alert or case change, so they need no index. Each may cost what a rule may by default, whatever the settings say: a
// policy is right or wrong by its text alone, and what decides about escalating is never given up.
#include <algorithm>
#include <utility>

#include "pipeline/rules/budget.h"
#include "pipeline/rules/detection.h"
#include "pipeline/rules/expression.h"
#include "pipeline/rules/lower.h"
#include "pipeline/rules/rules.h"

namespace triaged {
namespace rules {
namespace {

class CompiledCondition final : public Condition {
 public:
  CompiledCondition(const Expr& expr, std::vector<Predicate> predicates, size_t normalised_size)
      : predicates_(std::move(predicates)), normalised_size_(normalised_size) {
    program_.Append(expr);
    for (const Predicate& predicate : predicates_) {
      if (predicate.kind == PredicateKind::kFieldRef) fields_.push_back(predicate.other);
      if (predicate.field != kKeywords) {
        fields_.push_back(predicate.field);
        continue;
      }
      for (size_t field = 0; field < normalised_size; ++field) fields_.push_back(static_cast<FieldId>(field));
    }
    std::sort(fields_.begin(), fields_.end());
    fields_.erase(std::unique(fields_.begin(), fields_.end()), fields_.end());
  }

  bool Matches(const FieldTable& fields) const override {
    return program_.Evaluate(0, [&](PredicateId id) { return Holds(predicates_[id], fields, normalised_size_); });
  }
  const std::vector<FieldId>& fields() const override { return fields_; }

 private:
  Program program_;
  std::vector<Predicate> predicates_;
  size_t normalised_size_;
  std::vector<FieldId> fields_;
};

}  // namespace
}  // namespace rules

std::shared_ptr<const Condition> Condition::Compile(const SourceFile& source, const YamlNode& detection,
                                                    FieldCatalog* catalog, Diagnostics* diagnostics) {
  Diagnostics found;
  rules::SourceNotes notes(source, &found);
  rules::PredicateTable predicates;
  rules::Lowering lowering(catalog, &predicates, &notes);
  std::optional<rules::Expr> expr;
  if (detection.Find("condition") != nullptr) {
    if (std::optional<rules::DetectionAst> ast = rules::ReadDetection(detection, &notes)) {
      expr = lowering.Detection(*ast);
    }
  } else if (std::optional<rules::SelectionAst> ast = rules::ReadSelection(detection, &notes)) {
    expr = lowering.Selection(*ast);
  }
  if (expr) rules::IsBounded(*expr, predicates.all(), RuleBudget{}.rule, rules::PlaceOf(detection), &notes);
  diagnostics->Append(found);
  if (!expr || found.HasErrors()) return nullptr;
  return std::make_shared<rules::CompiledCondition>(*expr, predicates.Take(), catalog->normalised_size());
}

}  // namespace triaged
