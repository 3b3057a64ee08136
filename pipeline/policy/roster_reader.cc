// Reads `people` and `teams` of a pack.
#include <algorithm>
#include <charconv>
#include <set>

#include "pipeline/policy/roster_team.h"

namespace triaged {
namespace {

using roster::CompiledRoster;
using roster::Hours;
using roster::Override;
using roster::OverrideKind;
using roster::Rotation;
using roster::Team;
using std::chrono::minutes;
using std::chrono::sys_days;

constexpr int kMaxRotationDays = 366;
constexpr size_t kMaxTeams = 1000;
constexpr size_t kMaxMembers = 1000;
constexpr size_t kMaxRegions = 16;
constexpr size_t kMaxOverrides = 10000;
constexpr size_t kMaxIdBytes = 64;
constexpr uint8_t kEveryDay = 0x7f;

// Ids name actors in commands and events: no blanks, no control characters.
bool IsId(std::string_view text) {
  if (text.empty() || text.size() > kMaxIdBytes) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-' || c == '@';
  });
}

// "7d" or "2w", in days.
std::optional<int> ParseDays(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  const int unit = text.back() == 'd' ? 1 : text.back() == 'w' ? 7 : 0;
  int number = 0;
  const char* end = text.data() + text.size() - 1;
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (unit == 0 || error != std::errc() || at != end || number < 1 || number > kMaxRotationDays / unit) {
    return std::nullopt;
  }
  return number * unit;
}

class RosterCompiler {
 public:
  RosterCompiler(const SourceFile& source, Diagnostics* diagnostics) : source_(source), diagnostics_(diagnostics) {}

  std::shared_ptr<const Roster> Compile(const YamlNode* people, const YamlNode* teams) {
    if (people) ReadPeople(*people);
    if (teams) ReadTeams(*teams);
    CheckFallbacks();
    CheckRegions();
    for (auto& [name, team] : roster_->teams) team.fallback_node = team.regions_node = nullptr;
    return roster_;
  }

 private:
  void ErrorAt(int line, int column, std::string message, std::string hint = {}) {
    diagnostics_->Error({source_.name, line, column}, std::move(message), SourceLine(source_, line), std::move(hint));
  }
  void ErrorAt(const YamlNode& node, std::string message, std::string hint = {}) {
    ErrorAt(node.line(), node.column(), std::move(message), std::move(hint));
  }

