#include "pipeline/rules/expression.h"

#include <utility>

namespace triaged::rules {
namespace {

// And and Or are mirror images: `absorbing` decides the whole, its opposite changes nothing.
Expr Join(Op op, Op absorbing, Op neutral, std::vector<Expr> children) {
  Expr joined;
  joined.op = op;
  for (Expr& child : children) {
    if (child.op == absorbing) return Expr{absorbing, 0, {}};
    if (child.op == neutral) continue;
    if (child.op == op) {
      for (Expr& grandchild : child.children) joined.children.push_back(std::move(grandchild));
    } else {
      joined.children.push_back(std::move(child));
    }
  }
  if (joined.children.empty()) return Expr{neutral, 0, {}};
  if (joined.children.size() == 1) {
    Expr only = std::move(joined.children.front());
    return only;
  }
  return joined;
}

}  // namespace

Expr PredicateExpr(PredicateId id) { return Expr{Op::kPredicate, id, {}}; }

Expr AndExpr(std::vector<Expr> children) { return Join(Op::kAnd, Op::kFalse, Op::kTrue, std::move(children)); }

Expr OrExpr(std::vector<Expr> children) { return Join(Op::kOr, Op::kTrue, Op::kFalse, std::move(children)); }

Expr NotExpr(Expr child) {
  if (child.op == Op::kTrue) return Expr{Op::kFalse, 0, {}};
  if (child.op == Op::kFalse) return Expr{Op::kTrue, 0, {}};
  if (child.op == Op::kNot) {
    Expr inner = std::move(child.children.front());
    return inner;
  }
  Expr negated{Op::kNot, 0, {}};
  negated.children.push_back(std::move(child));
  return negated;
}

Expr AtLeastExpr(uint32_t count, std::vector<Expr> children) {
  if (count == 0) return Expr{Op::kTrue, 0, {}};
  if (count > children.size()) return Expr{Op::kFalse, 0, {}};
  if (count == 1) return OrExpr(std::move(children));
  if (count == children.size()) return AndExpr(std::move(children));
  return Expr{Op::kAtLeast, count, std::move(children)};
}

uint32_t Program::Append(const Expr& expr) {
  const uint32_t at = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back({expr.op, expr.value, 0});
  for (const Expr& child : expr.children) Append(child);
  nodes_[at].end = static_cast<uint32_t>(nodes_.size());
  return at;
}

}  // namespace triaged::rules
