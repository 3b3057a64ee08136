#include "pipeline/decide/undo.h"

#include <utility>

#include "pipeline/decide/clocks.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/decide/rearrange.h"

namespace triaged {

void RememberForUndo(CaseContext& ctx, const Command& command) {
  const Case& c = ctx.c;
  UndoState undo;
  undo.action = std::string(Name(command.action));
  undo.command_id = command.id;
  undo.actor = command.actor;
  undo.at = ctx.now;
  undo.status = c.status;
  undo.severity = c.severity;
  undo.assignee = c.assignee;
  undo.verdict = c.verdict;
  undo.verdict_confidence = c.verdict_confidence;
  undo.verdict_by = c.verdict_by;
  undo.verdict_reason = c.verdict_reason;
  undo.verdict_severity = c.verdict_severity;
  undo.classification = c.classification;
  undo.incident = c.incident;
  undo.level_due = LevelsIfResumed(c, ctx.now);  // what stops the case ends its pause, and that is not taken back
  undo.next_repeat = c.next_repeat;
  ctx.c.undo = std::move(undo);
}

void TakeBack(CaseContext& ctx, const Command& command, Surroundings* around) {
  Case& c = ctx.c;
  const UndoState undo = std::exchange(c.undo, UndoState{});
  const bool stopped = IsActive(c) != (undo.status != CaseStatus::kResolved && undo.status != CaseStatus::kClosed);
  if (undo.action == "set-severity") c.severity = undo.severity;
  if (undo.action == "assign") c.assignee = undo.assignee;
  if (undo.action == "classify") {
    c.classification = undo.classification;
    c.incident = undo.incident;
  }
  if (undo.action == "verdict") {
    c.verdict = undo.verdict;
    c.verdict_confidence = undo.verdict_confidence;
    c.verdict_by = undo.verdict_by;
    c.verdict_reason = undo.verdict_reason;
    c.verdict_severity = undo.verdict_severity;
  }
  if (stopped) {
    const bool paused = undo.status == CaseStatus::kWaitingForInfo || undo.status == CaseStatus::kOnHold;
    c.status = paused ? CaseStatus::kInProgress : undo.status;
    c.resolved_at = c.closed_at = Timestamp{};
    c.resolution.clear();
    c.level_due = undo.level_due;
    c.next_repeat = undo.next_repeat;
    ContinueClocks(ctx, undo.at);
    if (undo.action == "merge") SeparateAgain(ctx, undo, around);
  } else if (undo.action == "close" && c.status != undo.status) {  // of what was resolved before
    c.status = undo.status;
    c.closed_at = Timestamp{};
  }
  AddToTimeline(ctx, "undone", command.actor, undo.action + " by " + undo.actor + ": " + command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kUndone, undo.action);
  if (undo.action == "verdict") RecomputeVerdict(ctx);  // votes that came while the person had the word
}

}  // namespace triaged
