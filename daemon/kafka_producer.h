// KafkaProducer: the transactional half of KafkaClient. Every result is checked: unchecked, records are dropped and the
// commit still succeeds (KAFKA.md, One step, 3). Single-threaded; no call blocks longer than its bound.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "daemon/broker_client.h"
#include "daemon/kafka_handles.h"
#include "pipeline/report/dead_letter_style.h"

namespace triaged {

struct KafkaOptions;

class KafkaProducer {
 public:
  static Result<std::unique_ptr<KafkaProducer>> Make(const KafkaOptions& options);
  ~KafkaProducer();

  // init_transactions (settles a predecessor's open transaction) and metadata of our own topics: a topic that is not
  // there is an error here and now.
  Status Start(Duration bound);
  // The state partition has reached this end: whatever we write from now on stands at or behind it.
  void KnowStateEnd(int32_t partition, int64_t end);
  Status Begin();
  Status Produce(const OutputRecord& record);
  // May take five seconds beyond `bound`. A call that is not over then leaves the producer behind: only an Abort, which
  // fails, may follow.
  Status SendOffsets(const std::vector<PartitionOffset>& offsets, const RdGroupMetadata& group, Duration bound);
  CommitOutcome Commit(Duration bound);
  Status Abort(Duration bound);
  std::optional<size_t> RefusedForSize();
  const std::map<int32_t, int64_t>& LastStateOffsets() const { return state_offsets_; }
  // Partitions of the state topic, as the broker says; 0 before Start.
  int32_t StatePartitions() const;
  std::optional<Timestamp> BrokerTime() const;
  std::optional<Error> fatal() const;
  rd_kafka_t* handle() const { return handle_.get(); }

 private:
  explicit KafkaProducer(const KafkaOptions& options);
  static void OnDelivery(rd_kafka_t* handle, const rd_kafka_message_t* message, void* self);
  void TakeDelivery(const rd_kafka_message_t& message);
  void NoteRefused(size_t record, size_t bytes);
  Result<int32_t> PartitionOf(const OutputRecord& record);
  Status LearnPartitions(const std::string& topic, Duration bound);
  Status Send(const OutputRecord& record, int32_t partition);

  const TopicNames names_;
  const bool embedded_;
  const std::function<bool()> stopping_;
  const DeadLetterStyle dead_letter_style_;
  const bool archive_;
  std::map<std::string, int32_t> partition_counts_;
  std::map<int32_t, int64_t> state_offsets_;
  std::map<int32_t, int64_t> ever_reached_;  // by anyone, also in what was aborted
  std::optional<std::string> state_lost_;    // the state topic's offsets went back: nothing commits any more
  std::optional<Timestamp> base_time_;   // LogAppendTime of the newest delivery report …
  Duration base_monotonic_{0};           // … and when we got it
  // Of this transaction:
  size_t produced_ = 0;           // records
  bool delivery_failed_ = false;  // it cannot commit
  struct Refused {
    size_t record = 0, bytes = 0;
  };
  std::optional<Refused> refused_;  // for its size
  bool left_behind_ = false;             // a call of ours still holds the handle, and may do so for long
  RdSharedHandle handle_;                // last: its callbacks use what stands above
};

// Sends one record and waits for its acknowledgement: `triagectl`.
Status ProduceOne(const std::string& bootstrap_servers, const Properties& properties, const std::string& topic,
                  int32_t partition, const std::string& key, const std::string& value, Duration bound);

}  // namespace triaged
