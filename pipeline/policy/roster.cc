#include "pipeline/policy/roster.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <set>

#include "pipeline/base/zone.h"

namespace triaged {
namespace {

using std::chrono::days;
using std::chrono::minutes;
using std::chrono::sys_days;

constexpr int kMaxRotationDays = 366;
constexpr size_t kMaxTeams = 1000;
constexpr size_t kMaxMembers = 1000;
constexpr size_t kMaxIdBytes = 64;
constexpr std::string_view kWeekdays[] = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

// Ids name actors in commands and events: no blanks, no control characters.
bool IsId(std::string_view text) {
  if (text.empty() || text.size() > kMaxIdBytes) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-' || c == '@';
  });
}

std::optional<int> Digits(std::string_view text, size_t count) {
  if (text.size() != count) return std::nullopt;
  int number = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + (c - '0');
  }
  return number;
}

// "09:00"
std::optional<minutes> ParseTimeOfDay(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hour = Digits(text.substr(0, 2), 2);
  const auto minute = Digits(text.substr(3), 2);
  if (!hour || !minute || *hour > 23 || *minute > 59) return std::nullopt;
  return minutes(*hour * 60 + *minute);
}

// "2026-01-05"
std::optional<sys_days> ParseDate(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto year = Digits(text.substr(0, 4), 4);
  const auto month = Digits(text.substr(5, 2), 2);
  const auto day = Digits(text.substr(8), 2);
  if (!year || !month || !day || *year < 1970) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return sys_days(date);
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

struct Rotation {
  int every_days = 7;
  minutes time_of_day{0};
  sys_days start{};
  Zone zone;
};

struct Team {
  std::vector<std::string> members;
  std::optional<Rotation> rotation;
  std::string fallback;
  const YamlNode* fallback_node = nullptr;  // only while compiling
};

// Who of a rotation is on shift: indexes into the members. `leaving` is set while the hand-off hour occurs twice.
struct Turn {
  size_t on = 0;
  std::optional<size_t> leaving;
};

std::optional<Turn> TurnAt(const Rotation& rotation, size_t members, Timestamp now) {
  const auto hand_off = [&](int64_t turn) {
    return rotation.zone.At(rotation.start + days(turn * rotation.every_days), rotation.time_of_day);
  };
  const int64_t elapsed = (rotation.zone.DayOf(now) - rotation.start).count();
  // The date alone names the turn but for the hand-off's hour, and for a date line that a zone crossed: look around.
  const int64_t latest = elapsed < 0 ? 0 : elapsed / rotation.every_days + 1;
  for (int64_t turn = latest; turn >= 0 && turn > latest - 4; --turn) {
    const Zone::Instants at = hand_off(turn);
    if (at.first > now) continue;
    Turn result;
    const auto count = static_cast<int64_t>(members);
    result.on = static_cast<size_t>(turn % count);
    if (turn > 0 && now < at.last && members > 1) result.leaving = static_cast<size_t>((turn - 1) % count);
    return result;
  }
  return std::nullopt;  // before the start
}

class CompiledRoster : public Roster {
 public:
  bool HasTeam(std::string_view team) const override { return teams_.find(team) != teams_.end(); }

  std::vector<std::string> Teams() const override {
    std::vector<std::string> names;
    for (const auto& [name, team] : teams_) names.push_back(name);
    return names;
  }

  OnShift At(std::string_view team, Timestamp now) const override {
    OnShift result;
    result.team = std::string(team);
    std::string_view asked = team;
    // Compile refused cycles, so this ends.
    for (auto it = teams_.find(asked); it != teams_.end(); it = teams_.find(asked)) {
      if (Answer(it->second, now, &result)) {
        result.team = it->first;
        result.fell_back = it->first != team;
        return result;
      }
      asked = it->second.fallback;
    }
    return result;
  }

  const Person* FindPerson(std::string_view id) const override {
    const auto it = people_.find(id);
    return it == people_.end() ? nullptr : &it->second;
  }

  std::map<std::string, Person, std::less<>> people_;
  std::map<std::string, Team, std::less<>> teams_;

 private:
  static bool Answer(const Team& team, Timestamp now, OnShift* result) {
    if (!team.rotation) {
      if (team.members.size() != 1) return false;
      result->person = team.members.front();
      return true;
    }
    const auto turn = TurnAt(*team.rotation, team.members.size(), now);
    if (!turn) return false;
    result->person = team.members[turn->on];
    if (turn->leaving) result->also = team.members[*turn->leaving];
    return true;
  }
};

class RosterCompiler {
 public:
  RosterCompiler(const SourceFile& source, Diagnostics* diagnostics) : source_(source), diagnostics_(diagnostics) {}

  std::shared_ptr<const Roster> Compile(const YamlNode* people, const YamlNode* teams) {
    if (people) ReadPeople(*people);
    if (teams) ReadTeams(*teams);
    CheckFallbacks();
    for (auto& [name, team] : roster_->teams_) team.fallback_node = nullptr;
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
      roster_->people_.emplace(entry.key, std::move(person));
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
      roster_->teams_.emplace(entry.key, ReadTeam(entry));
    }
  }

  Team ReadTeam(const YamlNode::Entry& entry) {
    MapReader map(source_, entry.value, "team '" + entry.key + "'", diagnostics_);
    Team team;
    team.members = map.Strings("members", true);
    const YamlNode* members = map.Node("members");
    if (members) CheckMembers(*members, team.members);
    if (const YamlNode* rotation = map.Node("rotation")) team.rotation = ReadRotation(*rotation, entry.key);
    team.fallback = map.String("fallback");
    team.fallback_node = map.Node("fallback");
    const bool alone = team.members.size() == 1;
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
      if (roster_->people_.find(members[i]) == roster_->people_.end()) {
        ErrorAt(where, "'" + members[i] + "' is not listed under `people`", Nearest(members[i], roster_->people_));
      }
      if (!seen.insert(members[i]).second) ErrorAt(where, "'" + members[i] + "' is listed twice");
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
    const std::vector<std::string_view> weekdays(std::begin(kWeekdays), std::end(kWeekdays));
    const auto weekday = std::find(weekdays.begin(), weekdays.end(), text.substr(0, blank));
    if (!has_weekday || weekday == weekdays.end()) {
      const std::string_view near = has_weekday ? DidYouMean(text.substr(0, blank), weekdays) : std::string_view{};
      ErrorAt(node, "a shift of whole weeks needs the weekday of its hand-off",
              near.empty() ? "write 'monday 09:00'" : "did you mean '" + std::string(near) + "'?");
      return std::nullopt;
    }
    const std::string_view starts_on = kWeekdays[std::chrono::weekday(start).c_encoding()];
    if (starts_on != *weekday) {
      ErrorAt(*map.Node("start"),
              "the rotation starts on a " + std::string(starts_on) + ", but hands off on " + std::string(*weekday),
              "give the date of a hand-off");
      return std::nullopt;
    }
    return time_of_day;
  }

  void CheckFallbacks() {
    for (const auto& [name, team] : roster_->teams_) {
      if (team.fallback.empty() || !team.fallback_node) continue;
      if (!roster_->HasTeam(team.fallback)) {
        ErrorAt(*team.fallback_node, "fallback of team '" + name + "': there is no team '" + team.fallback + "'",
                Nearest(team.fallback, roster_->teams_));
        continue;
      }
      std::set<std::string_view> seen{name};
      std::string path = name;
      for (auto it = roster_->teams_.find(team.fallback); it != roster_->teams_.end();
           it = roster_->teams_.find(it->second.fallback)) {
        path += " → " + it->first;
        if (it->first == name) {
          ErrorAt(*team.fallback_node, "fallbacks go round in a circle: " + path, "let the last team have none");
        }
        if (!seen.insert(it->first).second) break;
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