  template <typename Map>
  static std::string Nearest(std::string_view word, const Map& known) {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : known) names.push_back(name);
    const std::string_view near = DidYouMean(word, names);
    return near.empty() ? std::string() : "did you mean '" + std::string(near) + "'?";
  }

  bool CheckMap(const YamlNode& node, const char* what) {
    if (node.IsMap() || node.IsNull()) return node.IsMap();
    ErrorAt(node, std::string("`") + what + "` must be a map");
    return false;
  }

  void ReadPeople(const YamlNode& node) {
    if (!CheckMap(node, "people")) return;
    for (const YamlNode::Entry& entry : node.map()) {
      if (!IsId(entry.key)) {
        ErrorAt(entry.line, entry.column, "'" + entry.key + "' cannot be a person's id",
                "use 1 to 64 of a-z A-Z 0-9 . _ - @; it is the actor's name in commands");
      }
      MapReader map(source_, entry.value, "person '" + entry.key + "'", diagnostics_);
      Person person;
      person.id = entry.key;
      person.name = map.String("name", entry.key);
      person.contact = map.String("contact");
      map.Finish();
      roster_->people.emplace(entry.key, std::move(person));
    }
  }

  void ReadTeams(const YamlNode& node) {
    if (!CheckMap(node, "teams")) return;
    if (node.map().size() > kMaxTeams) ErrorAt(node, "more than " + std::to_string(kMaxTeams) + " teams");
    for (const YamlNode::Entry& entry : node.map()) {
      if (!IsId(entry.key)) {
        ErrorAt(entry.line, entry.column, "'" + entry.key + "' cannot be a team's name",
                "use 1 to 64 of a-z A-Z 0-9 . _ - @");
      }
      roster_->teams.emplace(entry.key, ReadTeam(entry));
    }
  }

  Team ReadTeam(const YamlNode::Entry& entry) {
    MapReader map(source_, entry.value, "team '" + entry.key + "'", diagnostics_);
    Team team;
    team.regions = map.Strings("regions");
    team.regions_node = map.Node("regions");
    team.members = map.Strings("members", team.regions.empty());
    const YamlNode* members = map.Node("members");
    if (members) CheckMembers(*members, team.members);
    if (const YamlNode* rotation = map.Node("rotation")) team.rotation = ReadRotation(*rotation, entry.key);
    team.fallback = map.String("fallback");
    team.fallback_node = map.Node("fallback");
    if (const YamlNode* hours = map.Node("hours")) team.hours = ReadHours(*hours, entry.key);
    ReadOverrides(&map, &team);
    const bool alone = team.members.size() == 1;
    if (!team.regions.empty() && (members || map.Node("rotation") || map.Node("hours"))) {
      ErrorAt(entry.line, entry.column,
              "team '" + entry.key + "' has regions: its people, hours and rotations are theirs",
              "leave members, rotation and hours out");
    }
    if (!map.Node("rotation") && !alone && team.fallback.empty() && members) {
      ErrorAt(entry.line, entry.column, "nobody would ever be on shift in team '" + entry.key + "'",
              "give it a `rotation`, a single member, or a `fallback` team");
    }
    map.Finish();
    return team;
  }

  void CheckMembers(const YamlNode& node, const std::vector<std::string>& members) {
    if (node.IsList() && node.list().empty()) ErrorAt(node, "a team needs at least one member");
    if (members.size() > kMaxMembers) ErrorAt(node, "more than " + std::to_string(kMaxMembers) + " members");
    std::set<std::string_view> seen;
    for (size_t i = 0; i < members.size(); ++i) {
      const YamlNode& where = node.IsList() && i < node.list().size() ? node.list()[i] : node;
      if (roster_->people.find(members[i]) == roster_->people.end()) {
        ErrorAt(where, "'" + members[i] + "' is not listed under `people`", Nearest(members[i], roster_->people));
      }
      if (!seen.insert(members[i]).second) ErrorAt(where, "'" + members[i] + "' is listed twice");
    }
  }

  std::optional<Hours> ReadHours(const YamlNode& node, const std::string& team) {
    MapReader map(source_, node, "hours of team '" + team + "'", diagnostics_);
    const auto zone = ReadZone(&map, "zone");
    const std::string text = map.String("from_to", "00:00-24:00");
    const uint8_t weekdays = ReadWeekdays(&map, "days", kEveryDay);
    std::vector<sys_days> holidays = ReadHolidays(&map, "holidays");
    map.Finish();
    const auto hours = ParseHours(text);
    if (!hours) ErrorAt(*map.Node("from_to"), "'" + text + "' are no hours", "write '08:00-16:00', or '22:00-06:00'");
    if (!zone || !hours) return std::nullopt;
    return Hours{*zone, weekdays, *hours, std::move(holidays)};
  }

  std::optional<Timestamp> ReadInstant(MapReader* map, const char* key) {
    const std::string text = map->String(key, {}, true);
    if (text.empty()) return std::nullopt;
    const auto at = ParseTimestamp(text);
    if (!at) ErrorAt(*map->Node(key), "'" + text + "' is no RFC 3339 time", "for example '2026-12-24T09:00:00+01:00'");
    return at;
  }

  void CheckPerson(const MapReader& /*map*/, const YamlNode* node, const std::string& person) {
    if (node && roster_->people.find(person) == roster_->people.end()) {
      ErrorAt(*node, "'" + person + "' is not listed under `people`", Nearest(person, roster_->people));
    }
  }

  // {from, to, add: ben} | {from, to, remove: ada} | {from, to, replace: ada, with: ben}
  void ReadOverrides(MapReader* team_map, Team* team) {
    const YamlNode* list = team_map->Node("overrides");
    if (!list) return;
    if (!list->IsList() || list->list().size() > kMaxOverrides) {
      return ErrorAt(*list, "`overrides` must be a list of at most " + std::to_string(kMaxOverrides) + " overrides");
    }
    for (const YamlNode& node : list->list()) {
      MapReader map(source_, node, "override", diagnostics_);
      Override change;
      int kinds = 0;
      constexpr std::pair<const char*, OverrideKind> kKinds[] = {
          {"add", OverrideKind::kAdd}, {"remove", OverrideKind::kRemove}, {"replace", OverrideKind::kReplace}};
      for (const auto& [key, kind] : kKinds) {
        if (!map.Has(key)) continue;
        ++kinds;
        change.kind = kind;
        change.person = map.String(key);
        CheckPerson(map, map.Node(key), change.person);
      }
      if (kinds != 1) map.ErrorHere("an override needs one of `add`, `remove`, `replace`");
      if (change.kind == OverrideKind::kReplace) {
        change.with = map.String("with", {}, true);
        CheckPerson(map, map.Node("with"), change.with);
      }
      const auto from = ReadInstant(&map, "from");
      const auto to = ReadInstant(&map, "to");
      map.Finish();
      if (from && to && *to <= *from) ErrorAt(*map.Node("to"), "the override ends before it begins");
      change.from = from.value_or(Timestamp{});
      change.to = to.value_or(Timestamp{});
      team->overrides.push_back(std::move(change));
    }
  }

  std::optional<Rotation> ReadRotation(const YamlNode& node, const std::string& team) {
    MapReader map(source_, node, "rotation of team '" + team + "'", diagnostics_);
    const std::string every = map.String("every", {}, true);
    const std::string hand_off = map.String("handoff", {}, true);
    const std::string zone_name = map.String("zone", {}, true);
    const std::string start_text = map.String("start", {}, true);
    map.Finish();
    if (every.empty() || hand_off.empty() || zone_name.empty() || start_text.empty()) return std::nullopt;

    const auto every_days = ParseDays(every);
    if (!every_days) {
      ErrorAt(*map.Node("every"), "'" + every + "' is no length of a shift",
              "write whole days or weeks, 1d to 366d: '7d', '2w'");
    }
    const auto zone = Zone::Find(zone_name);
    if (!zone) {
      const std::string_view near = DidYouMean(zone_name, Zone::Names());
      ErrorAt(*map.Node("zone"), "'" + zone_name + "' is no IANA time zone that this machine's tzdata knows",
              near.empty() ? "for example 'Europe/Berlin'" : "did you mean '" + std::string(near) + "'?");
    }
    const auto start = ParseDate(start_text);
    if (!start) ErrorAt(*map.Node("start"), "'" + start_text + "' is no date", "write YYYY-MM-DD, from 1970 on");
    if (!every_days || !zone || !start) return std::nullopt;
    const auto time_of_day = ReadHandOff(map, hand_off, *every_days, *start);
    if (!time_of_day) return std::nullopt;
    return Rotation{*every_days, *time_of_day, *start, *zone};
  }

  // "monday 09:00" for whole weeks, "09:00" for any other length: a weekday would not stay the same.
  std::optional<minutes> ReadHandOff(MapReader& map, std::string_view text, int every_days, sys_days start) {
    const YamlNode& node = *map.Node("handoff");
    const size_t blank = text.find(' ');
    const bool has_weekday = blank != std::string_view::npos;
    const auto time_of_day = ParseTimeOfDay(has_weekday ? text.substr(blank + 1) : text);
    if (!time_of_day) {
      ErrorAt(node, "'" + std::string(text) + "' is no hand-off time",
              every_days % 7 == 0 ? "write a weekday and a time: 'monday 09:00'" : "write a time: '09:00'");
      return std::nullopt;
    }
    if (every_days % 7 != 0) {
      if (!has_weekday) return time_of_day;
      ErrorAt(node, "a shift of " + std::to_string(every_days) + " days does not end on the same weekday each time",
              "leave the weekday out, or make the length whole weeks");
      return std::nullopt;
    }
    const std::vector<std::string_view> weekdays = WeekdayNames();
    const auto weekday = std::find(weekdays.begin(), weekdays.end(), text.substr(0, blank));
    if (!has_weekday || weekday == weekdays.end()) {
      const std::string_view near = has_weekday ? DidYouMean(text.substr(0, blank), weekdays) : std::string_view{};
      ErrorAt(node, "a shift of whole weeks needs the weekday of its hand-off",
              near.empty() ? "write 'monday 09:00'" : "did you mean '" + std::string(near) + "'?");
      return std::nullopt;
    }
    const std::string_view starts_on = weekdays[std::chrono::weekday(start).c_encoding()];
    if (starts_on != *weekday) {
      ErrorAt(*map.Node("start"),
              "the rotation starts on a " + std::string(starts_on) + ", but hands off on " + std::string(*weekday),
              "give the date of a hand-off");
      return std::nullopt;
    }
    return time_of_day;
  }

  void CheckFallbacks() {
    for (const auto& [name, team] : roster_->teams) {
      if (team.fallback.empty() || !team.fallback_node) continue;
      if (!roster_->HasTeam(team.fallback)) {
        ErrorAt(*team.fallback_node, "fallback of team '" + name + "': there is no team '" + team.fallback + "'",
                Nearest(team.fallback, roster_->teams));
        continue;
      }
      std::set<std::string_view> seen{name};
      std::string path = name;
      for (auto it = roster_->teams.find(team.fallback); it != roster_->teams.end();
           it = roster_->teams.find(it->second.fallback)) {
        path += " → " + it->first;
        if (it->first == name) {
          ErrorAt(*team.fallback_node, "fallbacks go round in a circle: " + path, "let the last team have none");
        }
        if (!seen.insert(it->first).second) break;
      }
    }
  }

  // Regions are teams of their own, and have no regions again: one look is enough to know who answers.
  void CheckRegions() {
    for (const auto& [name, team] : roster_->teams) {
      if (team.regions.empty() || !team.regions_node) continue;
      if (team.regions.size() > kMaxRegions) {
        ErrorAt(*team.regions_node, "more than " + std::to_string(kMaxRegions) + " regions");
      }
      for (const std::string& region : team.regions) {
        const auto found = roster_->teams.find(region);
        if (found == roster_->teams.end()) {
          ErrorAt(*team.regions_node, "there is no team '" + region + "'", Nearest(region, roster_->teams));
        } else if (!found->second.regions.empty()) {
          ErrorAt(*team.regions_node, "region '" + region + "' has regions itself", "name its regions here");
        }
      }
    }
  }

  const SourceFile& source_;
  Diagnostics* diagnostics_;
  std::shared_ptr<CompiledRoster> roster_ = std::make_shared<CompiledRoster>();
};

}  // namespace

std::shared_ptr<const Roster> Roster::Compile(const SourceFile& source, const YamlNode* people, const YamlNode* teams,
                                              Diagnostics* diagnostics) {
  Diagnostics found;
  auto roster = RosterCompiler(source, &found).Compile(people, teams);
  diagnostics->Append(found);
  if (found.HasErrors()) return nullptr;
  return roster;
}

}  // namespace triaged
