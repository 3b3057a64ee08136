#include "pipeline/decide/commands.h"

#include <algorithm>

#include "pipeline/decide/beside.h"
#include "pipeline/decide/clocks.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/decide/holds.h"
#include "pipeline/decide/rearrange.h"
#include "pipeline/decide/undo.h"

namespace triaged {
namespace {

using Refused = std::optional<RefusedCommand>;

constexpr uint32_t Bit(CaseStatus status) { return 1u << static_cast<uint32_t>(status); }
constexpr uint32_t kActive = Bit(CaseStatus::kOpen) | Bit(CaseStatus::kInProgress) | Bit(CaseStatus::kEscalated) |
                             Bit(CaseStatus::kWaitingForInfo) | Bit(CaseStatus::kOnHold);
constexpr uint32_t kWaiting = Bit(CaseStatus::kWaitingForInfo) | Bit(CaseStatus::kOnHold);
constexpr uint32_t kAny = (1u << kCaseStatusCount) - 1;

// The transition table: in which statuses an action is legal.
uint32_t LegalIn(CommandAction action) {
  switch (action) {
    case CommandAction::kAck: return kActive;
    case CommandAction::kAssign: return kActive;
    case CommandAction::kVerdict: return kAny & ~Bit(CaseStatus::kClosed);
    case CommandAction::kSetSeverity: return kActive;
    case CommandAction::kEscalate: return kActive;
    case CommandAction::kDeescalate: return kActive;
    case CommandAction::kNote: return kAny;
    case CommandAction::kClassify: return kAny & ~Bit(CaseStatus::kClosed);
    case CommandAction::kWait: return kActive & ~Bit(CaseStatus::kWaitingForInfo);
    case CommandAction::kHold: return kActive & ~Bit(CaseStatus::kOnHold);
    case CommandAction::kResume: return kWaiting;
    case CommandAction::kResolve: return kActive;
    case CommandAction::kConfirm: return Bit(CaseStatus::kResolved);
    case CommandAction::kClose: return kActive | Bit(CaseStatus::kResolved);
    case CommandAction::kReopen: return Bit(CaseStatus::kResolved) | Bit(CaseStatus::kClosed);
    case CommandAction::kContain: return kActive;
    case CommandAction::kUpdate: return kAny & ~Bit(CaseStatus::kClosed);
    case CommandAction::kFollowUp: return kAny;
    case CommandAction::kEngage: return kAny & ~Bit(CaseStatus::kClosed);
    case CommandAction::kDisengage: return kAny;
    case CommandAction::kAcceptHandoff: return kAny & ~Bit(CaseStatus::kClosed);
    case CommandAction::kUndo: return kAny;
    case CommandAction::kMerge: return kActive;
    case CommandAction::kSplit: return kAny & ~Bit(CaseStatus::kClosed);
    case CommandAction::kSilence: return kActive;
    case CommandAction::kTag: return kAny & ~Bit(CaseStatus::kClosed);
    case CommandAction::kUntag: return kAny & ~Bit(CaseStatus::kClosed);
  }
  return 0;
}

RefusedCommand Refuse(Refusal refusal, std::string message) { return {refusal, std::move(message)}; }

void Acted(CaseContext& ctx) {
  ctx.c.last_action_at = ctx.now;
  ctx.c.updated_at = ctx.now;
  EndClock(ctx, ClockKind::kReceipt);  // somebody has it: that is what the reporter waits to hear
}

Refused Ack(CaseContext& ctx, const Command& command) {
  Case& c = ctx.c;
  if (c.acknowledged) return Refuse(Refusal::kNothingToChange, "already acknowledged by " + c.acknowledged_by);
  c.acknowledged = true;
  c.acknowledged_by = command.actor;
  c.acknowledged_at = ctx.now;
  c.next_repeat = Timestamp{};
  c.repeats = 0;
  EndClock(ctx, ClockKind::kAcknowledge);
  if (c.status == CaseStatus::kOpen || c.status == CaseStatus::kEscalated) c.status = CaseStatus::kInProgress;
  if (c.assignee.empty()) c.assignee = command.actor;
  EndClock(ctx, ClockKind::kAssign);
  AddToTimeline(ctx, "acknowledged", command.actor, command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kAcknowledged, "command");
  return {};
}

Refused Assign(CaseContext& ctx, const Command& command) {
  const std::string& to = command.to.empty() ? command.actor : command.to;
  if (!ctx.policy.roster->FindPerson(to)) {
    return Refuse(Refusal::kUnknownPerson, "'" + to + "' is not among the policy's people");
  }
  if (ctx.c.assignee == to) return Refuse(Refusal::kNothingToChange, "already assigned to " + to);
  RememberForUndo(ctx, command);
  ctx.c.assignee = to;
  EndClock(ctx, ClockKind::kAssign);
  AddToTimeline(ctx, "assigned", command.actor, "to " + to);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kAssigned, "command");
  return {};
}

Refused SetVerdict(CaseContext& ctx, const Command& command) {
  Case& c = ctx.c;
  const Verdict from = c.verdict;
  RememberForUndo(ctx, command);
  c.verdict = command.verdict;
  c.verdict_confidence = static_cast<uint8_t>(command.confidence);
  c.verdict_by = command.actor;
  c.verdict_reason = Bounded(command.reason);
  c.verdict_severity = c.severity;
  AddToTimeline(ctx, "verdict_changed", command.actor, std::string(Name(c.verdict)) + ": " + command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kVerdictChanged, "command").verdict_from = from;
  return {};
}

Refused SetSeverity(CaseContext& ctx, const Command& command) {
  const auto severity = ctx.policy.SeverityIndex(command.severity);
  if (!severity) return Refuse(Refusal::kUnknownSeverity, "the policy has no severity '" + command.severity + "'");
  if (*severity == ctx.c.severity) return Refuse(Refusal::kNothingToChange, "the severity is that already");
  const uint8_t from = ctx.c.severity;
  RememberForUndo(ctx, command);
  ctx.c.severity = *severity;
  if (*severity < from) ctx.c.severity_raised = true;
  // Only a raise moves deadlines; after a lowering by a person the running ones stand.
  if (*severity < from) PullDeadlinesIn(ctx);
  AddToTimeline(ctx, "severity_changed", command.actor,
                ctx.policy.severities[from].name + " to " + command.severity + ": " + command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kSeverityChanged, "command").severity_from = from;
  return {};
}

// What was merged away has its content elsewhere, and would be counted twice.
Refused ReopenByHand(CaseContext& ctx, const Command& command) {
  if (!ctx.c.merged_into.empty()) {
    return Refuse(Refusal::kIllegalTransition,
                  "its content went into " + ctx.c.merged_into + ": reopen that one, or take the merge back with undo");
  }
  Reopen(ctx, command.reason, command.actor, command.id);
  return {};
}

// Which level `escalate` and `de-escalate` mean; "" is the neighbour.
Result<uint8_t> TargetLevel(const CaseContext& ctx, const Command& command, int step) {
  if (!command.to.empty()) {
    if (const auto level = ctx.policy.LevelIndex(command.to)) return *level;
    return BadInput("the policy has no level '" + command.to + "'");
  }
  const int level = ctx.c.level + step;
  if (level < 0 || level >= static_cast<int>(ctx.policy.levels.size())) {
    return BadInput(std::string("there is no level ") + (step > 0 ? "above " : "below ") +
                    ctx.policy.levels[ctx.c.level].name);
  }
  return static_cast<uint8_t>(level);
}

Refused EscalateByHand(CaseContext& ctx, const Command& command) {
  const auto level = TargetLevel(ctx, command, +1);
  if (!level) return Refuse(Refusal::kUnknownLevel, level.error().message);
  if (*level <= ctx.c.level) {
    return Refuse(Refusal::kIllegalTransition, "the case is at " + ctx.policy.levels[ctx.c.level].name + " already");
  }
  Escalation escalation;
  escalation.to_level = *level;
  escalation.kind = EscalationKind::kManual;
  escalation.reason = command.reason;
  escalation.requested = command.text;
  escalation.actor = command.actor;
  escalation.command_id = command.id;
  Escalate(ctx, escalation);
  return {};
}

Refused DeescalateByHand(CaseContext& ctx, const Command& command) {
  const auto level = TargetLevel(ctx, command, -1);
  if (!level) return Refuse(Refusal::kUnknownLevel, level.error().message);
  if (*level >= ctx.c.level) {
    return Refuse(Refusal::kIllegalTransition, "the case is at " + ctx.policy.levels[ctx.c.level].name + " already");
  }
  Deescalate(ctx, *level, command.reason, command.actor, command.id);
  return {};
}

Refused Note(CaseContext& ctx, const Command& command) {
  if (ctx.c.notes.size() >= kMaxNotes) ctx.c.notes.erase(ctx.c.notes.begin());
  ctx.c.notes.push_back({ctx.now, "note", command.actor, Bounded(command.text)});
  AddToTimeline(ctx, "note", command.actor, command.text);
  ++ctx.c.version;
  ctx.standing_changed = true;  // people wait for what others write: publish at once
  return {};
}

Refused Classify(CaseContext& ctx, const Command& command) {
  RememberForUndo(ctx, command);
  if (!command.incident.empty()) ctx.c.incident = command.incident;
  if (!command.classification.empty()) ctx.c.classification = Bounded(command.classification);
  AddToTimeline(ctx, "classified", command.actor, "incident: " + ctx.c.incident + ", " + ctx.c.classification);
  if (ctx.c.incident == "minor" || ctx.c.incident == "major") {
    StartRegulatoryClocks(ctx);
    AddFollowUps(ctx, FollowUpOn::kIncident);
  }
  StandingChanged(ctx);
  return {};
}

Refused Pause(CaseContext& ctx, const Command& command, CaseStatus status) {
  ctx.c.status = status;
  ctx.c.paused_status_reason = Bounded(command.reason);
  const bool pauses = status == CaseStatus::kOnHold ? ctx.policy.pause_on_hold : ctx.policy.pause_waiting;
  if (pauses) BeginPause(ctx);
  if (!pauses) EndPause(ctx);
  AddToTimeline(ctx, Name(status), command.actor, command.reason);
  StandingChanged(ctx);
  return {};
}

Refused Resume(CaseContext& ctx, const Command& command) {
  EndPause(ctx);
  ctx.c.status = CaseStatus::kInProgress;
  ctx.c.paused_status_reason.clear();
  AddToTimeline(ctx, "resumed", command.actor, command.reason);
  StandingChanged(ctx);
  return {};
}

Refused Resolve(CaseContext& ctx, const Command& command) {
  Case& c = ctx.c;
  RememberForUndo(ctx, command);
  StopAllDeadlines(ctx);
  c.status = CaseStatus::kResolved;
  c.resolved_at = ctx.now;
  c.resolution = Bounded(command.reason);
  AddToTimeline(ctx, "resolved", command.actor, command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kResolved, "command");
  AddFollowUps(ctx, FollowUpOn::kResolved);
  return {};
}

Refused Close(CaseContext& ctx, const Command& command, std::string reason) {
  Case& c = ctx.c;
  const bool was_active = IsActive(c);
  if (command.action == CommandAction::kClose) RememberForUndo(ctx, command);
  StopAllDeadlines(ctx);
  c.status = CaseStatus::kClosed;
  if (c.resolved_at == Timestamp{}) c.resolved_at = ctx.now;
  c.closed_at = ctx.now;
  if (!command.reason.empty()) c.resolution = Bounded(command.reason);
  AddToTimeline(ctx, "closed", command.actor, command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kClosed, std::move(reason));
  if (was_active) AddFollowUps(ctx, FollowUpOn::kResolved);
  AfterClosing(ctx);
  return {};
}

Refused Confirm(CaseContext& ctx, const Command& command) {
  if (command.answer == "confirmed_fixed") return Close(ctx, command, "confirmed_fixed");
  if (command.answer == "still_has_issues") ++ctx.c.resolution_failures;
  Reopen(ctx, command.answer, command.actor, command.id);
  if (command.answer == "needs_more_info") {
    Command wait = command;
    wait.reason = "the answer to the request for confirmation: more information is needed";
    return Pause(ctx, wait, CaseStatus::kWaitingForInfo);
  }
  return {};
}

Refused Contain(CaseContext& ctx, const Command& command) {
  if (ctx.c.contained) return Refuse(Refusal::kNothingToChange, "the case is contained already");
  ctx.c.contained = true;
  EndClock(ctx, ClockKind::kContain);
  AddToTimeline(ctx, "contained", command.actor, command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kContained, "command");
  return {};
}

// The next word to those affected is due a full interval after this one.
Refused Update(CaseContext& ctx, const Command& command) {
  ctx.c.last_update_at = ctx.now;
  if (IsActive(ctx.c)) StartClock(ctx, ClockKind::kNextUpdate);
  AddToTimeline(ctx, "status_updated", command.actor, command.text);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kUpdated, "command").detail = Bounded(command.text);
  return {};
}

