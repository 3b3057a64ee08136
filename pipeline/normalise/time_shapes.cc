#include "pipeline/normalise/time_shapes.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

namespace triaged {
namespace {

namespace chrono = std::chrono;

// A text read from the left; every Take… moves on only when it succeeds.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  // A number of `min` to `max` digits; -1 when there is none.
  int Number(size_t min, size_t max) {
    size_t digits = 0;
    int value = 0;
    while (digits < max && digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9') {
      value = value * 10 + (text_[digits++] - '0');
    }
    if (digits < min) return -1;
    text_.remove_prefix(digits);
    return value;
  }
  bool Char(char ch) {
    if (text_.empty() || text_.front() != ch) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool OneOf(std::string_view chars) {
    if (text_.empty() || chars.find(text_.front()) == std::string_view::npos) return false;
    text_.remove_prefix(1);
    return true;
  }
  void Spaces() {
    while (Char(' ')) {
    }
  }
  // "Jan" … "Dec", also in full and in any case: 1 … 12, or 0.
  unsigned Month() {
    constexpr std::string_view kMonths = "janfebmaraprmayjunjulaugsepoctnovdec";
    if (text_.size() < 3) return 0;
    char name[3];
    for (int i = 0; i < 3; ++i) name[i] = static_cast<char>(text_[static_cast<size_t>(i)] | 0x20);
    const size_t at = kMonths.find(std::string_view(name, 3));
    if (at == std::string_view::npos || at % 3 != 0) return 0;
    while (!text_.empty() && ((text_.front() | 0x20) >= 'a' && (text_.front() | 0x20) <= 'z')) text_.remove_prefix(1);
    return static_cast<unsigned>(at / 3 + 1);
  }
  bool Word(std::string_view word) {
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  // An abbreviation of two to five capitals.
  bool Capitals() {
    const size_t size = std::min(text_.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), text_.size());
    if (size < 2 || size > 5) return false;
    text_.remove_prefix(size);
    return true;
  }
  // All the rest, when it stands between these two.
  bool Enclosed(char open, char close) {
    if (text_.size() < 2 || text_.front() != open || text_.find(close) != text_.size() - 1) return false;
    text_ = {};
    return true;
  }
  bool Done() const { return text_.empty(); }

 private:
  std::string_view text_;
};

struct Parts {
  int year = 0;
  unsigned month = 0;
  int day = 0;
  int hour = 0, minute = 0, second = 0, millis = 0;
  std::optional<int> offset_minutes;
};

std::optional<ParsedTime> Assemble(const Parts& p, const TimeContext& context) {
  const chrono::year_month_day date{chrono::year(p.year), chrono::month(p.month),
                                    chrono::day(static_cast<unsigned>(p.day))};
  if (p.day < 1 || !date.ok() || p.hour > 23 || p.minute > 59 || p.second > 60) return std::nullopt;
  const Duration rest = chrono::seconds(p.second) + Duration(p.millis);
  const auto minutes = chrono::hours(p.hour) + chrono::minutes(p.minute);
  if (!p.offset_minutes && context.zone) return ParsedTime{context.zone->At(chrono::sys_days(date), minutes).first + rest};
  const Timestamp at = chrono::sys_days(date) + minutes + rest - chrono::minutes(p.offset_minutes.value_or(0));
  return ParsedTime{at, !p.offset_minutes.has_value()};
}

// A time without a year: of last year's, this year's and next year's the nearest to the record's time.
std::optional<ParsedTime> AssembleNearest(Parts p, const TimeContext& context) {
  const int year = static_cast<int>(
      chrono::year_month_day(chrono::floor<chrono::days>(context.record_time)).year());
  std::optional<ParsedTime> best;
  for (p.year = year - 1; p.year <= year + 1; ++p.year) {
    const auto time = Assemble(p, context);
    const auto away = [&](const ParsedTime& t) { return chrono::abs(t.at - context.record_time); };
    if (time && (!best || away(*time) < away(*best))) best = time;
  }
  if (best) best->year_assumed = true;
  return best;
}

// [.fraction] of a second; false when there is a dot without digits.
bool ReadFraction(Reader& in, Parts* p) {
  if (!in.OneOf(".,")) return true;
  int digits = 0;
  int digit = 0;
  for (; (digit = in.Number(1, 1)) >= 0; ++digits) {
    if (digits < 3) p->millis = p->millis * 10 + digit;
  }
  for (int i = digits; i < 3; ++i) p->millis *= 10;
  return digits > 0 && digits <= 12;
}

// hh:mm[:ss[.fraction]]; false when it is none.
bool ReadClock(Reader& in, size_t min_hour_digits, Parts* p) {
  p->hour = in.Number(min_hour_digits, 2);
  if (p->hour < 0 || !in.Char(':')) return false;
  p->minute = in.Number(2, 2);
  if (p->minute < 0) return false;
  if (!in.Char(':')) return true;
  p->second = in.Number(2, 2);
  return p->second >= 0 && ReadFraction(in, p);
}

// North America's zones as RFC 2822, section 4.3, gives them; other words differ from place to place.
bool ReadZoneWord(Reader& in, Parts* p) {
  constexpr std::pair<std::string_view, int> kWords[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
                                                         {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
  for (const auto& [word, hours] : kWords) {
    if (!in.Word(word)) continue;
    p->offset_minutes = hours * 60;
    return true;
  }
  return false;
}

// What may stand behind an offset and names it once more: "(UTC)" (RFC 2822), "[Europe/Paris]" (Java), " UTC" (Go).
bool ReadZoneComment(Reader& in) {
  if (in.Done() || in.Enclosed('[', ']')) return true;
  if (!in.Char(' ')) return false;
  in.Spaces();
  return in.Enclosed('(', ')') || (in.Capitals() && in.Done());
}

// Z, UTC, GMT, +0000, +00:00, +00, GMT+0000, EST; leaves the offset empty when the text ends here.
bool ReadZone(Reader& in, Parts* p) {
  in.Spaces();
  if (in.Done()) return true;
  const bool named = in.OneOf("Zz") || in.Word("UTC") || in.Word("GMT") || in.Word("UT") || in.Word("(UTC)");
  if (named) p->offset_minutes = 0;
  if (!named && ReadZoneWord(in, p)) return in.Done();
  const bool negative = in.Char('-');
  if (!negative && !in.Char('+')) return named && ReadZoneComment(in);
  const int hours = in.Number(2, 2);
  if (hours < 0 || hours > 23) return false;
  in.Char(':');
  const int minutes = in.Number(2, 2);
  if (minutes > 59) return false;
  const int offset = hours * 60 + (minutes < 0 ? 0 : minutes);
  p->offset_minutes = negative ? -offset : offset;
  return ReadZoneComment(in);
}

bool ReadAmPm(Reader& in, Parts* p) {
  in.Spaces();
  const bool pm = in.Word("PM") || in.Word("pm");
  if (!pm && !in.Word("AM") && !in.Word("am")) return true;  // a 24-hour clock
  if (p->hour < 1 || p->hour > 12) return false;
  p->hour = p->hour % 12 + (pm ? 12 : 0);
  return true;
}

// Eight bytes to compare with at once: digits where the pattern has zeros, else the same. The first byte is the lowest.
struct Pattern {
  uint64_t bytes = 0;
  uint64_t top = 0;  // what carries a difference beyond the allowed (9 of a digit, else 0) into its byte's highest bit
};
constexpr Pattern PatternOf(std::string_view text) {
  Pattern pattern;
  for (size_t i = 0; i < 8; ++i) {
    const uint64_t byte = static_cast<unsigned char>(text[i]);
    const uint64_t top = byte == '0' ? 0x76 : 0x7f;
    pattern.bytes |= byte << i * 8;
    pattern.top |= top << i * 8;
  }
  return pattern;
}
constexpr Pattern kDate = PatternOf("0000-00-"), kClock = PatternOf("00:00:00");

// Where two digits begin at byte i, the result's byte i is their number. nullopt: the bytes are not like the pattern.
std::optional<uint64_t> TwoDigits(const char* at, const Pattern& like) {
  uint64_t bytes;
  std::memcpy(&bytes, at, sizeof bytes);
  const uint64_t values = bytes ^ like.bytes;
  if (((values + like.top) | values) & 0x8080808080808080) return std::nullopt;
  return values * 10 + (values >> 8);
}

// What most sources write: 2026-03-02T08:00:00, perhaps a fraction, and a zone as Z, +0000 or +00:00. Whatever is not
// quite that is left to the others.
std::optional<ParsedTime> Common(std::string_view text) {
  if (text.size() < 20) return std::nullopt;
  const auto date = TwoDigits(text.data(), kDate);
  const auto clock = TwoDigits(text.data() + 11, kClock);
  if (!date || !clock || (text[10] != 'T' && text[10] != ' ')) return std::nullopt;
  const auto byte = [](uint64_t word, int i) { return static_cast<unsigned>(word >> i * 8 & 0xff); };
  const auto digit = [&](size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(text[i])) - '0'; };
  const chrono::year_month_day day{chrono::year(static_cast<int>(byte(*date, 0) * 100 + byte(*date, 2))),
                                   chrono::month(byte(*date, 5)), chrono::day(digit(8) * 10 + digit(9))};
  const unsigned hour = byte(*clock, 0), minute = byte(*clock, 3), second = byte(*clock, 6);
  if (digit(8) > 9 || digit(9) > 9 || !day.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  size_t at = 19;
  unsigned millis = 0;
  if (text[at] == '.') {
    unsigned unit = 100;
    for (++at; at < text.size() && digit(at) <= 9; ++at, unit /= 10) millis += digit(at) * unit;
    if (at < 21 || at > 29) return std::nullopt;
  }
  int offset = 0;
  const std::string_view zone = text.substr(at);
  if (zone != "Z") {
    const size_t colon = zone.size() == 6 && zone[3] == ':' ? 1 : 0;
    if (zone.size() != 5 + colon || (zone[0] != '+' && zone[0] != '-')) return std::nullopt;
    for (size_t i : {at + 1, at + 2, at + 3 + colon, at + 4 + colon}) {
      if (digit(i) > 9) return std::nullopt;
    }
    const unsigned hours = digit(at + 1) * 10 + digit(at + 2);
    const unsigned minutes = digit(at + 3 + colon) * 10 + digit(at + 4 + colon);
    if (hours > 23 || minutes > 59) return std::nullopt;
    offset = static_cast<int>(hours * 60 + minutes) * (zone[0] == '-' ? -1 : 1);
  }
  const int seconds = static_cast<int>(hour * 3600 + minute * 60 + second) - offset * 60;
  return ParsedTime{chrono::sys_days(day) + Duration(int64_t{seconds} * 1000 + millis)};
}

// 20260302T080000Z, ISO 8601's basic form.
std::optional<ParsedTime> Compact(std::string_view text, const TimeContext& context) {
  Reader in(text);
  Parts p;
  p.year = in.Number(4, 4);
  p.month = static_cast<unsigned>(std::max(in.Number(2, 2), 0));
  p.day = in.Number(2, 2);
  if (p.year < 0 || !in.Char('T')) return std::nullopt;
  p.hour = in.Number(2, 2);
  p.minute = in.Number(2, 2);
  p.second = in.Number(2, 2);
  if (p.hour < 0 || p.minute < 0 || p.second < 0 || !ReadFraction(in, &p) || !ReadZone(in, &p)) return std::nullopt;
  return Assemble(p, context);
}

std::optional<ParsedTime> Iso(std::string_view text, const TimeContext& context) {
  Reader in(text);
  Parts p;
  p.year = in.Number(4, 4);
  if (p.year < 0 || !in.OneOf("-/")) return std::nullopt;
  const int month = in.Number(1, 2);
  if (month < 1 || !in.OneOf("-/")) return std::nullopt;
  p.month = static_cast<unsigned>(month);
  p.day = in.Number(1, 2);
  if (in.Done()) return Assemble(p, context);
  in.OneOf("Tt :");
  if (!ReadClock(in, 1, &p) || !ReadAmPm(in, &p) || !ReadZone(in, &p)) return std::nullopt;
  return Assemble(p, context);
}

// 4/11/2025 6:21:02 PM: month first, as the products that write it do.
std::optional<ParsedTime> Slashes(std::string_view text, const TimeContext& context) {
  Reader in(text);
  Parts p;
  const int month = in.Number(1, 2);
  if (month < 1 || !in.Char('/')) return std::nullopt;
  p.month = static_cast<unsigned>(month);
  p.day = in.Number(1, 2);
  if (!in.Char('/')) return std::nullopt;
  p.year = in.Number(4, 4);
  if (!in.OneOf(", ")) return std::nullopt;
  in.Spaces();
  if (!ReadClock(in, 1, &p) || !ReadAmPm(in, &p) || !ReadZone(in, &p)) return std::nullopt;
  return Assemble(p, context);
}

// Sep 23, 2022 11:25:46 PM; Fri Sep 23 23:25:46 2022; Sep 23 23:25:46
std::optional<ParsedTime> MonthFirst(std::string_view text, const TimeContext& context) {
  if (text.size() > 8 && text[3] == ' ' && (text[4] | 0x20) >= 'a') text.remove_prefix(4);  // the day of the week
  Reader in(text);
  Parts p;
  p.month = in.Month();
  in.Spaces();
  p.day = in.Number(1, 2);
  in.Char(',');
  in.Spaces();
  if (p.month == 0 || p.day < 1) return std::nullopt;
  p.year = in.Number(4, 4);
  if (p.year < 0) {
    if (!ReadClock(in, 2, &p)) return std::nullopt;
    in.Spaces();
    if (in.Word("UTC") || in.Word("GMT") || in.Word("Z")) {
      p.offset_minutes = 0;
    } else {
      ReadZoneWord(in, &p);
    }
    in.Spaces();
    p.year = in.Number(4, 4);
    if (p.year >= 0) return in.Done() ? Assemble(p, context) : std::nullopt;
    return ReadZone(in, &p) ? AssembleNearest(p, context) : std::nullopt;
  }
  in.OneOf(", @");
  in.Spaces();
  if (!ReadClock(in, 1, &p) || !ReadAmPm(in, &p) || !ReadZone(in, &p)) return std::nullopt;
  return Assemble(p, context);
}

// RFC 2822 "Tue, 23 Sep 2022 11:25:46 +0200", also without the comma, and CLF "10/Oct/2000:13:55:36 -0700".
std::optional<ParsedTime> DayFirst(std::string_view text, const TimeContext& context) {
  if (text.size() > 5 && (text[3] == ',' || (text[3] == ' ' && (text[2] | 0x20) >= 'a'))) text.remove_prefix(4);
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);  // as CLF has it
  Reader in(text);
  Parts p;
  in.Spaces();
  p.day = in.Number(1, 2);
  if (!in.OneOf(" /-")) return std::nullopt;
  p.month = in.Month();
  if (p.month == 0 || !in.OneOf(" /-")) return std::nullopt;
  p.year = in.Number(4, 4);
  if (p.year < 0 || !in.OneOf(" :")) return std::nullopt;
  if (!ReadClock(in, 1, &p) || !ReadZone(in, &p)) return std::nullopt;
  return Assemble(p, context);
}

// 31.12.2025 23:59:59: with dots the day comes first.
std::optional<ParsedTime> Dotted(std::string_view text, const TimeContext& context) {
  Reader in(text);
  Parts p;
  p.day = in.Number(1, 2);
  if (p.day < 1 || !in.Char('.')) return std::nullopt;
  const int month = in.Number(1, 2);
  if (month < 1 || !in.Char('.')) return std::nullopt;
  p.month = static_cast<unsigned>(month);
  p.year = in.Number(4, 4);
  if (p.year < 0 || !in.OneOf(", T")) return std::nullopt;
  in.Spaces();
  if (!ReadClock(in, 1, &p) || !ReadZone(in, &p)) return std::nullopt;
  return Assemble(p, context);
}

// 20260302080000, also with milliseconds: a date in digits.
constexpr int64_t kDates = 19'800'101'000'000, kDatesEnd = 22'000'101'000'000;
std::optional<ParsedTime> DateDigits(int64_t number, const TimeContext& context) {
  Parts p;
  if (number >= kDates * 1000) {
    p.millis = static_cast<int>(number % 1000);
    number /= 1000;
  }
  const auto take = [&number](int64_t base) { return static_cast<int>(std::exchange(number, number / base) % base); };
  p.second = take(100);
  p.minute = take(100);
  p.hour = take(100);
  p.day = take(100);
  p.month = static_cast<unsigned>(take(100));
  p.year = static_cast<int>(number);
  return Assemble(p, context);
}

// Seconds, ms, µs or ns since 1970, told apart by size: each unit covers the years 1973 to 5138. Where ms or µs would be of
// the years 2597 to 2667 it is a date in digits, and where ns would be before 1980 Windows' FILETIME (100 ns since 1601).
std::optional<ParsedTime> Epoch(int64_t number, const TimeContext& context) {
  // .NET's ticks (100 ns since year 1) of 2000 to 2100; as ns they would be of 1990.
  constexpr int64_t kTicksOf1970 = 621'355'968'000'000'000, kTicks = 630'822'816'000'000'000, kTicksEnd = 662'380'416'000'000'000;
  if (number >= kTicks && number < kTicksEnd) return ParsedTime{FromUnixMillis((number - kTicksOf1970) / 10'000)};
  constexpr int64_t kNanosOf1980 = 315'532'800'000'000'000, kFileTimeOf1970 = 116'444'736'000'000'000;
  if (number < 100'000'000) return std::nullopt;  // before 1973: a count, not a time
  if (number < 100'000'000'000) return ParsedTime{FromUnixMillis(number * 1000)};
  const bool date = (number >= kDates && number < kDatesEnd) || (number >= kDates * 1000 && number < kDatesEnd * 1000);
  if (date) {
    if (auto time = DateDigits(number, context)) return time;
  }
  if (number < 100'000'000'000'000) return ParsedTime{FromUnixMillis(number)};
  if (number < 100'000'000'000'000'000) return ParsedTime{FromUnixMillis(number / 1000)};
  if (number < kNanosOf1980) return ParsedTime{FromUnixMillis((number - kFileTimeOf1970) / 10'000)};
  return ParsedTime{FromUnixMillis(number / 1'000'000)};
}

std::optional<ParsedTime> EpochText(std::string_view text, const TimeContext& context) {
  int64_t whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error != std::errc()) return std::nullopt;
  auto time = Epoch(whole, context);
  if (!time || end == text.data() + text.size()) return time;
  Reader in(text.substr(static_cast<size_t>(end - text.data())));
  if (!in.Char('.')) return std::nullopt;
  int millis = 0;
  for (int i = 0; i < 3; ++i) {
    const int digit = in.Number(1, 1);
    millis = millis * 10 + (digit < 0 ? 0 : digit);
  }
  while (in.Number(1, 1) >= 0) {
  }
  if (!in.Done()) return std::nullopt;
  if (whole < 100'000'000'000) time->at += Duration(millis);  // a fraction of a second; finer ones are cut
  return time;
}

// What stands around a time and is none of it: spaces and controls, a byte order mark, and .NET's "/Date(…+0200)/", whose
// number is of UTC whatever the offset.
std::string_view Bare(std::string_view text) {
  constexpr std::string_view kMark = "\xef\xbb\xbf", kDotNet = "/Date(";
  const auto blank = [](char ch) { return static_cast<unsigned char>(ch) <= ' '; };
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  if (text.ends_with(kMark)) text.remove_suffix(kMark.size());
  if (!text.starts_with(kDotNet) || !text.ends_with(")/")) return text;
  text = text.substr(kDotNet.size(), text.size() - kDotNet.size() - 2);
  return text.substr(0, text.find_first_of("+-"));
}

}  // namespace

std::optional<ParsedTime> ParseTimeShape(const Value& value, const TimeContext& context) {
  switch (value.kind) {
    case ValueKind::kInteger: return Epoch(value.integer, context);
    case ValueKind::kUnsigned:
      return value.unsigned_integer > INT64_MAX ? std::nullopt : Epoch(static_cast<int64_t>(value.unsigned_integer), context);
    case ValueKind::kDouble:
      // What fraction is left beyond 1e15 is finer than a millisecond.
      if (value.real >= 1e8 && value.real < 9e18 && (value.real >= 1e15 || value.real == std::trunc(value.real))) {
        return Epoch(static_cast<int64_t>(value.real), context);
      }
      return EpochText(value.text, context);
    case ValueKind::kString: break;
    case ValueKind::kBool:
    case ValueKind::kNull: return std::nullopt;
  }
  if (const auto common = Common(value.text)) return common;
  if (const auto strict = ParseTimestamp(value.text)) return ParsedTime{*strict};
  const std::string_view text = Bare(value.text);
  if (text.empty() || text.size() > 80) return std::nullopt;
  for (const auto shape : {Iso, EpochText, Compact, Slashes, MonthFirst, DayFirst, Dotted}) {
    if (auto time = shape(text, context)) return time;
  }
  return std::nullopt;
}

}  // namespace triaged
