// Policy: one pack's compiled decisions-as-data. The engine (decide/) reads it and knows no pack by name.
//
// A pack is one YAML file under configs/policies/; configs/README.md is the reference of every setting. Compilation
// is strict: all errors at once, with file, line and snippet. Immutable afterwards; shared by every thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/time.h"
#include "pipeline/base/yaml.h"
#include "pipeline/model/alert.h"
#include "pipeline/model/case.h"
#include "pipeline/model/fields.h"
#include "pipeline/policy/calendar.h"
#include "pipeline/policy/roster.h"
#include "pipeline/rules/rules.h"

namespace triaged {

inline constexpr size_t kMaxSeverities = 8;
inline constexpr size_t kMaxLevels = kMaxCaseLevels;
inline constexpr size_t kMaxCriteria = 1000;

// A severity of the pack, worst first. An alert gets the first whose min_score is at most its score.
struct SeveritySpec {
  std::string name;
  int min_score = 0;
};

struct LevelSpec {
  std::string name;                          // "L1"
  std::string role;                          // in words, for reports
  std::vector<std::string> responsibilities;
  std::string team;                          // a roster team
  std::vector<std::string> channels;         // by name; notify's business
  // How long after the start (matrix_since) an unresolved case reaches this level, by severity; nullopt: never.
  std::array<std::optional<Duration>, kMaxSeverities> reached_after{};
};

enum class MatrixSince : uint8_t { kCaseOpened, kLevelEntered };

// By severity; nullopt: never.
using TimesBySeverity = std::array<std::optional<Duration>, kMaxSeverities>;

// When a running clock's warning is due: a share of its time, a time after its start, or the end of the day (of the
// clock's calendar, else midnight in the report zone). Never after the clock's due time.
struct AtRiskRule {
  enum class Kind : uint8_t { kPercent, kAfter, kEndOfDay };
  Kind kind = Kind::kPercent;
  int percent = 75;
  Duration after{};
};

// A clock's durations by severity; nullopt: the clock does not run for that severity.
struct ClockTimes {
  TimesBySeverity duration{};
  std::array<bool, kMaxSeverities> business{};  // counted on the clock's calendar instead of the wall clock
  AtRiskRule at_risk;
};

struct ClockSpec : ClockTimes {
  std::shared_ptr<const Calendar> calendar;  // null: wall time only
  // A clock with times of its own for a level restarts whenever a level is entered.
  std::array<std::optional<ClockTimes>, kMaxLevels> by_level{};

