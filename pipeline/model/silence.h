// Silences: alerts that show certain values are recorded, and the escalation of their cases held back until an instant
// (DOMAIN.md, Alert → Case, Suppression). One table per partition; the same silence stands in each under one id.
//
// Limits: kMaxSilences in a table, kMaxSilenceMatches fields each. A look-up costs a hash per value of the fields that
// silences begin with, whatever their number. A plain value, not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/fields.h"

namespace triaged {

inline constexpr size_t kMaxSilences = 10'000;

struct SilenceRule {
  std::string id;
  // Normalised alert fields and the values they must show, compared without case in ASCII; at least one.
  std::vector<std::pair<FieldId, std::string>> match;
  std::string owner;
  std::string reason;
  Timestamp from{};
  Timestamp until{};
  uint64_t hits = 0;
  Timestamp last_hit{};
  bool operator==(const SilenceRule&) const = default;
};

class SilenceTable {
 public:
  const std::map<std::string, SilenceRule, std::less<>>& rules() const { return rules_; }
  const SilenceRule* Find(std::string_view id) const;
  // Adds or replaces.
  void Put(SilenceRule rule);
  void Erase(std::string_view id);
  // The first, by id, that is in force at `now` and matches; nullptr: none.
  const SilenceRule* Match(const FieldTable& fields, Timestamp now) const;

 private:
  std::map<std::string, SilenceRule, std::less<>> rules_;
  // First field → its value in lower case → ids.
  std::map<FieldId, std::unordered_map<std::string, std::vector<std::string>>> index_;
};

}  // namespace triaged
