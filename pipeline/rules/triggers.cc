#include "pipeline/rules/triggers.h"

#include <algorithm>
#include <utility>

namespace triaged::rules {
namespace {

struct Cover {
  std::vector<Trigger> triggers;
  uint64_t cost = 0;
};

// How likely a text is met by chance, roughly, by its length.
uint64_t PatternCost(const Pattern& pattern) {
  const size_t length = pattern.literal.size();
  if (pattern.kind == PatternKind::kAny || length == 0) return 64;
  if (length >= 8) return 1;
  return length >= 4 ? 4 : 16;
}

uint64_t PredicateCost(const Predicate& predicate, uint32_t uses) {
  uint64_t cost = 0;
  for (const Pattern& pattern : predicate.patterns) cost = std::max(cost, PatternCost(pattern));
  cost *= 1 + uses;
  return predicate.field == kKeywords ? cost * 4 : cost;
}

constexpr uint64_t kPresenceCost = 4096;  // a field is far more often present than a given text is in it

class CoverFinder {
 public:
  CoverFinder(const std::vector<Predicate>& predicates, const std::vector<uint32_t>& uses)
      : predicates_(predicates), uses_(uses) {}

  std::optional<Cover> Find(const Expr& expr) const {
    switch (expr.op) {
      case Op::kFalse:
        return Cover{};
      case Op::kTrue:
        return std::nullopt;
      case Op::kPredicate:
        return OfPredicate(expr.value);
      case Op::kNot:
        return OfNegation(expr.children.front());
      case Op::kAnd:
        return Cheapest(expr);
      case Op::kOr:
        return Union(expr, expr.children.size());
      case Op::kAtLeast:
        // Of n children k hold, so one of any n-k+1 does.
        return Union(expr, expr.children.size() - expr.value + 1);
    }
    return std::nullopt;
  }

 private:
  std::optional<Cover> OfPredicate(PredicateId id) const {
    const Predicate& predicate = predicates_[id];
    if (predicate.kind == PredicateKind::kNull) return std::nullopt;
    if (IsIndexed(predicate)) return Cover{{{Trigger::Kind::kPredicate, id}}, PredicateCost(predicate, uses_[id])};
    if (predicate.field == kKeywords) return std::nullopt;
    return Present(predicate.field);
  }

  // "not null" and "not (exists: false)" need the field; other negations need nothing.
  std::optional<Cover> OfNegation(const Expr& negated) const {
    if (negated.op != Op::kPredicate || predicates_[negated.value].kind != PredicateKind::kNull) return std::nullopt;
    return Present(predicates_[negated.value].field);
  }

  static Cover Present(FieldId field) { return Cover{{{Trigger::Kind::kFieldPresent, field}}, kPresenceCost}; }

  std::optional<Cover> Cheapest(const Expr& expr) const {
    std::optional<Cover> best;
    for (const Expr& child : expr.children) {
      std::optional<Cover> cover = Find(child);
      if (cover && (!best || cover->cost < best->cost)) best = std::move(cover);
    }
    return best;
  }

  std::optional<Cover> Union(const Expr& expr, size_t needed) const {
    std::vector<Cover> covers;
    for (const Expr& child : expr.children) {
      if (std::optional<Cover> cover = Find(child)) covers.push_back(std::move(*cover));
    }
    if (covers.size() < needed) return std::nullopt;
    std::stable_sort(covers.begin(), covers.end(), [](const Cover& a, const Cover& b) { return a.cost < b.cost; });
    Cover joined;
    for (size_t i = 0; i < needed; ++i) {
      joined.cost += covers[i].cost;
      joined.triggers.insert(joined.triggers.end(), covers[i].triggers.begin(), covers[i].triggers.end());
    }
    return joined;
  }

  const std::vector<Predicate>& predicates_;
  const std::vector<uint32_t>& uses_;
};

void CountIn(const Expr& expr, std::vector<uint32_t>* uses, uint32_t rule, std::vector<uint32_t>* last) {
  if (expr.op == Op::kPredicate && (*last)[expr.value] != rule) {
    (*last)[expr.value] = rule;
    ++(*uses)[expr.value];
  }
  for (const Expr& child : expr.children) CountIn(child, uses, rule, last);
}

}  // namespace

std::vector<uint32_t> CountUses(const std::vector<Expr>& expressions, size_t predicates) {
  std::vector<uint32_t> uses(predicates, 0);
  std::vector<uint32_t> last(predicates, 0);
  uint32_t rule = 0;
  for (const Expr& expr : expressions) CountIn(expr, &uses, ++rule, &last);
  return uses;
}

std::optional<std::vector<Trigger>> CoverOf(const Expr& expr, const std::vector<Predicate>& predicates,
                                            const std::vector<uint32_t>& uses) {
  std::optional<Cover> cover = CoverFinder(predicates, uses).Find(expr);
  if (!cover) return std::nullopt;
  return std::move(cover->triggers);
}

}  // namespace triaged::rules
