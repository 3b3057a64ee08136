// Our own topics: creating them with the right settings, or checking that they are there and right.
#pragma once

#include <string>
#include <vector>

#include "daemon/config.h"
#include "pipeline/base/result.h"

namespace triaged {

// Everything that is missing or wrong about our topics (and, in direct routing, the alert topics'), each with what to
// do. `alert_bytes` is limits.alert_bytes: our topics must take such an alert and what is added to it; 0 leaves that
// unchecked. An Error: the broker did not answer, or a setting of kafka.properties is wrong (kBadInput).
Result<std::vector<std::string>> CheckTopics(const KafkaConfig& kafka, const std::string& application_id, Duration bound,
                                             size_t alert_bytes = 0);

// Creates what is missing: N partitions, LogAppendTime where decisions depend on it, replication 3 and
// min.insync.replicas 2 where the cluster has three brokers.
Status CreateMissingTopics(const KafkaConfig& kafka, const std::string& application_id, size_t alert_bytes, Duration bound);

}  // namespace triaged
