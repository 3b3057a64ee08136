// Budget: what a rule, a rule set and one evaluation may cost, in steps that are counted, never in time, so that every
// run of the same alert decides the same.
//
// The bounds are RuleBudget's (rules.h).
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/model/fields.h"
#include "pipeline/rules/expression.h"
#include "pipeline/rules/source.h"

namespace triaged::rules {

// What comparing a glob costs for each byte of the value.
inline uint64_t GlobSteps(const Pattern& pattern) { return (pattern.glob.size() + 63) / 64; }

// What the regular expressions and wildcards of a predicate cost for each byte of a value; 0: next to nothing.
uint64_t WeightOf(const Predicate& predicate);

// The sum of the predicates' weights that `expr` asks, each counted once.
uint64_t WeightOf(const Expr& expr, const std::vector<Predicate>& predicates);

// Whether a rule or condition stays within `limit` (RuleBudget::rule); else an error at `place`.
bool IsBounded(const Expr& expr, const std::vector<Predicate>& predicates, uint64_t limit, Place place, SourceNotes* notes);

// What asking a predicate without the index costs for this event.
uint64_t StepsOf(const Predicate& predicate, const FieldTable& event, size_t normalised_size);

}  // namespace triaged::rules
