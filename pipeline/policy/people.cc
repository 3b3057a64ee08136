// Who may do what, and who is in which team.
#include <algorithm>
#include <set>

#include "pipeline/model/command.h"
#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

constexpr size_t kMaxRoles = 64;

constexpr CommandAction kActions[] = {
#define TRIAGED_X(id, name) CommandAction::id,
    TRIAGED_COMMANDS(TRIAGED_X)
#undef TRIAGED_X
};

std::vector<std::string_view> ActionNames() {
  std::vector<std::string_view> names;
  for (CommandAction action : kActions) names.push_back(Name(action));
  return names;
}

uint64_t Bit(CommandAction action) { return uint64_t{1} << static_cast<unsigned>(action); }

// "all", or a list of actions.
uint64_t ReadActions(const Reading& reading, const YamlNode& node, const std::string& role) {
  uint64_t actions = 0;
  if (node.IsScalar() && node.scalar() == "all") {
    for (CommandAction action : kActions) actions |= Bit(action);
    return actions;
  }
  if (!node.IsList() || node.list().empty()) {
    ErrorAt(reading, node, "role '" + role + "' needs a list of actions, or all", "for example [ack, note]");
    return 0;
  }
  for (const YamlNode& item : node.list()) {
    const auto action = item.IsScalar() ? ParseCommandAction(item.scalar()) : std::nullopt;
    if (!action) {
      const std::string shown = item.IsScalar() ? item.scalar() : "this";
      ErrorAt(reading, item, "role '" + role + "': there is no action '" + shown + "'", Suggest(shown, ActionNames()));
      continue;
    }
    if (actions & Bit(*action)) ErrorAt(reading, item, "action '" + item.scalar() + "' is listed twice");
    actions |= Bit(*action);
  }
  return actions;
}

// Teams that a fallback or `regions` names, by the file: whether they exist is the roster's to say.
void AddFallbacks(const YamlNode& teams, std::set<std::string, std::less<>>* used) {
  for (size_t grown = 0; grown != used->size();) {
    grown = used->size();
    for (const YamlNode::Entry& team : teams.map()) {
      const YamlNode* fallback = team.value.Find("fallback");
      if (!used->count(team.key)) continue;
      if (fallback && fallback->IsScalar()) used->insert(fallback->scalar());
      const YamlNode* regions = team.value.Find("regions");
      if (!regions || !regions->IsList()) continue;
      for (const YamlNode& region : regions->list()) {
        if (region.IsScalar()) used->insert(region.scalar());
      }
    }
  }
}

}  // namespace

void ReadRoles(const Reading& reading, MapReader* top) {
  const YamlNode* node = top->Node("roles", true);
  if (!node) return;
  if (!node->IsMap() || node->map().empty()) {
    return ErrorAt(reading, *node, "`roles` must be a map from a role to its actions, with at least one role",
                   "without one, nobody could even acknowledge a case");
  }
  if (node->map().size() > kMaxRoles) ErrorAt(reading, *node, "more than " + std::to_string(kMaxRoles) + " roles");
  for (const YamlNode::Entry& entry : node->map()) {
    CheckName(reading, entry.value, entry.key, "role");
    reading.policy->roles.push_back({entry.key, ReadActions(reading, entry.value, entry.key)});
  }
}

void ReadTeams(const Reading& reading, MapReader* top) {
  Policy& policy = *reading.policy;
  const YamlNode* people = top->Node("people", true);
  const YamlNode* teams = top->Node("teams", true);
  policy.roster = Roster::Compile(reading.source, people, teams, reading.diagnostics);
  if (!teams || !teams->IsMap()) return;
  std::vector<std::string_view> names;
  for (const YamlNode::Entry& team : teams->map()) names.push_back(team.key);
  std::set<std::string, std::less<>> used;
  const YamlNode* levels = top->Node("levels");
  for (size_t i = 0; i < policy.levels.size(); ++i) {
    const std::string& team = policy.levels[i].team;
    used.insert(team);
    if (team.empty() || std::find(names.begin(), names.end(), team) != names.end()) continue;
    const YamlNode* where = levels->list()[i].Find("team");
    ErrorAt(reading, where ? *where : *levels, "there is no team '" + team + "'", Suggest(team, names));
  }
  const YamlNode* beside = top->Node("engaged_roles");
  for (size_t i = 0; i < policy.engaged_roles.size(); ++i) {
    const std::string& team = policy.engaged_roles[i].team;
    used.insert(team);
    if (team.empty() || std::find(names.begin(), names.end(), team) != names.end()) continue;
    const YamlNode* where = beside->list()[i].Find("team");
    ErrorAt(reading, where ? *where : *beside, "there is no team '" + team + "'", Suggest(team, names));
  }
  AddFallbacks(*teams, &used);
  for (const YamlNode::Entry& team : teams->map()) {
    if (policy.levels.empty() || used.count(team.key)) continue;
    ErrorAt(reading, team.line, team.column, "no level, no role and no fallback uses team '" + team.key + "'",
            "name it in a level, or remove it");
  }
}

}  // namespace triaged::pack
