// Rearranging: merging one case into another, splitting alerts off, and taking a merge back. What the command's case
// and the others gain and lose; every alert and note is kept (DOMAIN.md, Statuses).
#pragma once

#include <optional>
#include <vector>

#include "pipeline/decide/commands.h"
#include "pipeline/decide/context.h"
#include "pipeline/processor/case_store.h"

namespace triaged {

// Another case that a command changed, with its events.
struct ChangedCase {
  Case* c = nullptr;
  std::vector<CaseEvent> events;
};

// What a command needs beyond its own case; `others` is filled.
struct Rearranger {
  CaseStore* store = nullptr;
  uint64_t* next_case = nullptr;  // the partition's sequence
  std::vector<ChangedCase> others;
};

// Closes ctx.c and puts its content into command.into, to which its grouping key leads from then on.
std::optional<RefusedCommand> MergeAway(CaseContext& ctx, const Command& command, Rearranger* rearranger);
// The target's part of taking a merge back; ctx.c is the case that was merged away.
void SeparateAgain(CaseContext& ctx, const UndoState& undo, Rearranger* rearranger);
// Opens a linked case for the named alerts, which must be among the case's evidence.
std::optional<RefusedCommand> SplitOff(CaseContext& ctx, const Command& command, Rearranger* rearranger);

}  // namespace triaged
