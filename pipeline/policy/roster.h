// Roster: who is on shift in which team, now. Rotations hand off at a wall-clock time in an IANA zone.
//
// Daylight saving: a hand-off in the hour that is skipped takes place at the first instant after the gap; one in the
// hour that occurs twice takes place at its first occurrence for the person coming on and the person going off stays
// reachable until the second (the hour overlaps, it never gaps; DOMAIN.md, What an escalation does, 2).
// Pure: zone rules come from the system's tzdata through the date library, the time is a parameter. Immutable.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/time.h"
#include "pipeline/base/yaml.h"

namespace triaged {

struct Person {
  std::string id;       // the actor name in commands
  std::string name;
  std::string contact;  // opaque to the engine; may be empty
};

struct OnShift {
  std::string person;            // id; "" when nobody is
  std::string team;              // the team that answered (a fallback's name when `fell_back`)
  bool fell_back = false;
  std::string also;              // id of the one going off, still reachable while a hand-off hour occurs twice; or ""
};

// Something in a roster that will leave people alone, as the lint finds it.
struct RosterProblem {
  enum class Kind : uint8_t { kGap, kNoContact, kFallback };
  Kind kind = Kind::kGap;
  std::string team;    // gaps and fallbacks
  std::string person;  // without contact; for kFallback, unused
  Timestamp from{};    // of the gap
  Timestamp to{};
};

class Roster {
 public:
  // Reads the `teams` map: name → {members: [person ids], rotation: {every: 7d, handoff: "monday 09:00",
  // zone: Europe/Berlin, start: 2026-01-05}, hours: {from_to, zone, days}, holidays: {zone, dates}, regions: [teams],
  // overrides: [{from, to, add|remove|replace, with}], fallback: <team>}. A team without a rotation has nobody on shift
  // unless it has exactly one member. `people` is a map id → {name, contact}.
  static std::shared_ptr<const Roster> Compile(const SourceFile& source, const YamlNode* people, const YamlNode* teams,
                                               Diagnostics* diagnostics);
  virtual ~Roster() = default;

  virtual bool HasTeam(std::string_view team) const = 0;
  virtual std::vector<std::string> Teams() const = 0;
  // Who is on shift at `now`; falls back (transitively, no cycles) when nobody is.
  virtual OnShift At(std::string_view team, Timestamp now) const = 0;
  // The next instant after `now` at which At() may answer otherwise; nullopt: never again.
  virtual std::optional<Timestamp> NextChange(std::string_view team, Timestamp now) const = 0;
  // Stretches of [from, to) in which nobody (kGap) or only a fallback (kFallback) answers for one of `teams`, and people
  // on shift in it without a contact. At most 1,000, by team and time.
  std::vector<RosterProblem> Lint(const std::vector<std::string>& teams, Timestamp from, Timestamp to) const;
  virtual const Person* FindPerson(std::string_view id) const = 0;
};

// `t` on the wall clock of an IANA zone: "2026-11-21 05:08:00 CET". An unknown zone is a caller's error (checked when
// compiled): IsKnownZone.
bool IsKnownZone(std::string_view zone);
std::string FormatInZone(Timestamp t, std::string_view zone);

}  // namespace triaged
