// Policy: one pack's compiled decisions-as-data. The engine (decide/) reads it and knows no pack by name.
//
// A pack is one YAML file under configs/policies/; configs/README.md is the reference of every setting. Compilation
// is strict: all errors at once, with file, line and snippet. Immutable afterwards; shared by every thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/time.h"
#include "pipeline/base/yaml.h"
#include "pipeline/model/alert.h"
#include "pipeline/model/case.h"
#include "pipeline/model/fields.h"
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

// A clock's durations by severity; nullopt: the clock does not run for that severity.
struct ClockSpec {
  std::array<std::optional<Duration>, kMaxSeverities> duration{};
  int at_risk_percent = 75;
};

// What a criterion escalates to.
struct Criterion {
  std::string name;                          // the reason of the escalation
  uint32_t at_levels = 0;                    // bit i: asked while the case is at level i
  std::shared_ptr<const Condition> when;     // over the case taxonomy
  std::optional<uint8_t> to_level;           // nullopt: the next one
  std::string request;                       // what is asked of the receiver, when no rule says it better
  bool bypass = false;                       // may skip levels and is never held back
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

struct Policy {
  std::string name;
  std::string title;
  std::shared_ptr<const Condition> when;     // over the alert taxonomy; null: every alert

  std::vector<SeveritySpec> severities;      // worst first
  uint8_t default_severity = 0;              // for an alert that states no score
  std::vector<LevelSpec> levels;
  MatrixSince matrix_since = MatrixSince::kCaseOpened;
  std::array<ClockSpec, kClockKindCount> clocks;
  std::string escalated_status = "escalated";  // or "in_progress"

  Duration repeat_interval{};                // re-notification while unacknowledged; 0: off
  uint32_t repeat_max = 0;                   // after the last one the case goes one level up
  // An acknowledged case nobody acts on for this long counts as unacknowledged; by severity, nullopt: never.
  std::array<std::optional<Duration>, kMaxSeverities> ack_timeout{};
  Duration max_pause{};                      // waiting_for_info / on_hold pause deadlines at most this long
  Duration confirm_timeout{};                // resolved closes by itself after this long; 0: only by confirmation

  std::vector<Criterion> criteria;           // top to bottom
  std::vector<FieldId> criteria_fields;      // union of what they read, ascending

  std::vector<GroupingRule> grouping;
  Duration dedup_window{};
  int auto_close_review_percent = 0;         // share of automatic closures sent to review instead (by hash of alert id)
  Duration document_interval{};              // case documents: at most one per interval unless the standing changed

  std::vector<RolePermissions> roles;
  std::shared_ptr<const Roster> roster;      // `people` and `teams` of the pack
  std::string report_zone = "UTC";           // the team's IANA zone, for "when" in reports

  std::optional<uint8_t> SeverityIndex(std::string_view severity_name) const;
  std::optional<uint8_t> LevelIndex(std::string_view level_name) const;
  uint8_t SeverityFor(const Alert& alert) const;
};

// Compiles one pack. `alert_catalog` gains raw paths. nullptr when `diagnostics` got an error.
std::shared_ptr<const Policy> CompilePolicy(const SourceFile& file, FieldCatalog* alert_catalog,
                                            FieldCatalog* case_catalog, Diagnostics* diagnostics);

}  // namespace triaged
