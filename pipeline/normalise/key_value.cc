#include "pipeline/normalise/key_value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace triaged {
namespace {

constexpr std::array<std::string_view, 7> kHeader = {"",     "deviceVendor",       "deviceProduct", "deviceVersion",
                                                     "deviceEventClassId", "name", "severity"};

bool HasBackslash(std::string_view text) { return text.find('\\') != std::string_view::npos; }

// The next `ch` from `at` without a backslash that escapes it, or npos.
size_t FindPlain(std::string_view text, char ch, size_t at) {
  for (size_t found = text.find(ch, at); found != std::string_view::npos; found = text.find(ch, found + 1)) {
    size_t plain = found;
    while (plain > at && text[plain - 1] == '\\') --plain;
    if ((found - plain) % 2 == 0) return found;  // backslashes in pairs are themselves escaped
  }
  return std::string_view::npos;
}

// The text behind "CEF:" when it begins with a version number, perhaps after spaces, as FortiOS writes it; `before` gets what
// stands before it.
std::string_view From(std::string_view text, std::string_view mark, std::string_view* before) {
  const size_t at = text.find(mark);
  if (at == std::string_view::npos) return {};
  size_t version = at + mark.size();
  while (version < text.size() && text[version] == ' ') ++version;
  *before = text.substr(0, at);
  return version < text.size() && text[version] >= '0' && text[version] <= '9' ? text.substr(version)
                                                                                     : std::string_view();
}

// Takes the word up to the next space off, and the spaces behind it.
std::string_view TakeWord(std::string_view* text) {
  const std::string_view word = text->substr(0, text->find(' '));
  text->remove_prefix(word.size());
  while (text->starts_with(' ')) text->remove_prefix(1);
  return word;
}

// The time and the host of a syslog header: "<134>Mar  2 08:00:00 fw1 " (RFC 3164, with a year as some write it), or
// "<134>1 2026-03-02T08:00:00Z fw1 …" (RFC 5424, also without its version). What is neither gives nothing.
void ReadSyslog(std::string_view header, const KeyValueSink& sink) {
  const auto is_clock = [](std::string_view word) {
    return !word.empty() && word.front() >= '0' && word.front() <= '9' && word.find(':') != std::string_view::npos;
  };
  if (header.starts_with('<')) header.remove_prefix(std::min(header.find('>'), header.size() - 1) + 1);
  if (header.starts_with("1 ")) header.remove_prefix(2);
  const std::string_view all = header;
  std::string_view time = TakeWord(&header);
  if (!is_clock(time)) {  // a month, then the day, perhaps the year, and the clock
    std::string_view word;
    for (int words = 0; words < 3 && !is_clock(word); ++words) word = TakeWord(&header);
    if (!is_clock(word)) return;
    time = all.substr(0, static_cast<size_t>(word.data() + word.size() - all.data()));
  }
  sink("syslogTime", time, false);
  const std::string_view host = TakeWord(&header);
  if (!host.empty()) sink("syslogHost", host, false);
}

// Splits off `count` header fields; false when there are fewer.
bool TakeHeader(std::string_view* text, size_t count, std::array<std::string_view, 7>* fields) {
  for (size_t i = 0; i < count; ++i) {
    const size_t bar = FindPlain(*text, '|', 0);
    if (bar == std::string_view::npos) {
      // The severity of a message without pairs may end the text.
      if (i + 1 < count) return false;
      (*fields)[i] = *text;
      *text = {};
      return true;
    }
    (*fields)[i] = text->substr(0, bar);
    text->remove_prefix(bar + 1);
  }
  return true;
}

constexpr auto kKeyBytes = [] {
  std::array<bool, 256> bytes{};
  for (const char ch : std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-[]")) {
    bytes[static_cast<unsigned char>(ch)] = true;
  }
  return bytes;
}();
bool IsKeyByte(char ch) { return kKeyBytes[static_cast<unsigned char>(ch)]; }

void Emit(std::string_view key, std::string_view value, bool escapes, const KeyValueSink& sink) {
  while (!value.empty() && (value.back() == ' ' || value.back() == '\n' || value.back() == '\r')) value.remove_suffix(1);
  sink(key, value, escapes && HasBackslash(value));
}

// Values may hold spaces, so a pair ends where the word before the next plain `=` begins.
void ReadSpaced(std::string_view text, const KeyValueSink& sink) {
  const bool escapes = HasBackslash(text);
  std::string_view key;
  size_t value_at = 0;
  for (size_t equals = FindPlain(text, '=', 0); equals != std::string_view::npos; equals = FindPlain(text, '=', equals + 1)) {
    size_t begin = equals;
    while (begin > value_at && IsKeyByte(text[begin - 1])) --begin;
    const bool starts_word = begin == 0 || text[begin - 1] == ' ' || text[begin - 1] == '\t';
    if (begin == equals || !starts_word) continue;  // an `=` inside a value that the sender did not escape
    if (!key.empty()) Emit(key, text.substr(value_at, begin - value_at), escapes, sink);
    key = text.substr(begin, equals - begin);
    value_at = equals + 1;
  }
  if (!key.empty()) Emit(key, text.substr(value_at), escapes, sink);
}

// LEEF knows no escapes.
void ReadDelimited(std::string_view text, char delimiter, const KeyValueSink& sink) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(delimiter), text.size());
    const std::string_view pair = text.substr(0, end);
    const size_t equals = pair.find('=');
    if (equals != std::string_view::npos && equals > 0) Emit(pair.substr(0, equals), pair.substr(equals + 1), false, sink);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// LEEF 2.0's sixth field: "^", "x5E", "0x5E", or empty for a tab. nullopt: it is no delimiter but the first pair.