// A fact that a person states: criteria, guards, raises and roles read it as they read a rule's tags.
Refused Tag(CaseContext& ctx, const Command& command) {
  auto& tags = ctx.c.tags;
  const auto at = std::lower_bound(tags.begin(), tags.end(), command.name);
  if (at != tags.end() && *at == command.name) {
    return Refuse(Refusal::kNothingToChange, "the case has the tag '" + command.name + "' already");
  }
  if (tags.size() >= kMaxTechniques) {
    return Refuse(Refusal::kTooMany, "a case has at most " + std::to_string(kMaxTechniques) + " tags");
  }
  tags.insert(at, command.name);
  AddToTimeline(ctx, "tagged", command.actor, command.name + (command.reason.empty() ? "" : ": " + command.reason));
  StandingChanged(ctx);
  return {};
}

Refused Untag(CaseContext& ctx, const Command& command) {
  if (std::erase(ctx.c.tags, command.name) == 0) {
    return Refuse(Refusal::kNothingToChange, "the case has no tag '" + command.name + "'");
  }
  AddToTimeline(ctx, "untagged", command.actor, command.name + (command.reason.empty() ? "" : ": " + command.reason));
  StandingChanged(ctx);
  return {};
}

Refused FollowUpDone(CaseContext& ctx, const Command& command) {
  if (FinishFollowUp(ctx, command.name, command.actor, command.id)) return {};
  return Refuse(Refusal::kNothingToChange, "no follow-up '" + command.name + "' is owed");
}

