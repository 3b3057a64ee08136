// What a roster is made of. Private to pipeline/policy: roster.cc answers from it, roster_reader.cc makes it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/policy/calendar.h"
#include "pipeline/policy/roster.h"
#include "pipeline/base/zone.h"

namespace triaged::roster {

struct Rotation {
  int every_days = 7;
  std::chrono::minutes time_of_day{0};
  std::chrono::sys_days start{};
  Zone zone;
};

// When the team is there at all. `to` at or before `from`: it works past midnight, counted to the day it began.
struct Hours {
  Zone zone;
  uint8_t weekdays = 0;
  DayHours hours{};
  std::vector<std::chrono::sys_days> holidays;
};

enum class OverrideKind : uint8_t { kAdd, kRemove, kReplace };

struct Override {
  OverrideKind kind = OverrideKind::kAdd;
  std::string person;
  std::string with;  // replace
  Timestamp from{};
  Timestamp to{};
};

struct Team {
  std::vector<std::string> members;
  std::optional<Rotation> rotation;
  std::optional<Hours> hours;
  std::vector<std::string> regions;  // teams asked in this order: the first with somebody on shift answers
  std::vector<Override> overrides;
  std::string fallback;
  const YamlNode* fallback_node = nullptr;  // only while compiling
  const YamlNode* regions_node = nullptr;
};

class CompiledRoster : public Roster {
 public:
  bool HasTeam(std::string_view team) const override { return teams.find(team) != teams.end(); }
  std::vector<std::string> Teams() const override;
  OnShift At(std::string_view team, Timestamp now) const override;
  std::optional<Timestamp> NextChange(std::string_view team, Timestamp now) const override;
  const Person* FindPerson(std::string_view id) const override;

  std::map<std::string, Person, std::less<>> people;
  std::map<std::string, Team, std::less<>> teams;

 private:
  bool Answer(const std::string& name, const Team& team, Timestamp now, OnShift* result) const;
};

}  // namespace triaged::roster
