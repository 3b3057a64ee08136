// Deadlines: clocks, the time matrix, re-notification, pauses. Every deadline is a field of the case; next_due is the
// earliest of them and is recomputed after each change (DOMAIN.md, Levels, clocks, matrix).
#pragma once

#include <array>
#include <optional>

#include "pipeline/decide/context.h"

namespace triaged {

// `level` has the case from now on. What was raised before is no news to it: it is told with the case.
void BeginAtLevel(CaseContext& ctx, uint8_t level);
// Starts the acknowledge and resolve clocks and the matrix at ctx.now: at opening and at reopening.
void StartEpisode(CaseContext& ctx);
// Restarts the acknowledge clock for the current level's receiver, and re-notification.
void StartAcknowledgeClock(CaseContext& ctx);
// Arms the levels above the current one, counted from `since`.
void ArmMatrix(CaseContext& ctx, Timestamp since);
// Ends every clock but the regulatory ones and disarms the ladder: resolved or closed.
void StopAllDeadlines(CaseContext& ctx);

// waiting_for_info and on_hold: contain and resolve clocks and the matrix stand still, at most policy.max_pause per episode.
void BeginPause(CaseContext& ctx);
void EndPause(CaseContext& ctx);
inline bool IsPaused(const Case& c) { return c.pause_started != Timestamp{}; }
// When each level is due if a pause, should there be one, ends now.
std::array<Timestamp, kMaxCaseLevels> LevelsIfResumed(const Case& c, Timestamp now);

// A raise of severity: each running deadline becomes the earlier of its old due time and now + the new duration.
void PullDeadlinesIn(CaseContext& ctx);

// When an acknowledged case that nobody acts on counts as unacknowledged, and people are told so: not while a silence
// lasts, which withholds that as it does the repeats. Zero: not armed.
Timestamp AckTimeoutAt(const Policy& policy, const Case& c);

// Recomputes c.next_due.
void UpdateNextDue(const Policy& policy, Case* c);

// Fires everything that is due at or before ctx.now: at-risk and breach events, matrix levels (folded into one
// escalation), re-notification, acknowledge time-out, pause limit, confirmation time-out, document publication.
void FireDue(CaseContext& ctx);

}  // namespace triaged
