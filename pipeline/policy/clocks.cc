// Calendars, clocks and whatever else is given as a time for each severity.
#include <algorithm>
#include <charconv>
#include <set>

#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

constexpr Duration kShortest = std::chrono::seconds(1);
constexpr Duration kLongest = std::chrono::hours(24 * 366);
constexpr size_t kMaxCalendars = 100;

// "1bd" and "6bh": business days and hours of a calendar.
std::optional<Duration> ParseBusiness(std::string_view text, const Calendar& calendar) {
  if (text.size() < 3 || text[text.size() - 2] != 'b') return std::nullopt;
  const char unit = text.back();
  int64_t number = 0;
  const char* end = text.data() + text.size() - 2;
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || at != end || number < 1 || number > 10000) return std::nullopt;
  if (unit == 'd') return number * calendar.day_length();
  if (unit == 'h') return Duration(std::chrono::hours(number));
  return std::nullopt;
}

// "10m", "1bd" or "never"; false when it is none of them (reported).
bool ReadTime(const Reading& reading, const YamlNode& node, const Calendar* calendar, std::optional<Duration>* duration,
              bool* business) {
  duration->reset();
  *business = false;
  if (node.IsScalar() && node.scalar() == "never") return true;
  if (node.IsScalar()) *duration = ParseDuration(node.scalar());
  if (node.IsScalar() && calendar && !*duration) {
    *duration = ParseBusiness(node.scalar(), *calendar);
    *business = duration->has_value();
  }
  if (*duration && **duration >= kShortest && **duration <= kLongest) return true;
  const std::string shown = node.IsScalar() ? "'" + node.scalar() + "'" : "this";
  ErrorAt(reading, node, shown + " is no duration from 1s to 366d",
          calendar ? "write '30s', '10m', '4h', '5d', business days or hours as '1bd', '6bh', or 'never'"
                   : "write '30s', '10m', '4h', '5d', or 'never'; business time ('1bd') needs a `calendar`");
  duration->reset();
  return false;
}

// a is later than b; never is later than everything else.
bool Later(const std::optional<Duration>& a, const std::optional<Duration>& b) { return b && (!a || *a > *b); }

// "75%", "1h" after the start, or "end_of_day".
void ReadAtRisk(const Reading& reading, const YamlNode& node, AtRiskRule* rule) {
  const std::string text = node.IsScalar() ? node.scalar() : std::string();
  if (text == "end_of_day") {
    rule->kind = AtRiskRule::Kind::kEndOfDay;
    return;
  }
  if (const auto after = ParseDuration(text); after && *after >= kShortest && *after <= kLongest) {
    rule->kind = AtRiskRule::Kind::kAfter;
    rule->after = *after;
    return;
  }
  int percent = 0;
  bool valid = text.size() >= 2 && text.size() <= 3 && text.back() == '%';
  for (size_t i = 0; valid && i + 1 < text.size(); ++i) {
    valid = text[i] >= '0' && text[i] <= '9';
    percent = percent * 10 + (text[i] - '0');
  }
  if (valid && percent >= 1) {
    rule->percent = percent;
    return;
  }
  ErrorAt(reading, node, "'" + text + "' is no share of a clock's time",
          "write '1%' to '99%', for example '75%', a time after its start ('1h'), or 'end_of_day'");
}

void ReadLevelTimes(const Reading& reading, const YamlNode& node, const std::string& name, ClockSpec* clock) {
  MapReader map(reading.source, node, "levels of clock '" + name + "'", reading.diagnostics);
  for (size_t i = 0; i < reading.policy->levels.size(); ++i) {
    const std::string& level = reading.policy->levels[i].name;
    const YamlNode* row = map.Node(level);
    if (!row) continue;
    const std::string what = "clock '" + name + "' at level '" + level + "'";
    MapReader row_map(reading.source, *row, what, reading.diagnostics);
    ClockTimes times;
    times.at_risk = clock->at_risk;
    if (const YamlNode* at_risk = row_map.Node("at_risk")) ReadAtRisk(reading, *at_risk, &times.at_risk);
    ReadBySeverity(reading, &row_map, what, clock->calendar.get(), &times);
    row_map.Finish();
    clock->by_level[i] = times;
  }
  map.Finish();
}

bool Never(const ClockTimes& times) {
  return std::none_of(times.duration.begin(), times.duration.end(), [](const auto& d) { return d.has_value(); });
}

