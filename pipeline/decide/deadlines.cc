#include "pipeline/decide/deadlines.h"

#include <algorithm>

#include "pipeline/decide/beside.h"
#include "pipeline/decide/clocks.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/decide/holds.h"
#include "pipeline/decide/storm.h"

namespace triaged {
namespace {

constexpr Timestamp kNone{};
// The longest pause between two repeats at the top of the ladder, unless the policy's own interval is longer. Ours.
constexpr Duration kLongestRepeat = std::chrono::hours(24);

Timestamp Earlier(Timestamp a, Timestamp b) {
  if (a == kNone) return b;
  if (b == kNone) return a;
  return std::min(a, b);
}

void EmitClockEvent(CaseContext& ctx, CaseEventType type, ClockKind kind) {
  std::string reason(Name(kind));
  CaseEvent& event = Emit(ctx, type, reason + (type == CaseEventType::kSlaBreached ? "_breached" : "_at_risk"));
  event.clock = kind;
  ctx.facts_changed = true;
  AddToTimeline(ctx, Name(type), "", reason + " due " + FormatTimestamp(ClockOf(ctx.c, kind).due));
}

void FireClocks(CaseContext& ctx) {
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const auto kind = static_cast<ClockKind>(i);
    Clock& clock = ctx.c.clocks[i];
    if (clock.state != ClockState::kRunning) continue;
    // A clock that is found past its due time breaches; an at-risk warning would say less, later.
    if (clock.due <= ctx.now && !clock.breached) {
      clock.breached = clock.at_risk_fired = true;
      EmitClockEvent(ctx, CaseEventType::kSlaBreached, kind);
    } else if (!clock.at_risk_fired && AtRiskTime(ctx.policy, ctx.c, kind) <= ctx.now) {
      clock.at_risk_fired = true;
      EmitClockEvent(ctx, CaseEventType::kSlaAtRisk, kind);
    }
  }
}

bool HardLimitPassed(const CaseContext& ctx) {
  const Case& c = ctx.c;
  return IsActive(c) && !c.hard_limit_fired && c.hard_limit_due != kNone && c.hard_limit_due <= ctx.now;
}

// The highest level that time has reached; several overdue ones give one escalation, the others are passed.
std::optional<uint8_t> OverdueLevel(const CaseContext& ctx) {
  std::optional<uint8_t> target;
  if (IsPaused(ctx.c)) return target;
  for (uint8_t level = ctx.c.level + 1; level < ctx.policy.levels.size(); ++level) {
    const Timestamp due = ctx.c.level_due[level];
    if (due != kNone && due <= ctx.now) target = level;
  }
  return target;
}

void FireLadder(CaseContext& ctx) {
  Case& c = ctx.c;
  if (c.held_until != kNone && c.held_until > ctx.now && !HardLimitPassed(ctx)) return;
  const auto by_time = OverdueLevel(ctx);
  const bool limit = HardLimitPassed(ctx) && !IsSilenced(c, ctx.now);
  if (limit) c.hard_limit_fired = true;
  const bool limit_moves = limit && ctx.policy.hard_limit && ctx.policy.hard_limit->to_level > c.level;
  if (!by_time && !limit_moves) return;
  if (!limit_moves) {
    const std::string what = "escalation to " + ctx.policy.levels[*by_time].name + " by time";
    if (const auto hold = HoldOf(ctx, /*guards_too=*/true)) return HoldBack(ctx, *hold, what);
    if (const auto storm = FoldIntoStorm(ctx, *by_time, what, {})) return HoldBack(ctx, *storm, what);
  }
  Escalation escalation;
  escalation.to_level = std::max(by_time.value_or(0), limit_moves ? ctx.policy.hard_limit->to_level : uint8_t{0});
  escalation.kind = limit_moves ? EscalationKind::kHardLimit : EscalationKind::kTime;
  const bool uncertain = c.level == 0 && c.verdict == Verdict::kNone && !ctx.policy.reason_without_verdict.empty();
  escalation.reason = uncertain ? ctx.policy.reason_without_verdict : reason::kUnresolvedInTime;
  if (limit_moves) escalation.reason = reason::kHardLimit;
  Escalate(ctx, escalation);
}

// At the top of the ladder there is nowhere further to go: the case keeps asking, an unacknowledged one must never fall
// silent. After the last repeat each pause is twice the one before, up to a day, so that a case forgotten for years costs
// an event a day and no more.
Duration UntilRepeat(const Policy& policy, uint32_t repeats) {
  Duration pause = policy.repeat_interval;
  for (uint32_t i = policy.repeat_max; i <= repeats && pause < kLongestRepeat; ++i) {
    pause = std::min(pause * 2, kLongestRepeat);
  }
  return pause;
}

void FireRepeat(CaseContext& ctx) {
  Case& c = ctx.c;
  if (c.next_repeat == kNone || c.next_repeat > ctx.now) return;
  if (IsSilenced(c, ctx.now)) {  // notification is withheld; it comes when the silence ends
    c.next_repeat = c.silenced_until;
    return;
  }
  const bool top = c.level + 1u >= ctx.policy.levels.size();
  if (c.repeats >= ctx.policy.repeat_max && !top) {
    Escalation escalation;
    escalation.to_level = static_cast<uint8_t>(c.level + 1);
    escalation.kind = EscalationKind::kUnacknowledged;
    escalation.reason = reason::kNotAcknowledged;
    Escalate(ctx, escalation);
    return;
  }
  ++c.repeats;
  c.next_repeat = ctx.now + (top ? UntilRepeat(ctx.policy, c.repeats) : ctx.policy.repeat_interval);
  Emit(ctx, CaseEventType::kRenotified, std::string(reason::kNotAcknowledged));
  // The first says it; more would push people's own entries out of the bounded timeline.
  if (c.repeats == 1) AddToTimeline(ctx, "renotified", "", "not acknowledged");
}

void FireAckTimeout(CaseContext& ctx) {
  const Timestamp due = AckTimeoutAt(ctx.policy, ctx.c);
  if (due == kNone || due > ctx.now) return;
  ctx.c.acknowledged = false;
  ctx.c.repeats = 0;
  if (ctx.policy.repeat_interval > Duration{0}) ctx.c.next_repeat = ctx.now + ctx.policy.repeat_interval;
  Emit(ctx, CaseEventType::kRenotified, "ack_timeout");
  AddToTimeline(ctx, "renotified", "", "acknowledged, but nobody acted for " + FormatDuration(due - ctx.c.last_action_at));
  StandingChanged(ctx);
}

Timestamp PauseLimit(const Policy& policy, const Case& c) {
  return c.pause_started + std::max(Duration{0}, policy.max_pause - c.pause_total);
}

void FirePauseLimit(CaseContext& ctx) {
  if (!IsPaused(ctx.c) || PauseLimit(ctx.policy, ctx.c) > ctx.now) return;
  // The status stays what the person made it; only the clocks run again, from the moment the limit was reached.
  CaseContext at_limit{ctx.policy, ctx.c, PauseLimit(ctx.policy, ctx.c), ctx.events};
  EndPause(at_limit);
  AddToTimeline(ctx, "pause_limit", "", "clocks run again after the longest pause allowed, " +
                                            FormatDuration(ctx.policy.max_pause));
}

// What was held is examined once the hold lapses: the silence is over, the guard asked again.
void FireHold(CaseContext& ctx) {
  Case& c = ctx.c;
  if (!c.silenced_by.empty() && c.silenced_until <= ctx.now) {
    AddToTimeline(ctx, "suppression_over", "", c.silenced_by);
    c.silenced_by.clear();
    c.silenced_until = kNone;
  }
  if (c.held_until == kNone || c.held_until > ctx.now) return;
  c.held_until = kNone;
  if (IsActive(c)) AskCase(ctx);
  if (IsActive(c)) FireLadder(ctx);
  if (c.held_until == kNone) ClearHold(ctx);
}

void FireConfirmTimeout(CaseContext& ctx) {
  Case& c = ctx.c;
  if (c.status != CaseStatus::kResolved || ctx.policy.confirm_timeout <= Duration{0}) return;
  if (c.resolved_at + ctx.policy.confirm_timeout > ctx.now) return;
  c.status = CaseStatus::kClosed;
  c.closed_at = ctx.now;
  Emit(ctx, CaseEventType::kClosed, "confirmation_timeout");
  AddToTimeline(ctx, "closed", "", "no answer to the request for confirmation");
  AfterClosing(ctx);
  StandingChanged(ctx);
}

Timestamp NextLadder(const Policy& policy, const Case& c) {
  Timestamp next = kNone;
  if (!IsActive(c)) return next;
  if (!IsPaused(c)) {
    for (size_t level = c.level + 1u; level < policy.levels.size(); ++level) next = Earlier(next, c.level_due[level]);
  }
  // While something is held, what is overdue waits for the end of the hold.
  if (c.held_until != kNone && next != kNone) next = std::max(next, c.held_until);
  next = Earlier(next, c.held_until);
  if (!c.hard_limit_fired && c.hard_limit_due != kNone) {
    const Timestamp limit = c.silenced_by.empty() ? c.hard_limit_due : std::max(c.hard_limit_due, c.silenced_until);
    next = Earlier(next, limit);
  }
  if (!c.silenced_by.empty()) next = Earlier(next, c.silenced_until);
  return next;
}

}  // namespace

