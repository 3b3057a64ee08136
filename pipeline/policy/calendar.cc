#include "pipeline/policy/calendar.h"

#include <algorithm>

namespace triaged {
namespace {

using std::chrono::days;
using std::chrono::minutes;
using std::chrono::sys_days;

constexpr std::string_view kWeekdays[] = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};
constexpr minutes kDay{24 * 60};
constexpr uint8_t kMondayToFriday = 0b0111110;

std::optional<int> Digits(std::string_view text, size_t count) {
  if (text.size() != count) return std::nullopt;
  int number = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + (c - '0');
  }
  return number;
}

}  // namespace

std::optional<minutes> ParseTimeOfDay(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hour = Digits(text.substr(0, 2), 2);
  const auto minute = Digits(text.substr(3), 2);
  if (!hour || !minute || *hour > 23 || *minute > 59) return std::nullopt;
  return minutes(*hour * 60 + *minute);
}

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

std::optional<uint8_t> ParseWeekday(std::string_view text) {
  const auto found = std::find(std::begin(kWeekdays), std::end(kWeekdays), text);
  if (found == std::end(kWeekdays)) return std::nullopt;
  return static_cast<uint8_t>(found - std::begin(kWeekdays));
}

std::vector<std::string_view> WeekdayNames() { return {std::begin(kWeekdays), std::end(kWeekdays)}; }

std::optional<DayHours> ParseHours(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto from = ParseTimeOfDay(text.substr(0, dash));
  const std::string_view end = text.substr(dash + 1);
  const auto to = end == "24:00" ? std::optional(kDay) : ParseTimeOfDay(end);
  if (!from || !to) return std::nullopt;
  return DayHours{*from, *to};
}

Calendar::Calendar(std::string name, Zone zone, uint8_t weekdays, minutes opens, minutes closes,
                   std::vector<sys_days> holidays)
    : name_(std::move(name)),
      zone_(zone),
      weekdays_(weekdays),
      opens_(opens),
      closes_(closes),
      holidays_(std::move(holidays)) {}

std::optional<Calendar::Window> Calendar::WindowOf(sys_days day) const {
  if (!(weekdays_ >> std::chrono::weekday(day).c_encoding() & 1)) return std::nullopt;
  if (std::binary_search(holidays_.begin(), holidays_.end(), day)) return std::nullopt;
  const Timestamp closes = closes_ == kDay ? zone_.At(day + days(1), minutes(0)).first : zone_.At(day, closes_).last;
  const Timestamp opens = zone_.At(day, opens_).first;
  // A day whose opening time clocks jump over may have nothing left.
  if (closes <= opens) return std::nullopt;
  return Window{opens, closes};
}

Timestamp Calendar::Add(Timestamp from, Duration business) const {
  sys_days day = zone_.DayOf(from);
  Duration left = business;
  for (int i = 0; i < kMaxCalendarDays; ++i, day += days(1)) {
    const auto window = WindowOf(day);
    if (!window || window->closes <= from) continue;
    const Timestamp begin = std::max(from, window->opens);
    if (left <= window->closes - begin) return begin + left;
    left -= window->closes - begin;
  }
  return from + business;
}

Duration Calendar::Between(Timestamp from, Timestamp to) const {
  Duration total{0};
  if (to <= from) return total;
  const sys_days last = zone_.DayOf(to);
  sys_days day = zone_.DayOf(from);
  for (int i = 0; i < kMaxCalendarDays && day <= last; ++i, day += days(1)) {
    const auto window = WindowOf(day);
    if (!window) continue;
    const Timestamp begin = std::max(from, window->opens);
    const Timestamp end = std::min(to, window->closes);
    if (end > begin) total += end - begin;
  }
  return total;
}

bool Calendar::IsOpen(Timestamp at) const {
  const auto window = WindowOf(zone_.DayOf(at));
  return window && at >= window->opens && at < window->closes;
}

