// Undo: what the last command replaced is remembered with the case, and stands again when it is taken back. One step,
// within the episode; of assign, verdict, set-severity, classify, resolve, close, merge and split.
#pragma once

#include "pipeline/decide/context.h"
#include "pipeline/decide/surroundings.h"
#include "pipeline/model/command.h"

namespace triaged {

// Called before `command` changes the case; what was remembered before is forgotten.
void RememberForUndo(CaseContext& ctx, const Command& command);

// Takes the last command back: what it replaced stands again, what it ended runs again as if it had never stopped. But
// a severity that was said meanwhile stays where it is the worse one (RaiseSeverity sees to it), votes that came count.
// Precondition: ctx.c.undo names one. The alerts of a split come back through JoinAgain (rearrange.h), before.
void TakeBack(CaseContext& ctx, const Command& command, Surroundings* around);

}  // namespace triaged