ClockSpec ReadClock(const Reading& reading, const YamlNode& node, const std::string& name) {
  ClockSpec clock;
  const bool found_errors = reading.diagnostics->HasErrors();
  MapReader map(reading.source, node, "clock '" + name + "'", reading.diagnostics);
  clock.calendar = ReadCalendarName(reading, &map);
  if (const YamlNode* at_risk = map.Node("at_risk")) ReadAtRisk(reading, *at_risk, &clock.at_risk);
  ReadBySeverity(reading, &map, "clock '" + name + "'", clock.calendar.get(), &clock);
  if (const YamlNode* levels = map.Node("levels")) ReadLevelTimes(reading, *levels, name, &clock);
  map.Finish();
  const bool timed = !Never(clock) || std::any_of(clock.by_level.begin(), clock.by_level.end(),
                                                  [](const auto& times) { return times && !Never(*times); });
  if (!timed && !found_errors && !reading.diagnostics->HasErrors()) {
    ErrorAt(reading, node, "clock '" + name + "' never runs: it has no duration for any severity",
            "give it one, or remove the clock");
  }
  return clock;
}

}  // namespace

std::string Shown(const std::optional<Duration>& duration) { return duration ? FormatDuration(*duration) : "never"; }

void ReadBySeverity(const Reading& reading, MapReader* map, const std::string& what, const Calendar* calendar,
                    ClockTimes* times) {
  const auto& severities = reading.policy->severities;
  const YamlNode* worse = nullptr;
  size_t worse_index = 0;
  for (size_t i = 0; i < severities.size(); ++i) {
    const YamlNode* node = map->Node(severities[i].name);
    if (!node) {
      map->ErrorHere(what + " says nothing about severity '" + severities[i].name + "'",
                     "add '" + severities[i].name + ": <duration>', or 'never'");
      continue;
    }
    if (!ReadTime(reading, *node, calendar, &times->duration[i], &times->business[i])) continue;
    // Business and wall time have no common measure.
    const bool comparable = worse && times->business[worse_index] == times->business[i];
    if (comparable && Later(times->duration[worse_index], times->duration[i])) {
      ErrorAt(reading, *node,
              what + ": " + severities[i].name + " (" + Shown(times->duration[i]) + ") is sooner than the worse " +
                  severities[worse_index].name + " (" + Shown(times->duration[worse_index]) + ")",
              "a worse severity may not wait longer");
    }
    worse = node;
    worse_index = i;
  }
}

void ReadCalendars(const Reading& reading, MapReader* top) {
  const YamlNode* node = top->Node("calendars");
  if (!node) return;
  if (!node->IsMap() || node->map().size() > kMaxCalendars) {
    return ErrorAt(reading, *node,
                   "`calendars` must be a map of at most " + std::to_string(kMaxCalendars) + " calendars");
  }
  for (const YamlNode::Entry& entry : node->map()) {
    CheckName(reading, entry.value, entry.key, "calendar");
    if (auto calendar = ReadCalendar(reading.source, entry.value, entry.key, reading.diagnostics)) {
      reading.policy->calendars.push_back(std::move(calendar));
    }
  }
}

std::shared_ptr<const Calendar> ReadCalendarName(const Reading& reading, MapReader* map) {
  const std::string name = map->String("calendar");
  if (name.empty()) return nullptr;
  std::vector<std::string_view> known;
  for (const auto& calendar : reading.policy->calendars) {
    if (calendar->name() == name) return calendar;
    known.push_back(calendar->name());
  }
  ErrorAt(reading, *map->Node("calendar"), "there is no calendar '" + name + "'", Suggest(name, known));
  return nullptr;
}

void ReadAckTimeout(const Reading& reading, MapReader* top) {
  const YamlNode* node = top->Node("ack_timeout");
  if (!node || reading.policy->severities.empty()) return;
  MapReader map(reading.source, *node, "ack_timeout", reading.diagnostics);
  ClockTimes times;
  ReadBySeverity(reading, &map, "ack_timeout", nullptr, &times);
  reading.policy->ack_timeout = times.duration;
  map.Finish();
}

void ReadClocks(const Reading& reading, MapReader* top) {
  Policy& policy = *reading.policy;
  const YamlNode* node = top->Node("clocks");
  if (!node || policy.severities.empty()) return;
  MapReader map(reading.source, *node, "clocks", reading.diagnostics);
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const std::string name(Name(static_cast<ClockKind>(i)));
    if (const YamlNode* clock = map.Node(name)) policy.clocks[i] = ReadClock(reading, *clock, name);
  }
  map.Finish();
}

}  // namespace triaged::pack

namespace triaged {

bool ClockSpec::HasLevels() const {
  return std::any_of(by_level.begin(), by_level.end(), [](const auto& times) { return times.has_value(); });
}

}  // namespace triaged