std::optional<char> Delimiter(std::string_view field) {
  if (field.empty()) return '\t';
  if (field.size() == 1) return field.front();
  if (field.starts_with("0x")) field.remove_prefix(2);
  if (field.starts_with('x')) field.remove_prefix(1);
  int code = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), code, 16);
  if (error != std::errc() || end != field.data() + field.size() || code < 1 || code > 127) return std::nullopt;
  return static_cast<char>(code);
}

}  // namespace

bool ParseCef(std::string_view text, const KeyValueSink& sink) {
  std::string_view before;
  text = From(text, "CEF:", &before);
  std::array<std::string_view, 7> fields;
  if (text.empty() || !TakeHeader(&text, fields.size(), &fields)) return false;
  if (!before.empty()) ReadSyslog(before, sink);
  for (size_t i = 1; i < fields.size(); ++i) sink(kHeader[i], fields[i], HasBackslash(fields[i]));
  ReadSpaced(text, sink);
  return true;
}

bool ParseLeef(std::string_view text, const KeyValueSink& sink) {
  std::string_view before;
  text = From(text, "LEEF:", &before);
  std::array<std::string_view, 7> fields;
  if (text.empty() || !TakeHeader(&text, 5, &fields)) return false;
  if (!before.empty()) ReadSyslog(before, sink);
  char delimiter = '\t';
  if (fields[0].starts_with('2')) {
    const size_t bar = text.find('|');
    const auto named = bar == std::string_view::npos ? std::nullopt : Delimiter(text.substr(0, bar));
    if (named) {
      delimiter = *named;
      text.remove_prefix(bar + 1);
    }
  }
  for (size_t i = 1; i < 5; ++i) sink(kHeader[i], fields[i], HasBackslash(fields[i]));
  ReadDelimited(text, delimiter, sink);
  return true;
}

std::string Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    if (next == '\\' || next == '|' || next == '=') {
      plain.push_back(next);
      ++i;
    } else if (next == 'n' || next == 'r') {
      plain.push_back('\n');
      ++i;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

}  // namespace triaged
