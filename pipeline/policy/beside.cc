// What runs beside the ladder: roles that are engaged and released, and follow-ups with due times.
#include <set>

#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

constexpr Duration kLongest = std::chrono::hours(24 * 366);

std::vector<NamedCondition> ReadConditions(const Reading& reading, MapReader* map, const char* key) {
  std::vector<NamedCondition> conditions;
  const YamlNode* list = map->Node(key);
  if (!list) return conditions;
  if (!list->IsList()) {
    ErrorAt(reading, *list, std::string("`") + key + "` must be a list of {name, when}");
    return conditions;
  }
  std::set<std::string> seen;
  for (const YamlNode& node : list->list()) {
    MapReader item(reading.source, node, key, reading.diagnostics);
    NamedCondition condition;
    condition.name = item.String("name", {}, true);
    if (const YamlNode* name = item.Node("name")) {
      CheckName(reading, *name, condition.name, "condition");
      if (!seen.insert(condition.name).second) ErrorAt(reading, *name, "'" + condition.name + "' is listed twice");
    }
    if (const YamlNode* when = item.Node("when", true)) condition.when = ReadCaseCondition(reading, *when);
    item.Finish();
    conditions.push_back(std::move(condition));
  }
  return conditions;
}

void ReadEngagedRoles(const Reading& reading, MapReader* top) {
  if (!top->Node("engaged_roles")) return;
  for (const YamlNode& node : ListOf(reading, top, "engaged_roles", kMaxEngagedRoles)) {
    MapReader map(reading.source, node, "role", reading.diagnostics);
    RoleSpec role;
    role.name = map.String("name", {}, true);
    if (const YamlNode* name = map.Node("name")) {
      CheckName(reading, *name, role.name, "role");
      if (reading.policy->RoleIndex(role.name)) ErrorAt(reading, *name, "role '" + role.name + "' is listed twice");
    }
    role.title = map.String("title", role.name);
    role.team = map.String("team", {}, true);
    role.responsibilities = map.Strings("responsibilities");
    role.interfaces = map.Strings("interfaces");
    role.channels = map.Strings("channels");
    role.triggers = ReadConditions(reading, &map, "triggers");
    role.exit = ReadConditions(reading, &map, "exit");
    role.accept_within = map.Interval("accept_within", Duration{0}, std::chrono::seconds(1), kLongest);
    map.Finish();
    reading.policy->engaged_roles.push_back(std::move(role));
  }
}

void ReadFollowUps(const Reading& reading, MapReader* top) {
  if (!top->Node("follow_ups")) return;
  std::set<std::string> seen;
  for (const YamlNode& node : ListOf(reading, top, "follow_ups", kMaxFollowUps)) {
    MapReader map(reading.source, node, "follow-up", reading.diagnostics);
    FollowUpSpec follow_up;
    follow_up.name = map.String("name", {}, true);
    if (const YamlNode* name = map.Node("name")) {
      CheckName(reading, *name, follow_up.name, "follow-up");
      if (ParseClockKind(follow_up.name)) ErrorAt(reading, *name, "'" + follow_up.name + "' is the name of a clock");
      if (!seen.insert(follow_up.name).second) ErrorAt(reading, *name, "'" + follow_up.name + "' is listed twice");
    }
    follow_up.text = map.String("text");
    map.Node("on", true);
    follow_up.on =
        static_cast<FollowUpOn>(map.Choice("on", {"opened", "escalated", "incident", "resolved", "closed"}, 3));
    if (const YamlNode* when = map.Node("when")) follow_up.when = ReadCaseCondition(reading, *when);
    follow_up.calendar = ReadCalendarName(reading, &map);
    if (const YamlNode* due = map.Node("due", true)) {
      MapReader times(reading.source, *due, "due of follow-up '" + follow_up.name + "'", reading.diagnostics);
      ReadBySeverity(reading, &times, "follow-up '" + follow_up.name + "'", follow_up.calendar.get(), &follow_up.due);
      times.Finish();
    }
    map.Finish();
    reading.policy->follow_ups.push_back(std::move(follow_up));
  }
}

}  // namespace

void ReadBeside(const Reading& reading, MapReader* top) {
  ReadEngagedRoles(reading, top);
  ReadFollowUps(reading, top);
}

}  // namespace triaged::pack

namespace triaged {

std::optional<uint8_t> Policy::RoleIndex(std::string_view role_name) const {
  for (size_t i = 0; i < engaged_roles.size(); ++i) {
    if (engaged_roles[i].name == role_name) return static_cast<uint8_t>(i);
  }
  return std::nullopt;
}

}  // namespace triaged
