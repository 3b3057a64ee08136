#include "pipeline/rules/predicate.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>

#include "pipeline/base/time.h"
#include "pipeline/rules/budget.h"
#include "pipeline/rules/regex_texts.h"

namespace triaged::rules {
namespace {

int CompareNumbers(const Number& a, const Number& b) {
  if (a.is_integer && b.is_integer) return a.integer < b.integer ? -1 : a.integer > b.integer ? 1 : 0;
  const double x = a.is_integer ? static_cast<double>(a.integer) : a.real;
  const double y = b.is_integer ? static_cast<double>(b.integer) : b.real;
  return x < y ? -1 : x > y ? 1 : 0;
}

std::optional<Number> NumberOf(const Value& value) {
  switch (value.kind) {
    case ValueKind::kInteger:
      return Number{true, value.integer, 0};
    case ValueKind::kUnsigned:
      if (value.unsigned_integer <= static_cast<uint64_t>(INT64_MAX)) {
        return Number{true, static_cast<int64_t>(value.unsigned_integer), 0};
      }
      return Number{false, 0, static_cast<double>(value.unsigned_integer)};
    case ValueKind::kDouble:
      return Number{false, 0, value.real};
    case ValueKind::kString:
      return ParseNumber(value.text);
    case ValueKind::kBool:
    case ValueKind::kNull:
      return std::nullopt;
  }
  return std::nullopt;
}

bool Compare(Comparison comparison, int order) {
  switch (comparison) {
    case Comparison::kLess:
      return order < 0;
    case Comparison::kLessEqual:
      return order <= 0;
    case Comparison::kGreater:
      return order > 0;
    case Comparison::kGreaterEqual:
      return order >= 0;
  }
  return false;
}

bool ParseAddress(std::string_view text, unsigned char (&bytes)[16], bool* is_v4) {
  char buffer[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() > INET6_ADDRSTRLEN) return false;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  *is_v4 = text.find(':') == std::string_view::npos;
  if (!*is_v4) return inet_pton(AF_INET6, buffer, bytes) == 1;
  std::memset(bytes, 0, 10);
  bytes[10] = bytes[11] = 0xff;
  return inet_pton(AF_INET, buffer, bytes + 12) == 1;
}

bool Inside(const unsigned char (&address)[16], const Network& network) {
  const size_t whole = static_cast<size_t>(network.prefix) / 8;
  if (std::memcmp(address, network.bytes, whole) != 0) return false;
  const int rest = network.prefix % 8;
  if (rest == 0) return true;
  return ((address[whole] ^ network.bytes[whole]) >> (8 - rest)) == 0;
}

int64_t IsoWeek(std::chrono::sys_days day) {
  using std::chrono::days;
  // The week of a day is that of its Thursday.
  const std::chrono::weekday weekday(day);
  const std::chrono::sys_days thursday = day + days(4 - static_cast<int>(weekday.iso_encoding()));
  const std::chrono::year year = std::chrono::year_month_day(thursday).year();
  return (thursday - std::chrono::sys_days(year / 1 / 1)).count() / 7 + 1;
}

int64_t PartOf(Timestamp time, TimePart part) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const int64_t minute = std::chrono::floor<std::chrono::minutes>(time - day).count();
  switch (part) {
    case TimePart::kMinute:
      return minute % 60;
    case TimePart::kHour:
      return minute / 60;
    case TimePart::kDay:
      return static_cast<int64_t>(static_cast<unsigned>(date.day()));
    case TimePart::kWeek:
      return IsoWeek(day);
    case TimePart::kMonth:
      return static_cast<int64_t>(static_cast<unsigned>(date.month()));
    case TimePart::kYear:
      return static_cast<int>(date.year());
  }
  return -1;
}

bool RelatesTo(std::string_view value, std::string_view other, Anchor anchor, bool cased) {
  auto equal = [cased](std::string_view a, std::string_view b) {
    if (cased) return a == b;
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
      return FoldByte(static_cast<unsigned char>(x)) == FoldByte(static_cast<unsigned char>(y));
    });
  };
  if (anchor == Anchor::kWhole) return equal(value, other);
  if (other.size() > value.size()) return false;
  if (anchor == Anchor::kStartsWith) return equal(value.substr(0, other.size()), other);
  if (anchor == Anchor::kEndsWith) return equal(value.substr(value.size() - other.size()), other);
  for (size_t i = 0; i + other.size() <= value.size(); ++i) {
    if (equal(value.substr(i, other.size()), other)) return true;
  }
  return false;
}

