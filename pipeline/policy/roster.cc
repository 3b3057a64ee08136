#include "pipeline/policy/roster.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "pipeline/base/zone.h"
#include "pipeline/policy/roster_team.h"

namespace triaged {
namespace roster {

constexpr size_t kMaxProblems = 1000;

namespace {

using std::chrono::days;
using std::chrono::minutes;
using std::chrono::sys_days;

constexpr minutes kMidnight{24 * 60};

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

struct Opening {
  Timestamp from;
  Timestamp to;
};

// The opening that begins on `day`, holidays and weekdays aside. The hour that occurs twice belongs to it both times.
Opening OpeningOf(const Hours& hours, sys_days day) {
  const bool overnight = hours.hours.to <= hours.hours.from;
  const bool midnight = hours.hours.to == kMidnight;
  const sys_days last = overnight || midnight ? day + days(1) : day;
  return {hours.zone.At(day, hours.hours.from).first, hours.zone.At(last, midnight ? minutes(0) : hours.hours.to).last};
}

bool IsOpen(const Hours& hours, Timestamp now) {
  const sys_days today = hours.zone.DayOf(now);
  for (sys_days day = today - days(1); day <= today; day += days(1)) {
    if (!(hours.weekdays >> std::chrono::weekday(day).c_encoding() & 1)) continue;
    if (std::binary_search(hours.holidays.begin(), hours.holidays.end(), day)) continue;
    const Opening opening = OpeningOf(hours, day);
    if (now >= opening.from && now < opening.to) return true;
  }
  return false;
}

void ApplyOverrides(const Team& team, Timestamp now, OnShift* shift) {
  for (const Override& change : team.overrides) {
    if (now < change.from || now >= change.to) continue;
    switch (change.kind) {
      case OverrideKind::kAdd:
        (shift->person.empty() ? shift->person : shift->also) = change.person;
        break;
      case OverrideKind::kRemove:
        if (shift->also == change.person) shift->also.clear();
        if (shift->person == change.person) shift->person = std::exchange(shift->also, {});
        break;
      case OverrideKind::kReplace:
        if (shift->also == change.person) shift->also = change.with;
        if (shift->person == change.person) shift->person = change.with;
        break;
    }
  }
}

// The earliest instant after `now` among those offered.
class Soonest {
 public:
  explicit Soonest(Timestamp now) : now_(now) {}
  void Offer(Timestamp at) {
    if (at > now_ && (!at_ || at < *at_)) at_ = at;
  }
  std::optional<Timestamp> at() const { return at_; }

 private:
  Timestamp now_;
  std::optional<Timestamp> at_;
};

void OfferTeam(const Team& team, Timestamp now, Soonest* soonest) {
  if (team.rotation) {
    const Rotation& rotation = *team.rotation;
    const int64_t elapsed = (rotation.zone.DayOf(now) - rotation.start).count();
    const int64_t turn = elapsed < 0 ? 0 : elapsed / rotation.every_days;
    for (int64_t i = std::max<int64_t>(0, turn - 1); i <= turn + 2; ++i) {
      const Zone::Instants at = rotation.zone.At(rotation.start + days(i * rotation.every_days), rotation.time_of_day);
      soonest->Offer(at.first);
      soonest->Offer(at.last);
    }
  }
  if (team.hours) {
    const sys_days today = team.hours->zone.DayOf(now);
    for (sys_days day = today - days(1); day <= today + days(2); day += days(1)) {
      const Opening opening = OpeningOf(*team.hours, day);
      soonest->Offer(opening.from);
      soonest->Offer(opening.to);
    }
  }
  for (const Override& change : team.overrides) {
    soonest->Offer(change.from);
    soonest->Offer(change.to);
  }
}

}  // namespace

std::vector<std::string> CompiledRoster::Teams() const {
  std::vector<std::string> names;
  for (const auto& [name, team] : teams) names.push_back(name);
  return names;
}

const Person* CompiledRoster::FindPerson(std::string_view id) const {
  const auto it = people.find(id);
  return it == people.end() ? nullptr : &it->second;
}

OnShift CompiledRoster::At(std::string_view team, Timestamp now) const {
  OnShift result;
  result.team = std::string(team);
  std::string_view asked = team;
  // Compile refused cycles, so this ends.
  for (auto it = teams.find(asked); it != teams.end(); it = teams.find(asked)) {
    if (Answer(it->first, it->second, now, &result)) {
      result.fell_back = it->first != team;
      return result;
    }
    asked = it->second.fallback;
  }
  return result;
}

bool CompiledRoster::Answer(const std::string& name, const Team& team, Timestamp now, OnShift* result) const {
  for (const std::string& region : team.regions) {
    const auto it = teams.find(region);
    if (it != teams.end() && Answer(it->first, it->second, now, result)) return true;
  }
  OnShift shift;
  const bool open = !team.hours || IsOpen(*team.hours, now);
  if (open && team.rotation) {
    if (const auto turn = TurnAt(*team.rotation, team.members.size(), now)) {
      shift.person = team.members[turn->on];
      if (turn->leaving) shift.also = team.members[*turn->leaving];
    }
  } else if (open && team.members.size() == 1) {
    shift.person = team.members.front();
  }
  ApplyOverrides(team, now, &shift);
  if (shift.person.empty()) return false;
  result->person = std::move(shift.person);
  result->also = shift.also == result->person ? std::string() : std::move(shift.also);
  result->team = name;
  return true;
}

std::optional<Timestamp> CompiledRoster::NextChange(std::string_view team, Timestamp now) const {
  Soonest soonest(now);
  for (auto it = teams.find(team); it != teams.end(); it = teams.find(it->second.fallback)) {
    OfferTeam(it->second, now, &soonest);
    for (const std::string& region : it->second.regions) {
      if (const auto found = teams.find(region); found != teams.end()) OfferTeam(found->second, now, &soonest);
    }
  }
  return soonest.at();
}

}  // namespace roster

std::vector<RosterProblem> Roster::Lint(const std::vector<std::string>& teams, Timestamp from, Timestamp to) const {
  using Kind = RosterProblem::Kind;
  std::vector<RosterProblem> problems;
  std::set<std::string> without_contact;
  for (const std::string& team : teams) {
    size_t open = SIZE_MAX;  // the stretch that is still going on
    for (Timestamp at = from; at < to && problems.size() < roster::kMaxProblems;) {
      const OnShift shift = At(team, at);
      const auto next = NextChange(team, at);
      const Timestamp until = next ? std::min(*next, to) : to;
      const bool alone = shift.person.empty();
      if (alone || shift.fell_back) {
        const Kind kind = alone ? Kind::kGap : Kind::kFallback;
        if (open != SIZE_MAX && problems[open].kind == kind) {
          problems[open].to = until;
        } else {
          open = problems.size();
          problems.push_back({kind, team, shift.person, at, until});
        }
      } else {
        open = SIZE_MAX;
      }
      const Person* person = FindPerson(shift.person);
      if (person && person->contact.empty() && without_contact.insert(shift.person).second) {
        problems.push_back({Kind::kNoContact, team, shift.person, at, until});
      }
      at = until;
    }
  }
  return problems;
}

}  // namespace triaged
