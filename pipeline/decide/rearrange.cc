#include "pipeline/decide/rearrange.h"

#include <algorithm>

#include "pipeline/decide/beside.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/decide/merge.h"

namespace triaged {
namespace {

using Refused = std::optional<RefusedCommand>;

// Adds what is not there yet, while there is room.
void AddTexts(const std::vector<std::string>& from, size_t limit, bool sorted, std::vector<std::string>* to) {
  for (const std::string& text : from) {
    if (std::find(to->begin(), to->end(), text) != to->end() || to->size() >= limit) continue;
    to->insert(sorted ? std::lower_bound(to->begin(), to->end(), text) : to->end(), text);
  }
}

void AddSketch(const DistinctSketch& from, DistinctSketch* to) {
  for (uint64_t hash : from.hashes()) to->Add(hash);
}

void AddObserved(const Case& from, Case* to) {
  to->observed_dropped += from.observed_dropped;
  for (const Observed& seen : from.observed) {
    auto begin = std::find_if(to->observed.begin(), to->observed.end(),
                              [&](const Observed& o) { return o.field >= seen.field; });
    auto end = std::find_if(begin, to->observed.end(), [&](const Observed& o) { return o.field != seen.field; });
    const auto same = std::find_if(begin, end, [&](const Observed& o) { return o.value == seen.value; });
    if (same != end) {
      same->count += seen.count;
    } else if (static_cast<size_t>(end - begin) >= kMaxObservedPerField) {
      ++to->observed_dropped;
    } else {
      to->observed.insert(end, seen);
    }
  }
}

// A copy of one piece of evidence, with its bytes where there is room for them.
Status AddEvidence(const Case& from, const Evidence& evidence, CaseStore* store, Case* to) {
  if (to->evidence.size() >= kMaxEvidence) {
    ++to->evidence_dropped;
    return {};
  }
  Evidence copy = evidence;
  copy.raw_slot.reset();
  if (evidence.raw_slot && to->evidence.size() < kMaxEvidence - kLatestEvidence) {
    auto raw = store->GetEvidenceRaw(from.id, *evidence.raw_slot);
    if (!raw) return raw.error();
    copy.raw_slot = static_cast<uint8_t>(to->evidence.size());
    store->PutEvidenceRaw(to->id, *copy.raw_slot, raw->value_or(std::string()));
  }
  to->evidence.push_back(std::move(copy));
  return {};
}

void AddNotes(const Case& from, Case* to) {
  for (const TimelineEntry& note : from.notes) {
    if (to->notes.size() >= kMaxNotes) to->notes.erase(to->notes.begin());
    to->notes.push_back(note);
  }
  std::stable_sort(to->notes.begin(), to->notes.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
}

void AddVotes(const Case& from, Case* to) {
  for (const RuleVote& vote : from.votes) {
    const auto same =
        std::find_if(to->votes.begin(), to->votes.end(), [&](const auto& v) { return v.rule_id == vote.rule_id; });
    if (same != to->votes.end()) {
      same->hits += vote.hits;
    } else if (to->votes.size() < kMaxCaseRules) {
      to->votes.push_back(vote);
    }
  }
}

Status Absorb(CaseContext& target, const Case& from, CaseStore* store) {
  Case& c = target.c;
  if (from.alert_count > 0) {
    c.first_seen = c.alert_count > 0 ? std::min(c.first_seen, from.first_seen) : from.first_seen;
    c.last_seen = std::max(c.last_seen, from.last_seen);
  }
  c.alert_count += from.alert_count;
  c.suppressed_count += from.suppressed_count;
  c.max_score = std::max(c.max_score, from.max_score);
  AddSketch(from.hosts, &c.hosts), AddSketch(from.users, &c.users);
  AddSketch(from.source_addresses, &c.source_addresses), AddSketch(from.techniques_seen, &c.techniques_seen);
  AddTexts(from.sources, kMaxSources, true, &c.sources);
  AddTexts(from.techniques, kMaxTechniques, true, &c.techniques);
  AddTexts(from.tactics, kMaxTechniques, true, &c.tactics);
  AddTexts(from.tags, kMaxTechniques, true, &c.tags);
  AddTexts(from.requests, kMaxSources, false, &c.requests);
  AddObserved(from, &c);
  AddVotes(from, &c);
  AddNotes(from, &c);
  c.evidence_dropped += from.evidence_dropped;
  for (const Evidence& evidence : from.evidence) {
    if (Status added = AddEvidence(from, evidence, store, &c); !added) return added;
  }
  if (c.classification.empty()) c.classification = from.classification;
  RaiseSeverity(target, from.severity, "merged");
  RecomputeVerdict(target);
  StandingChanged(target);
  return {};
}

RefusedCommand StoreFailed(const Error& error) { return {Refusal::kUnknownCase, error.message}; }

CaseEvent& EmitFor(CaseContext& ctx, const Command& command, CaseEventType type, std::string reason) {
  CaseEvent& event = Emit(ctx, type, std::move(reason));
  event.actor = command.actor;
  event.command_id = command.id;
  event.detail = Bounded(command.reason);
  return event;
}

Refused CheckTarget(const CaseContext& ctx, const Command& command, const Case* target) {
  if (!target) return RefusedCommand{Refusal::kUnknownCase, "there is no case " + command.into};
  if (target == &ctx.c) return RefusedCommand{Refusal::kNothingToChange, "a case cannot be merged into itself"};
  if (target->policy != ctx.c.policy) {
    return RefusedCommand{Refusal::kIllegalTransition,
                          command.into + " belongs to another policy, '" + target->policy + "'"};
  }
  if (!IsActive(*target)) {
    return RefusedCommand{Refusal::kIllegalTransition,
                          command.into + " is " + std::string(Name(target->status)) + ": reopen it first"};
  }
  return {};
}

}  // namespace

Refused MergeAway(CaseContext& ctx, const Command& command, Rearranger* rearranger) {
  Case& c = ctx.c;
  const CaseId into = *ParseCaseId(command.into);
  if (into.partition != c.id.partition) {
    return RefusedCommand{Refusal::kOtherPartition, command.into + " is kept in partition " +
                                                        std::to_string(into.partition) +
                                                        ": link it with a note, and close this one"};
  }
  auto found = rearranger->store->Find(into);
  if (!found) return StoreFailed(found.error());
  if (auto refused = CheckTarget(ctx, command, *found)) return refused;
  Case* target = *found;
  ChangedCase changed{target, {}};
  CaseContext other{ctx.policy, *target, ctx.now, changed.events};
  if (Status absorbed = Absorb(other, c, rearranger->store); !absorbed) return StoreFailed(absorbed.error());
  if (target->merged_from.size() < kMaxMergedCases) target->merged_from.push_back(ToString(c.id));
  AddToTimeline(other, "merged", command.actor, "content of " + ToString(c.id) + ": " + command.reason);
  EmitFor(other, command, CaseEventType::kMerged, "from " + ToString(c.id));
  AskCase(other);
  rearranger->others.push_back(std::move(changed));

  StopAllDeadlines(ctx);
  c.status = CaseStatus::kClosed;
  c.resolved_at = c.closed_at = ctx.now;
  c.merged_into = command.into;
  c.resolution = "merged_into " + command.into;
  AddToTimeline(ctx, "merged", command.actor, "into " + command.into + ": " + command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kMerged, "into " + command.into);
  ReleaseRoles(ctx, "merged");
  return {};
}

void SeparateAgain(CaseContext& ctx, const UndoState& undo, Rearranger* rearranger) {
  Case& c = ctx.c;
  c.merged_into.clear();
  const auto id = ParseCaseId(undo.other_case);
  if (!id) return;
  auto found = rearranger->store->Find(*id);
  if (!found || !*found) return;
  Case* target = *found;
  ChangedCase changed{target, {}};
  CaseContext other{ctx.policy, *target, ctx.now, changed.events};
  std::erase(target->merged_from, ToString(c.id));
  // What was seen together cannot be told apart again; the counts can.
  target->alert_count -= std::min(target->alert_count, c.alert_count);
  target->suppressed_count -= std::min(target->suppressed_count, c.suppressed_count);
  AddToTimeline(other, "undone", "", "the merge of " + ToString(c.id) + "; its evidence stays here, too");
  StandingChanged(other);
  Emit(other, CaseEventType::kUndone, "merge");
  rearranger->others.push_back(std::move(changed));
}

Refused SplitOff(CaseContext& ctx, const Command& command, Rearranger* rearranger) {
  Case& c = ctx.c;
  std::vector<const Evidence*> moved;
  for (const std::string& alert : command.alerts) {
    const auto at =
        std::find_if(c.evidence.begin(), c.evidence.end(), [&](const Evidence& e) { return e.alert_id == alert; });
    if (at == c.evidence.end()) {
      return RefusedCommand{Refusal::kUnknownAlert, "alert '" + alert + "' is not among the case's kept evidence"};
    }
    moved.push_back(&*at);
  }
  if (moved.size() >= c.alert_count) {
    return RefusedCommand{Refusal::kNothingToChange, "these are all alerts of the case: nothing would stay"};
  }
  Case fresh;
  fresh.id = {c.id.partition, (*rearranger->next_case)++};
  fresh.key = c.key + "/split-" + std::to_string(fresh.id.sequence);
  fresh.policy = c.policy;
  fresh.severity = c.severity;
  fresh.team = ctx.policy.levels.front().team;
  fresh.opened_at = ctx.now;
  fresh.previous_case = ToString(c.id);
  Case* made = rearranger->store->Insert(std::move(fresh));
  ChangedCase changed{made, {}};
  CaseContext other{ctx.policy, *made, ctx.now, changed.events};
  StartEpisode(other);
  for (const Evidence* evidence : moved) {
    if (Status added = AddEvidence(c, *evidence, rearranger->store, made); !added) return StoreFailed(added.error());
    made->max_score = std::max(made->max_score, evidence->score);
    made->first_seen = made->alert_count == 0 ? evidence->event_time : std::min(made->first_seen, evidence->event_time);
    made->last_seen = std::max(made->last_seen, evidence->event_time);
    ++made->alert_count;
  }
  c.alert_count -= made->alert_count;
  AddToTimeline(other, "opened", command.actor, "split from " + ToString(c.id) + ": " + command.reason);
  StandingChanged(other);
  EmitFor(other, command, CaseEventType::kOpened, "split");
  AddToTimeline(ctx, "split", command.actor,
                std::to_string(moved.size()) + " alerts to " + ToString(made->id) + ": " + command.reason);
  StandingChanged(ctx);
  EmitFor(ctx, command, CaseEventType::kSplit, "to " + ToString(made->id));
  rearranger->others.push_back(std::move(changed));
  return {};
}

}  // namespace triaged
