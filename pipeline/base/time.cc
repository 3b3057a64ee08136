#include "pipeline/base/time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "pipeline/base/timestamp_text.h"

namespace triaged {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

// RFC 3339 has four-digit years.
constexpr Timestamp kFirst = sys_days(std::chrono::year(0) / 1 / 1);
constexpr Timestamp kLast = sys_days(std::chrono::year(10000) / 1 / 1) - Duration(1);

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "00" to "99".
constexpr auto kTwoDigits = [] {
  std::array<std::array<char, 2>, 100> pairs{};
  for (size_t i = 0; i < pairs.size(); ++i) pairs[i] = {static_cast<char>('0' + i / 10), static_cast<char>('0' + i % 10)};
  return pairs;
}();
void PutTwo(char* out, unsigned value) { std::memcpy(out, kTwoDigits[value].data(), 2); }

// Two digits at `p`, or a number above 99.
unsigned GetTwo(const char* p) {
  const unsigned tens = static_cast<unsigned char>(p[0]) - unsigned{'0'};
  const unsigned ones = static_cast<unsigned char>(p[1]) - unsigned{'0'};
  return tens > 9 || ones > 9 ? 100 : tens * 10 + ones;
}

// Reads the fraction of a second from the '.' on, cut to milliseconds, and moves `text` past it.
std::optional<Duration> TakeFraction(std::string_view* text) {
  if (text->empty() || text->front() != '.') return Duration(0);
  size_t digits = 0;
  int millis = 0;
  while (digits + 1 < text->size() && IsDigit((*text)[digits + 1])) {
    if (digits < 3) millis = millis * 10 + ((*text)[digits + 1] - '0');
    ++digits;
  }
  if (digits == 0 || digits > 9) return std::nullopt;
  for (size_t i = digits; i < 3; ++i) millis *= 10;
  text->remove_prefix(digits + 1);
  return Duration(millis);
}

// "Z" or "+hh:mm" or "-hh:mm": what to subtract to get UTC.
std::optional<Duration> ReadOffset(std::string_view text) {
  if (text == "Z" || text == "z") return Duration(0);
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  const unsigned hours = GetTwo(text.data() + 1);
  const unsigned minutes = GetTwo(text.data() + 4);
  if (hours > 23 || minutes > 59) return std::nullopt;
  const Duration offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  return text[0] == '-' ? -offset : offset;
}

struct Unit {
  std::string_view name;
  int64_t millis;
};
// Greatest first. "m" stands before "ms" and the text is matched by whole letters, so neither hides the other.
constexpr std::array<Unit, 5> kUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

}  // namespace

// Times outside the years 0000–9999 are shown as the nearest one inside: a text that sorts wrongly would be worse.
void PutTimestamp(Timestamp t, char* out) {
  t = std::clamp(t, kFirst, kLast);
  const sys_days day = std::chrono::floor<days>(t);
  const year_month_day date(day);
  const auto millis = static_cast<unsigned>((t - day).count());
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  const unsigned seconds = millis / 1'000;
  std::memcpy(out, "0000-00-00T00:00:00.000Z", kTimestampSize);
  PutTwo(out, year / 100);
  PutTwo(out + 2, year % 100);
  PutTwo(out + 5, static_cast<unsigned>(date.month()));
  PutTwo(out + 8, static_cast<unsigned>(date.day()));
  PutTwo(out + 11, seconds / 3'600);
  PutTwo(out + 14, seconds / 60 % 60);
  PutTwo(out + 17, seconds % 60);
  const unsigned fraction = millis - seconds * 1'000;
  out[20] = static_cast<char>('0' + fraction / 100);
  PutTwo(out + 21, fraction % 100);
}

std::string FormatTimestamp(Timestamp t) {
  std::string text(kTimestampSize, '0');
  PutTimestamp(t, text.data());
  return text;
}

std::optional<Timestamp> ParseTimestamp(std::string_view text) {
  if (text.size() < 20) return std::nullopt;  // "2026-11-21T04:08:00Z"
  const char* p = text.data();
  if (p[4] != '-' || p[7] != '-' || (p[10] != 'T' && p[10] != 't') || p[13] != ':' || p[16] != ':') return std::nullopt;
  const unsigned century = GetTwo(p);
  const unsigned year_of_century = GetTwo(p + 2);
  const unsigned month = GetTwo(p + 5);
  const unsigned day = GetTwo(p + 8);
  const unsigned hour = GetTwo(p + 11);
  const unsigned minute = GetTwo(p + 14);
  const unsigned second = GetTwo(p + 17);
  if (century > 99 || year_of_century > 99 || month > 12 || day > 31 || hour > 23 || minute > 59 || second > 60) {
    return std::nullopt;
  }
  const year_month_day date(std::chrono::year(static_cast<int>(century * 100 + year_of_century)), std::chrono::month(month),
                            std::chrono::day(day));
  if (!date.ok()) return std::nullopt;

  text.remove_prefix(19);
  const auto fraction = TakeFraction(&text);
  if (!fraction) return std::nullopt;
  const auto offset = ReadOffset(text);
  if (!offset) return std::nullopt;

  const Timestamp minutes = sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) - *offset;
  // A leap second is the last of a UTC day; it is read as the second after it, which is how Unix time counts.
  if (second == 60 && minutes - std::chrono::floor<days>(minutes) != std::chrono::minutes(1439)) return std::nullopt;
  const Timestamp result = minutes + std::chrono::seconds(second) + *fraction;
  if (result < kFirst || result > kLast) return std::nullopt;
  return result;
}

std::optional<Duration> ParseDuration(std::string_view text) {
  if (text == "0") return Duration(0);
  if (text.empty()) return std::nullopt;
  int64_t total = 0;
  size_t next_unit = 0;  // every unit at most once, greatest first
  while (!text.empty()) {
    int64_t amount = 0;
    if (!IsDigit(text.front())) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    const size_t letters = std::min(text.size(), static_cast<size_t>(std::find_if(text.begin(), text.end(), IsDigit) -
                                                                     text.begin()));
    size_t unit = next_unit;
    while (unit < kUnits.size() && kUnits[unit].name != text.substr(0, letters)) ++unit;
    if (unit == kUnits.size()) return std::nullopt;
    int64_t millis = 0;
    if (__builtin_mul_overflow(amount, kUnits[unit].millis, &millis)) return std::nullopt;
    if (__builtin_add_overflow(total, millis, &total)) return std::nullopt;
    text.remove_prefix(letters);
    next_unit = unit + 1;
  }
  return Duration(total);
}

// A negative duration gets a '-', for messages only: ParseDuration takes no sign.
std::string FormatDuration(Duration d) {
  if (d.count() == 0) return "0";
  std::string text = d.count() < 0 ? "-" : "";
  // Unsigned negation: the most negative count has no positive counterpart.
  uint64_t left = static_cast<uint64_t>(d.count());
  if (d.count() < 0) left = 0 - left;
  for (const Unit& unit : kUnits) {
    const auto millis = static_cast<uint64_t>(unit.millis);
    if (left < millis) continue;
    text += std::to_string(left / millis);
    text += unit.name;
    left %= millis;
  }
  return text;
}

}  // namespace triaged
