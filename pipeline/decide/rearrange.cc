#include "pipeline/decide/rearrange.h"

#include <algorithm>
#include <set>

#include "pipeline/decide/absorb.h"
#include "pipeline/decide/beside.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/decide/merge.h"
#include "pipeline/decide/undo.h"

namespace triaged {
namespace {

using Refused = std::optional<RefusedCommand>;

constexpr std::string_view kThrough = "through";

// Stands for an answer in a step that is discarded: the store commits none in which a read failed (case_store.h).
RefusedCommand StoreFailed(const Error& error) { return {Refusal::kUnknownCase, error.message}; }

// Whether `target` can take the content of a case of `policy`.
Refused CheckTarget(const Case& target, const std::string& policy) {
  const std::string id = ToString(target.id);
  if (target.policy != policy) {
    return RefusedCommand{Refusal::kIllegalTransition, id + " belongs to another policy, '" + target.policy + "'"};
  }
  if (!IsActive(target)) {
    return RefusedCommand{Refusal::kIllegalTransition,
                          id + " is " + std::string(Name(target.status)) + ": reopen it first"};
  }
  if (target.merged_from.size() >= kMaxMergedCases) {
    return RefusedCommand{Refusal::kTooMany, id + " holds " + std::to_string(kMaxMergedCases) + " merged cases already"};
  }
  return {};
}

// What the target gains, and what it says about it.
Status TakeContent(CaseContext& target, const Case& from, const Message& who, CaseStore* store) {
  if (Status absorbed = Absorb(target, from, store); !absorbed) return absorbed;
  target.c.merged_from.push_back(ToString(from.id));
  AddToTimeline(target, "merged", who.actor, "content of " + ToString(from.id) + ": " + who.reason);
  CaseEvent& event = Emit(target, CaseEventType::kMerged, "from " + ToString(from.id));
  event.actor = who.actor;
  event.command_id = who.command_id;
  event.detail = Bounded(who.reason);
  AskCase(target);
  return {};
}

Message MessageOf(MessageKind kind, const Case& c, CaseId to, const Command& command) {
  Message message;
  message.kind = kind;
  message.partition = to.partition;
  message.from = c.id;
  message.to = to;
  message.command_id = command.id;
  message.actor = command.actor;
  message.reason = Bounded(command.reason);
  return message;
}

// The content, and after it the bytes of its evidence. What only this case's own life is about stays here.
Status SendContent(const Case& c, CaseId into, const Command& command, Surroundings* around) {
  Case content = c;
  content.timeline.clear();
  content.escalations.clear();
  content.follow_ups.clear();
  content.roles.clear();
  content.undo = UndoState{};
  Message merge = MessageOf(MessageKind::kMerge, c, into, command);
  merge.payload = around->store->Pack(content);
  around->messages.push_back(std::move(merge));
  for (const Evidence& evidence : c.evidence) {
    if (!evidence.raw_slot) continue;
    auto raw = around->store->GetEvidenceRaw(c.id, *evidence.raw_slot);
    if (!raw) return raw.error();
    if (!*raw) continue;
    Message bytes = MessageOf(MessageKind::kEvidence, c, into, command);
    bytes.text = evidence.alert_id;
    bytes.number = evidence.offset;
    bytes.payload = std::move(**raw);
    around->messages.push_back(std::move(bytes));
  }
  return {};
}

Refused MergeHere(CaseContext& ctx, CaseId into, const Command& command, Surroundings* around) {
  if (into == ctx.c.id) return RefusedCommand{Refusal::kNothingToChange, "a case cannot be merged into itself"};
  auto found = around->Find(into);
  if (!found) return StoreFailed(found.error());
  if (!*found) return RefusedCommand{Refusal::kUnknownCase, "there is no case " + command.into};
  if (auto refused = CheckTarget(**found, ctx.c.policy)) return refused;
  ChangedCase changed{*found, {}};
  CaseContext other{ctx.policy, **found, ctx.now, changed.events};
  const Message who = MessageOf(MessageKind::kMerge, ctx.c, into, command);
  if (Status taken = TakeContent(other, ctx.c, who, around->store); !taken) return StoreFailed(taken.error());
  around->others.push_back(std::move(changed));
  return {};
}

Refused MergeThere(CaseContext& ctx, CaseId into, const Command& command, Surroundings* around) {
  if (into.partition < 0 || into.partition >= around->partitions) {
    return RefusedCommand{Refusal::kUnknownCase, "there is no case " + command.into + ": partitions are 0 to " +
                                                     std::to_string(around->partitions - 1)};
  }
  if (Status sent = SendContent(ctx.c, into, command, around); !sent) {
    around->messages.clear();  // a refusal changes nothing
    return StoreFailed(sent.error());
  }
  return {};
}

// Tells message.to, wherever it is kept, that it loses what message.from brought.
void Separate(CaseContext& ctx, Message message, Surroundings* around) {
  if (message.to.partition != ctx.c.id.partition) return around->messages.push_back(std::move(message));
  auto found = around->Find(message.to);
  if (!found || !*found) return;
  ChangedCase changed{*found, {}};
  CaseContext other{ctx.policy, **found, ctx.now, changed.events};
  TakeSeparated(other, message, around);
  around->others.push_back(std::move(changed));
}

// Its content is in `into` from now on.
void CloseAsMerged(CaseContext& ctx, const std::string& into, const Command& command) {
  Case& c = ctx.c;
  if (IsActive(c)) {
    StopAllDeadlines(ctx);
    c.status = CaseStatus::kClosed;
    c.resolved_at = c.closed_at = ctx.now;
  }
  c.merged_into = into;
  c.resolution = "merged_into " + into;
  AddToTimeline(ctx, "merged", command.actor, "into " + into + ": " + command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kMerged, "into " + into);
  ReleaseRoles(ctx, "merged");
}

// Tells the case that c's content went into that it loses it again.
void LeaveTarget(CaseContext& ctx, CaseId target, Surroundings* around) {
  Message message;
  message.kind = MessageKind::kSeparate;
  message.partition = target.partition;
  message.from = ctx.c.id;
  message.to = target;
  message.number = static_cast<int64_t>(ctx.c.alert_count);
  message.second = static_cast<int64_t>(ctx.c.suppressed_count);
  Separate(ctx, std::move(message), around);
}

// Tells the cases that were merged into ctx.c that this alert is no longer theirs: a merge taken back would count it twice.
void TellSources(CaseContext& ctx, const Evidence& evidence, Surroundings* around) {
  for (const std::string& name : ctx.c.merged_from) {
    const auto id = ParseCaseId(name);
    if (!id) continue;
    Message message;
    message.kind = MessageKind::kSplitOff;
    message.partition = id->partition;
    message.from = ctx.c.id;
    message.to = *id;
    message.text = evidence.alert_id;
    message.number = evidence.offset;
    if (id->partition != ctx.c.id.partition) {
      around->messages.push_back(std::move(message));
      continue;
    }
    const auto found = around->Find(*id);
    if (!found || !*found) continue;
    ChangedCase changed{*found, {}};
    CaseContext other{ctx.policy, **found, ctx.now, changed.events};
    TakeSplitOff(other, message, around);
    if (other.standing_changed) around->others.push_back(std::move(changed));
  }
}

// Whether the merges of this partition lead from `c` to `to`.
bool LeadsTo(const Case& c, CaseId to, const Surroundings& around) {
  auto next = ParseCaseId(c.merged_into);
  for (size_t step = 0; next && step < kMaxMergedCases; ++step) {
    if (*next == to) return true;
    const auto found = next->partition == to.partition ? around.Find(*next) : Result<Case*>(nullptr);
    next = found && *found ? ParseCaseId((*found)->merged_into) : std::nullopt;
  }
  return false;
}

// Whether the split-off case `made` can give its alerts back to `c`.
Refused CheckJoin(const Case& c, const Case& made, const Surroundings& around) {
  if (auto refused = CheckTarget(c, made.policy)) return refused;
  const std::string id = ToString(made.id);
  if (LeadsTo(made, c.id, around)) {
    return RefusedCommand{Refusal::kNothingToChange, id + " was merged into this case already"};
  }
  if (!IsActive(made) && made.merged_into.empty()) {
    return RefusedCommand{Refusal::kIllegalTransition, id + " is " + std::string(Name(made.status)) +
                                                           ", what was decided of its alerts stands: reopen it first"};
  }
  return {};
}

}  // namespace

Refused MergeAway(CaseContext& ctx, const Command& command, Surroundings* around) {
  const CaseId into = *ParseCaseId(command.into);
  const bool here = into.partition == ctx.c.id.partition;
  if (auto refused = (here ? MergeHere : MergeThere)(ctx, into, command, around)) return refused;
  CloseAsMerged(ctx, command.into, command);
  return {};
}

void SeparateAgain(CaseContext& ctx, const UndoState& undo, Surroundings* around) {
  ctx.c.merged_into.clear();
  if (const auto target = ParseCaseId(undo.other_case)) LeaveTarget(ctx, *target, around);
}

Refused SplitOff(CaseContext& ctx, const Command& command, Surroundings* around) {
  Case& c = ctx.c;
  std::set<size_t> moved;  // places in the case's evidence
  for (const std::string& alert : command.alerts) {
    const auto at =
        std::find_if(c.evidence.begin(), c.evidence.end(), [&](const Evidence& e) { return e.alert_id == alert; });
    if (at == c.evidence.end()) {
      return RefusedCommand{Refusal::kUnknownAlert, "alert '" + alert + "' is not among the case's kept evidence"};
    }
    moved.insert(static_cast<size_t>(at - c.evidence.begin()));
  }
  if (moved.size() >= c.alert_count) {
    return RefusedCommand{Refusal::kNothingToChange, "these are all alerts of the case: nothing would stay"};
  }
  RememberForUndo(ctx, command);
  Case fresh;
  fresh.id = {c.id.partition, (*around->next_case)++};
  c.undo.other_case = ToString(fresh.id);
  fresh.key = c.key + "/split-" + std::to_string(fresh.id.sequence);
  fresh.policy = c.policy;
  fresh.severity = c.severity;
  fresh.team = ctx.policy.levels.front().team;
  fresh.opened_at = ctx.now;
  fresh.previous_case = ToString(c.id);
  Case* made = around->store->Insert(std::move(fresh));
  ChangedCase changed{made, {}};
  CaseContext other{ctx.policy, *made, ctx.now, changed.events};
  StartEpisode(other);
  for (const size_t i : moved) {
    const Evidence& evidence = c.evidence[i];
    if (Status added = AddEvidence(c, evidence, around->store, made); !added) return StoreFailed(added.error());
    made->max_score = std::max(made->max_score, evidence.score);
    made->first_seen = made->alert_count == 0 ? evidence.event_time : std::min(made->first_seen, evidence.event_time);
    made->last_seen = std::max(made->last_seen, evidence.event_time);
    ++made->alert_count;
  }
  // Its evidence goes along, so that an alert is split off once; from the cases that had brought it, too.
  for (auto i = moved.rbegin(); i != moved.rend(); ++i) {
    TellSources(ctx, c.evidence[*i], around);
    c.evidence.erase(c.evidence.begin() + static_cast<std::ptrdiff_t>(*i));
  }
  c.alert_count -= made->alert_count;
  AddToTimeline(other, "opened", command.actor, "split from " + ToString(c.id) + ": " + command.reason);
  StandingChanged(other);
  EmitFor(other, command, CaseEventType::kOpened, "split");
  AddToTimeline(ctx, "split", command.actor,
                std::to_string(moved.size()) + " alerts to " + ToString(made->id) + ": " + command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kSplit, "to " + ToString(made->id));
  around->others.push_back(std::move(changed));
  return {};
}

Refused JoinAgain(CaseContext& ctx, const Command& command, Surroundings* around) {
  Case& c = ctx.c;
  const auto id = ParseCaseId(c.undo.other_case);
  auto found = id ? around->Find(*id) : Result<Case*>(nullptr);
  if (!found) return StoreFailed(found.error());
  if (!*found) return RefusedCommand{Refusal::kUnknownCase, "there is no case " + c.undo.other_case + " any more"};
  Case& made = **found;
  if (auto refused = CheckJoin(c, made, *around)) return refused;
  ChangedCase changed{*found, {}};
  CaseContext other{ctx.policy, made, ctx.now, changed.events};
  if (const auto target = ParseCaseId(made.merged_into)) {
    LeaveTarget(other, *target, around);
  } else {
    RememberForUndo(other, command);
    made.undo.action = std::string(Name(CommandAction::kMerge));
  }
  if (Status absorbed = Absorb(ctx, made, around->store); !absorbed) return StoreFailed(absorbed.error());
  c.merged_from.push_back(ToString(made.id));
  // From here on it is a merge, which can be taken back in turn.
  made.undo.other_case = ToString(c.id);
  made.undo.command_id = command.id;
  CloseAsMerged(other, ToString(c.id), command);
  around->others.push_back(std::move(changed));
  ctx.facts_changed = true;
  return {};
}

// ---- messages from other partitions -------------------------------------------------------------------------------

void RefuseMerged(const Message& message, Refusal refusal, const std::string& why, Surroundings* around) {
  Message answer = message;
  answer.kind = MessageKind::kMergeRefused;
  answer.partition = message.from.partition;
  answer.from = message.to;
  answer.to = message.from;
  answer.reason = std::string(Name(refusal));
  answer.text = why;
  answer.payload.clear();
  around->messages.push_back(std::move(answer));
}

void TakeMerged(CaseContext& ctx, const Message& message, const Case& content, Surroundings* around) {
  if (const auto refused = CheckTarget(ctx.c, content.policy)) {
    return RefuseMerged(message, refused->refusal, refused->message, around);
  }
  if (Status taken = TakeContent(ctx, content, message, around->store); !taken) {
    RefuseMerged(message, Refusal::kUnknownCase, taken.error().message, around);
  }
}

void TakeEvidence(CaseContext& ctx, const Message& message, CaseStore* store) {
  auto& list = ctx.c.evidence;
  constexpr size_t kKept = kMaxEvidence - kLatestEvidence;
  for (size_t i = 0; i < std::min(list.size(), kKept); ++i) {
    Evidence& evidence = list[i];
    if (evidence.raw_slot || evidence.alert_id != message.text || evidence.offset != message.number) continue;
    evidence.raw_slot = FreeRawSlot(list);
    if (!evidence.raw_slot) return;
    return store->PutEvidenceRaw(ctx.c.id, *evidence.raw_slot, message.payload);
  }
}

void TakeMergeRefused(CaseContext& ctx, const Message& message, Surroundings* around) {
  Case& c = ctx.c;
  CaseEvent& event = Emit(ctx, CaseEventType::kCommandRefused, message.reason);
  event.actor = message.actor;
  event.command_id = message.command_id;
  event.detail = Bounded(message.text);
  // Taken back or reopened meanwhile: nothing is left to restore.
  if (c.merged_into != ToString(message.from) || c.undo.command_id != message.command_id) return;
  Command undo;
  undo.action = CommandAction::kUndo;
  undo.id = message.command_id;
  undo.reason = message.text;
  c.undo.other_case.clear();  // there is nothing to separate from
  TakeBack(ctx, undo, around);
}

void TakeSplitOff(CaseContext& ctx, const Message& message, Surroundings* around) {
  Case& c = ctx.c;
  if (c.merged_into != ToString(message.from)) return;  // taken back meanwhile: the alert counts here again
  const auto at = std::find_if(c.evidence.begin(), c.evidence.end(), [&](const Evidence& one) {
    return one.alert_id == message.text && one.offset == message.number;
  });
  if (at == c.evidence.end()) return;
  const Evidence gone = *at;
  c.evidence.erase(at);
  c.alert_count -= std::min<uint64_t>(c.alert_count, 1);
  AddToTimeline(ctx, "split", "", "alert " + message.text + " was split off from " + ToString(message.from));
  StandingChanged(ctx);
  TellSources(ctx, gone, around);
}

void TakeSeparated(CaseContext& ctx, const Message& message, Surroundings* around) {
  Case& c = ctx.c;
  const auto held = std::find(c.merged_from.begin(), c.merged_from.end(), ToString(message.from));
  if (held == c.merged_from.end()) return;
  // `from` itself stays where it is when only what went through it is taken out.
  if (message.text != kThrough) c.merged_from.erase(held);
  // What was seen together cannot be told apart again; the counts can.
  c.alert_count -= std::min(c.alert_count, static_cast<uint64_t>(message.number));
  c.suppressed_count -= std::min(c.suppressed_count, static_cast<uint64_t>(message.second));
  AddToTimeline(ctx, "undone", "", "the merge of " + ToString(message.from) + "; its evidence stays here, too");
  StandingChanged(ctx);
  Emit(ctx, CaseEventType::kUndone, "merge");
  const auto further = ParseCaseId(c.merged_into);
  if (!further) return;
  Message on = message;
  on.from = c.id;
  on.to = *further;
  on.partition = further->partition;
  on.text = std::string(kThrough);
  Separate(ctx, std::move(on), around);
}

}  // namespace triaged