bool HoldsForValue(const Predicate& p, const Value& value, const FieldTable& fields) {
  switch (p.kind) {
    case PredicateKind::kText:
      for (const Pattern& pattern : p.patterns) {
        if (Matches(pattern, value.text)) return true;
      }
      return false;
    case PredicateKind::kRegex:
      for (const auto& regex : p.regexes) {
        if (re2::RE2::PartialMatch(re2::StringPiece(value.text.data(), value.text.size()), *regex)) return true;
      }
      return false;
    case PredicateKind::kCidr: {
      unsigned char address[16];
      bool is_v4 = false;
      if (!ParseAddress(value.text, address, &is_v4)) return false;
      for (const Network& network : p.networks) {
        if (Inside(address, network)) return true;
      }
      return false;
    }
    case PredicateKind::kCompare: {
      const std::optional<Number> number = NumberOf(value);
      if (!number) return false;
      for (const Number& limit : p.numbers) {
        if (Compare(p.comparison, CompareNumbers(*number, limit))) return true;
      }
      return false;
    }
    case PredicateKind::kFieldRef:
      for (const Value& other : fields.Get(p.other)) {
        if (other.kind != ValueKind::kNull && RelatesTo(value.text, other.text, p.anchor, p.cased)) return true;
      }
      return false;
    case PredicateKind::kTimePart: {
      const std::optional<Timestamp> time = ParseTimestamp(value.text);
      if (!time) return false;
      return std::find(p.parts.begin(), p.parts.end(), PartOf(*time, p.part)) != p.parts.end();
    }
    case PredicateKind::kNull:
    case PredicateKind::kExists:
      return false;
  }
  return false;
}

bool HoldsForField(const Predicate& p, FieldId field, const FieldTable& fields) {
  for (const Value& value : fields.Get(field)) {
    if (value.kind != ValueKind::kNull && HoldsForValue(p, value, fields)) return true;
  }
  return false;
}

// None when one of the expressions needs nothing.
std::vector<Pattern> NecessaryPatterns(const std::vector<std::shared_ptr<const re2::RE2>>& regexes) {
  std::vector<Pattern> patterns;
  for (const auto& regex : regexes) {
    const std::vector<std::string> texts = RegexTexts(*regex);
    if (texts.empty()) return {};
    for (const std::string& text : texts) patterns.push_back(MakePattern(PlainText(text), Anchor::kContains, false));
  }
  return patterns;
}

std::string KeyOf(const Predicate& p) {
  std::string key = std::to_string(static_cast<int>(p.kind)) + ":" + std::to_string(p.field) + ":";
  std::vector<std::string> parts;
  if (p.kind == PredicateKind::kText) {
    for (const Pattern& pattern : p.patterns) parts.push_back(pattern.Key());
  }
  for (const auto& regex : p.regexes) parts.push_back(regex->pattern());
  for (const Network& n : p.networks) {
    parts.push_back(std::string(reinterpret_cast<const char*>(n.bytes), 16) + std::to_string(n.prefix));
  }
  for (const Number& n : p.numbers) {
    parts.push_back(n.is_integer ? "i" + std::to_string(n.integer) : "d" + std::to_string(n.real));
  }
  for (int64_t part : p.parts) parts.push_back(std::to_string(part));
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  for (const std::string& part : parts) key += std::to_string(part.size()) + "=" + part;
  if (p.kind == PredicateKind::kCompare) key += "/" + std::to_string(static_cast<int>(p.comparison));
  if (p.kind == PredicateKind::kTimePart) key += "/" + std::to_string(static_cast<int>(p.part));
  if (p.kind == PredicateKind::kFieldRef) {
    key += "/" + std::to_string(p.other) + "/" + std::to_string(static_cast<int>(p.anchor)) + (p.cased ? "c" : "i");
  }
  return key;
}

}  // namespace

std::optional<Number> ParseNumber(std::string_view text) {
  Number number;
  const char* end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, number.integer);
  if (error == std::errc() && at == end && !text.empty()) return number;
  number.is_integer = false;
  number.integer = 0;
  auto [real_at, real_error] = std::from_chars(text.data(), end, number.real);
  const bool finite = number.real - number.real == 0;
  if (text.empty() || real_error != std::errc() || real_at != end || !finite) return std::nullopt;
  return number;
}

std::optional<Network> ParseNetwork(std::string_view text) {
  Network network;
  const size_t slash = text.find('/');
  bool is_v4 = false;
  if (!ParseAddress(text.substr(0, slash), network.bytes, &is_v4)) return std::nullopt;
  const int width = is_v4 ? 32 : 128;
  int prefix = width;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    auto [at, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (digits.empty() || error != std::errc() || at != digits.data() + digits.size()) return std::nullopt;
  }
  if (prefix < 0 || prefix > width) return std::nullopt;
  network.prefix = prefix + (is_v4 ? 96 : 0);
  return network;
}

bool Holds(const Predicate& p, const FieldTable& fields, size_t normalised_size) {
  if (p.kind == PredicateKind::kExists) return fields.Has(p.field);
  if (p.kind == PredicateKind::kNull) {
    const auto values = fields.Get(p.field);
    return values.empty() ||
           std::any_of(values.begin(), values.end(), [](const Value& v) { return v.kind == ValueKind::kNull; });
  }
  if (p.field != kKeywords) return HoldsForField(p, p.field, fields);
  for (FieldId field : fields.present()) {
    if (field < normalised_size && HoldsForField(p, field, fields)) return true;
  }
  return false;
}

PredicateId PredicateTable::Add(Predicate predicate) {
  predicate.key = KeyOf(predicate);
  predicate.weight = WeightOf(predicate);
  const auto [it, added] = ids_.emplace(predicate.key, static_cast<PredicateId>(predicates_.size()));
  if (!added) return it->second;
  if (predicate.kind == PredicateKind::kRegex) predicate.patterns = NecessaryPatterns(predicate.regexes);
  predicates_.push_back(std::move(predicate));
  return it->second;
}

}  // namespace triaged::rules
