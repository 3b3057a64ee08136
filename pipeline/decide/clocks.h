// Clocks: starting, pausing, pulling in and ending the clocks of one case (DOMAIN.md, Levels, clocks, matrix). Which of
// them are due is deadlines.h's.
#pragma once

#include <optional>

#include "pipeline/decide/context.h"

namespace triaged {

inline Clock& ClockOf(Case& c, ClockKind kind) { return c.clocks[static_cast<size_t>(kind)]; }
inline const Clock& ClockOf(const Case& c, ClockKind kind) { return c.clocks[static_cast<size_t>(kind)]; }

// Starts the clock afresh at ctx.now for the case's severity and level; idle when the policy gives no time for them.
void StartClock(CaseContext& ctx, ClockKind kind);
void EndClock(CaseContext& ctx, ClockKind kind);
// All that run from the opening: at opening and reopening.
void StartEpisodeClocks(CaseContext& ctx);
// A level was entered: clocks with times per level start again, `assign` where the new level has nobody.
void RestartLevelClocks(CaseContext& ctx);
// The regulatory clocks, once: the case is an incident.
void StartRegulatoryClocks(CaseContext& ctx);
// All but the regulatory ones, which outlive a resolution.
void EndEpisodeClocks(CaseContext& ctx);
// Gives back what EndEpisodeClocks ended at `ended`; the time in between counts.
void ContinueClocks(CaseContext& ctx, Timestamp ended);

// contain and resolve stand still between the two; `paused` is how long they did.
void PauseClocks(CaseContext& ctx);
void ResumeClocks(CaseContext& ctx, Duration paused);
// A raise of severity: each becomes due at the earlier of its old due time and now + the new duration; of one that is
// paused, with as much of its own time left as the earlier of both gives.
void PullClocksIn(CaseContext& ctx);

// When the warning of a running clock is due.
Timestamp AtRiskTime(const Policy& policy, const Case& c, ClockKind kind);
// When something that takes `times` for this severity is due, begun at `from`; nullopt: never.
std::optional<Timestamp> DueAfter(const ClockTimes& times, const Calendar* calendar, uint8_t severity, Timestamp from);

}  // namespace triaged
