// Routing: rules are tried only on the events of their logsource.
//
// The rules of one logsource are a compiled set of their own, so that an event costs nothing in the texts of others.
// Which logsources an event belongs to is decided by a compiled set, too: one expression per logsource.
#pragma once

#include <memory>
#include <vector>

#include "pipeline/model/fields.h"
#include "pipeline/rules/expression.h"
#include "pipeline/rules/predicate.h"
#include "pipeline/rules/rules.h"

namespace triaged::rules {

// Rules with the expressions they mean, over `predicates`. The last rules are correlations, which have no expression.
struct LoweredRules {
  std::vector<Rule> rules;
  std::vector<Expr> expressions;
  std::vector<Predicate> predicates;
  std::shared_ptr<const CorrelationSet> correlations;  // null: none
  uint64_t alert_steps = RuleBudget{}.alert;           // the limit of new scratches
};

// A set that tries every rule on every event.
std::shared_ptr<const RuleSet> MakeCompiledSet(LoweredRules lowered, const FieldCatalog& catalog);

// `route_of[i]` is the route of rule i; `routes` hold for the events that belong to them.
std::shared_ptr<const RuleSet> MakeRoutedSet(LoweredRules lowered, const std::vector<uint32_t>& route_of,
                                             std::vector<Expr> routes, const FieldCatalog& catalog);

}  // namespace triaged::rules