Refused EngageRole(CaseContext& ctx, const Command& command) {
  const auto role = ctx.policy.RoleIndex(command.name);
  if (!role) return Refuse(Refusal::kUnknownRole, "the policy engages no role '" + command.name + "'");
  if (Engage(ctx, *role, command.reason, command.actor, command.id)) return {};
  return Refuse(Refusal::kNothingToChange, "'" + command.name + "' takes part already");
}

Refused DisengageRole(CaseContext& ctx, const Command& command) {
  if (Disengage(ctx, command.name, command.reason, command.actor, command.id)) return {};
  return Refuse(Refusal::kNothingToChange, "'" + command.name + "' takes no part");
}

Refused AcceptRole(CaseContext& ctx, const Command& command) {
  if (AcceptHandoff(ctx, command.name, command.actor, command.id)) return {};
  return Refuse(Refusal::kNothingToChange, "no hand-off of '" + command.name + "' waits to be accepted");
}

Refused Undo(CaseContext& ctx, const Command& command, Surroundings* around) {
  if (ctx.c.undo.action.empty()) return Refuse(Refusal::kNothingToChange, "there is nothing to take back");
  if (ctx.c.undo.action == Name(CommandAction::kSplit)) {
    if (auto refused = JoinAgain(ctx, command, around)) return refused;
  }
  TakeBack(ctx, command, around);
  return {};
}

