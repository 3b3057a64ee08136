// `goals`: what a team wants to reach over a month or a quarter. `triagectl report` compares with it.
#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

constexpr Duration kLongest = std::chrono::hours(24 * 366);

// Calls read(map, name, i) for each severity that the map under `key` names; others have no goal.
template <typename Read>
void ReadSome(const Reading& reading, MapReader* goals, const char* key, Read read) {
  const YamlNode* node = goals->Node(key);
  if (!node) return;
  MapReader map(reading.source, *node, std::string("`") + key + "`", reading.diagnostics);
  const auto& severities = reading.policy->severities;
  for (size_t i = 0; i < severities.size(); ++i) {
    if (map.Has(severities[i].name)) read(&map, severities[i].name, i);
  }
  map.Finish();
}

}  // namespace

void ReadGoals(const Reading& reading, MapReader* top) {
  const YamlNode* node = top->Node("goals");
  if (!node) return;
  MapReader map(reading.source, *node, "goals", reading.diagnostics);
  GoalSpec& goals = reading.policy->goals;
  ReadSome(reading, &map, "escalated_percent", [&](MapReader* some, const std::string& name, size_t i) {
    goals.escalated_percent[i] = static_cast<int>(some->Int(name, 0, 1, 100));
  });
  ReadSome(reading, &map, "time_to_escalate", [&](MapReader* some, const std::string& name, size_t i) {
    goals.time_to_escalate[i] = some->Interval(name, Duration{0}, Duration{1}, kLongest);
  });
  goals.resolution_ratio = static_cast<int>(map.Int("resolution_ratio", 0, 1, 100));
  goals.satisfaction_percent = static_cast<int>(map.Int("satisfaction_percent", 0, 1, 99));
  map.Finish();
}

}  // namespace triaged::pack
