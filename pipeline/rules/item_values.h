// One item's modifiers, checked and put in order, and its values turned into predicates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/rules/detection.h"
#include "pipeline/rules/expression.h"
#include "pipeline/rules/predicate.h"

namespace triaged::rules {

// What the modifiers of an item say together.
struct ItemMeaning {
  bool keywords = false;  // no field is named: looked for in every value
  PredicateKind kind = PredicateKind::kText;
  Anchor anchor = Anchor::kWhole;
  Comparison comparison = Comparison::kLess;
  TimePart part = TimePart::kMinute;
  bool all = false;
  bool neq = false;
  bool cased = false;
  bool expand = false;
  std::string regex_flags;           // of "ims"
  std::vector<Modifier> transforms;  // windash and encodings, in order
};

// A value as it stands in the rule, or as a placeholder list made it.
struct ItemValue {
  std::string text;
  bool null = false;
  Place place;
};

// nullopt after errors (modifiers that contradict each other).
std::optional<ItemMeaning> ReadModifiers(const ItemAst& item, SourceNotes* notes);

// The predicates of one value: any of them. `base` carries the field and all that the modifiers say. Empty after
// errors.
std::vector<Predicate> ValuePredicates(const ItemMeaning& meaning, const ItemValue& value, const Predicate& base,
                                       SourceNotes* notes);

}  // namespace triaged::rules