Refused Merge(CaseContext& ctx, const Command& command, Surroundings* around) {
  const UndoState before = ctx.c.undo;
  RememberForUndo(ctx, command);
  ctx.c.undo.other_case = command.into;
  auto refused = MergeAway(ctx, command, around);
  if (refused) ctx.c.undo = before;
  return refused;
}

// One case alone; a silence over all that match is written to the partition (processor).
Refused SilenceCase(CaseContext& ctx, const Command& command) {
  if (command.expire) {
    if (ctx.c.silenced_by != command.name) {
      return Refuse(Refusal::kNothingToChange, "the case is not under silence '" + command.name + "'");
    }
    BreakSilence(ctx, "taken back by " + command.actor);
  } else if (*command.until <= ctx.now) {
    return Refuse(Refusal::kNothingToChange, "'until' has passed");
  } else {
    Silence(ctx, command.name, *command.until, command.reason + ", by " + command.actor);
  }
  StandingChanged(ctx);
  return {};
}

Refused Dispatch(CaseContext& ctx, const Command& command, Surroundings* around) {
  switch (command.action) {
    case CommandAction::kAck: return Ack(ctx, command);
    case CommandAction::kAssign: return Assign(ctx, command);
    case CommandAction::kVerdict: return SetVerdict(ctx, command);
    case CommandAction::kSetSeverity: return SetSeverity(ctx, command);
    case CommandAction::kEscalate: return EscalateByHand(ctx, command);
    case CommandAction::kDeescalate: return DeescalateByHand(ctx, command);
    case CommandAction::kNote: return Note(ctx, command);
    case CommandAction::kClassify: return Classify(ctx, command);
    case CommandAction::kWait: return Pause(ctx, command, CaseStatus::kWaitingForInfo);
    case CommandAction::kHold: return Pause(ctx, command, CaseStatus::kOnHold);
    case CommandAction::kResume: return Resume(ctx, command);
    case CommandAction::kResolve: return Resolve(ctx, command);
    case CommandAction::kConfirm: return Confirm(ctx, command);
    case CommandAction::kClose: return Close(ctx, command, "command");
    case CommandAction::kReopen: return ReopenByHand(ctx, command);
    case CommandAction::kContain: return Contain(ctx, command);
    case CommandAction::kUpdate: return Update(ctx, command);
    case CommandAction::kFollowUp: return FollowUpDone(ctx, command);
    case CommandAction::kEngage: return EngageRole(ctx, command);
    case CommandAction::kDisengage: return DisengageRole(ctx, command);
    case CommandAction::kAcceptHandoff: return AcceptRole(ctx, command);
    case CommandAction::kUndo: return Undo(ctx, command, around);
    case CommandAction::kMerge: return Merge(ctx, command, around);
    case CommandAction::kSplit: return SplitOff(ctx, command, around);
    case CommandAction::kSilence: return SilenceCase(ctx, command);
    case CommandAction::kTag: return Tag(ctx, command);
    case CommandAction::kUntag: return Untag(ctx, command);
  }
  return {};
}

