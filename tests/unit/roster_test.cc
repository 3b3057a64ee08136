#include "pipeline/policy/roster.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>

using namespace triaged;
using namespace std::chrono_literals;

namespace {

struct Compiled {
  Diagnostics diagnostics;
  std::shared_ptr<const Roster> roster;
  explicit Compiled(const std::string& text) {
    const SourceFile source{"roster.yaml", text};
    const auto yaml = ParseYaml(source, &diagnostics);
    if (!yaml) return;
    const YamlNode& top = yaml->documents.at(0);
    roster = Roster::Compile(*yaml->source, top.Find("people"), top.Find("teams"), &diagnostics);
  }
};

const std::string kPeople = "people: {ann: {name: Ann, contact: ann@example.org}, bob: {}, cid: {}, dee: {}}\n";

std::string Team(const std::string& body) { return kPeople + "teams:\n  t: {" + body + "}\n"; }

Timestamp At(const char* text) {
  const auto t = ParseTimestamp(text);
  REQUIRE_MESSAGE(t, text);
  return *t;
}

void CheckRefused(const std::string& text, const std::string& message) {
  CAPTURE(text);
  Compiled compiled(text);
  CHECK_FALSE(compiled.roster);
  const std::string rendered = compiled.diagnostics.Render();
  CAPTURE(rendered);
  CHECK(rendered.find(message) != std::string::npos);
}

}  // namespace

TEST_CASE("roster: a weekly rotation hands off on the wall clock, summer and winter") {
  Compiled compiled(
      Team("members: [ann, bob, cid], rotation: {every: 7d, handoff: \"monday 09:00\", "
           "zone: Europe/Berlin, start: 2026-01-05}"));
  INFO(compiled.diagnostics.Render());
  REQUIRE(compiled.roster);
  const auto on = [&](const char* t) { return compiled.roster->At("t", At(t)).person; };
  CHECK(on("2026-01-05T07:59:59.999Z") == "");  // before the start nobody is
  CHECK(on("2026-01-05T08:00:00Z") == "ann");   // 09:00 CET
  CHECK(on("2026-01-12T07:59:59.999Z") == "ann");
  CHECK(on("2026-01-12T08:00:00Z") == "bob");
  CHECK(on("2026-01-19T08:00:00Z") == "cid");
  CHECK(on("2026-01-26T08:00:00Z") == "ann");
  // 2026-07-06 is turn 26: cid. 09:00 CEST is 07:00 UTC.
  CHECK(on("2026-07-06T06:59:59.999Z") == "bob");
  CHECK(on("2026-07-06T07:00:00Z") == "cid");
  const OnShift shift = compiled.roster->At("t", At("2026-01-05T08:00:00Z"));
  CHECK(shift.team == "t");
  CHECK_FALSE(shift.fell_back);
  CHECK(shift.also == "");
  CHECK(compiled.roster->FindPerson("ann")->contact == "ann@example.org");
  CHECK(compiled.roster->FindPerson("eve") == nullptr);
  CHECK(compiled.roster->Teams() == std::vector<std::string>{"t"});
  CHECK_FALSE(compiled.roster->HasTeam("u"));
  CHECK(compiled.roster->At("u", At("2026-01-05T08:00:00Z")).person == "");
}

TEST_CASE("roster: a hand-off in the skipped hour takes place right after the gap") {
  // Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.
  Compiled compiled(
      Team("members: [ann, bob], rotation: {every: 1w, handoff: \"sunday 02:30\", zone: Europe/Berlin, "
           "start: 2026-03-22}"));
  REQUIRE(compiled.roster);
  CHECK(compiled.roster->At("t", At("2026-03-29T00:59:59.999Z")).person == "ann");
  const OnShift shift = compiled.roster->At("t", At("2026-03-29T01:00:00Z"));
  CHECK(shift.person == "bob");
  CHECK(shift.also == "");
  CHECK(compiled.roster->At("t", At("2026-04-05T00:29:59Z")).person == "bob");  // then 02:30 CEST again
  CHECK(compiled.roster->At("t", At("2026-04-05T00:30:00Z")).person == "ann");
}

TEST_CASE("roster: in the hour that occurs twice the shifts overlap") {
  // Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC; 02:30 is at 00:30 and at 01:30 UTC.
  Compiled compiled(
      Team("members: [ann, bob], rotation: {every: 7d, handoff: \"sunday 02:30\", zone: Europe/Berlin, "
           "start: 2026-10-18}"));
  REQUIRE(compiled.roster);
  const auto at = [&](const char* t) { return compiled.roster->At("t", At(t)); };
  CHECK(at("2026-10-25T00:29:59.999Z").person == "ann");
  CHECK(at("2026-10-25T00:29:59.999Z").also == "");
  CHECK(at("2026-10-25T00:30:00Z").person == "bob");
  CHECK(at("2026-10-25T00:30:00Z").also == "ann");
  CHECK(at("2026-10-25T01:29:59.999Z").person == "bob");
  CHECK(at("2026-10-25T01:29:59.999Z").also == "ann");
  CHECK(at("2026-10-25T01:30:00Z").person == "bob");
  CHECK(at("2026-10-25T01:30:00Z").also == "");
}

