// Rearranging: merging one case into another, splitting alerts off, and taking a merge back. What the command's case
// and the others gain and lose; every alert and note is kept (DOMAIN.md, Statuses).
//
// A case that goes to one of another partition is closed at once, its content sent there; when the target cannot take
// it, an answer makes it a case again.
#pragma once

#include <optional>

#include "pipeline/decide/commands.h"
#include "pipeline/decide/context.h"
#include "pipeline/decide/surroundings.h"

namespace triaged {

// Closes ctx.c and puts its content into command.into, to which its grouping key leads from then on.
std::optional<RefusedCommand> MergeAway(CaseContext& ctx, const Command& command, Surroundings* around);
// The target's part of taking a merge back; ctx.c is the case that was merged away.
void SeparateAgain(CaseContext& ctx, const UndoState& undo, Surroundings* around);
// Opens a linked case for the named alerts, which must be among the case's evidence.
std::optional<RefusedCommand> SplitOff(CaseContext& ctx, const Command& command, Surroundings* around);
// Takes back into ctx.c what the split that ctx.c.undo names put into another case: that one is closed as merged into
// ctx.c, and leaves the case that it had gone into meanwhile, also in another partition. Refused when its alerts were
// decided on there, or ctx.c is no longer active.
std::optional<RefusedCommand> JoinAgain(CaseContext& ctx, const Command& command, Surroundings* around);

// ---- messages from other partitions; `ctx.c` is the case that message.to names ----
// `packed`: the content, from Unpack. Where the case cannot take it an answer is sent.
void TakeMerged(CaseContext& ctx, const Message& message, const Case& content, Surroundings* around);
// The answer to a merge into a case that is not there.
void RefuseMerged(const Message& message, Refusal refusal, const std::string& why, Surroundings* around);
void TakeEvidence(CaseContext& ctx, const Message& message, CaseStore* store);
void TakeMergeRefused(CaseContext& ctx, const Message& message, Surroundings* around);
// An alert that ctx.c had brought into message.from was split off there: it is no longer counted here, either.
void TakeSplitOff(CaseContext& ctx, const Message& message, Surroundings* around);
// Also for a case that went on into another: then that one loses what was counted, too.
void TakeSeparated(CaseContext& ctx, const Message& message, Surroundings* around);

}  // namespace triaged
