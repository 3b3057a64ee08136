// Case: what is known and decided about alerts that belong together. A plain value: decide/ changes it, storage/ keeps
// it, report/ shows it. Every list in it is bounded (limits below); what does not fit is counted, never lost.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/fields.h"
#include "pipeline/model/ids.h"
#include "pipeline/model/sketch.h"

namespace triaged {

// Limits of one case.
inline constexpr size_t kMaxCaseLevels = 8;
inline constexpr size_t kMaxObservedPerField = 16;   // distinct values of one field that the Five Ws name
inline constexpr size_t kMaxEvidence = 16;           // alert references: the first, the latest, the most telling
inline constexpr size_t kMaxEvidenceRawBytes = 65536; // of each kept alert's bytes
inline constexpr size_t kMaxExcerptBytes = 256;      // of the bytes shown in a hand-off
inline constexpr size_t kMaxTimeline = 200;          // newest entries; older ones are counted
inline constexpr size_t kMaxNotes = 100;
inline constexpr size_t kMaxCaseRules = 64;          // distinct rules that spoke
inline constexpr size_t kMaxSources = 16;            // distinct source products
inline constexpr size_t kMaxTechniques = 64;
inline constexpr size_t kMaxEscalations = 64;        // escalation records (newest)
inline constexpr size_t kMaxFollowUps = 32;
inline constexpr size_t kMaxEngagedRoles = 16;
inline constexpr size_t kMaxRiskBuckets = 24;        // of the risk window: its resolution
inline constexpr size_t kMaxMergedCases = 64;        // names of cases merged into one
inline constexpr size_t kMaxTextBytes = 1024;        // of any one stored text (longer ones are cut at a code point)

// NIST SP 800-61r3 has the vocabulary; OCSF the verdict ids (OcsfVerdictId).
enum class Verdict : uint8_t { kNone, kFalsePositive, kBenignTruePositive, kNeedsReview, kTruePositive };
std::string_view Name(Verdict verdict);  // "", "false_positive", "benign_true_positive", "needs_review", "true_positive"
std::optional<Verdict> ParseVerdict(std::string_view text);
int OcsfVerdictId(Verdict verdict);  // OCSF 1.x verdict_id: 0 unknown, 1 FP, 2 TP, 4 suspicious (needs_review), 5 benign

enum class CaseStatus : uint8_t { kOpen, kInProgress, kEscalated, kWaitingForInfo, kOnHold, kResolved, kClosed };
inline constexpr size_t kCaseStatusCount = 7;
std::string_view Name(CaseStatus status);
std::optional<CaseStatus> ParseCaseStatus(std::string_view text);

// One value seen in the alerts of a case, with where it came from: the raw material of the Five Ws.
// What each alert of the case compares and counts stands together at the front.
struct Observed {
  FieldId field = kNoField;   // a normalised alert field (raw paths are never observed)
  uint64_t count = 0;
  std::string value;
  std::string alert_id;       // of the alert that showed it first
  std::string path;           // the path in that alert's document
  bool operator==(const Observed&) const = default;
};

// A reference to an alert in Kafka, with enough of it to read the case after the topic's retention.
struct Evidence {
  int16_t score = -1;
  Verdict verdict = Verdict::kNone;
  // The alert's bytes (up to kMaxEvidenceRawBytes) are kept beside the case under this slot (CaseStore::PutEvidenceRaw);
  // nullopt: reference only, as for the latest alerts, which change too often to be written each time.
  std::optional<uint8_t> raw_slot;
  std::string topic;
  int32_t partition = 0;
  int64_t offset = 0;
  Timestamp event_time{};
  std::string alert_id;
  std::string rule_name;
  std::string message;
  std::string excerpt;        // the first kMaxExcerptBytes of the alert
  bool operator==(const Evidence&) const = default;
};

// The clocks of a case (DOMAIN.md, Levels, clocks, matrix).
// New ones are added at the end: a stored case knows them by number.
enum class ClockKind : uint8_t {
  kAcknowledge,             // the current level's receiver answers; restarts with each level
  kResolve,
  kReceipt,                 // the reporter hears that somebody has it; ended by the first act of a person
  kAssign,                  // somebody owns it
  kContain,                 // the damage no longer grows; ended by `contain`
  kNextUpdate,              // the next word to those affected; restarted by `update`
  kRegulatoryEarly,         // reports that law or contract want of an incident (24 h, 72 h, one month): they start when
  kRegulatoryNotification,  // the case is classified as one, never pause, and outlive the case's resolution
  kRegulatoryFinal,
};
inline constexpr size_t kClockKindCount = 9;
std::string_view Name(ClockKind kind);  // "acknowledge", "resolve", "receipt", … "regulatory_final"
std::optional<ClockKind> ParseClockKind(std::string_view text);
inline bool IsRegulatory(ClockKind kind) { return kind >= ClockKind::kRegulatoryEarly; }

enum class ClockState : uint8_t { kIdle, kRunning, kPaused, kEnded };
std::string_view Name(ClockState state);

struct Clock {
  ClockState state = ClockState::kIdle;
  Timestamp started{};
  Timestamp due{};            // meaningful while running; while paused, as it was when paused
  Timestamp at_risk{};        // when the warning is due; never after `due`
  Timestamp paused_at{};
  Duration paused_total{0};
  Timestamp ended{};
  bool at_risk_fired = false;
  bool breached = false;
  bool operator==(const Clock&) const = default;
};

// Why a level was reached, or an escalation held.
enum class EscalationKind : uint8_t { kCriterion, kTime, kManual, kUnacknowledged, kHardLimit };
std::string_view Name(EscalationKind kind);

struct EscalationRecord {
  Timestamp at{};
  uint8_t from_level = 0;
  uint8_t to_level = 0;
  std::vector<uint8_t> passed;  // levels overdue in the same step and folded into this one
  EscalationKind kind = EscalationKind::kCriterion;
  std::string reason;           // the criterion's name, "unresolved_in_time", a command's reason, "not_acknowledged"
  std::string requested;        // what is asked of the receiver
  std::string from_assignee;
  std::string to_assignee;      // "" when nobody is on shift
  std::string to_team;
  bool nobody_on_shift = false;
  std::string rule_id;          // the rule behind the criterion, when one is
  bool operator==(const EscalationRecord&) const = default;
};

struct TimelineEntry {
  Timestamp at{};
  std::string what;    // an event type or command action: "opened", "acknowledged", "note" …
  std::string actor;   // a person, or "" for triaged itself
  std::string text;    // in words
  bool operator==(const TimelineEntry&) const = default;
};

// Which rule spoke, and what it said. The case's verdict is made of these.
struct RuleVote {
  std::string rule_id;
  std::string title;
  std::string reason;
  Verdict verdict = Verdict::kNone;
  uint8_t confidence = 0;
  uint64_t hits = 0;
  bool operator==(const RuleVote&) const = default;
};

// Something owed besides the case itself: a post-mortem, an entry in the knowledge base.
struct FollowUp {
  std::string name;
  std::string text;
  Timestamp added{};
  Timestamp due{};
  Timestamp done{};          // zero: still owed
  std::string done_by;
  bool overdue_fired = false;
  bool operator==(const FollowUp&) const = default;
};

// A role beside the ladder (communications, support manager, legal …) while it takes part.
struct EngagedRole {
  std::string name;
  std::string reason;        // the trigger's name, or the command's reason
  std::string person;        // on shift when engaged, or who accepted the hand-off since; "" when nobody was
  std::string team;          // that answered: of a follow-the-sun team the region
  Timestamp since{};
  Timestamp next_change{};   // when the shift changes and the role is handed on; zero: never
  std::string handoff_person;  // to whom the role is being handed; "" when nothing is pending
  std::string handoff_team;
  Timestamp handoff_due{};   // by when the hand-off must be accepted; zero: said already that it was not
  bool operator==(const EngagedRole&) const = default;
};

// Entity risk: what alerts of one stretch of the policy's window added.
struct RiskBucket {
  Timestamp begin{};
  uint32_t score = 0;
  bool operator==(const RiskBucket&) const = default;
};

// What the last command that can be taken back replaced. action "" : nothing to undo.
struct UndoState {
  std::string action;
  std::string command_id;
  std::string actor;
  Timestamp at{};
  CaseStatus status = CaseStatus::kOpen;
  uint8_t severity = 0;
  std::string assignee;
  Verdict verdict = Verdict::kNone;
  uint8_t verdict_confidence = 0;
  std::string verdict_by;
  std::string verdict_reason;
  uint8_t verdict_severity = 0;
  std::string classification;
  std::string incident;
  std::array<Timestamp, kMaxCaseLevels> level_due{};
  Timestamp next_repeat{};
  std::string other_case;      // merge: the case that was merged away
  bool operator==(const UndoState&) const = default;
};

struct Case {
  CaseId id;
  std::string key;             // grouping key, begins with the policy's name
  std::string policy;
  uint64_t version = 0;        // +1 per change that a command's expected version protects (not per merged alert)
  uint64_t next_event = 0;     // sequence of the next event of this case

