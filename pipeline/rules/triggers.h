// Triggers: what must have happened for a rule to be worth looking at.
//
// A rule's cover is a set of triggers of which at least one fires whenever the rule matches. The cheapest cover is
// chosen, by how many rules share a predicate and how telling its texts are. A rule without a cover (one that can match
// on nothing but absences) is looked at for every alert.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/rules/expression.h"

namespace triaged::rules {

struct Trigger {
  enum class Kind : uint8_t { kPredicate, kFieldPresent };
  Kind kind = Kind::kPredicate;
  uint32_t id = 0;  // PredicateId or FieldId
};

// Text predicates are found by the index and fire themselves, regular expressions by the texts they need; others are
// asked for only when a rule is looked at, so their field's presence fires for them.
inline bool IsIndexed(const Predicate& predicate) {
  return predicate.kind == PredicateKind::kText ||
         (predicate.kind == PredicateKind::kRegex && !predicate.patterns.empty());
}

// How many of the expressions use each predicate.
std::vector<uint32_t> CountUses(const std::vector<Expr>& expressions, size_t predicates);

// nullopt: no cover, always look. Empty: the rule can never match.
std::optional<std::vector<Trigger>> CoverOf(const Expr& expr, const std::vector<Predicate>& predicates,
                                            const std::vector<uint32_t>& uses);

}  // namespace triaged::rules
