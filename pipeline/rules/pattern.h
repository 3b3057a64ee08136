// Text patterns: Sigma strings with `*`, `?` and escapes, brought to the cheapest form that means the same.
//
// Case-insensitive means ASCII letters only: what is not ASCII compares byte by byte. `?` is one UTF-8 code point.
// Source: Sigma rules specification 2.1, "String Wildcard" and "Escape Character".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace triaged::rules {

// A Sigma string after its escapes are read: bytes 0–255, or a wildcard.
using SigmaText = std::vector<uint16_t>;
inline constexpr uint16_t kAnyRun = 256;   // `*`
inline constexpr uint16_t kAnyChar = 257;  // `?`

SigmaText ParseSigmaText(std::string_view raw);
// The bytes as they stand, no character special (keywords of encodings, regular expressions).
SigmaText PlainText(std::string_view bytes);
bool HasWildcards(const SigmaText& text);
// Precondition: !HasWildcards(text).
std::string PlainBytes(const SigmaText& text);

// Where the pattern must stand in the value.
enum class Anchor : uint8_t { kWhole, kContains, kStartsWith, kEndsWith };

enum class PatternKind : uint8_t { kEquals, kContains, kStartsWith, kEndsWith, kGlob, kAny };

struct Pattern {
  PatternKind kind = PatternKind::kEquals;
  bool cased = false;
  std::string literal;  // lower case unless cased; for kGlob its longest run of plain bytes (may be empty)
  SigmaText glob;       // for kGlob only; lower case unless cased

  // Equal keys mean equal patterns.
  std::string Key() const;
};

Pattern MakePattern(const SigmaText& text, Anchor anchor, bool cased);

bool Matches(const Pattern& pattern, std::string_view value);

// ASCII helpers, shared by everything that compares text here.
inline unsigned char FoldByte(unsigned char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<unsigned char>(c | 0x20) : c;
}
std::string Fold(std::string_view text);
// `literal` must be folded already when !cased. Sizes must be equal.
bool EqualBytes(std::string_view value, std::string_view literal, bool cased);

}  // namespace triaged::rules
