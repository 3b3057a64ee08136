// Value transformations of Sigma modifiers: base64, base64offset, utf16*, windash.
// Source: Sigma modifiers appendix 2.1, "Encoding" and "windash".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/rules/pattern.h"

namespace triaged::rules {

std::string Base64(std::string_view bytes);

// The parts of the Base64 text that do not depend on the bytes around: one for each of the shifts 0, 1 and 2. A shift
// that leaves no such part is left out.
std::vector<std::string> Base64Offsets(std::string_view bytes);

enum class Utf16 { kLittleEndian, kBigEndian, kWithMark };  // kWithMark: FF FE, then little-endian
// nullopt when `utf8` is no UTF-8.
std::optional<std::string> ToUtf16(std::string_view utf8, Utf16 order);

// Every dash that opens a word (nothing or no word character before it, a word character after it) in all five
// spellings. Empty when the text has more than kMaxWindashPlaces of them.
inline constexpr int kMaxWindashPlaces = 4;
std::vector<SigmaText> WindashVariants(const SigmaText& text);

}  // namespace triaged::rules
