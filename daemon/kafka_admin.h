// Our own topics: creating them with the right settings, or checking that they are there and right.
#pragma once

#include <string>
#include <vector>

#include "daemon/config.h"
#include "pipeline/base/result.h"

namespace triaged {

// Which topics are ours, and what they must take.
struct OwnTopics {
  std::string application_id;
  size_t alert_bytes = 0;  // limits.alert_bytes: such an alert and what is added to it must fit; 0: unchecked
  bool archive = false;    // retention.archive: nobody needs the archive topic without it

  static OwnTopics Of(const Config& config) {
    return {config.application_id, config.alert_limits.max_bytes, config.archive};
  }
};

// Everything that is missing or wrong about our topics (and, in direct routing, the alert topics'), each with what to
// do. An Error: the broker did not answer, or a setting of kafka.properties is wrong (kBadInput). `patience`: how long a
// topic that is missing is asked for again.
Result<std::vector<std::string>> CheckTopics(const KafkaConfig& kafka, const OwnTopics& own, Duration bound,
                                             Duration patience = Duration{0});

// Creates what is missing: N partitions, LogAppendTime where decisions depend on it, replication 3 and
// min.insync.replicas 2 where the cluster has three brokers. The controller answers before every broker knows of the
// topics: check them with patience.
Status CreateMissingTopics(const KafkaConfig& kafka, const OwnTopics& own, Duration bound);

}  // namespace triaged
