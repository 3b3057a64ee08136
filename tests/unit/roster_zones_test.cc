// Rosters and calendars against the C library's own reading of the zone rules, around every change of clocks in ten
// years of every zone that has one. The date library reads tzdata by itself; glibc shares no code with it.
#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/policy/calendar.h"
#include "pipeline/policy/roster.h"
#include "pipeline/base/zone.h"

namespace triaged {
namespace {

using namespace std::chrono_literals;

constexpr Duration kStep = 15min;
constexpr int64_t kDayMinutes = 24 * 60;

// Makes one zone the C library's for the life of the object.
class LibcZone {
 public:
  explicit LibcZone(const std::string& name) {
    if (const char* old = std::getenv("TZ")) old_ = old, had_ = true;
    setenv("TZ", (":" + name).c_str(), 1);
    tzset();
  }
  ~LibcZone() {
    if (had_) {
      setenv("TZ", old_.c_str(), 1);
    } else {
      unsetenv("TZ");
    }
    tzset();
  }
  LibcZone(const LibcZone&) = delete;
  LibcZone& operator=(const LibcZone&) = delete;

  // Minutes since 1970 on the wall clock.
  int64_t Wall(Timestamp t) const {
    const time_t seconds = ToUnixMillis(t) / 1000;
    tm parts{};
    localtime_r(&seconds, &parts);
    return (seconds + parts.tm_gmtoff) / 60;
  }

 private:
  std::string old_;
  bool had_ = false;
};

Timestamp At(const std::string& text) { return *ParseTimestamp(text); }

std::vector<Timestamp> ChangesOfClocks(const LibcZone& zone) {
  std::vector<Timestamp> changes;
  const auto offset = [&](Timestamp t) { return zone.Wall(t) - ToUnixMillis(t) / 60'000; };
  for (Timestamp t = At("2020-01-01T00:00:00Z"); t < At("2030-01-01T00:00:00Z"); t += 24h) {
    if (offset(t) != offset(t + 24h)) changes.push_back(t);
  }
  return changes;
}

struct Team {
  SourceFile source;
  std::shared_ptr<const Roster> roster;
};

Team MakeTeam(const std::string& zone, const std::string& hand_off) {
  Team team;
  team.source = {"r.yaml",
                 "people: {a: {}, b: {}, c: {}}\nteams:\n  t: {members: [a, b, c], rotation: {every: 1d, handoff: \"" +
                     hand_off + "\", zone: " + zone + ", start: 2019-12-01}}\n"};
  Diagnostics diagnostics;
  const auto yaml = ParseYaml(team.source, &diagnostics);
  REQUIRE(yaml);
  const YamlNode& top = yaml->documents.front();
  team.roster = Roster::Compile(*yaml->source, top.Find("people"), top.Find("teams"), &diagnostics);
  REQUIRE_MESSAGE(team.roster, diagnostics.Render());
  return team;
}

// Walks from half a day before the day of the change to half a day after. Who came on last has the shift: the latest
// hand-off that the wall clock has shown. Who went off stays reachable until the wall clock shows that hand-off for the
// second time.
int CompareAround(const LibcZone& zone, const Roster& roster, Timestamp change, int64_t hand_off) {
  const int64_t start = std::chrono::sys_days(std::chrono::year(2019) / 12 / 1).time_since_epoch().count();
  const char* people[] = {"a", "b", "c"};
  int compared = 0;
  int64_t latest = INT64_MIN;
  for (Timestamp t = change - 12h; t < change + 36h; t += kStep) {
    const int64_t shown = zone.Wall(t) - hand_off;
    const int64_t turn = (shown >= 0 ? shown : shown - kDayMinutes + 1) / kDayMinutes;
    latest = std::max(latest, turn);
    const OnShift shift = roster.At("t", t);
    const std::string expected = people[(latest - start) % 3];
    bool again = turn < latest;
    for (Timestamp later = t; later < t + 3h && shown >= 0; later += kStep)
      again |= zone.Wall(later + kStep) <= hand_off + latest * kDayMinutes;
    const std::string also = again ? people[(latest - 1 - start) % 3] : "";
    if (shift.person != expected || shift.also != also) {
      CAPTURE(FormatTimestamp(t));
      CHECK(shift.person == expected);
      CHECK(shift.also == also);
    }
    ++compared;
  }
  return compared;
}

TEST_CASE("rosters: every zone with daylight saving over ten years, against the C library") {
  int zones = 0, changes = 0, compared = 0;
  for (std::string_view name : Zone::Names()) {
    const std::string zone_name(name);
    const LibcZone zone(zone_name);
    const auto found = ChangesOfClocks(zone);
    if (found.empty()) continue;
    ++zones;
    CAPTURE(zone_name);
    const Team night = MakeTeam(zone_name, "02:15");
    const Team midnight = MakeTeam(zone_name, "00:00");
    for (Timestamp change : found) {
      compared += CompareAround(zone, *night.roster, change, 2 * 60 + 15);
      compared += CompareAround(zone, *midnight.roster, change, 0);
      ++changes;
    }
  }
  MESSAGE(zones << " zones, " << changes << " changes of clocks, " << compared << " instants");
  CHECK(zones > 100);
}

TEST_CASE("calendars: open minutes as the C library's wall clock shows them") {
  int changes = 0;
  for (std::string_view name : Zone::Names()) {
    const std::string zone_name(name);
    const LibcZone zone(zone_name);
    const auto found = ChangesOfClocks(zone);
    if (found.empty()) continue;
    CAPTURE(zone_name);
    const Calendar office("office", *Zone::Find(zone_name), 0x7f, 9h, 17h, {});
    const Calendar always("always", *Zone::Find(zone_name), 0x7f, 0h, 24h, {});
    for (Timestamp change : found) {
      ++changes;
      const Timestamp from = change - 24h * 2, to = change + 24h * 2;
      int64_t steps = 0;
      for (Timestamp t = from; t < to; t += kStep) {
        const int64_t minute = zone.Wall(t) % kDayMinutes;
        steps += minute >= 9 * 60 && minute < 17 * 60;
      }
      REQUIRE(office.Between(from, to) == steps * kStep);
      REQUIRE(always.Between(from, to) == to - from);
      for (Duration business : {1h, 8h, 20h}) REQUIRE(office.Between(from, office.Add(from, business)) == business);
    }
  }
  CHECK(changes > 1000);
}

}  // namespace
}  // namespace triaged
