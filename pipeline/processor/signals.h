// Signals: what correlations that are keyed otherwise than the case send through the signals topic.
//
// A match goes to the partition of its correlation and group values; when the correlation fires there, an alert is
// derived in ECS and goes to the partition of its case. Both are ours alone: written and read by the same release or a
// later one, so a later one must read what an earlier one wrote.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/records.h"
#include "pipeline/rules/correlation.h"
#include "pipeline/rules/rules.h"

namespace triaged {

inline constexpr size_t kMaxSignalValueBytes = 4096;  // of one field; longer values are cut
inline constexpr std::string_view kDerivedFormat = "ecs";

enum class SignalKind : uint8_t { kForeign, kMatch, kDerived };
SignalKind KindOf(const InputRecord& input);

// One match on its way to where it is counted. The record's key is the key of its window.
struct SignalMatch {
  std::string correlation;  // Correlation::state_name
  uint32_t position = 0;    // which of its rules matched
  Timestamp at{};           // event time, never after the sender's clock
  std::string value;        // what the condition looks at
  std::vector<std::pair<std::string, std::string>> fields;  // name → value: the group's, and what chains need
};

OutputRecord MatchRecord(const SignalMatch& match, std::string key, int32_t partitions);
std::optional<SignalMatch> ReadMatch(const InputRecord& input);

// The JSON of the alert that a correlation's firing means. `id` makes it unique.
std::string DerivedAlert(const Rule& correlation, const SignalMatch& match, const std::string& id);
OutputRecord DerivedRecord(const Rule& correlation, std::string json, std::string case_key, int32_t partitions);
// Whether the record is an alert that `correlation` (its id) was derived into, or fired on before it was sent on.
bool IsDerivedFrom(const InputRecord& input, std::string_view correlation);
// What goes along when the partition of a case sends an alert on: the correlations that fired, and whether it is derived.
void AddCorrelationHeaders(const std::vector<std::string_view>& fired, bool derived, std::vector<Header>* headers);

}  // namespace triaged
