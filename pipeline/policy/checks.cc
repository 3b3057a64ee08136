// What only the whole pack shows: levels nothing leads to, conditions that cannot hold, calendars nobody uses.
#include <algorithm>

#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

bool AnyTime(const TimesBySeverity& times) {
  return std::any_of(times.begin(), times.end(), [](const auto& time) { return time.has_value(); });
}

bool Reached(const Policy& policy, size_t level) {
  if (AnyTime(policy.levels[level].reached_after) || policy.repeat_interval > Duration{0}) return true;
  if (policy.hard_limit && policy.hard_limit->to_level == level) return true;
  return std::any_of(policy.criteria.begin(), policy.criteria.end(), [&](const Criterion& criterion) {
    return criterion.to_level ? *criterion.to_level == level : (criterion.at_levels >> (level - 1) & 1) != 0;
  });
}

void CheckLevels(const Reading& reading, MapReader* top) {
  const Policy& policy = *reading.policy;
  const YamlNode* list = top->Node("levels");
  for (size_t level = 1; level < policy.levels.size(); ++level) {
    if (Reached(policy, level)) continue;
    ErrorAt(
        reading, list->list()[level],
        "nothing leads to level '" + policy.levels[level].name + "': no time, no criterion, no repeat, no hard limit",
        "give it a row with times in `matrix`, or a criterion with `to: " + policy.levels[level].name + "`");
  }
}

// The fields with few values, and those values; a condition over these alone can be tried with all of them.
struct Axis {
  FieldId field;
  std::vector<std::string> values;
};

std::optional<Axis> AxisOf(const Policy& policy, FieldId id, uint32_t at_levels) {
  Axis axis{id, {}};
  switch (static_cast<field::CaseField>(id)) {
    case field::kCaseSeverity:
      for (const auto& severity : policy.severities) axis.values.push_back(severity.name);
      return axis;
    case field::kCaseLevel:
      for (size_t i = 0; i < policy.levels.size(); ++i) {
        if (at_levels >> i & 1) axis.values.push_back(policy.levels[i].name);
      }
      return axis;
    case field::kCaseStatus:
      return Axis{id, {"open", "in_progress", "escalated", "waiting_for_info", "on_hold", "resolved", "closed"}};
    case field::kCaseVerdict:
      return Axis{id, {"", "false_positive", "benign_true_positive", "needs_review", "true_positive"}};
    case field::kCaseIncident:
      return Axis{id, {"", "none", "minor", "major"}};
    case field::kCaseAcknowledged:
    case field::kCaseSeverityRaised:
    case field::kCaseContained:
    case field::kCaseBreached:
    case field::kCaseDrill:
      return Axis{id, {"true", "false"}};
    default:
      return std::nullopt;
  }
}

bool CanHold(const Policy& policy, const Condition& condition, uint32_t at_levels) {
  std::vector<Axis> axes;
  for (FieldId id : condition.fields()) {
    auto axis = AxisOf(policy, id, at_levels);
    if (!axis) return true;  // anything may stand there
    axes.push_back(std::move(*axis));
  }
  std::vector<size_t> at(axes.size(), 0);
  FieldTable table;
  while (true) {
    table.Reset(field::kCaseFieldCount);
    for (size_t i = 0; i < axes.size(); ++i) {
      const std::string& text = axes[i].values[at[i]];
      if (text.empty()) continue;
      Value value(text);
      if (text == "true" || text == "false") {
        value.kind = ValueKind::kBool;
        value.boolean = text == "true";
      }
      table.Add(axes[i].field, value);
    }
    if (condition.Matches(table)) return true;
    size_t i = 0;
    for (; i < axes.size() && ++at[i] == axes[i].values.size(); ++i) at[i] = 0;
    if (i == axes.size()) return false;
  }
}

// The names that can stand in a field; none: anything can.
std::vector<std::string> NamesOf(const Policy& policy, FieldId id) {
  std::vector<std::string> names;
  if (id == field::kCaseRoles) {
    for (const RoleSpec& role : policy.engaged_roles) names.push_back(role.name);
  } else if (id == field::kCaseTeam) {
    names = policy.roster->Teams();
  } else if (const auto axis = AxisOf(policy, id, ~0u)) {
    names = axis->values;
  }
  return names;
}

// A plain value that stands beside a field with a fixed set of names, and is none of them.
void CheckValues(const Reading& reading, const YamlNode& node, FieldId id) {
  if (node.IsList()) {
    for (const YamlNode& item : node.list()) CheckValues(reading, item, id);
    return;
  }
  if (!node.IsScalar() || node.scalar().find_first_of("*?") != std::string::npos) return;
  const auto known = NamesOf(*reading.policy, id);
  if (std::find(known.begin(), known.end(), node.scalar()) != known.end()) return;
  std::vector<std::string_view> names(known.begin(), known.end());
  names.erase(std::remove(names.begin(), names.end(), std::string_view()), names.end());
  ErrorAt(reading, node,
          "this can never hold: there is no '" + node.scalar() + "' for " + std::string(reading.case_catalog->Name(id)),
          Suggest(node.scalar(), names));
}

void CheckNames(const Reading& reading, const YamlNode& node) {
  if (node.IsList()) {
    for (const YamlNode& item : node.list()) CheckNames(reading, item);
  }
  if (!node.IsMap()) return;
  for (const YamlNode::Entry& entry : node.map()) {
    const FieldId id = reading.case_catalog->Find(entry.key);
    if (id == kNoField) {
      CheckNames(reading, entry.value);
    } else if (!NamesOf(*reading.policy, id).empty()) {
      CheckValues(reading, entry.value, id);
    }
  }
}