  const ClockTimes& At(uint8_t level) const { return by_level[level] ? *by_level[level] : *this; }
  bool HasLevels() const;
};

// What a criterion escalates to.
struct Criterion {
  std::string name;                          // the reason of the escalation
  uint32_t at_levels = 0;                    // bit i: asked while the case is at level i
  std::shared_ptr<const Condition> when;     // over the case taxonomy
  std::optional<uint8_t> to_level;           // nullopt: the next one
  bool again = false;                        // where the case is at to_level or above, that level is told once more
  std::string request;                       // what is asked of the receiver, when no rule says it better
  bool bypass = false;                       // may skip levels and is never held back
  std::vector<uint8_t> engage;               // roles beside the ladder that take part from then on
};

// Holds back ordinary criteria and the matrix; never a bypass, the hard limit or a person's request.
struct Guard {
  std::string name;
  uint32_t at_levels = 0;                    // bit i: holds while the case is at level i
  std::shared_ptr<const Condition> when;     // over the case; null: always
  Duration acted_within{};                   // the owner acted this short ago; 0: not asked
  Duration recheck{};                        // a guard without acted_within is asked again after this
};

struct HardLimit {
  uint8_t to_level = 0;
  TimesBySeverity after{};                   // since the episode began; nothing pauses it
};

// What makes a follow-up owed.
enum class FollowUpOn : uint8_t { kOpened, kEscalated, kIncident, kResolved, kClosed };

struct FollowUpSpec {
  std::string name;
  std::string text;
  FollowUpOn on = FollowUpOn::kResolved;
  std::shared_ptr<const Condition> when;     // over the case; null: always
  ClockTimes due;                            // by severity; nullopt: not for that severity
  std::shared_ptr<const Calendar> calendar;
};

struct NamedCondition {
  std::string name;
  std::shared_ptr<const Condition> when;     // over the case
};

// A role beside the ladder: engaged when any trigger holds, released when all exit criteria hold; or by command.
struct RoleSpec {
  std::string name;
  std::string title;
  std::string team;                          // a roster team; a follow-the-sun team hands on with its regions
  std::vector<std::string> responsibilities;
  std::vector<std::string> interfaces;       // whom it works with, by name
  std::vector<std::string> channels;
  std::vector<NamedCondition> triggers;
  std::vector<NamedCondition> exit;
  Duration accept_within{};                  // a shift change hands the role on, to be accepted in time; 0: no hand-off
};

// Who has which part in an activity: names of levels and engaged roles.
struct RaciSpec {
  std::string activity;
  std::vector<std::string> responsible;      // carry it out
  std::vector<std::string> accountable;      // answer for it; several decide together
  std::vector<std::string> consulted;
  std::vector<std::string> informed;
};

// What a team wants to reach over a month or a quarter: reports compare with it, nothing is decided by it.
struct GoalSpec {
  std::array<std::optional<int>, kMaxSeverities> escalated_percent{};  // the share of cases that escalate stays below
  TimesBySeverity time_to_escalate{};        // the median is at most this
  int resolution_ratio = 0;                  // the median after an escalation stays below so many times the others'; 0: none
  int satisfaction_percent = 0;              // is above; customers are asked for it, a report only names it; 0: none
};

// The urgency matrix: what an asset's or identity's criticality makes of an alert's severity.
struct UrgencySpec {
  std::vector<FieldId> fields;               // of the alert; the worst outcome of all their values counts
  std::map<std::string, std::array<uint8_t, kMaxSeverities>, std::less<>> severity_for;  // value → severity → severity
};

// A condition over the case that raises its severity.
struct RaiseSpec {
  std::string name;
  uint8_t severity = 0;
  std::shared_ptr<const Condition> when;
};

// Alert scores of one entity (one grouping key) add up over the window; from a threshold on the severity is at least
// this one.
struct RiskSpec {
  Duration window{};                         // 0: off
  std::array<std::optional<uint32_t>, kMaxSeverities> threshold{};
};

// Alerts that match while the window is open are recorded, and their escalation held back (maintenance, expected tests).
struct MaintenanceSpec {
  std::string name;
  std::string owner;
  std::string reason;
  std::shared_ptr<const Condition> when;     // over the alert
  Timestamp from{};
  Timestamp to{};
};

// More automatic escalations of one rule than this within the window are folded into one storm case.
struct StormSpec {
  uint32_t escalations = 0;                  // 0: off
  Duration window{};
};

// A feed of alerts that is expected to speak: silence for longer than this is an alert of its own.
struct FeedSpec {
  std::string name;
  std::string topic;                         // "": any
  std::string product;                       // observer.product, or the format's name; "": any
  Duration silent_after{};
  uint8_t severity = 0;                      // of the case that its silence opens
};

// First match wins; a rule whose `by` fields are not all present is passed over.
struct GroupingRule {
  std::string name;
  std::shared_ptr<const Condition> when;     // over the alert taxonomy; null: always
  std::vector<FieldId> by;
  Duration idle{};                           // no alert for this long closes the window
  Duration max{};                            // the window's length at most
  uint64_t max_alerts = 0;                   // beyond it a linked case opens
  Duration reopen{};                         // an alert this soon after resolution reopens the case; 0: never
};

// What each role may do, as a bit set over CommandAction.
struct RolePermissions {
  std::string role;
  uint64_t actions = 0;
};

// Why a case is escalated when neither a criterion nor a person asks for it. Policy::Reasons has all of a policy's.
namespace reason {
inline constexpr std::string_view kUnresolvedInTime = "unresolved_in_time";
inline constexpr std::string_view kNotAcknowledged = "not_acknowledged";
inline constexpr std::string_view kHardLimit = "hard_limit";
inline constexpr std::string_view kStorm = "storm";
}  // namespace reason

struct Policy {
  std::string name;
  std::string title;
  std::shared_ptr<const Condition> when;     // over the alert taxonomy; null: every alert

