#include "pipeline/report/json_writer.h"

#include <charconv>
#include <cstdint>
#include <cstring>

#include "pipeline/base/utf8.h"

namespace triaged {
namespace {

// What RFC 8259, section 7 wants escaped.
bool IsPlain(char ch) { return static_cast<unsigned char>(ch) >= 0x20 && ch != '"' && ch != '\\'; }

// How many bytes from `begin` on are ASCII that needs no escape: whole words of eight, so up to seven may be left out.
size_t PlainWords(std::string_view text, size_t begin) {
  constexpr uint64_t kOnes = 0x0101010101010101, kTops = 0x8080808080808080;
  const auto has_zero = [](uint64_t word) { return (word - kOnes) & ~word & kTops; };
  size_t at = begin;
  for (; at + sizeof(uint64_t) <= text.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + at, sizeof word);
    const uint64_t below_space = (word - kOnes * 0x20) & ~word;
    if (((below_space | word) & kTops) != 0 || has_zero(word ^ kOnes * '"') != 0 || has_zero(word ^ kOnes * '\\') != 0) break;
  }
  return at - begin;
}

char ShortEscape(char ch) {
  switch (ch) {
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '"':
      return '"';
    case '\\':
      return '\\';
    default:
      return 0;
  }
}

template <typename T>
std::string_view Digits(T number, char (&buffer)[24]) {
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
  return {buffer, static_cast<size_t>(end - buffer)};
}

}  // namespace

void JsonWriter::Key(std::string_view key) {
  if (!out_.empty() && out_.back() != '{' && out_.back() != '[') out_ += ',';
  if (key.empty()) return;
  out_ += '"';
  out_ += key;
  out_ += "\":";
}

void JsonWriter::Word(std::string_view key, std::string_view word) {
  if (overflow_) return;
  Key(key);
  out_ += word;
  CheckLimit();
}

void JsonWriter::Open(std::string_view key, char bracket) {
  if (overflow_) return;
  Key(key);
  out_ += bracket;
}

void JsonWriter::Close(char bracket) {
  if (overflow_) return;
  out_ += bracket;
  CheckLimit();
}

void JsonWriter::Int(std::string_view key, int64_t number) {
  char buffer[24];
  Word(key, Digits(number, buffer));
}

void JsonWriter::Unsigned(std::string_view key, uint64_t number) {
  char buffer[24];
  Word(key, Digits(number, buffer));
}

void JsonWriter::String(std::string_view key, std::string_view text) {
  if (overflow_) return;
  Key(key);
  out_ += '"';
  const size_t plain = PlainWords(text, 0);
  out_ += text.substr(0, plain);
  text.remove_prefix(plain);
  if (IsValidUtf8(text)) {
    Escaped(text);
  } else {
    Escaped(SanitiseUtf8(text));
  }
  out_ += '"';
  CheckLimit();
}

void JsonWriter::Escaped(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char ch = text[i];
    if (IsPlain(ch)) continue;
    out_ += text.substr(begin, i - begin);
    begin = i + 1;
    if (const char escape = ShortEscape(ch)) {
      out_ += '\\';
      out_ += escape;
    } else {
      out_ += "\\u00";
      out_ += kHex[static_cast<unsigned char>(ch) >> 4];
      out_ += kHex[static_cast<unsigned char>(ch) & 15];
    }
  }
  out_ += text.substr(begin);
}

}  // namespace triaged
