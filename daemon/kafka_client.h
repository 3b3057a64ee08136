// KafkaClient: librdkafka behind BrokerClient. One worker's member of the group: a consumer, a transactional producer,
// a probe for offsets, and a reader of the changelog while partitions are restored.
//
// KAFKA.md (design) has the reasons for each setting and each detour. Single-threaded like its interface: librdkafka's
// own threads never call into it (its callbacks run inside our calls); they only wake a waiting Poll.
//
// Records of the three classes come through a queue each, to which the partitions' queues are forwarded, so that a
// command never waits behind prefetched alerts. Rebalances and errors come through the consumer's own queue.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/broker_client.h"
#include "daemon/kafka_handles.h"
#include "daemon/kafka_producer.h"
#include "daemon/kafka_reader.h"
#include "pipeline/report/dead_letter_style.h"

namespace triaged {

struct KafkaOptions {
  std::string bootstrap_servers;
  std::string application_id;
  std::string instance;
  int worker = 0;
  std::vector<std::string> alert_topics;  // names, or patterns (POSIX extended) that begin with ^
  bool direct = false;                    // routing: direct (the first alert topic drives, intake is not read)
  int32_t partitions = 1;                 // N as configured; StatePartitions() is what the broker says
  Properties properties;                  // the user's, for every client; what exactly-once needs wins over them
  Duration transaction_timeout{10'000};
  Duration session_timeout{45'000};
  DeadLetterStyle dead_letter_style = DeadLetterStyle::kTriaged;
  bool archive = false;  // the archive topic is written to, so it must be there
  int64_t prefetch_bytes = 64 * 1024 * 1024;
  size_t max_record_bytes = 67'200'000;   // a larger record is refused when it is produced
  std::function<bool()> stopping = [] { return false; };  // asked while Start waits, which it then gives up
  bool embedded = false;                  // the mock stamps no LogAppendTime: the wall clock serves as broker time
};

class KafkaClient final : public BrokerClient {
 public:
  // An Error of class kBadInput: a setting is wrong; nothing was connected yet.
  static Result<std::unique_ptr<BrokerClient>> Make(KafkaOptions options);
  ~KafkaClient() override;

  Status Start(Duration bound) override;
  PollResult Poll(const PollLimits& limits) override;
  Status Assign(const std::vector<PartitionOffset>& partitions) override;
  Result<std::map<TopicPartition, Committed>> CommittedOffsets(const std::vector<TopicPartition>& partitions,
                                                               Duration bound) override;
  Result<Watermarks> QueryWatermarks(const TopicPartition& partition, Duration bound) override;
  std::vector<std::pair<TopicPartition, int64_t>> Lags() const override;
  Status OpenChangelog(int32_t partition, int64_t from, int64_t end) override;
  Result<ChangelogSlice> ReadChangelog(int32_t partition, size_t max_records, Duration bound) override;
  void CloseChangelog(int32_t partition) override;
  Status Begin() override { return producer_->Begin(); }
  Status Produce(const OutputRecord& record) override { return producer_->Produce(record); }
  Status SendOffsets(const std::vector<PartitionOffset>& offsets) override;
  CommitOutcome Commit(Duration bound) override { return producer_->Commit(bound); }
  Status Abort(Duration bound) override { return producer_->Abort(bound); }
  std::optional<size_t> RefusedForSize() override { return producer_->RefusedForSize(); }
  const std::map<int32_t, int64_t>& LastStateOffsets() const override { return producer_->LastStateOffsets(); }
  std::optional<Timestamp> BrokerTime() const override { return producer_->BrokerTime(); }
  Duration Monotonic() const override;
  void Leave(Duration bound) override;
  int32_t StatePartitions() const override { return producer_->StatePartitions(); }

 private:
  static constexpr size_t kClasses = 4;  // of InputClass

  // A partition as last assigned.
  struct Source {
    RdQueue queue;           // its own, forwarded to its class
    InputClass input_class = InputClass::kAlert;
    int64_t next = 0;        // the offset behind what Poll gave last
    bool flowing = false;    // something came through: the forwarding holds
  };
  // Sources of one topic object, so that a record costs no look-up by name.
  struct TopicSources {
    const rd_kafka_topic_t* topic = nullptr;
    std::vector<Source*> partitions;
  };
  // Lets Poll sleep on four queues at once.
  class Waker {
   public:
    Waker();
    ~Waker();
    Waker(const Waker&) = delete;
    Waker& operator=(const Waker&) = delete;
    void Watch(rd_kafka_queue_t* queue) const;
    void Wait(Duration at_most) const;

   private:
    int fd_ = -1;
  };

  explicit KafkaClient(KafkaOptions options);
  Status MakeConsumer();
  Status Subscribe();
  static void OnRebalance(rd_kafka_t* handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list, void* self);
  void TakeRebalance(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t* list);
  InputClass ClassOf(std::string_view topic) const;
  void NewClassQueues();
  void Forward();
  Source* Find(const rd_kafka_message_t& message);
  void ServeGroup();
  void TakeError(const rd_kafka_message_t& message);
  void TakeMessage(RdMessage message, PollResult* result, size_t* bytes);
  bool TakeRecords(const PollLimits& limits, PollResult* result, size_t* bytes);
  void TakeEnd(const rd_kafka_message_t& message, PollResult* result) const;
  void TakeEvent(PollResult* result);
  void DropPolled();
  void WaitForFetchersToStop();

  KafkaOptions options_;
  TopicNames names_;
  Waker waker_;                           // outlives the consumer, whose threads write to it
  RdHandle consumer_;
  std::unique_ptr<KafkaProducer> producer_;
  std::unique_ptr<OffsetProbe> probe_;
  std::unique_ptr<ChangelogReader> changelog_;  // while a partition is restored
  RdQueue group_queue_;
  std::array<RdQueue, kClasses> class_queues_;
  RdGroupMetadata group_metadata_;        // of the assignment in hand: taken in its callback, never read at commit
  std::deque<GroupEvent> events_;
  std::map<TopicPartition, Source> sources_;
  std::vector<TopicSources> by_topic_;
  bool all_flowing_ = true;
  std::deque<RdMessage> strays_;          // came through the consumer's queue before their forwarding held
  std::vector<RdMessage> messages_;       // of the last Poll: their bytes are what records view
  std::map<rd_kafka_resp_err_t, Duration> warned_;
  std::optional<Error> fatal_;
  bool fenced_instance_ = false;
  Duration assigned_at_{};                // monotonic; of the last Assign
  bool revoke_owed_ = false;              // the last event took partitions away: Assign({}) answers it
  bool holds_assignment_ = false;         // the group thinks that we have partitions
};

}  // namespace triaged