  std::vector<SeveritySpec> severities;      // worst first
  uint8_t default_severity = 0;              // for an alert that states no score
  std::vector<LevelSpec> levels;
  MatrixSince matrix_since = MatrixSince::kCaseOpened;
  // The reason when the first level's time ends and nobody has said what the case is; "" : as for any other level.
  std::string reason_without_verdict;
  std::vector<std::shared_ptr<const Calendar>> calendars;
  std::array<ClockSpec, kClockKindCount> clocks;
  std::string escalated_status = "escalated";  // or "in_progress"
  bool pause_waiting = true;                 // waiting_for_info pauses contain, resolve and matrix
  bool pause_on_hold = true;                 // on_hold does
  std::optional<HardLimit> hard_limit;
  std::vector<Guard> guards;                 // in order; the first that holds gives its name
  std::vector<FollowUpSpec> follow_ups;
  std::vector<RoleSpec> engaged_roles;
  std::vector<RaciSpec> raci;                // in the order of the pack
  GoalSpec goals;
  std::vector<UrgencySpec> urgency;
  std::vector<RaiseSpec> raises;
  RiskSpec risk;
  Duration recurrence_window{};              // cases of one key within it count as recurrence; 0: off
  std::vector<MaintenanceSpec> maintenance;
  StormSpec storm;
  std::vector<FeedSpec> feeds;

  Duration repeat_interval{};                // re-notification while unacknowledged; 0: off
  uint32_t repeat_max = 0;                   // after the last one the case goes one level up
  // An acknowledged case nobody acts on for this long counts as unacknowledged; by severity, nullopt: never.
  std::array<std::optional<Duration>, kMaxSeverities> ack_timeout{};
  Duration max_pause{};                      // waiting_for_info / on_hold pause deadlines at most this long
  Duration confirm_timeout{};                // resolved closes by itself after this long; 0: only by confirmation

  std::vector<Criterion> criteria;           // top to bottom
  std::vector<FieldId> criteria_fields;      // union of what all conditions over the case read, ascending

  std::vector<GroupingRule> grouping;
  Duration dedup_window{};
  int auto_close_review_percent = 0;         // share of automatic closures sent to review instead (by hash of alert id)
  Duration document_interval{};              // case documents: at most one per interval unless the standing changed

  std::vector<RolePermissions> roles;
  std::shared_ptr<const Roster> roster;      // `people` and `teams` of the pack
  std::string report_zone = "UTC";           // the team's IANA zone, for "when" in reports

  std::optional<uint8_t> SeverityIndex(std::string_view severity_name) const;
  std::optional<uint8_t> LevelIndex(std::string_view level_name) const;
  uint8_t SeverityFor(const Alert& alert) const;  // by score, then by the urgency matrix
  std::optional<uint8_t> RoleIndex(std::string_view role_name) const;
  // Every reason that an escalation can have without a person, each once.
  std::set<std::string> Reasons() const;
};

// Compiles one pack. `alert_catalog` gains raw paths. nullptr when `diagnostics` got an error.
std::shared_ptr<const Policy> CompilePolicy(const SourceFile& file, FieldCatalog* alert_catalog,
                                            FieldCatalog* case_catalog, Diagnostics* diagnostics);

}  // namespace triaged
