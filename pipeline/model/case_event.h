// CaseEvent: something happened to a case that the world is told (`triaged.escalations`), with its reason.
// decide/ makes them; report/ renders them as CloudEvents; the shell counts and logs them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/case.h"

namespace triaged {

#define TRIAGED_CASE_EVENTS(X)                  \
  X(kOpened, "opened")                          \
  X(kEscalated, "escalated")                    \
  X(kAcknowledged, "acknowledged")              \
  X(kRenotified, "renotified")                  \
  X(kSlaAtRisk, "sla.at_risk")                  \
  X(kSlaBreached, "sla.breached")               \
  X(kSeverityChanged, "severity_changed")       \
  X(kVerdictChanged, "verdict_changed")         \
  X(kDeescalated, "deescalated")                \
  X(kAssigned, "assigned")                      \
  X(kResolved, "resolved")                      \
  X(kReopened, "reopened")                      \
  X(kClosed, "closed")                          \
  X(kCommandRefused, "command.refused")         \
  X(kHeld, "escalation_held")                   \
  X(kFollowUpAdded, "follow_up.added")          \
  X(kFollowUpDone, "follow_up.done")            \
  X(kFollowUpOverdue, "follow_up.overdue")      \
  X(kRoleEngaged, "role.engaged")               \
  X(kRoleDisengaged, "role.disengaged")         \
  X(kRoleHandoff, "role.handoff")               \
  X(kRoleAccepted, "role.accepted")             \
  X(kUpdated, "status_updated")                 \
  X(kContained, "contained")                    \
  X(kMerged, "merged")                          \
  X(kSplit, "split")                            \
  X(kUndone, "undone")                          \
  X(kSuppressed, "suppressed")                  \
  X(kStorm, "storm")                            \
  X(kFeedSilent, "feed.silent")

enum class CaseEventType : uint8_t {
#define TRIAGED_X(id, name) id,
  TRIAGED_CASE_EVENTS(TRIAGED_X)
#undef TRIAGED_X
};
inline constexpr size_t kCaseEventTypeCount = 30;
std::string_view Name(CaseEventType type);  // without "io.triaged.case." and ".v1"
// Storms and silent feeds are types of their own, not of a case's life: "io.triaged.storm.v1" (CONTRACTS.md).
inline bool IsOwnType(CaseEventType type) {
  return type == CaseEventType::kStorm || type == CaseEventType::kFeedSilent;
}

struct CaseEvent {
  CaseEventType type = CaseEventType::kOpened;
  uint64_t sequence = 0;        // of the case; with its id, the event's identity
  Timestamp at{};               // logical clock
  std::string reason;           // enum-like: a criterion, "unresolved_in_time", "stale_version", …
  std::string actor;            // a person, or ""
  std::string detail;           // in words; may be empty
  uint8_t level_from = 0;
  uint8_t level_to = 0;
  uint8_t severity_from = 0;
  Verdict verdict_from = Verdict::kNone;
  ClockKind clock = ClockKind::kAcknowledge;  // sla.* only
  std::string command_id;       // the command that caused it, or ""
  size_t escalation = SIZE_MAX; // escalated: index into Case::escalations
};

}  // namespace triaged
