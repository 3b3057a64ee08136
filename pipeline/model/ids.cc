#include "pipeline/model/ids.h"

#include <charconv>

namespace triaged {
namespace {

// Digits only, no leading zero: every id has exactly one text.
template <typename T>
std::optional<T> ReadNumber(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  if (text.front() == '0' && text.size() > 1) return std::nullopt;
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string ToString(CaseId id) { return std::to_string(id.partition) + '-' + std::to_string(id.sequence); }

std::optional<CaseId> ParseCaseId(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto partition = ReadNumber<int32_t>(text.substr(0, dash));
  const auto sequence = ReadNumber<uint64_t>(text.substr(dash + 1));
  if (!partition || !sequence) return std::nullopt;
  return CaseId{*partition, *sequence};
}

}  // namespace triaged
