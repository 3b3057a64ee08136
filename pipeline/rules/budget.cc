#include "pipeline/rules/budget.h"

#include <set>
#include <string>

namespace triaged::rules {
namespace {

constexpr uint64_t kUnit = 64;

uint64_t Units(uint64_t amount) { return (amount + kUnit - 1) / kUnit; }

void Collect(const Expr& expr, std::set<PredicateId>* ids) {
  if (expr.op == Op::kPredicate) ids->insert(expr.value);
  for (const Expr& child : expr.children) Collect(child, ids);
}

uint64_t BytesOf(std::span<const Value> values) {
  uint64_t bytes = 0;
  for (const Value& value : values) bytes += value.text.size() + 1;
  return bytes;
}

uint64_t BytesAsked(const Predicate& predicate, const FieldTable& event, size_t normalised_size) {
  if (predicate.field != kKeywords) return BytesOf(event.Get(predicate.field));
  uint64_t bytes = 0;
  for (const FieldId field : event.present()) {
    if (field < normalised_size) bytes += BytesOf(event.Get(field));
  }
  return bytes;
}

}  // namespace

uint64_t WeightOf(const Predicate& predicate) {
  uint64_t weight = 0;
  for (const auto& regex : predicate.regexes) weight += Units(static_cast<uint64_t>(regex->ProgramSize()));
  for (const Pattern& pattern : predicate.patterns) {
    if (pattern.kind == PatternKind::kGlob) weight += GlobSteps(pattern);
  }
  return weight;
}

uint64_t WeightOf(const Expr& expr, const std::vector<Predicate>& predicates) {
  std::set<PredicateId> ids;
  Collect(expr, &ids);
  uint64_t weight = 0;
  for (const PredicateId id : ids) weight += predicates[id].weight;
  return weight;
}

bool IsBounded(const Expr& expr, const std::vector<Predicate>& predicates, uint64_t limit, Place place,
               SourceNotes* notes) {
  const uint64_t weight = WeightOf(expr, predicates);
  if (weight <= limit) return true;
  notes->Error(place, "this costs up to " + std::to_string(weight) + " steps for each byte it looks at; the limit is " +
                          std::to_string(limit),
               "the regular expressions and wildcards are too many or too long: fewer of them, or plain texts");
  return false;
}

uint64_t StepsOf(const Predicate& predicate, const FieldTable& event, size_t normalised_size) {
  switch (predicate.kind) {
    case PredicateKind::kText:
    case PredicateKind::kRegex:
      return BytesAsked(predicate, event, normalised_size) * predicate.weight;
    case PredicateKind::kFieldRef: {
      const uint64_t bytes = BytesAsked(predicate, event, normalised_size);
      const uint64_t others = BytesOf(event.Get(predicate.other));
      // Any value may be looked for at any place of any other.
      return Units(predicate.anchor == Anchor::kContains ? bytes * others : bytes + others);
    }
    case PredicateKind::kCidr:
    case PredicateKind::kCompare:
    case PredicateKind::kTimePart: {
      const uint64_t choices = predicate.networks.size() + predicate.numbers.size() + predicate.parts.size();
      return event.Get(predicate.field).size() * Units(choices);
    }
    case PredicateKind::kNull:
    case PredicateKind::kExists:
      return 0;
  }
  return 0;
}

}  // namespace triaged::rules
