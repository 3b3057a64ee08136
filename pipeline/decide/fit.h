// Fit: a case outlives reloads, so that it may stand where today's policy has nothing: at a severity or level that is
// gone, with a deadline of a mechanism that the pack has no longer. What is decided of a case may count on this.
#pragma once

#include "pipeline/model/case.h"
#include "pipeline/policy/policy.h"

namespace triaged {

// Moves the case to the nearest that the policy has: the mildest severity, the highest level; deadlines that lead
// nowhere are disarmed, all others stand. Also in what undo would give back. True when that changed something.
bool FitToPolicy(const Policy& policy, Case* c);

}  // namespace triaged
