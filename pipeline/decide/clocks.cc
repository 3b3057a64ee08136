#include "pipeline/decide/clocks.h"

#include <algorithm>

namespace triaged {
namespace {

const ClockSpec& SpecOf(const Policy& policy, ClockKind kind) { return policy.clocks[static_cast<size_t>(kind)]; }

bool Pausable(ClockKind kind) { return kind == ClockKind::kResolve || kind == ClockKind::kContain; }

bool Runs(const Clock& clock) { return clock.state == ClockState::kRunning || clock.state == ClockState::kPaused; }

Timestamp EndOfDay(const Policy& policy, const ClockSpec& spec, Timestamp at) {
  if (spec.calendar) return spec.calendar->EndOfDay(at);
  const auto zone = Zone::Find(policy.report_zone);  // checked when compiled
  return zone->At(zone->DayOf(at) + std::chrono::days(1), std::chrono::minutes(0)).first;
}

// Between start and due, by the clock's rule.
Timestamp AtRiskOf(const Policy& policy, const Case& c, ClockKind kind, const Clock& clock) {
  const ClockSpec& spec = SpecOf(policy, kind);
  const ClockTimes& times = spec.At(c.level);
  switch (times.at_risk.kind) {
    case AtRiskRule::Kind::kAfter:
      return std::min(clock.due, clock.started + times.at_risk.after);
    case AtRiskRule::Kind::kEndOfDay:
      return std::min(clock.due, EndOfDay(policy, spec, clock.started));
    case AtRiskRule::Kind::kPercent:
      break;
  }
  const int percent = times.at_risk.percent;
  if (times.business[c.severity] && spec.calendar) {
    return spec.calendar->Add(clock.started, spec.calendar->Between(clock.started, clock.due) * percent / 100);
  }
  return clock.started + (clock.due - clock.started) * percent / 100;
}

// `due` as it was at `paused_at`, moved so that as much of the clock's own time is left at `now`.
Timestamp Moved(const Calendar* calendar, Timestamp due, Timestamp paused_at, Timestamp now) {
  if (due <= paused_at) return due;
  if (!calendar) return due + (now - paused_at);
  return calendar->Add(now, calendar->Between(paused_at, due));
}

}  // namespace

std::optional<Timestamp> DueAfter(const ClockTimes& times, const Calendar* calendar, uint8_t severity, Timestamp from) {
  const auto& duration = times.duration[severity];
  if (!duration) return std::nullopt;
  return times.business[severity] && calendar ? calendar->Add(from, *duration) : from + *duration;
}

Timestamp AtRiskTime(const Policy& policy, const Case& c, ClockKind kind) {
  const Clock& clock = ClockOf(c, kind);
  // A clock stored before the warning's time was: by the rule as it stands.
  return clock.at_risk != Timestamp{} ? clock.at_risk : AtRiskOf(policy, c, kind, clock);
}

void StartClock(CaseContext& ctx, ClockKind kind) {
  Clock& clock = ClockOf(ctx.c, kind);
  clock = Clock{};
  const ClockSpec& spec = SpecOf(ctx.policy, kind);
  const auto due = DueAfter(spec.At(ctx.c.level), spec.calendar.get(), ctx.c.severity, ctx.now);
  if (!due) return;
  clock.state = ClockState::kRunning;
  clock.started = ctx.now;
  clock.due = *due;
  clock.at_risk = AtRiskOf(ctx.policy, ctx.c, kind, clock);
  if (ctx.c.pause_started != Timestamp{} && Pausable(kind)) {
    clock.state = ClockState::kPaused;
    clock.paused_at = ctx.now;
  }
}

void EndClock(CaseContext& ctx, ClockKind kind) {
  Clock& clock = ClockOf(ctx.c, kind);
  if (!Runs(clock)) return;
  clock.state = ClockState::kEnded;
  clock.ended = ctx.now;
}

void StartEpisodeClocks(CaseContext& ctx) {
  for (ClockKind kind : {ClockKind::kResolve, ClockKind::kReceipt, ClockKind::kContain, ClockKind::kNextUpdate}) {
    StartClock(ctx, kind);
  }
  ClockOf(ctx.c, ClockKind::kAssign) = Clock{};
  if (ctx.c.assignee.empty()) StartClock(ctx, ClockKind::kAssign);
}

void RestartLevelClocks(CaseContext& ctx) {
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const auto kind = static_cast<ClockKind>(i);
    const bool own_rule = kind == ClockKind::kAcknowledge || kind == ClockKind::kAssign || IsRegulatory(kind);
    if (own_rule || !ctx.policy.clocks[i].HasLevels()) continue;
    if (kind == ClockKind::kContain && ctx.c.contained) continue;
    StartClock(ctx, kind);
  }
  if (ctx.c.assignee.empty()) {
    StartClock(ctx, ClockKind::kAssign);
  } else {
    EndClock(ctx, ClockKind::kAssign);
  }
}

