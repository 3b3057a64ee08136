#include "pipeline/model/records.h"

#include "pipeline/base/check.h"

namespace triaged {

std::string_view Name(AlertOutcome outcome) {
  static constexpr std::array<std::string_view, kAlertOutcomeCount> kNames = {
#define TRIAGED_X(id, name) name,
      TRIAGED_ALERT_OUTCOMES(TRIAGED_X)
#undef TRIAGED_X
  };
  const auto index = static_cast<size_t>(outcome);
  TRIAGED_CHECK(index < kNames.size());
  return kNames[index];
}

void Balance::Add(const Balance& other) {
  consumed += other.consumed;
  for (size_t i = 0; i < outcomes.size(); ++i) outcomes[i] += other.outcomes[i];
  commands_consumed += other.commands_consumed;
  commands_applied += other.commands_applied;
  commands_refused += other.commands_refused;
  commands_duplicate += other.commands_duplicate;
  commands_forwarded += other.commands_forwarded;
}

bool Balance::Adds() const {
  uint64_t sum = 0;
  for (uint64_t count : outcomes) sum += count;
  return consumed == sum &&
         commands_consumed == commands_applied + commands_refused + commands_duplicate + commands_forwarded;
}

std::string SourceKey(std::string_view topic, int32_t partition) {
  std::string key(topic);
  key += '/';
  key += std::to_string(partition);
  return key;
}

}  // namespace triaged