// One condition over the case, where it stands in the pack.
void CheckCondition(const Reading& reading, const YamlNode& item, const Condition* condition, const std::string& what,
                    uint32_t at_levels) {
  const YamlNode* when = item.Find("when");
  if (!when || !condition) return;
  const size_t before = reading.diagnostics->items().size();
  CheckNames(reading, *when);
  if (reading.diagnostics->items().size() > before) return;
  if (CanHold(*reading.policy, *condition, at_levels)) return;
  ErrorAt(reading, *when, what + " can never hold", "no case has such a standing");
}

void CheckRoleConditions(const Reading& reading, const YamlNode& role, const char* section, const std::string& what,
                         const std::vector<NamedCondition>& conditions) {
  const YamlNode* list = role.Find(section);
  for (size_t i = 0; i < conditions.size(); ++i) {
    CheckCondition(reading, list->list()[i], conditions[i].when.get(), what + " '" + conditions[i].name + "' of role '" +
                   role.Find("name")->scalar() + "'", ~0u);
  }
}

void CheckConditions(const Reading& reading, MapReader* top) {
  const Policy& policy = *reading.policy;
  const auto item = [&](const char* section, size_t i) -> const YamlNode& { return top->Node(section)->list()[i]; };
  for (size_t i = 0; i < policy.criteria.size(); ++i) {
    const Criterion& criterion = policy.criteria[i];
    CheckCondition(reading, item("criteria", i), criterion.when.get(), "criterion '" + criterion.name + "'",
                   criterion.at_levels);
  }
  for (size_t i = 0; i < policy.guards.size(); ++i) {
    const Guard& guard = policy.guards[i];
    CheckCondition(reading, item("guards", i), guard.when.get(), "guard '" + guard.name + "'", guard.at_levels);
  }
  for (size_t i = 0; i < policy.follow_ups.size(); ++i) {
    const FollowUpSpec& follow_up = policy.follow_ups[i];
    CheckCondition(reading, item("follow_ups", i), follow_up.when.get(), "follow-up '" + follow_up.name + "'", ~0u);
  }
  for (size_t i = 0; i < policy.raises.size(); ++i) {
    CheckCondition(reading, item("raise", i), policy.raises[i].when.get(), "raise '" + policy.raises[i].name + "'", ~0u);
  }
  for (size_t i = 0; i < policy.engaged_roles.size(); ++i) {
    const YamlNode& role = item("engaged_roles", i);
    CheckRoleConditions(reading, role, "triggers", "trigger", policy.engaged_roles[i].triggers);
    CheckRoleConditions(reading, role, "exit", "exit criterion", policy.engaged_roles[i].exit);
  }
}

// Settings that read well and do nothing.
void CheckEffects(const Reading& reading, MapReader* top) {
  const Policy& policy = *reading.policy;
  for (size_t i = 0; i < policy.follow_ups.size(); ++i) {
    if (AnyTime(policy.follow_ups[i].due.duration)) continue;
    ErrorAt(reading, *top->Node("follow_ups")->list()[i].Find("due"),
            "follow-up '" + policy.follow_ups[i].name + "' is never owed: it has no duration for any severity",
            "give it one, or remove the follow-up");
  }
  for (size_t i = 0; i < policy.raises.size(); ++i) {
    if (policy.raises[i].severity + 1u < policy.severities.size()) continue;
    ErrorAt(reading, *top->Node("raise")->list()[i].Find("to"),
            "'" + policy.raises[i].name + "' raises nothing: nothing is milder than '" +
                policy.severities.back().name + "'",
            "name a worse severity");
  }
  if (policy.hard_limit && !AnyTime(policy.hard_limit->after)) {
    ErrorAt(reading, *top->Node("hard_limit"), "the hard limit has no duration for any severity", "remove it");
  }
  if (top->Node("ack_timeout") && !AnyTime(policy.ack_timeout)) {
    ErrorAt(reading, *top->Node("ack_timeout"), "ack_timeout has no duration for any severity", "remove it");
  }
  if (top->Has("max_pause") && !policy.pause_waiting && !policy.pause_on_hold) {
    ErrorAt(reading, *top->Node("max_pause"), "`max_pause` has no effect: no status pauses anything", "remove it");
  }
}

void CheckCalendars(const Reading& reading, MapReader* top) {
  const Policy& policy = *reading.policy;
  const YamlNode* map = top->Node("calendars");
  for (const auto& calendar : policy.calendars) {
    bool used = std::any_of(policy.clocks.begin(), policy.clocks.end(),
                            [&](const ClockSpec& clock) { return clock.calendar == calendar; });
    used |= std::any_of(policy.follow_ups.begin(), policy.follow_ups.end(),
                        [&](const FollowUpSpec& follow_up) { return follow_up.calendar == calendar; });
    if (!used)
      ErrorAt(reading, *map->Find(calendar->name()), "nothing uses calendar '" + calendar->name() + "'", "remove it");
  }
}

}  // namespace

void CheckWhole(const Reading& reading, MapReader* top) {
  // A pack with mistakes elsewhere would be told follow-up mistakes here.
  if (reading.diagnostics->HasErrors()) return;
  CheckLevels(reading, top);
  CheckConditions(reading, top);
  CheckEffects(reading, top);
  CheckCalendars(reading, top);
}

}  // namespace triaged::pack