Timestamp Calendar::EndOfDay(Timestamp at) const {
  sys_days day = zone_.DayOf(at);
  for (int i = 0; i < kMaxCalendarDays; ++i, day += days(1)) {
    const auto window = WindowOf(day);
    if (window && window->closes > at) return window->closes;
  }
  return at;
}

uint8_t ReadWeekdays(MapReader* map, std::string_view key, uint8_t fallback) {
  const YamlNode* node = map->Node(key);
  if (!node) return fallback;
  uint8_t bits = 0;
  const std::vector<std::string> names = map->Strings(key);
  for (size_t i = 0; i < names.size(); ++i) {
    const YamlNode& where = node->IsList() && i < node->list().size() ? node->list()[i] : *node;
    if (const auto weekday = ParseWeekday(names[i])) {
      bits = static_cast<uint8_t>(bits | 1u << *weekday);
      continue;
    }
    const std::string_view near = DidYouMean(names[i], WeekdayNames());
    map->ErrorAt(where, "'" + names[i] + "' is no weekday",
                 near.empty() ? "write monday … sunday" : "did you mean '" + std::string(near) + "'?");
  }
  if (names.empty()) map->ErrorAt(*node, "at least one weekday is needed");
  return bits;
}

std::vector<sys_days> ReadHolidays(MapReader* map, std::string_view key) {
  std::vector<sys_days> holidays;
  const YamlNode* node = map->Node(key);
  if (!node) return holidays;
  const std::vector<std::string> dates = map->Strings(key);
  if (dates.size() > kMaxHolidays) map->ErrorAt(*node, "more than " + std::to_string(kMaxHolidays) + " holidays");
  for (size_t i = 0; i < dates.size(); ++i) {
    const YamlNode& where = node->IsList() && i < node->list().size() ? node->list()[i] : *node;
    if (const auto date = ParseDate(dates[i])) {
      holidays.push_back(*date);
    } else {
      map->ErrorAt(where, "'" + dates[i] + "' is no date", "write YYYY-MM-DD, from 1970 on");
    }
  }
  std::sort(holidays.begin(), holidays.end());
  if (std::adjacent_find(holidays.begin(), holidays.end()) != holidays.end()) {
    map->ErrorAt(*node, "a holiday is listed twice");
  }
  return holidays;
}

std::optional<Zone> ReadZone(MapReader* map, std::string_view key) {
  const std::string name = map->String(key, {}, true);
  if (name.empty()) return std::nullopt;
  auto zone = Zone::Find(name);
  if (zone) return zone;
  const std::string_view near = DidYouMean(name, Zone::Names());
  map->ErrorAt(*map->Node(key), "'" + name + "' is no IANA time zone that this machine's tzdata knows",
               near.empty() ? "for example 'Europe/Berlin'" : "did you mean '" + std::string(near) + "'?");
  return std::nullopt;
}

std::shared_ptr<const Calendar> ReadCalendar(const SourceFile& source, const YamlNode& node, const std::string& name,
                                             Diagnostics* diagnostics) {
  MapReader map(source, node, "calendar '" + name + "'", diagnostics);
  const auto zone = ReadZone(&map, "zone");
  const std::string text = map.String("hours", {}, true);
  const uint8_t weekdays = ReadWeekdays(&map, "days", kMondayToFriday);
  std::vector<sys_days> holidays = ReadHolidays(&map, "holidays");
  map.Finish();
  if (text.empty()) return nullptr;
  const auto hours = ParseHours(text);
  if (!hours || hours->to <= hours->from) {
    map.ErrorAt(*map.Node("hours"), "'" + text + "' are no opening hours of one day", "write '09:00-17:00'");
    return nullptr;
  }
  if (!zone) return nullptr;
  return std::make_shared<const Calendar>(name, *zone, weekdays, hours->from, hours->to, std::move(holidays));
}

}  // namespace triaged
