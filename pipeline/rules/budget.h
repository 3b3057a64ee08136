// Budget: what a rule, a rule set and one evaluation may cost, in steps that are counted, never in time, so that every
// run of the same alert decides the same.
//
// A step stands for about 64 bytes compared, or one byte taken through 64 instructions of a regular expression. The
// bounds are ours: far above what SigmaHQ's rules need (rules_bench prints it), and far below what holds a worker up.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/model/fields.h"
#include "pipeline/rules/expression.h"
#include "pipeline/rules/source.h"

namespace triaged::rules {

inline constexpr uint64_t kMaxRuleWeight = 1'000;   // steps that one byte of each field may cost a rule
inline constexpr uint64_t kMaxSetWeight = 100'000;  // … and all rules of a set together

// What comparing a glob costs for each byte of the value.
inline uint64_t GlobSteps(const Pattern& pattern) { return (pattern.glob.size() + 63) / 64; }

// What the regular expressions and wildcards of a predicate cost for each byte of a value; 0: next to nothing.
uint64_t WeightOf(const Predicate& predicate);

// The sum of the predicates' weights that `expr` asks, each counted once.
uint64_t WeightOf(const Expr& expr, const std::vector<Predicate>& predicates);

// Whether a rule or condition stays below kMaxRuleWeight; else an error at `place`.
bool IsBounded(const Expr& expr, const std::vector<Predicate>& predicates, Place place, SourceNotes* notes);

// What asking a predicate without the index costs for this event.
uint64_t StepsOf(const Predicate& predicate, const FieldTable& event, size_t normalised_size);

}  // namespace triaged::rules
