// Severities, levels and the time matrix.
#include <algorithm>
#include <array>
#include <set>

#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

// Counted from the opening, a higher level must be reached later than a lower one, or the lower one never is.
void CheckRising(const Reading& reading, const YamlNode& row, size_t level) {
  const Policy& policy = *reading.policy;
  for (size_t s = 0; s < policy.severities.size(); ++s) {
    const auto& time = policy.levels[level].reached_after[s];
    if (!time) continue;
    for (size_t lower = level; lower-- > 1;) {
      const auto& below = policy.levels[lower].reached_after[s];
      if (!below || *below < *time) continue;
      const YamlNode* node = row.Find(policy.severities[s].name);
      ErrorAt(reading, node ? *node : row,
              policy.levels[level].name + " is reached after " + Shown(time) + ", not later than " +
                  policy.levels[lower].name + " (" + Shown(below) + "): " + policy.levels[lower].name +
                  " would never be reached by time",
              "with `since: case_opened` a higher level's time is longer than a lower one's");
      break;
    }
  }
}

}  // namespace

void ReadSeverities(const Reading& reading, MapReader* top) {
  Policy& policy = *reading.policy;
  std::set<std::string> seen;
  const YamlNode* last_score = nullptr;
  for (const YamlNode& node : ListOf(reading, top, "severities", kMaxSeverities)) {
    MapReader map(reading.source, node, "severity", reading.diagnostics);
    SeveritySpec severity;
    severity.name = map.String("name", {}, true);
    map.Node("min_score", true);
    severity.min_score = static_cast<int>(map.Int("min_score", 0, 0, 100));
    map.Finish();
    if (const YamlNode* name = map.Node("name")) {
      CheckName(reading, *name, severity.name, "severity");
      for (const char* taken : {"at_risk", "calendar", "levels", "to"}) {
        if (severity.name == taken) {
          ErrorAt(reading, *name, "'" + severity.name + "' is a setting beside the severities; name it otherwise");
        }
      }
      if (!seen.insert(severity.name).second) {
        ErrorAt(reading, *name, "severity '" + severity.name + "' is listed twice");
      }
    }
    const YamlNode* score = map.Node("min_score");
    if (score && !policy.severities.empty() && severity.min_score >= policy.severities.back().min_score) {
      ErrorAt(reading, *score,
              "no alert could get severity '" + severity.name + "': the one above it already takes " +
                  std::to_string(policy.severities.back().min_score) + " and more",
              "list the worst first, each with a lower min_score than the one above");
    }
    last_score = score;
    policy.severities.push_back(std::move(severity));
  }
  if (last_score && policy.severities.back().min_score != 0) {
    ErrorAt(reading, *last_score,
            "an alert below " + std::to_string(policy.severities.back().min_score) + " would have no severity",
            "the last severity needs min_score: 0");
  }
  const std::string fallback = top->String("default_severity", {}, true);
  if (fallback.empty()) return;
  if (const auto index = policy.SeverityIndex(fallback)) {
    policy.default_severity = *index;
  } else {
    ErrorAt(reading, *top->Node("default_severity"), "there is no severity '" + fallback + "'",
            Suggest(fallback, SeverityNames(policy)));
  }
}

void ReadLevels(const Reading& reading, MapReader* top) {
  Policy& policy = *reading.policy;
  std::set<std::string> seen;
  for (const YamlNode& node : ListOf(reading, top, "levels", kMaxLevels)) {
    MapReader map(reading.source, node, "level", reading.diagnostics);
    LevelSpec level;
    level.name = map.String("name", {}, true);
    level.role = map.String("role");
    level.responsibilities = map.Strings("responsibilities");
    level.team = map.String("team", {}, true);
    level.channels = map.Strings("channels");
    map.Finish();
    if (const YamlNode* name = map.Node("name")) {
      CheckName(reading, *name, level.name, "level");
      if (level.name == "since" || level.name == "next" || level.name == "without_verdict") {
        ErrorAt(reading, *name, "'" + level.name + "' has a meaning of its own in `matrix` and `criteria`",
                "name the level otherwise");
      }
      if (!seen.insert(level.name).second) ErrorAt(reading, *name, "level '" + level.name + "' is listed twice");
    }
    policy.levels.push_back(std::move(level));
  }
}

void ReadMatrix(const Reading& reading, MapReader* top) {
  Policy& policy = *reading.policy;
  const YamlNode* node = top->Node("matrix");
  if (!node || policy.severities.empty() || policy.levels.empty()) return;
  MapReader map(reading.source, *node, "matrix", reading.diagnostics);
  policy.matrix_since = map.Choice("since", {"case_opened", "level_entered"}, 0) == 0 ? MatrixSince::kCaseOpened
                                                                                      : MatrixSince::kLevelEntered;
  policy.reason_without_verdict = map.String("without_verdict");
  if (const YamlNode* reason = map.Node("without_verdict")) {
    CheckName(reading, *reason, policy.reason_without_verdict, "reason");
  }
  if (const YamlNode* first = map.Node(policy.levels.front().name)) {
    ErrorAt(reading, *first, "a case begins at level " + policy.levels.front().name + ": no time leads there",
            "remove the row");
  }
  for (size_t i = 1; i < policy.levels.size(); ++i) {
    LevelSpec& level = policy.levels[i];
    const YamlNode* row = map.Node(level.name);
    if (!row) {
      map.ErrorHere("the matrix has no row for level '" + level.name + "'",
                    "add '" + level.name + ": {<severity>: <duration or never>, …}'");
      continue;
    }
    MapReader row_map(reading.source, *row, "matrix row '" + level.name + "'", reading.diagnostics);
    ClockTimes times;
    ReadBySeverity(reading, &row_map, "matrix row '" + level.name + "'", nullptr, &times);
    level.reached_after = times.duration;
    row_map.Finish();
    if (policy.matrix_since == MatrixSince::kCaseOpened) CheckRising(reading, *row, i);
  }
  map.Finish();
}

}  // namespace triaged::pack
