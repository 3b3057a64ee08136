// What holds an escalation back, and what nothing holds back: guards, maintenance windows, the hard limit.
#include <algorithm>
#include <set>

#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

constexpr Duration kLongest = std::chrono::hours(24 * 366);
constexpr size_t kMaxGuards = 100;
constexpr size_t kMaxMaintenance = 1000;

void ReadHardLimit(const Reading& reading, MapReader* top) {
  Policy& policy = *reading.policy;
  const YamlNode* node = top->Node("hard_limit");
  if (!node || policy.severities.empty() || policy.levels.empty()) return;
  MapReader map(reading.source, *node, "hard_limit", reading.diagnostics);
  HardLimit limit;
  const std::string to = map.String("to", {}, true);
  if (const auto level = policy.LevelIndex(to); level && *level > 0) {
    limit.to_level = *level;
  } else if (const YamlNode* where = map.Node("to")) {
    ErrorAt(reading, *where, level ? "a case begins at level '" + to + "'" : "there is no level '" + to + "'",
            level ? "name a higher one" : Suggest(to, LevelNames(policy)));
  }
  ClockTimes times;
  ReadBySeverity(reading, &map, "hard_limit", nullptr, &times);
  limit.after = times.duration;
  map.Finish();
  policy.hard_limit = limit;
}

uint32_t ReadGuardLevels(const Reading& reading, MapReader* map) {
  const Policy& policy = *reading.policy;
  const YamlNode* node = map->Node("at");
  if (!node) return (1u << policy.levels.size()) - 1;
  uint32_t bits = 0;
  for (const std::string& name : map->Strings("at")) {
    if (const auto level = policy.LevelIndex(name)) {
      bits |= 1u << *level;
    } else {
      ErrorAt(reading, *node, "there is no level '" + name + "'", Suggest(name, LevelNames(policy)));
    }
  }
  return bits;
}

void ReadGuards(const Reading& reading, MapReader* top) {
  const YamlNode* list = top->Node("guards");
  if (!list) return;
  std::set<std::string> seen;
  for (const YamlNode& node : ListOf(reading, top, "guards", kMaxGuards)) {
    MapReader map(reading.source, node, "guard", reading.diagnostics);
    Guard guard;
    guard.name = map.String("name", {}, true);
    if (const YamlNode* name = map.Node("name")) {
      CheckName(reading, *name, guard.name, "guard");
      if (!seen.insert(guard.name).second) ErrorAt(reading, *name, "guard '" + guard.name + "' is listed twice");
    }
    guard.at_levels = ReadGuardLevels(reading, &map);
    guard.acted_within = map.Interval("acted_within", Duration{0}, std::chrono::seconds(1), kLongest);
    guard.recheck = map.Interval("recheck", std::chrono::minutes(15), std::chrono::seconds(10), kLongest);
    const YamlNode* when = map.Node("when");
    if (when) guard.when = ReadCaseCondition(reading, *when);
    if (!when && guard.acted_within == Duration{0}) {
      map.ErrorHere("a guard without `when` and `acted_within` would hold back everything for ever",
                    "say under which condition it holds");
    }
    if (guard.acted_within > Duration{0} && map.Has("recheck")) {
      ErrorAt(reading, *map.Node("recheck"), "`recheck` has no effect beside `acted_within`, which says when it lapses",
              "remove it");
    }
    map.Finish();
    reading.policy->guards.push_back(std::move(guard));
  }
}

std::optional<Timestamp> ReadInstant(const Reading& reading, MapReader* map, const char* key) {
  const std::string text = map->String(key, {}, true);
  if (text.empty()) return std::nullopt;
  const auto at = ParseTimestamp(text);
  if (!at) {
    ErrorAt(reading, *map->Node(key), "'" + text + "' is no RFC 3339 time", "for example '2026-11-21T04:08:00+01:00'");
  }
  return at;
}

void ReadMaintenance(const Reading& reading, MapReader* top) {
  const YamlNode* list = top->Node("maintenance");
  if (!list) return;
  std::set<std::string> seen;
  for (const YamlNode& node : ListOf(reading, top, "maintenance", kMaxMaintenance)) {
    MapReader map(reading.source, node, "maintenance window", reading.diagnostics);
    MaintenanceSpec window;
    window.name = map.String("name", {}, true);
    if (const YamlNode* name = map.Node("name")) {
      CheckName(reading, *name, window.name, "maintenance window");
      if (!seen.insert(window.name).second) ErrorAt(reading, *name, "'" + window.name + "' is listed twice");
    }
    window.owner = map.String("owner", {}, true);
    window.reason = map.String("reason", {}, true);
    if (const YamlNode* when = map.Node("when", true)) {
      window.when = Condition::Compile(reading.source, *when, reading.alert_catalog, reading.diagnostics);
    }
    const auto from = ReadInstant(reading, &map, "from");
    const auto to = ReadInstant(reading, &map, "to");
    map.Finish();
    if (from && to && *to <= *from) {
      ErrorAt(reading, *map.Node("to"), "the window ends before it begins", "`to` must be after `from`");
    }
    window.from = from.value_or(Timestamp{});
    window.to = to.value_or(Timestamp{});
    reading.policy->maintenance.push_back(std::move(window));
  }
}

}  // namespace

std::shared_ptr<const Condition> ReadCaseCondition(const Reading& reading, const YamlNode& when) {
  auto condition = Condition::Compile(reading.source, when, reading.case_catalog, reading.diagnostics);
  if (!condition) return condition;
  auto& fields = reading.policy->criteria_fields;
  for (FieldId id : condition->fields()) {
    const auto at = std::lower_bound(fields.begin(), fields.end(), id);
    if (at == fields.end() || *at != id) fields.insert(at, id);
  }
  return condition;
}

void ReadHolds(const Reading& reading, MapReader* top) {
  ReadHardLimit(reading, top);
  ReadGuards(reading, top);
  ReadMaintenance(reading, top);
}

}  // namespace triaged::pack
