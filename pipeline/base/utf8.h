// UTF-8: checking, cutting and repairing text that others wrote. Pure; safe from any thread.
//
// "Valid" is the Unicode Standard's table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace triaged {

bool IsValidUtf8(std::string_view text);

// The offset of the first invalid sequence, or text.size() when there is none.
size_t FindInvalidUtf8(std::string_view text);

// The longest prefix of at most `max_bytes` bytes that ends between code points. `text` should be valid; an invalid
// one is cut too, but then the last character may already have been broken.
std::string_view CutAtCodePoint(std::string_view text, size_t max_bytes);

// `text` with every invalid sequence replaced by U+FFFD (one per maximal subpart, as the Unicode Standard recommends
// in chapter 3.9). Valid text comes back unchanged; the result is at most three times as long.
std::string SanitiseUtf8(std::string_view text);

}  // namespace triaged