  // Standing
  CaseStatus status = CaseStatus::kOpen;
  uint8_t severity = 0;        // index into the policy's severities; 0 is the worst
  uint8_t level = 0;           // index into the policy's levels
  std::string assignee;
  std::string team;
  bool drill = false;

  // Verdict
  Verdict verdict = Verdict::kNone;
  uint8_t verdict_confidence = 0;
  std::string verdict_by;      // "rules", or the analyst who said it (then final until worse news)
  std::string verdict_reason;
  uint8_t verdict_severity = 0;  // severity when an analyst gave the verdict
  std::vector<RuleVote> votes;
  std::string classification;
  std::string incident;        // "", "none", "minor", "major"
  std::vector<std::string> requests;  // what rules ask of the receiver
  std::vector<std::string> tags;      // sorted

  // Contents
  uint64_t alert_count = 0;
  uint64_t suppressed_count = 0;
  Timestamp first_seen{};      // event times
  Timestamp last_seen{};
  Timestamp first_ingested{};  // record time of the first alert: detection delay = first_ingested - first_seen
  int16_t max_score = -1;
  DistinctSketch hosts, users, source_addresses, techniques_seen;
  std::vector<std::string> sources;     // products
  std::vector<std::string> techniques;  // ids, sorted
  std::vector<std::string> tactics;     // names or ids, sorted
  std::vector<Observed> observed;
  uint64_t observed_dropped = 0;        // values beyond kMaxObservedPerField
  std::vector<Evidence> evidence;
  uint64_t evidence_dropped = 0;

