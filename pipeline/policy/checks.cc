// What only the whole pack shows: levels nothing leads to, conditions that cannot hold, calendars nobody uses.
#include <algorithm>
#include <utility>

#include "pipeline/policy/conditions.h"
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

// The names that can stand in a field; none: anything can.
std::vector<std::string> NamesOf(const Policy& policy, FieldId id) {
  std::vector<std::string> names;
  if (id == field::kCaseRoles) {
    for (const RoleSpec& role : policy.engaged_roles) names.push_back(role.name);
  } else if (id == field::kCaseTeam) {
    names = policy.roster->Teams();
  } else if (auto values = ValuesOf(policy, id, ~0u)) {
    names = std::move(*values);
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

void CheckNumbers(const Reading& reading, const YamlNode& when) {
  const auto found = FindContradiction(when);
  if (!found) return;
  ErrorAt(reading, found->line, found->column, "this can never hold: " + found->text,
          "all entries of one map must hold; two maps in a list are alternatives");
}

// One condition over the case, where it stands in the pack.
void CheckCondition(const Reading& reading, const YamlNode& item, const Condition* condition, const std::string& what,
                    uint32_t at_levels) {
  const YamlNode* when = item.Find("when");
  if (!when || !condition) return;
  const size_t before = reading.diagnostics->items().size();
  CheckNames(reading, *when);
  CheckNumbers(reading, *when);
  if (reading.diagnostics->items().size() > before) return;
  if (CanHold(*reading.policy, *reading.case_catalog, {condition, when}, at_levels)) return;
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

// Criteria that another one always comes before: it takes the case away from their levels.
void CheckShadowedCriteria(const Reading& reading, MapReader* top) {
  const Policy& policy = *reading.policy;
  const auto written = [&](size_t i) {
    return Written{policy.criteria[i].when.get(), top->Node("criteria")->list()[i].Find("when")};
  };
  size_t budget = 2'000'000;  // standings tried in all: about a second for the largest pack
  for (size_t i = 1; i < policy.criteria.size(); ++i) {
    const Criterion& late = policy.criteria[i];
    for (size_t j = 0; j < i; ++j) {
      const Criterion& early = policy.criteria[j];
      const bool same_levels = (late.at_levels & ~early.at_levels) == 0;
      if (!same_levels || early.again || (late.bypass && !early.bypass)) continue;
      if (!Covers(policy, *reading.case_catalog, written(j), written(i), late.at_levels, &budget)) continue;
      ErrorAt(reading, top->Node("criteria")->list()[i],
              "criterion '" + late.name + "' is never the first to apply: '" + early.name + "' in line " +
                  std::to_string(top->Node("criteria")->list()[j].line()) + " applies whenever it does",
              "move it up, or say what sets it apart");
      break;
    }
  }
}

// Grouping rules that an earlier one leaves no alert.
void CheckShadowedGrouping(const Reading& reading, MapReader* top) {
  const Policy& policy = *reading.policy;
  const auto written = [&](size_t i) {
    return Written{policy.grouping[i].when.get(), top->Node("grouping")->list()[i].Find("when")};
  };
  for (size_t i = 1; i < policy.grouping.size(); ++i) {
    const GroupingRule& late = policy.grouping[i];
    for (size_t j = 0; j < i; ++j) {
      const GroupingRule& early = policy.grouping[j];
      const bool fewer_fields = std::all_of(early.by.begin(), early.by.end(), [&](FieldId id) {
        return std::find(late.by.begin(), late.by.end(), id) != late.by.end();
      });
      if (!fewer_fields || !CoversAsWritten(written(j), written(i))) continue;
      ErrorAt(reading, top->Node("grouping")->list()[i],
              "grouping rule '" + late.name + "' is never reached: '" + early.name + "' in line " +
                  std::to_string(top->Node("grouping")->list()[j].line()) + " takes every alert that has its fields",
              "move it up");
      break;
    }
  }
}

// Bounds on an alert's severity that leave nothing between them.
void CheckAlertNumbers(const Reading& reading, MapReader* top) {
  if (const YamlNode* when = top->Node("when")) CheckNumbers(reading, *when);
  for (const YamlNode& rule : top->Node("grouping")->list()) {
    if (const YamlNode* when = rule.Find("when")) CheckNumbers(reading, *when);
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
  CheckAlertNumbers(reading, top);
  if (reading.diagnostics->HasErrors()) return;  // what can never hold is covered by anything
  CheckShadowedCriteria(reading, top);
  CheckShadowedGrouping(reading, top);
  CheckEffects(reading, top);
  CheckCalendars(reading, top);
}

}  // namespace triaged::pack
