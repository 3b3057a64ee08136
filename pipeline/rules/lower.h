// Lowering: the AST of a detection to an expression over distinct predicates. Modifiers get their meaning here.
#pragma once

#include <optional>

#include "pipeline/model/fields.h"
#include "pipeline/rules/detection.h"
#include "pipeline/rules/expression.h"
#include "pipeline/rules/item_values.h"
#include "pipeline/rules/mapping.h"
#include "pipeline/rules/predicate.h"
#include "pipeline/rules/source.h"

namespace triaged::rules {

// Limits of one item (a field with its values); a rule beyond them is refused by name.
inline constexpr size_t kMaxValuesPerItem = 20'000;  // after windash and base64offset
inline constexpr size_t kMaxValueBytes = 8192;
inline constexpr int kMaxRegexBytes = 1 << 20;  // RE2's memory for one program

// What names mean: the field of keywords, and the names of another taxonomy, if any.
struct NamesHere {
  FieldId keywords = kKeywords;
  const RuleMapping* mapping = nullptr;
};

class Lowering {
 public:
  // Field names are resolved (and, in the alert taxonomy, added) in `catalog`. All must outlive the object.
  Lowering(FieldCatalog* catalog, PredicateTable* predicates, SourceNotes* notes, NamesHere names = {})
      : catalog_(catalog), predicates_(predicates), notes_(notes), names_(names) {}

  // nullopt after errors; every item is looked at.
  std::optional<Expr> Detection(const DetectionAst& detection);
  std::optional<Expr> Selection(const SelectionAst& selection);
  // kNoField after an error.
  FieldId ResolveField(const std::string& written, Place place);

 private:
  std::optional<Expr> Item(const ItemAst& item);
  // Puts the texts of placeholder lists in place of %name%; false, with a warning, when there is no such list.
  bool Expand(std::vector<ItemValue>* values);
  Expr Condition(const ConditionAst& condition, const std::vector<Expr>& selections) const;

  FieldCatalog* catalog_;
  PredicateTable* predicates_;
  SourceNotes* notes_;
  NamesHere names_;
};

}  // namespace triaged::rules
