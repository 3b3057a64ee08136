// Expressions over predicates: what a rule says once its selections are compiled.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/rules/predicate.h"

namespace triaged::rules {

enum class Op : uint8_t { kFalse, kTrue, kPredicate, kAnd, kOr, kNot, kAtLeast };

// A tree, as it is built. Depth is bounded by the condition parser and the YAML reader.
struct Expr {
  Op op = Op::kFalse;
  uint32_t value = 0;  // kPredicate: its id; kAtLeast: how many children must hold
  std::vector<Expr> children;
};

Expr PredicateExpr(PredicateId id);
// And, Or and Not drop what constants decide and merge nested ones of their own kind.
Expr AndExpr(std::vector<Expr> children);
Expr OrExpr(std::vector<Expr> children);
Expr NotExpr(Expr child);
Expr AtLeastExpr(uint32_t count, std::vector<Expr> children);

// A tree laid out in prefix order in one array shared by all rules, for evaluation without pointers.
class Program {
 public:
  // Appends the tree; returns where it begins.
  uint32_t Append(const Expr& expr);

  // `holds(PredicateId)` answers for one predicate; asked only when the answer matters, left to right.
  template <typename HoldsFn>
  bool Evaluate(uint32_t at, HoldsFn&& holds) const {
    const Node& node = nodes_[at];
    switch (node.op) {
      case Op::kFalse:
        return false;
      case Op::kTrue:
        return true;
      case Op::kPredicate:
        return holds(node.value);
      case Op::kNot:
        return !Evaluate(at + 1, holds);
      case Op::kAnd:
        for (uint32_t child = at + 1; child < node.end; child = nodes_[child].end) {
          if (!Evaluate(child, holds)) return false;
        }
        return true;
      case Op::kOr:
        for (uint32_t child = at + 1; child < node.end; child = nodes_[child].end) {
          if (Evaluate(child, holds)) return true;
        }
        return false;
      case Op::kAtLeast: {
        uint32_t missing = node.value;
        for (uint32_t child = at + 1; child < node.end && missing > 0; child = nodes_[child].end) {
          if (Evaluate(child, holds)) --missing;
        }
        return missing == 0;
      }
    }
    return false;
  }

 private:
  struct Node {
    Op op;
    uint32_t value;
    uint32_t end;  // index after the last node of this subtree
  };
  std::vector<Node> nodes_;
};

}  // namespace triaged::rules
