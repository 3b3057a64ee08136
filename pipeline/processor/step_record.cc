#include "pipeline/processor/step_record.h"

#include <nlohmann/json.hpp>

namespace triaged {

void StepTrace::Taken(const std::string& source, int64_t offset) {
  auto [at, inserted] = taken_.try_emplace(source, Range{offset, offset + 1});
  if (!inserted) at->second.next = offset + 1;
}

OutputRecord StepTrace::Record(int32_t partition, const Progress& progress, StepTime time, bool more_due) const {
  nlohmann::ordered_json json;
  json["step"] = progress.steps;
  json["partition"] = partition;
  json["broker_time"] = ToUnixMillis(time.broker_time);
  json["caught_up"] = time.caught_up;
  json["clock"] = ToUnixMillis(progress.clock);
  json["more_due"] = more_due;
  auto& taken = json["taken"] = nlohmann::ordered_json::object();
  for (const auto& [source, range] : taken_) taken[source] = {range.first, range.next};
  json["fingerprint"] = progress.fingerprint;
  OutputRecord record;
  record.topic = OutputTopic::kSteps;
  record.partition = partition;
  record.value = json.dump();
  return record;
}

}  // namespace triaged
