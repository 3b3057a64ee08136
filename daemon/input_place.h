// Where an input stands in Kafka: what is gone of it, and how far it was read beyond its last record. Pure functions, for
// alert topics (Worker) as for the sources of a state partition (Partition).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/broker_client.h"

namespace triaged {

// What Kafka no longer has of an input that is to go on from `next`: records that were removed before they were taken, or
// a topic that ends before `next`, because it was made anew or truncated. Nobody may learn of either from a line of log
// alone: it stops the daemon, unless that is accepted (`--accept-data-loss`). A topic made anew that has already more
// records than were taken cannot be told from the old one: offsets are all that librdkafka 2.0.2 shows.
struct LostInput {
  std::string what;   // one sentence
  std::string cure;   // what a person can do
  int64_t go_on = 0;  // from where, when it is accepted
};
std::optional<LostInput> FindLostInput(const TopicPartition& source, int64_t next, BrokerClient::Watermarks marks);

// Text kept with the group offset of a state partition's source: no record is left below `end`. Beyond the offset itself
// lie transaction markers and aborted records; when retention removes those, nothing is lost.
std::string EncodeEnd(int64_t end);
// nullopt: the text is not ours.
std::optional<int64_t> DecodeEnd(std::string_view metadata);

}  // namespace triaged
