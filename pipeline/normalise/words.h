// Comparing the words of a source with those of a table. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace triaged {

// Without spaces and line ends around it.
inline std::string_view Trimmed(std::string_view text) {
  const auto blank = [](char ch) { return ch == ' ' || (ch >= '\t' && ch <= '\r'); };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// `lower` is in lower case already.
inline bool EqualsLower(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

}  // namespace triaged