Refused CheckAllowed(const CaseContext& ctx, const Command& command) {
  const Case& c = ctx.c;
  if (command.expected_version && *command.expected_version != c.version) {
    return Refuse(Refusal::kStaleVersion, "expected version " + std::to_string(*command.expected_version) +
                                              ", the case is at " + std::to_string(c.version) + ": read it again");
  }
  bool permitted = false;
  for (const RolePermissions& role : ctx.policy.roles) {
    permitted |= role.role == command.role && (role.actions >> static_cast<unsigned>(command.action) & 1);
  }
  if (!permitted) {
    return Refuse(Refusal::kNotPermitted, "role '" + command.role + "' may not " + std::string(Name(command.action)) +
                                              " under policy '" + ctx.policy.name + "'");
  }
  if (!(LegalIn(command.action) & Bit(c.status))) {
    return Refuse(Refusal::kIllegalTransition, std::string(Name(command.action)) + " is not possible while the case is " +
                                                   std::string(Name(c.status)));
  }
  return {};
}

}  // namespace

std::string_view Name(Refusal refusal) {
  switch (refusal) {
    case Refusal::kUnknownCase: return "unknown_case";
    case Refusal::kStaleVersion: return "stale_version";
    case Refusal::kNotPermitted: return "not_permitted";
    case Refusal::kIllegalTransition: return "illegal_transition";
    case Refusal::kUnknownLevel: return "unknown_level";
    case Refusal::kUnknownSeverity: return "unknown_severity";
    case Refusal::kUnknownPerson: return "unknown_person";
    case Refusal::kNothingToChange: return "nothing_to_change";
    case Refusal::kUnknownRole: return "unknown_role";
    case Refusal::kUnknownAlert: return "unknown_alert";
    case Refusal::kUnknownField: return "unknown_field";
    case Refusal::kTooMany: return "too_many";
  }
  return "";
}

CaseEvent& EmitFor(CaseContext& ctx, const Command& command, CaseEventType type, std::string reason) {
  CaseEvent& event = Emit(ctx, type, std::move(reason));
  event.actor = command.actor;
  event.command_id = command.id;
  event.detail = Bounded(command.reason);
  return event;
}

std::optional<RefusedCommand> ApplyCommand(CaseContext& ctx, const Command& command, Surroundings* around) {
  if (auto refused = CheckAllowed(ctx, command)) return refused;
  // Acted() before: what follows may restart clocks from here. A refusal takes it back, it changed nothing else.
  Case& c = ctx.c;
  const Timestamp last_action = c.last_action_at;
  const Timestamp updated = c.updated_at;
  const Clock receipt = ClockOf(c, ClockKind::kReceipt);
  Acted(ctx);
  auto refused = Dispatch(ctx, command, around);
  if (refused) {
    c.last_action_at = last_action;
    c.updated_at = updated;
    ClockOf(c, ClockKind::kReceipt) = receipt;
  }
  return refused;
}

}  // namespace triaged
