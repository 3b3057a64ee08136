#include "pipeline/normalise/wide_numbers.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace triaged {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kEndsWord = " \t\r\n,:[]{}\"";

// Whether `word` is a whole number as JSON writes it, and one beyond 64 bits.
bool IsWide(std::string_view word) {
  const bool negative = word.starts_with('-');
  const std::string_view digits = word.substr(negative ? 1 : 0);
  if (digits.size() < 19 || digits.front() == '0') return false;  // 18 digits always fit
  if (!std::all_of(digits.begin(), digits.end(), [](char ch) { return ch >= '0' && ch <= '9'; })) return false;
  const auto overflows = [&](auto number) {
    return std::from_chars(word.data(), word.data() + word.size(), number).ec == std::errc::result_out_of_range;
  };
  return negative ? overflows(int64_t{0}) : overflows(uint64_t{0});
}

// Past the text whose opening quote is at `at`.
size_t PastText(std::string_view json, size_t at) {
  for (++at; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\') ++at;
  }
  return std::min(at + 1, json.size());
}

}  // namespace

std::optional<std::string> QuoteWideNumbers(std::string_view json) {
  std::string quoted;
  size_t copied = 0;
  for (size_t at = 0; at < json.size();) {
    if (json[at] == '"') {
      at = PastText(json, at);
      continue;
    }
    if (kEndsWord.find(json[at]) != std::string_view::npos) {
      ++at;
      continue;
    }
    const size_t end = std::min(json.find_first_of(kEndsWord, at), json.size());
    const size_t next = std::min(json.find_first_not_of(kSpace, end), json.size());
    if (IsWide(json.substr(at, end - at)) && (next == json.size() || json[next] != ':')) {
      quoted.append(json.substr(copied, at - copied)).append(1, '"').append(json.substr(at, end - at)).append(1, '"');
      copied = end;
    }
    at = end;
  }
  if (copied == 0) return std::nullopt;
  return quoted.append(json.substr(copied));
}

}  // namespace triaged