void StartRegulatoryClocks(CaseContext& ctx) {
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const auto kind = static_cast<ClockKind>(i);
    if (IsRegulatory(kind) && ctx.c.clocks[i].state == ClockState::kIdle) StartClock(ctx, kind);
  }
}

void EndEpisodeClocks(CaseContext& ctx) {
  for (size_t i = 0; i < kClockKindCount; ++i) {
    if (!IsRegulatory(static_cast<ClockKind>(i))) EndClock(ctx, static_cast<ClockKind>(i));
  }
}

void ContinueClocks(CaseContext& ctx, Timestamp ended) {
  for (size_t i = 0; i < kClockKindCount; ++i) {
    Clock& clock = ctx.c.clocks[i];
    if (IsRegulatory(static_cast<ClockKind>(i)) || clock.state != ClockState::kEnded || clock.ended != ended) continue;
    clock.state = ClockState::kRunning;
    clock.ended = Timestamp{};
  }
}

void PauseClocks(CaseContext& ctx) {
  for (size_t i = 0; i < kClockKindCount; ++i) {
    Clock& clock = ctx.c.clocks[i];
    if (!Pausable(static_cast<ClockKind>(i)) || clock.state != ClockState::kRunning) continue;
    clock.state = ClockState::kPaused;
    clock.paused_at = ctx.now;
  }
}

void ResumeClocks(CaseContext& ctx, Duration paused) {
  for (size_t i = 0; i < kClockKindCount; ++i) {
    Clock& clock = ctx.c.clocks[i];
    if (clock.state != ClockState::kPaused) continue;
    const ClockSpec& spec = ctx.policy.clocks[i];
    const Calendar* calendar = spec.At(ctx.c.level).business[ctx.c.severity] ? spec.calendar.get() : nullptr;
    clock.state = ClockState::kRunning;
    // A clock that began within the pause stood still from its own start on.
    const Duration stood = std::min(paused, ctx.now - clock.paused_at);
    clock.at_risk = Moved(calendar, clock.at_risk, clock.paused_at, ctx.now);
    clock.due = Moved(calendar, clock.due, clock.paused_at, ctx.now);
    clock.started += stood;
    clock.paused_total += stood;
    clock.paused_at = Timestamp{};
  }
}

void PullClocksIn(CaseContext& ctx) {
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const auto kind = static_cast<ClockKind>(i);
    Clock& clock = ctx.c.clocks[i];
    const ClockSpec& spec = ctx.policy.clocks[i];
    // What is paused is due as of when it stopped: resuming adds the whole pause.
    const Timestamp from = clock.state == ClockState::kPaused ? clock.paused_at : ctx.now;
    const auto due = DueAfter(spec.At(ctx.c.level), spec.calendar.get(), ctx.c.severity, from);
    if (!due) continue;
    if (Runs(clock)) {
      if (*due >= clock.due) continue;
      clock.due = *due;
      const Timestamp at_risk = AtRiskOf(ctx.policy, ctx.c, kind, clock);
      clock.at_risk = clock.at_risk == Timestamp{} ? at_risk : std::min(clock.at_risk, at_risk);
      continue;
    }
    const bool starts = (kind == ClockKind::kAcknowledge && !ctx.c.acknowledged) || kind == ClockKind::kResolve ||
                        (kind == ClockKind::kContain && !ctx.c.contained) || kind == ClockKind::kNextUpdate;
    if (clock.state == ClockState::kIdle && starts && IsActive(ctx.c)) StartClock(ctx, kind);
  }
}

}  // namespace triaged
