// `raci`: who is responsible, accountable, consulted and informed for each activity. People read it (`triagectl explain
// --policy`); what a role may do is enforced by `roles`.
#include <algorithm>
#include <set>

#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

constexpr size_t kMaxActivities = 100;

// The levels and engaged roles under `key`; whoever is named twice in one activity is reported.
std::vector<std::string> ReadParties(const Reading& reading, MapReader* map, const char* key, bool required,
                                     std::set<std::string>* responsible_for) {
  const Policy& policy = *reading.policy;
  std::vector<std::string_view> known = LevelNames(policy);
  for (const RoleSpec& role : policy.engaged_roles) known.push_back(role.name);
  std::vector<std::string> parties = map->Strings(key, required);
  for (const std::string& party : parties) {
    if (std::find(known.begin(), known.end(), party) == known.end()) {
      ErrorAt(reading, *map->Node(key), "there is no level or role '" + party + "'", Suggest(party, known));
    }
    // Whoever carries an activity out may answer for it, too; anything else twice is a slip.
    if (!responsible_for->insert(party).second && std::string_view(key) != "A") {
      ErrorAt(reading, *map->Node(key), "'" + party + "' has a part in this activity already", "name it once");
    }
  }
  return parties;
}

}  // namespace

void ReadRaci(const Reading& reading, MapReader* top) {
  if (!top->Node("raci")) return;
  std::set<std::string> seen;
  for (const YamlNode& node : ListOf(reading, top, "raci", kMaxActivities)) {
    MapReader map(reading.source, node, "activity", reading.diagnostics);
    RaciSpec activity;
    activity.activity = map.String("activity", {}, true);
    if (const YamlNode* name = map.Node("activity"); name && !seen.insert(activity.activity).second) {
      ErrorAt(reading, *name, "activity '" + activity.activity + "' is listed twice");
    }
    std::set<std::string> parties;
    activity.responsible = ReadParties(reading, &map, "R", true, &parties);
    activity.accountable = ReadParties(reading, &map, "A", true, &parties);
    activity.consulted = ReadParties(reading, &map, "C", false, &parties);
    activity.informed = ReadParties(reading, &map, "I", false, &parties);
    map.Finish();
    reading.policy->raci.push_back(std::move(activity));
  }
}

}  // namespace triaged::pack