void StartAcknowledgeClock(CaseContext& ctx) {
  StartClock(ctx, ClockKind::kAcknowledge);
  ctx.c.acknowledged = false;
  ctx.c.repeats = 0;
  ctx.c.next_repeat = kNone;
}

void ArmMatrix(CaseContext& ctx, Timestamp since) {
  ctx.c.level_due.fill(kNone);
  const bool one_step = ctx.policy.matrix_since == MatrixSince::kLevelEntered;
  for (size_t level = ctx.c.level + 1u; level < ctx.policy.levels.size(); ++level) {
    const auto after = ctx.policy.levels[level].reached_after[ctx.c.severity];
    if (after) ctx.c.level_due[level] = since + *after;
    if (one_step) break;
  }
}

void BeginAtLevel(CaseContext& ctx, uint8_t level) {
  ctx.c.level = level;
  ctx.c.level_at = ctx.now;
  ctx.c.severity_raised = false;
}

void StartEpisode(CaseContext& ctx) {
  Case& c = ctx.c;
  ++c.episode;
  c.episode_at = ctx.now;
  BeginAtLevel(ctx, c.level);
  c.criteria_fired.clear();
  c.roles_left.clear();
  c.pause_started = kNone;
  c.pause_total = Duration{0};
  c.contained = false;
  c.undo = UndoState{};
  ClearHold(ctx);
  StartAcknowledgeClock(ctx);
  StartEpisodeClocks(ctx);
  ArmMatrix(ctx, ctx.now);
  c.hard_limit_fired = false;
  c.hard_limit_due = kNone;
  if (ctx.policy.hard_limit) {
    if (const auto after = ctx.policy.hard_limit->after[c.severity]) c.hard_limit_due = ctx.now + *after;
  }
}