  // Life
  Timestamp opened_at{};       // logical clock
  Timestamp episode_at{};      // opening or latest reopening: the matrix counts from here
  Timestamp level_at{};        // when the level was entered
  Timestamp updated_at{};      // last alert or command
  Timestamp last_action_at{};  // last act of a person
  Timestamp resolved_at{};
  Timestamp closed_at{};
  uint32_t episode = 0;        // +1 per opening or reopening
  uint32_t reopen_count = 0;
  std::string resolution;      // why it was resolved or closed
  std::string close_rule;      // a rule that closed it; never reopened by that rule
  std::string previous_case;   // linked case, or ""
  std::string paused_status_reason;  // the reason of waiting_for_info / on_hold
  Timestamp pause_started{};
  Duration pause_total{0};     // over this episode: matrix and pausable clocks are pushed by it

  // Clocks and deadlines
  std::array<Clock, kClockKindCount> clocks{};
  bool acknowledged = false;
  std::string acknowledged_by;
  Timestamp acknowledged_at{};
  uint32_t repeats = 0;            // re-notifications since the last escalation
  Timestamp next_repeat{};         // zero: none
  // When an unresolved case reaches each level; zero: not armed. Stored, so that a reload moves no armed deadline.
  std::array<Timestamp, kMaxCaseLevels> level_due{};
  std::vector<std::string> criteria_fired;  // names, in this episode
  Timestamp next_publish{};        // a case document is owed at this time; zero: none
  Timestamp published_at{};        // of the last case document
  Timestamp next_due{};            // the earliest of all deadlines above; zero: none. The due index is built from it.

  std::vector<EscalationRecord> escalations;
  uint64_t escalation_count = 0;
  std::vector<TimelineEntry> timeline;
  uint64_t timeline_dropped = 0;
  std::vector<TimelineEntry> notes;

  // Held back: what a guard or a silence keeps from escalating is examined again at held_until.
  std::string held_by;             // the guard's name, or "silence:<id>"; "" when nothing is held
  Timestamp held_since{};
  Timestamp held_until{};
  // An unresolved case below the policy's hard-limit level goes there now, whatever a guard says; zero: no limit.
  Timestamp hard_limit_due{};
  bool hard_limit_fired = false;
  std::vector<FollowUp> follow_ups;
  std::vector<EngagedRole> roles;
  std::vector<std::string> roles_left;  // names disengaged in this episode: their triggers do not engage them again
  std::vector<RiskBucket> risk;         // oldest first; carried on to the next case of the same key
  uint32_t recurrence = 0;              // cases of the same key before this one, within the policy's recurrence window
  uint32_t resolution_failures = 0;     // resolutions that were answered with still_has_issues
  bool severity_raised = false;         // since the level has the case (level_at), and in this episode
  bool contained = false;
  Timestamp last_update_at{};           // last word to those affected
  std::string silenced_by;              // id of the silence that this case stands under, or ""
  Timestamp silenced_until{};
  uint8_t silenced_severity = 0;        // when it was silenced: worse breaks through
  uint8_t silenced_entities = 0;        // kinds of entity seen then (bits): a new kind breaks through
  std::string merged_into;              // closed because its content went into this case
  std::vector<std::string> merged_from;
  UndoState undo;

  bool operator==(const Case&) const = default;
};

// Since when nothing happened to a closed case for which nothing is armed; zero: it does not rest.
Timestamp RestsSince(const Case& c);
inline bool IsActive(const Case& c) { return c.status != CaseStatus::kResolved && c.status != CaseStatus::kClosed; }

}  // namespace triaged
