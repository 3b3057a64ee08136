// Calendar: business time. A day counts between two wall-clock times of an IANA zone, on the weekdays named, unless it
// is a holiday. "One business day" is one such day's opening time: opened at 16:00 of 09:00–17:00, it ends at 16:00 of
// the next day that counts.
//
// Daylight saving: opening times are wall-clock times, so a day on which clocks change may be longer or shorter than
// the others; what counts is real time passed between opening and closing.
// Pure and immutable; any thread may ask.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/time.h"
#include "pipeline/base/yaml.h"
#include "pipeline/base/zone.h"

namespace triaged {

inline constexpr size_t kMaxHolidays = 2000;
// Beyond this many days without one that counts a calendar is taken to be over; 10 years of holidays are a mistake.
inline constexpr int kMaxCalendarDays = 3660;

class Calendar {
 public:
  Calendar(std::string name, Zone zone, uint8_t weekdays, std::chrono::minutes opens, std::chrono::minutes closes,
           std::vector<std::chrono::sys_days> holidays);

  const std::string& name() const { return name_; }
  const Zone& zone() const { return zone_; }
  // The length of one business day on the wall clock.
  Duration day_length() const { return closes_ - opens_; }

  // When `business` time has passed since `from`; from + business when the calendar has no open day left.
  Timestamp Add(Timestamp from, Duration business) const;
  // Business time between two instants; 0 when `to` is not after `from`.
  Duration Between(Timestamp from, Timestamp to) const;
  bool IsOpen(Timestamp at) const;
  // The closing time of the day that `at` falls on, or of the next open day when it does not count.
  Timestamp EndOfDay(Timestamp at) const;

 private:
  struct Window {
    Timestamp opens;
    Timestamp closes;
  };
  std::optional<Window> WindowOf(std::chrono::sys_days day) const;  // nullopt: the day does not count

  std::string name_;
  Zone zone_;
  uint8_t weekdays_;  // bit i: std::chrono::weekday i (0 is Sunday)
  std::chrono::minutes opens_;
  std::chrono::minutes closes_;
  std::vector<std::chrono::sys_days> holidays_;  // sorted
};

// Parts that calendars and rosters share. nullopt: not of that shape.
std::optional<std::chrono::minutes> ParseTimeOfDay(std::string_view text);  // "09:00"
std::optional<std::chrono::sys_days> ParseDate(std::string_view text);      // "2026-01-05", from 1970 on
std::optional<uint8_t> ParseWeekday(std::string_view text);                 // "monday": 1
std::vector<std::string_view> WeekdayNames();                               // sunday first
// "09:00-17:00"; `to` may be at or before `from`: it is then on the next day. "24:00" is taken as an end.
struct DayHours {
  std::chrono::minutes from;
  std::chrono::minutes to;
};
std::optional<DayHours> ParseHours(std::string_view text);

// Strict readers with diagnostics. Weekdays: a list, default all seven. Holidays: a list of dates, returned sorted.
uint8_t ReadWeekdays(MapReader* map, std::string_view key, uint8_t fallback);
std::vector<std::chrono::sys_days> ReadHolidays(MapReader* map, std::string_view key);
std::optional<Zone> ReadZone(MapReader* map, std::string_view key);  // required
// One calendar: {zone, hours, days: [monday, …], holidays: [2026-12-25]}. nullptr when it has errors.
std::shared_ptr<const Calendar> ReadCalendar(const SourceFile& source, const YamlNode& node, const std::string& name,
                                             Diagnostics* diagnostics);

}  // namespace triaged
