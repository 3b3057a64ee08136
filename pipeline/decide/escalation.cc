#include "pipeline/decide/escalation.h"

#include <algorithm>

#include "pipeline/base/check.h"
#include "pipeline/decide/beside.h"
#include "pipeline/decide/case_view.h"
#include "pipeline/decide/clocks.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/decide/holds.h"
#include "pipeline/decide/storm.h"

namespace triaged {
namespace {

// What the receiver is asked to do: the escalation's own words, else what the rules that fired ask.
std::string RequestFor(const CaseContext& ctx, const Escalation& escalation) {
  std::string request = escalation.requested;
  for (const std::string& wanted : ctx.c.requests) {
    if (request.find(wanted) != std::string::npos) continue;
    if (!request.empty()) request += "; ";
    request += wanted;
  }
  return Bounded(request);
}

void AssignOnShift(CaseContext& ctx, EscalationRecord* record) {
  Case& c = ctx.c;
  const LevelSpec& level = ctx.policy.levels[c.level];
  const OnShift on_shift = ctx.policy.roster->At(level.team, ctx.now);
  c.team = on_shift.team.empty() ? level.team : on_shift.team;
  c.assignee = on_shift.person;
  if (!record) return;
  record->to_team = c.team;
  record->to_assignee = c.assignee;
  record->nobody_on_shift = on_shift.person.empty() || on_shift.fell_back;
}

// Keeps the record, says so in the timeline and to the world.
void Announce(CaseContext& ctx, const Escalation& escalation, EscalationRecord record, std::string text) {
  Case& c = ctx.c;
  const uint8_t from = record.from_level;
  if (c.escalations.size() >= kMaxEscalations) c.escalations.erase(c.escalations.begin());
  c.escalations.push_back(std::move(record));
  ++c.escalation_count;
  AddToTimeline(ctx, "escalated", escalation.actor, std::move(text));
  StandingChanged(ctx);
  CaseEvent& event = Emit(ctx, CaseEventType::kEscalated, c.escalations.back().reason);
  event.level_from = from;
  event.actor = escalation.actor;
  event.command_id = escalation.command_id;
  event.escalation = c.escalations.size() - 1;
}

// Tells the level that has the case already: level, owner and deadlines stay, the acknowledge clock starts again.
void EscalateAgain(CaseContext& ctx, const Escalation& escalation) {
  Case& c = ctx.c;
  EscalationRecord record;
  record.at = ctx.now;
  record.from_level = record.to_level = c.level;
  record.kind = escalation.kind;
  record.reason = Bounded(escalation.reason);
  record.requested = RequestFor(ctx, escalation);
  record.from_assignee = record.to_assignee = c.assignee;
  record.to_team = c.team;
  record.rule_id = escalation.rule_id.empty() ? LeadingRule(c) : escalation.rule_id;
  StartAcknowledgeClock(ctx);
  if (ctx.policy.repeat_interval > Duration{0}) c.next_repeat = ctx.now + ctx.policy.repeat_interval;
  std::string text = "once more to " + ctx.policy.levels[c.level].name + ": " + record.reason;
  Announce(ctx, escalation, std::move(record), std::move(text));
  CountForStorm(ctx, escalation.rule_id);
}

}  // namespace

std::string LeadingRule(const Case& c) {
  const RuleVote* best = nullptr;
  for (const RuleVote& vote : c.votes) {
    if (vote.verdict != c.verdict) continue;
    if (!best || vote.confidence > best->confidence) best = &vote;
  }
  return best ? best->rule_id : std::string();
}

void Escalate(CaseContext& ctx, const Escalation& escalation) {
  Case& c = ctx.c;
  TRIAGED_CHECK(escalation.to_level > c.level && escalation.to_level < ctx.policy.levels.size() && IsActive(c));
  EscalationRecord record;
  record.at = ctx.now;
  record.from_level = c.level;
  record.to_level = escalation.to_level;
  for (uint8_t level = c.level + 1; level < escalation.to_level; ++level) record.passed.push_back(level);
  record.kind = escalation.kind;
  record.reason = Bounded(escalation.reason);
  record.requested = RequestFor(ctx, escalation);
  record.from_assignee = escalation.actor.empty() ? c.assignee : escalation.actor;
  record.rule_id = escalation.rule_id.empty() ? LeadingRule(c) : escalation.rule_id;

  EndPause(ctx);
  BeginAtLevel(ctx, escalation.to_level);
  for (uint8_t level = 0; level <= c.level; ++level) c.level_due[level] = Timestamp{};
  if (ctx.policy.matrix_since == MatrixSince::kLevelEntered) ArmMatrix(ctx, ctx.now);
  c.status = *ParseCaseStatus(ctx.policy.escalated_status);
  AssignOnShift(ctx, &record);
  ClearHold(ctx);
  StartAcknowledgeClock(ctx);
  RestartLevelClocks(ctx);
  if (ctx.policy.repeat_interval > Duration{0}) c.next_repeat = ctx.now + ctx.policy.repeat_interval;

  std::string text = "to " + ctx.policy.levels[c.level].name + ": " + record.reason +
                     (record.nobody_on_shift ? " (nobody on shift, fell back)" : "");
  Announce(ctx, escalation, std::move(record), std::move(text));
  AddFollowUps(ctx, FollowUpOn::kEscalated);
  if (escalation.kind != EscalationKind::kManual) CountForStorm(ctx, escalation.rule_id);
}

void Deescalate(CaseContext& ctx, uint8_t to_level, const std::string& reason, const std::string& actor,
                const std::string& command_id) {
  Case& c = ctx.c;
  TRIAGED_CHECK(to_level < c.level && IsActive(c));
  const uint8_t from = c.level;
  BeginAtLevel(ctx, to_level);
  c.status = CaseStatus::kInProgress;
  c.next_repeat = Timestamp{};
  AssignOnShift(ctx, nullptr);
  // A person moved it down knowingly: the level it left is reached again by time only from now on.
  EndPause(ctx);
  ArmMatrix(ctx, ctx.now);
  RestartLevelClocks(ctx);
  AddToTimeline(ctx, "deescalated", actor, "to " + ctx.policy.levels[to_level].name + ": " + reason);
  StandingChanged(ctx);
  CaseEvent& event = Emit(ctx, CaseEventType::kDeescalated, "manual");
  event.detail = Bounded(reason);
  event.level_from = from;
  event.actor = actor;
  event.command_id = command_id;
}

namespace {

bool HasFired(const Case& c, const Criterion& criterion) {
  return std::find(c.criteria_fired.begin(), c.criteria_fired.end(), criterion.name) != c.criteria_fired.end();
}

// What makes a level be told again, and holds already when it is told of something else, is told with that.
void MarkToldAgain(CaseContext& ctx, const CaseView& view) {
  for (const Criterion& criterion : ctx.policy.criteria) {
    if (!criterion.again || HasFired(ctx.c, criterion) || !criterion.when->Matches(view.fields())) continue;
    ctx.c.criteria_fired.push_back(criterion.name);
  }
}

uint8_t TargetOf(const Case& c, const Criterion& criterion) {
  const auto wanted = criterion.to_level ? *criterion.to_level : static_cast<uint8_t>(c.level + 1);
  return criterion.again ? std::max(wanted, c.level) : wanted;
}

// The rule without whose tags the criterion would not hold yet; "" when it is not for tags of the alert in hand.
std::string RuleBehind(const CaseContext& ctx, const Criterion& criterion) {
  if (ctx.tagged.empty()) return {};
  Case without = ctx.c;
  for (const auto& [rule, tags] : ctx.tagged) {
    for (const std::string& tag : tags) std::erase(without.tags, tag);
    if (!criterion.when->Matches(CaseView(ctx.policy, without).fields())) return rule->id;
  }
  return {};
}

Escalation EscalationBy(const CaseContext& ctx, const Criterion& criterion) {
  Escalation escalation;
  escalation.to_level = TargetOf(ctx.c, criterion);
  escalation.kind = EscalationKind::kCriterion;
  escalation.reason = criterion.name;
  escalation.requested = criterion.request;
  escalation.rule_id = RuleBehind(ctx, criterion);
  return escalation;
}

void FireCriterion(CaseContext& ctx, const Criterion& criterion, const Escalation& escalation, const CaseView& view) {
  ctx.c.criteria_fired.push_back(criterion.name);
  MarkToldAgain(ctx, view);
  escalation.to_level > ctx.c.level ? Escalate(ctx, escalation) : EscalateAgain(ctx, escalation);
  for (uint8_t role : criterion.engage) Engage(ctx, role, criterion.name, "", "");
}

}  // namespace

void AskCriteria(CaseContext& ctx) {
  Case& c = ctx.c;
  if (!IsActive(c)) return;
  std::optional<CaseView> view;
  const Criterion* first = nullptr;
  const Criterion* bypass = nullptr;
  for (const Criterion& criterion : ctx.policy.criteria) {
    // Behind the first only a bypass matters: what holds that one back does not hold a bypass.
    if (first && !criterion.bypass) continue;
    if (!(criterion.at_levels >> c.level & 1) || HasFired(c, criterion)) continue;
    if (TargetOf(c, criterion) <= c.level && !criterion.again) continue;
    if (!view) view.emplace(ctx.policy, c);
    if (!criterion.when->Matches(view->fields())) continue;
    if (!first) first = &criterion;
    if (criterion.bypass) {
      bypass = &criterion;
      break;
    }
  }
  if (!first) return;
  Escalation escalation = EscalationBy(ctx, *first);
  if (first != bypass) {
    const std::string what = "criterion " + first->name;
    auto hold = HoldOf(ctx, /*guards_too=*/true);
    if (!hold && !bypass) hold = FoldIntoStorm(ctx, escalation.to_level, what, escalation.rule_id);
    if (hold && !bypass) return HoldBack(ctx, *hold, what);
    if (hold) {
      first = bypass;
      escalation = EscalationBy(ctx, *bypass);
    }
  }
  if (first == bypass) BreakSilence(ctx, "bypass " + first->name);
  FireCriterion(ctx, *first, escalation, *view);
}

void AskCase(CaseContext& ctx) {
  Case& c = ctx.c;
  if (IsActive(c) && !ctx.policy.raises.empty()) {
    const CaseView view(ctx.policy, c);
    for (const RaiseSpec& raise : ctx.policy.raises) {
      if (raise.severity < c.severity && raise.when->Matches(view.fields())) RaiseSeverity(ctx, raise.severity, raise.name);
    }
  }
  BreakSilenceByNews(ctx);
  AskCriteria(ctx);
  AskRoles(ctx);
}

void AfterClosing(CaseContext& ctx) {
  AddFollowUps(ctx, FollowUpOn::kClosed);
  ReleaseRoles(ctx, "closed");
}

void RaiseSeverity(CaseContext& ctx, uint8_t severity, std::string_view reason) {
  Case& c = ctx.c;
  c.undo.severity = std::min(c.undo.severity, severity);  // taking a person's severity back is no way below this
  if (severity >= c.severity) return;
  const uint8_t from = c.severity;
  c.severity = severity;
  // What the opening alert says is where the case starts, not an increase.
  if (ctx.now != c.opened_at) c.severity_raised = true;
  PullDeadlinesIn(ctx);
  AddToTimeline(ctx, "severity_changed", "", ctx.policy.severities[from].name + " to " +
                                                 ctx.policy.severities[severity].name + ": " + std::string(reason));
  StandingChanged(ctx);
  CaseEvent& event = Emit(ctx, CaseEventType::kSeverityChanged, std::string(reason));
  event.severity_from = from;
}

void RecomputeVerdict(CaseContext& ctx) {
  Case& c = ctx.c;
  if (!c.verdict_by.empty() && c.verdict_by != "rules") return;
  // Only a stronger vote changes what stands: that is what rules said, or the question that worse news put to an analyst's
  // verdict, and a weaker vote of before would answer it with what was in doubt.
  Verdict verdict = c.verdict;
  const RuleVote* why = nullptr;
  for (const RuleVote& vote : c.votes) {
    if (vote.verdict == Verdict::kNone || vote.verdict < verdict) continue;
    if (vote.verdict > verdict || !why || vote.confidence > why->confidence) {
      verdict = vote.verdict;
      why = &vote;
    }
  }
  if (!why) return;
  const Verdict from = c.verdict;
  if (c.verdict_confidence != why->confidence) ctx.facts_changed = true;
  c.verdict = verdict;
  c.verdict_by = "rules";
  c.verdict_confidence = why->confidence;
  if (from == verdict) return;
  c.verdict_reason = why->reason;
  AddToTimeline(ctx, "verdict_changed", "", std::string(Name(verdict)) + " by rule " + why->title);
  StandingChanged(ctx);
  CaseEvent& event = Emit(ctx, CaseEventType::kVerdictChanged, "rule");
  event.detail = why->reason;
  event.verdict_from = from;
}

void Reopen(CaseContext& ctx, std::string_view reason, std::string_view actor, std::string_view command_id) {
  Case& c = ctx.c;
  ++c.reopen_count;
  c.status = c.level == 0 ? CaseStatus::kOpen : *ParseCaseStatus(ctx.policy.escalated_status);
  c.resolved_at = c.closed_at = Timestamp{};
  c.resolution.clear();
  c.close_rule.clear();
  StartEpisode(ctx);
  if (c.level > 0 && ctx.policy.repeat_interval > Duration{0}) c.next_repeat = ctx.now + ctx.policy.repeat_interval;
  AddToTimeline(ctx, "reopened", actor, reason);
  StandingChanged(ctx);
  CaseEvent& event = Emit(ctx, CaseEventType::kReopened, std::string(reason));
  event.actor = std::string(actor);
  event.command_id = std::string(command_id);
}

}  // namespace triaged
