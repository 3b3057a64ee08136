// KafkaClient: librdkafka behind BrokerClient. One worker's member of the group: a consumer, a transactional producer,
// and a reader per changelog partition that is being restored.
//
// KAFKA.md (design) has the reasons for each setting and each detour. Single-threaded like its interface; librdkafka's
// own threads only touch the delivery counters through its callbacks, which run inside our calls.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/broker_client.h"
#include "daemon/kafka_handles.h"
#include "daemon/kafka_producer.h"

namespace triaged {

struct KafkaOptions {
  std::string bootstrap_servers;
  std::string application_id;
  std::string instance;
  int worker = 0;
  std::vector<std::string> alert_topics;  // names, or patterns that begin with ^
  bool direct = false;                    // routing: direct (the first alert topic drives, intake is not read)
  int32_t partitions = 1;
  Properties properties;
  Duration transaction_timeout{10'000};
  Duration session_timeout{45'000};
  int64_t prefetch_bytes = 64 * 1024 * 1024;
  bool embedded = false;                  // the mock's LogAppendTime is made up: the wall clock serves as broker time
};

class KafkaClient final : public BrokerClient {
 public:
  static Result<std::unique_ptr<BrokerClient>> Make(KafkaOptions options);
  ~KafkaClient() override;

  Status Start(Duration bound) override;
  PollResult Poll(const PollLimits& limits) override;
  Status Assign(const std::vector<PartitionOffset>& partitions) override;
  Result<std::map<TopicPartition, Committed>> CommittedOffsets(const std::vector<TopicPartition>& partitions,
                                                               Duration bound) override;
  Result<Watermarks> QueryWatermarks(const TopicPartition& partition, Duration bound) override;
  Status OpenChangelog(int32_t partition, int64_t from, int64_t end) override;
  Result<ChangelogSlice> ReadChangelog(int32_t partition, size_t max_records, Duration bound) override;
  void CloseChangelog(int32_t partition) override;
  Status Begin() override { return producer_->Begin(); }
  Status Produce(const OutputRecord& record) override { return producer_->Produce(record); }
  Status SendOffsets(const std::vector<PartitionOffset>& offsets) override;
  CommitOutcome Commit(Duration bound) override { return producer_->Commit(bound); }
  Status Abort(Duration bound) override { return producer_->Abort(bound); }
  const std::map<int32_t, int64_t>& LastStateOffsets() const override { return producer_->LastStateOffsets(); }
  std::optional<Timestamp> BrokerTime() const override { return producer_->BrokerTime(); }
  Duration Monotonic() const override;
  int32_t StatePartitions() const override { return options_.partitions; }
  void Close(bool leave_group, Duration bound) override;

 private:
  explicit KafkaClient(KafkaOptions options);
  Status MakeConsumer();
  Status Subscribe();
  static void OnRebalance(rd_kafka_t* handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list, void* self);
  void TakeRebalance(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t* list);
  InputClass ClassOf(std::string_view topic) const;
  rd_kafka_queue_t* QueueOf(InputClass input_class) const { return class_queues_[static_cast<size_t>(input_class)].get(); }
  void ServeGroup(PollResult* result);
  void TakeMessage(RdMessage message, PollResult* result, size_t* bytes);
  void FillRecord(const rd_kafka_message_t& message, InputRecord* record) const;
  void DropPolled();

  KafkaOptions options_;
  TopicNames names_;
  RdHandle consumer_;
  std::unique_ptr<KafkaProducer> producer_;
  RdQueue class_queues_[3];
  RdGroupMetadata group_metadata_;        // taken in the assign callback, never read at commit
  std::deque<GroupEvent> events_;
  std::set<TopicPartition> consumed_;     // as last assigned
  std::vector<RdMessage> messages_;       // of the last Poll: their bytes are what records view
  std::optional<Error> fatal_;
  bool fenced_instance_ = false;
  bool rejoin_owed_ = false;              // the last event took partitions away: Assign({}) answers it

  struct Changelog {
    RdHandle reader;
    int64_t next = 0;
    int64_t end = 0;
  };
  std::map<int32_t, Changelog> changelogs_;
};

}  // namespace triaged