TEST_CASE("roster: a clock that goes back over midnight does not undo the hand-off") {
  // St. John's, 2010-11-07: 00:01 becomes 23:01 of the day before at 02:31 UTC; midnight is at 02:30 and at 03:30 UTC.
  Compiled compiled(
      Team("members: [ann, bob, cid], rotation: {every: 1d, handoff: \"00:00\", zone: America/St_Johns, "
           "start: 2010-11-06}"));
  REQUIRE(compiled.roster);
  CHECK(compiled.roster->At("t", At("2010-11-07T02:29:59Z")).person == "ann");
  for (const char* time : {"2010-11-07T02:30:00Z", "2010-11-07T02:40:00Z", "2010-11-07T03:29:59Z"}) {
    CHECK(compiled.roster->At("t", At(time)).person == "bob");
    CHECK(compiled.roster->At("t", At(time)).also == "ann");
  }
  CHECK(compiled.roster->At("t", At("2010-11-07T03:30:00Z")).also == "");
}

TEST_CASE("roster: nobody is ever missing, and shifts follow in order, over thirty years in many zones") {
  for (const std::string zone : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC",
                                 "Pacific/Apia", "America/Sao_Paulo", "Africa/Casablanca"}) {
    for (const std::string time : {"00:00", "00:30", "02:00", "02:15", "23:59"}) {
      CAPTURE(zone);
      CAPTURE(time);
      Compiled compiled(Team("members: [ann, bob, cid], rotation: {every: 1d, handoff: \"" + time +
                             "\", zone: " + zone + ", start: 2005-01-01}"));
      REQUIRE(compiled.roster);
      const std::string order[] = {"ann", "bob", "cid"};
      size_t next = 0;
      std::string last;
      for (Timestamp t = At("2005-01-02T12:00:00Z"); t < At("2035-01-01T00:00:00Z"); t += 5h) {
        const std::string person = compiled.roster->At("t", t).person;
        REQUIRE_FALSE(person.empty());
        if (person == last) continue;
        // Samoa left out 2011-12-30, and with it the whole of one shift.
        const bool left_out =
            zone == "Pacific/Apia" && t > At("2011-12-29T00:00:00Z") && t < At("2012-01-01T00:00:00Z");
        if (!last.empty() && !left_out) REQUIRE(person == order[next]);
        last = person;
        next = (static_cast<size_t>(std::find(std::begin(order), std::end(order), person) - std::begin(order)) + 1) % 3;
      }
    }
  }
}

TEST_CASE("roster: far past, far future and random instants have an answer") {
  Compiled compiled(
      Team("members: [ann, bob], rotation: {every: 2w, handoff: \"friday 17:00\", zone: Asia/Tokyo, "
           "start: 2026-01-02}"));
  REQUIRE(compiled.roster);
  CHECK(compiled.roster->At("t", FromUnixMillis(INT64_MIN)).person == "");
  CHECK_FALSE(compiled.roster->At("t", FromUnixMillis(INT64_MAX)).person.empty());
  const uint64_t seed = 20260105;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    const Timestamp t = FromUnixMillis(static_cast<int64_t>(random() >> 20));
    const bool started = t >= At("2026-01-02T08:00:00Z");
    REQUIRE(compiled.roster->At("t", t).person.empty() == !started);
  }
}

TEST_CASE("roster: fallbacks answer for teams with nobody on shift") {
  Compiled compiled(kPeople + R"(teams:
  a: {members: [ann, bob], fallback: b}
  b: {members: [ann, bob], rotation: {every: 7d, handoff: "monday 09:00", zone: UTC, start: 2026-01-05}, fallback: c}
  c: {members: [cid]}
)");
  INFO(compiled.diagnostics.Render());
  REQUIRE(compiled.roster);
  OnShift shift = compiled.roster->At("a", At("2026-01-01T00:00:00Z"));
  CHECK(shift.person == "cid");
  CHECK(shift.team == "c");
  CHECK(shift.fell_back);
  shift = compiled.roster->At("a", At("2026-01-06T00:00:00Z"));
  CHECK(shift.person == "ann");
  CHECK(shift.team == "b");
  CHECK(shift.fell_back);
  shift = compiled.roster->At("b", At("2026-01-06T00:00:00Z"));
  CHECK_FALSE(shift.fell_back);
  shift = compiled.roster->At("c", At("1970-01-01T00:00:00Z"));
  CHECK(shift.person == "cid");
  CHECK_FALSE(shift.fell_back);
}

