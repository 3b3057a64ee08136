#include "pipeline/decide/deadlines.h"

#include <algorithm>

#include "pipeline/decide/escalation.h"

namespace triaged {
namespace {

constexpr Timestamp kNone{};

Clock& ClockOf(Case& c, ClockKind kind) { return c.clocks[static_cast<size_t>(kind)]; }
const ClockSpec& SpecOf(const Policy& policy, ClockKind kind) { return policy.clocks[static_cast<size_t>(kind)]; }

void StartClock(CaseContext& ctx, ClockKind kind) {
  Clock& clock = ClockOf(ctx.c, kind);
  clock = Clock{};
  const auto duration = SpecOf(ctx.policy, kind).duration[ctx.c.severity];
  if (!duration) return;
  clock.state = ClockState::kRunning;
  clock.started = ctx.now;
  clock.due = ctx.now + *duration;
}

void EmitClockEvent(CaseContext& ctx, CaseEventType type, ClockKind kind) {
  std::string reason(Name(kind));
  CaseEvent& event = Emit(ctx, type, reason + (type == CaseEventType::kSlaBreached ? "_breached" : "_at_risk"));
  event.clock = kind;
  AddToTimeline(ctx, Name(type), "", reason + " due " + FormatTimestamp(ClockOf(ctx.c, kind).due));
}

void FireClocks(CaseContext& ctx) {
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const auto kind = static_cast<ClockKind>(i);
    Clock& clock = ClockOf(ctx.c, kind);
    if (clock.state != ClockState::kRunning) continue;
    // A clock that is found past its due time breaches; an at-risk warning would say less, later.
    if (clock.due <= ctx.now && !clock.breached) {
      clock.breached = clock.at_risk_fired = true;
      EmitClockEvent(ctx, CaseEventType::kSlaBreached, kind);
    } else if (!clock.at_risk_fired && AtRiskTime(clock, SpecOf(ctx.policy, kind)) <= ctx.now) {
      clock.at_risk_fired = true;
      EmitClockEvent(ctx, CaseEventType::kSlaAtRisk, kind);
    }
  }
}

// Several levels overdue at once give one escalation, to the highest; the others are recorded as passed.
void FireMatrix(CaseContext& ctx) {
  if (IsPaused(ctx.c)) return;
  std::optional<uint8_t> target;
  for (uint8_t level = ctx.c.level + 1; level < ctx.policy.levels.size(); ++level) {
    const Timestamp due = ctx.c.level_due[level];
    if (due != kNone && due <= ctx.now) target = level;
  }
  if (!target) return;
  Escalation escalation;
  escalation.to_level = *target;
  escalation.kind = EscalationKind::kTime;
  // SOC guide, "Uncertain Verdict": the first level's time ended and nobody could say what it is.
  const bool uncertain = ctx.c.level == 0 && ctx.c.verdict == Verdict::kNone;
  escalation.reason = uncertain ? "uncertain_verdict" : "unresolved_in_time";
  Escalate(ctx, escalation);
}

void FireRepeat(CaseContext& ctx) {
  Case& c = ctx.c;
  if (c.next_repeat == kNone || c.next_repeat > ctx.now) return;
  const bool top = c.level + 1u >= ctx.policy.levels.size();
  // At the top there is nowhere further to go: it keeps asking, an unacknowledged case must never fall silent.
  if (c.repeats >= ctx.policy.repeat_max && !top) {
    Escalation escalation;
    escalation.to_level = static_cast<uint8_t>(c.level + 1);
    escalation.kind = EscalationKind::kUnacknowledged;
    escalation.reason = "not_acknowledged";
    Escalate(ctx, escalation);
    return;
  }
  ++c.repeats;
  c.next_repeat = ctx.now + ctx.policy.repeat_interval;
  Emit(ctx, CaseEventType::kRenotified, "not_acknowledged");
  // The first says it; more would push people's own entries out of the bounded timeline.
  if (c.repeats == 1) AddToTimeline(ctx, "renotified", "", "not acknowledged");
}

// When an acknowledged case that nobody acts on counts as unacknowledged; zero: not armed.
Timestamp AckTimeoutAt(const Policy& policy, const Case& c) {
  const bool worked_on =
      c.status == CaseStatus::kOpen || c.status == CaseStatus::kInProgress || c.status == CaseStatus::kEscalated;
  const auto timeout = policy.ack_timeout[c.severity];
  return c.acknowledged && worked_on && timeout ? c.last_action_at + *timeout : kNone;
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

void FireConfirmTimeout(CaseContext& ctx) {
  Case& c = ctx.c;
  if (c.status != CaseStatus::kResolved || ctx.policy.confirm_timeout <= Duration{0}) return;
  if (c.resolved_at + ctx.policy.confirm_timeout > ctx.now) return;
  c.status = CaseStatus::kClosed;
  c.closed_at = ctx.now;
  Emit(ctx, CaseEventType::kClosed, "confirmation_timeout");
  AddToTimeline(ctx, "closed", "", "no answer to the request for confirmation");
  StandingChanged(ctx);
}

Timestamp Earlier(Timestamp a, Timestamp b) {
  if (a == kNone) return b;
  if (b == kNone) return a;
  return std::min(a, b);
}

}  // namespace

Timestamp AtRiskTime(const Clock& clock, const ClockSpec& spec) {
  return clock.started + (clock.due - clock.started) * spec.at_risk_percent / 100;
}

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

void StartEpisode(CaseContext& ctx) {
  Case& c = ctx.c;
  ++c.episode;
  c.episode_at = c.level_at = ctx.now;
  c.criteria_fired.clear();
  c.pause_started = kNone;
  c.pause_total = Duration{0};
  StartAcknowledgeClock(ctx);
  StartClock(ctx, ClockKind::kResolve);
  ArmMatrix(ctx, ctx.now);
}

void EndClock(CaseContext& ctx, ClockKind kind) {
  Clock& clock = ClockOf(ctx.c, kind);
  if (clock.state != ClockState::kRunning && clock.state != ClockState::kPaused) return;
  clock.state = ClockState::kEnded;
  clock.ended = ctx.now;
}

void StopAllDeadlines(CaseContext& ctx) {
  if (IsPaused(ctx.c)) EndPause(ctx);
  for (size_t i = 0; i < kClockKindCount; ++i) EndClock(ctx, static_cast<ClockKind>(i));
  ctx.c.level_due.fill(kNone);
  ctx.c.next_repeat = kNone;
}

void BeginPause(CaseContext& ctx) {
  if (IsPaused(ctx.c) || ctx.c.pause_total >= ctx.policy.max_pause) return;
  ctx.c.pause_started = ctx.now;
  Clock& resolve = ClockOf(ctx.c, ClockKind::kResolve);
  if (resolve.state == ClockState::kRunning) {
    resolve.state = ClockState::kPaused;
    resolve.paused_at = ctx.now;
  }
}

void EndPause(CaseContext& ctx) {
  Case& c = ctx.c;
  if (!IsPaused(c)) return;
  const Duration paused = ctx.now - c.pause_started;
  c.pause_started = kNone;
  c.pause_total += paused;
  for (Timestamp& due : c.level_due) {
    if (due != kNone) due += paused;
  }
  Clock& resolve = ClockOf(c, ClockKind::kResolve);
  if (resolve.state == ClockState::kPaused) {
    resolve.state = ClockState::kRunning;
    // Moving start and due together keeps the at-risk point where it was within the time that counts.
    resolve.started += paused;
    resolve.due += paused;
    resolve.paused_total += paused;
    resolve.paused_at = kNone;
  }
}

void PullDeadlinesIn(CaseContext& ctx) {
  Case& c = ctx.c;
  for (size_t i = 0; i < kClockKindCount; ++i) {
    Clock& clock = c.clocks[i];
    const auto duration = ctx.policy.clocks[i].duration[c.severity];
    if (!duration) continue;
    if (clock.state == ClockState::kRunning || clock.state == ClockState::kPaused) {
      clock.due = std::min(clock.due, ctx.now + *duration);
    } else if (clock.state == ClockState::kIdle && IsActive(c)) {
      StartClock(ctx, static_cast<ClockKind>(i));
    }
  }
  if (!IsActive(c)) return;
  const bool one_step = ctx.policy.matrix_since == MatrixSince::kLevelEntered;
  for (size_t level = c.level + 1u; level < ctx.policy.levels.size(); ++level) {
    const auto after = ctx.policy.levels[level].reached_after[c.severity];
    if (after) c.level_due[level] = Earlier(c.level_due[level], ctx.now + *after);
    if (one_step) break;
  }
}

void UpdateNextDue(const Policy& policy, Case* c) {
  Timestamp next = c->next_publish;
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const Clock& clock = c->clocks[i];
    if (clock.state != ClockState::kRunning) continue;
    if (!clock.at_risk_fired) next = Earlier(next, AtRiskTime(clock, policy.clocks[i]));
    if (!clock.breached) next = Earlier(next, clock.due);
  }
  if (IsPaused(*c)) {
    next = Earlier(next, PauseLimit(policy, *c));
  } else {
    for (size_t level = c->level + 1u; level < policy.levels.size(); ++level) next = Earlier(next, c->level_due[level]);
  }
  next = Earlier(next, c->next_repeat);
  next = Earlier(next, AckTimeoutAt(policy, *c));
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
  FireMatrix(ctx);
  FireRepeat(ctx);
  FireAckTimeout(ctx);
  FireConfirmTimeout(ctx);
}

}  // namespace triaged
