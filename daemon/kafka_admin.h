// Our own topics: creating them with the right settings, or checking that they are there and right.
#pragma once

#include <string>
#include <vector>

#include "daemon/config.h"
#include "pipeline/base/result.h"

namespace triaged {

// What is missing or wrong about our topics, each with what to do. An Error: the broker did not answer.
Result<std::vector<std::string>> CheckTopics(const KafkaConfig& kafka, const std::string& application_id, Duration bound);

// Creates what is missing: N partitions, LogAppendTime where decisions depend on it, replication 3 and
// min.insync.replicas 2 where the cluster has three brokers.
Status CreateMissingTopics(const KafkaConfig& kafka, const std::string& application_id, size_t alert_bytes, Duration bound);

}  // namespace triaged