TEST_CASE("roster: what is wrong is refused with its reason") {
  const std::string good = "every: 7d, handoff: \"monday 09:00\", zone: UTC, start: 2026-01-05";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string rotation = good;
    rotation.replace(rotation.find(from), from.size(), to);
    return Team("members: [ann, bob], rotation: {" + rotation + "}");
  };
  CHECK(Compiled(with("7d", "7d")).roster);
  CheckRefused(with("7d", "7h"), "no length of a shift");
  CheckRefused(with("7d", "0d"), "no length of a shift");
  CheckRefused(with("7d", "-7d"), "no length of a shift");
  CheckRefused(with("7d", "367d"), "no length of a shift");
  CheckRefused(with("7d", "99999999999d"), "no length of a shift");
  CheckRefused(with("7d", "3d"), "leave the weekday out");
  CheckRefused(with("monday 09:00", "09:00"), "needs the weekday");
  CheckRefused(with("monday 09:00", "mondey 09:00"), "did you mean 'monday'");
  CheckRefused(with("monday 09:00", "monday 9:00"), "no hand-off time");
  CheckRefused(with("monday 09:00", "monday 24:00"), "no hand-off time");
  CheckRefused(with("monday 09:00", "tuesday 09:00"), "starts on a monday, but hands off on tuesday");
  CheckRefused(with("UTC", "Europe/Berln"), "did you mean 'Europe/Berlin'");
  CheckRefused(with("UTC", "localtime"), "no IANA time zone");
  CheckRefused(with("UTC", "../../etc/passwd"), "no IANA time zone");
  CheckRefused(with("2026-01-05", "2026-02-30"), "is no date");
  CheckRefused(with("2026-01-05", "05.01.2026"), "is no date");
  CheckRefused(with(", zone: UTC", ""), "zone");
  CheckRefused(with("every", "evry"), "every");
  CheckRefused(Team("members: [ann, bob]"), "nobody would ever be on shift");
  CheckRefused(Team("members: []"), "at least one member");
  CheckRefused(Team("fallback: t"), "members");
  CheckRefused(Team("members: [anna]"), "did you mean 'ann'");
  CheckRefused(Team("members: [ann, ann], rotation: {" + good + "}"), "listed twice");
  CheckRefused(Team("members: [ann], fallback: x"), "there is no team 'x'");
  CheckRefused(Team("members: [ann], fallback: t"), "circle: t → t");
  CheckRefused(kPeople + "teams:\n  a: {members: [ann], fallback: b}\n  b: {members: [bob], fallback: a}\n",
               "circle: a → b → a");
  CheckRefused("people: {\"a b\": {}}\n", "cannot be a person's id");
  CheckRefused("people: [ann]\n", "must be a map");
  CheckRefused(kPeople + "teams: [t]\n", "must be a map");
  CHECK(Compiled("people:\n").roster);  // nobody and nothing: an empty roster
}

TEST_CASE("zones: known names and times on their wall clocks") {
  CHECK(IsKnownZone("Europe/Berlin"));
  CHECK(IsKnownZone("UTC"));
  CHECK_FALSE(IsKnownZone("Europe/Bonn"));
  CHECK_FALSE(IsKnownZone(""));
  CHECK_FALSE(IsKnownZone("localtime"));
  const Timestamp t = At("2026-11-21T04:08:00.999Z");
  CHECK(FormatInZone(t, "Europe/Berlin") == "2026-11-21 05:08:00 CET");
  CHECK(FormatInZone(t, "UTC") == "2026-11-21 04:08:00 UTC");
  CHECK(FormatInZone(t, "Asia/Tokyo") == "2026-11-21 13:08:00 JST");
  CHECK(FormatInZone(t, "America/Los_Angeles") == "2026-11-20 20:08:00 PST");
  CHECK(FormatInZone(At("2026-07-01T12:00:00Z"), "Europe/Berlin") == "2026-07-01 14:00:00 CEST");
  CHECK(FormatInZone(At("1969-12-31T23:59:59.500Z"), "UTC") == "1969-12-31 23:59:59 UTC");
  // The hour that occurs twice, told apart by its name.
  CHECK(FormatInZone(At("2026-10-25T00:30:00Z"), "Europe/Berlin") == "2026-10-25 02:30:00 CEST");
  CHECK(FormatInZone(At("2026-10-25T01:30:00Z"), "Europe/Berlin") == "2026-10-25 02:30:00 CET");
  CHECK(FormatInZone(FromUnixMillis(INT64_MAX), "UTC") == "9999-12-31 00:00:00 UTC");
}
