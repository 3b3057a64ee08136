// Absorbing: what one case takes over from another: entities, votes, notes, evidence. Every list keeps its limit; what
// finds no room is counted.
#pragma once

#include "pipeline/base/result.h"
#include "pipeline/decide/context.h"
#include "pipeline/processor/case_store.h"

namespace triaged {

// Whom and what `from` has seen; no alert is counted.
void AddSeen(const Case& from, Case* to);
// A copy of one piece of evidence, once, with its bytes where they are in this partition and there is room for them.
Status AddEvidence(const Case& from, const Evidence& evidence, CaseStore* store, Case* to);
// Everything: the target's severity and verdict follow.
Status Absorb(CaseContext& target, const Case& from, CaseStore* store);

}  // namespace triaged
