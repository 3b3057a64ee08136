#include "pipeline/base/utf8.h"

#include <cstdint>
#include <cstring>

namespace triaged {
namespace {

struct Sequence {
  size_t length = 0;   // bytes that belong together: a code point, or the subpart that one U+FFFD replaces
  bool valid = false;
};

// What the lead byte asks for: how many bytes, and the range of the second. The narrower ranges shut out overlong
// forms (E0, F0), surrogates (ED) and code points above U+10FFFF (F4).
struct Lead {
  size_t length;
  uint8_t low;
  uint8_t high;
};

Lead LeadOf(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xc2) return {0, 0, 0};
  if (byte < 0xe0) return {2, 0x80, 0xbf};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte < 0xf0) return {3, 0x80, 0xbf};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte < 0xf4) return {4, 0x80, 0xbf};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

// Precondition: `at` < text.size().
Sequence ReadSequence(std::string_view text, size_t at) {
  const Lead lead = LeadOf(static_cast<uint8_t>(text[at]));
  if (lead.length == 0) return {1, false};
  for (size_t i = 1; i < lead.length; ++i) {
    if (at + i >= text.size()) return {i, false};
    const auto byte = static_cast<uint8_t>(text[at + i]);
    const uint8_t low = i == 1 ? lead.low : 0x80;
    const uint8_t high = i == 1 ? lead.high : 0xbf;
    if (byte < low || byte > high) return {i, false};
  }
  return {lead.length, true};
}

}  // namespace

size_t FindInvalidUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    // Most text is ASCII: step over eight such bytes at once.
    while (at + 8 <= text.size()) {
      uint64_t eight;
      std::memcpy(&eight, text.data() + at, 8);
      if ((eight & 0x8080808080808080ull) != 0) break;
      at += 8;
    }
    if (at >= text.size()) break;
    const Sequence sequence = ReadSequence(text, at);
    if (!sequence.valid) return at;
    at += sequence.length;
  }
  return text.size();
}

bool IsValidUtf8(std::string_view text) { return FindInvalidUtf8(text) == text.size(); }

std::string_view CutAtCodePoint(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  // A code point has at most three continuation bytes; more of them in a row are no text and are cut where they are.
  size_t cut = max_bytes;
  for (int back = 0; back < 4; ++back) {
    if ((static_cast<uint8_t>(text[cut]) & 0xc0) != 0x80) return text.substr(0, cut);
    if (cut == 0) break;
    --cut;
  }
  return text.substr(0, max_bytes);
}

std::string SanitiseUtf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (true) {
    const size_t bad = FindInvalidUtf8(text);
    result.append(text.substr(0, bad));
    if (bad == text.size()) return result;
    result.append("\xef\xbf\xbd");
    text.remove_prefix(bad + ReadSequence(text, bad).length);
  }
}

}  // namespace triaged
