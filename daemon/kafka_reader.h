// Reading beside the group: the ends of partitions, and the changelog while a partition is restored. Parts of
// KafkaClient; single-threaded like it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "daemon/broker_client.h"
#include "daemon/kafka_handles.h"

namespace triaged {

// Asks for first and end offsets. Its client is read_uncommitted: a read_committed one is told the last stable offset
// instead of the high watermark, and restoring only up to there can miss a committed transaction (KAFKA.md, Assign).
class OffsetProbe {
 public:
  static Result<std::unique_ptr<OffsetProbe>> Make(const std::string& bootstrap_servers, const Properties& properties);

  // Blocks at most `bound`: asks by offsets_for_times, since query_watermark_offsets can hang (librdkafka #4460).
  Result<BrokerClient::Watermarks> Query(const TopicPartition& partition, Duration bound);

 private:
  explicit OffsetProbe(RdHandle handle) : handle_(std::move(handle)) {}
  Result<int64_t> Ask(const TopicPartition& partition, int64_t which, Duration bound);
  // librdkafka remembers the leaders of topics that a client does not consume for a quarter of an hour (its
  // metadata.max.age.ms), and goes on asking one that is gone or leads no more: after a question that failed it is told to
  // look.
  void LearnLeaders(const std::string& topic, Duration bound);

  RdHandle handle_;
};

// Reads partitions of the state topic, read_committed, each from its own offset to its own end. One client serves all
// of them; they are started and stopped one by one, so that taking over partitions one after another re-reads nothing.
class ChangelogReader {
 public:
  static Result<std::unique_ptr<ChangelogReader>> Make(const std::string& bootstrap_servers, const Properties& properties,
                                                       const std::string& state_topic);
  ~ChangelogReader();

  Status Open(int32_t partition, int64_t from, int64_t end);
  // Precondition: open. Returns when `max_records` are read, nothing more is at hand, or after `bound` (0: does not wait).
  Result<ChangelogSlice> Read(int32_t partition, size_t max_records, Duration bound);
  void Close(int32_t partition);
  bool empty() const { return open_.empty(); }

 private:
  struct Source {
    RdQueue queue;      // null: there was nothing to read
    int64_t next = 0;   // first offset not yet read
    int64_t end = 0;
  };

  ChangelogReader(RdHandle handle, RdTopic topic) : handle_(std::move(handle)), topic_(std::move(topic)) {}
  Status Take(const rd_kafka_message_t& message, Source* source, ChangelogSlice* slice) const;

  RdHandle handle_;
  RdTopic topic_;
  std::map<int32_t, Source> open_;
};

}  // namespace triaged
