// Strong ids.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace triaged {

// "<partition>-<sequence>": names the partition that owns the case, for its whole life.
struct CaseId {
  int32_t partition = 0;
  uint64_t sequence = 0;

  auto operator<=>(const CaseId&) const = default;
};
std::string ToString(CaseId id);
std::optional<CaseId> ParseCaseId(std::string_view text);

}  // namespace triaged