void StopAllDeadlines(CaseContext& ctx) {
  if (IsPaused(ctx.c)) EndPause(ctx);
  EndEpisodeClocks(ctx);
  ctx.c.level_due.fill(kNone);
  ctx.c.next_repeat = kNone;
  ClearHold(ctx);
}

void BeginPause(CaseContext& ctx) {
  if (IsPaused(ctx.c) || ctx.c.pause_total >= ctx.policy.max_pause) return;
  ctx.c.pause_started = ctx.now;
  PauseClocks(ctx);
}

std::array<Timestamp, kMaxCaseLevels> LevelsIfResumed(const Case& c, Timestamp now) {
  auto levels = c.level_due;
  if (!IsPaused(c)) return levels;
  for (Timestamp& due : levels) {
    if (due != kNone) due += now - c.pause_started;
  }
  return levels;
}

void EndPause(CaseContext& ctx) {
  Case& c = ctx.c;
  if (!IsPaused(c)) return;
  const Duration paused = ctx.now - c.pause_started;
  c.level_due = LevelsIfResumed(c, ctx.now);
  ResumeClocks(ctx, paused);
  c.pause_started = kNone;
  c.pause_total += paused;
}

void PullDeadlinesIn(CaseContext& ctx) {
  Case& c = ctx.c;
  PullClocksIn(ctx);
  if (!IsActive(c)) return;
  const bool one_step = ctx.policy.matrix_since == MatrixSince::kLevelEntered;
  for (size_t level = c.level + 1u; level < ctx.policy.levels.size(); ++level) {
    const auto after = ctx.policy.levels[level].reached_after[c.severity];
    // A paused matrix counts on from where it stood: the new time begins when it resumes, so not before now.
    if (after) c.level_due[level] = Earlier(c.level_due[level], (IsPaused(c) ? c.pause_started : ctx.now) + *after);
    if (one_step) break;
  }
  if (!ctx.policy.hard_limit || c.hard_limit_fired) return;
  if (const auto after = ctx.policy.hard_limit->after[c.severity]) {
    c.hard_limit_due = Earlier(c.hard_limit_due, ctx.now + *after);
  }
}

Timestamp AckTimeoutAt(const Policy& policy, const Case& c) {
  const bool worked_on =
      c.status == CaseStatus::kOpen || c.status == CaseStatus::kInProgress || c.status == CaseStatus::kEscalated;
  const auto timeout = policy.ack_timeout[c.severity];
  if (!c.acknowledged || !worked_on || !timeout) return kNone;
  const Timestamp due = c.last_action_at + *timeout;
  return c.silenced_by.empty() ? due : std::max(due, c.silenced_until);
}

void UpdateNextDue(const Policy& policy, Case* c) {
  Timestamp next = c->next_publish;
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const Clock& clock = c->clocks[i];
    if (clock.state != ClockState::kRunning) continue;
    if (!clock.at_risk_fired) next = Earlier(next, AtRiskTime(policy, *c, static_cast<ClockKind>(i)));
    if (!clock.breached) next = Earlier(next, clock.due);
  }
  if (IsPaused(*c)) next = Earlier(next, PauseLimit(policy, *c));
  next = Earlier(next, NextLadder(policy, *c));
  next = Earlier(next, c->next_repeat);
  next = Earlier(next, AckTimeoutAt(policy, *c));
  next = Earlier(next, NextBeside(*c));
  if (c->status == CaseStatus::kResolved && policy.confirm_timeout > Duration{0}) {
    next = Earlier(next, c->resolved_at + policy.confirm_timeout);
  }
  c->next_due = next;
}

void FireDue(CaseContext& ctx) {
  // The pause limit first: it may make the matrix due. Escalating before re-notifying: a case that moves up is not
  // also re-sent to the level it leaves (escalating resets the repeat).
  FirePauseLimit(ctx);
  FireClocks(ctx);
  FireHold(ctx);
  FireLadder(ctx);
  FireRepeat(ctx);
  FireAckTimeout(ctx);
  FireBeside(ctx);
  FireConfirmTimeout(ctx);
  // A breach is a fact that criteria and roles may read.
  if (ctx.facts_changed) AskCase(ctx);
}

}  // namespace triaged
