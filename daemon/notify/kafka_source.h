// KafkaSource: the notifier's consumer of the escalations topic, and the producer of its dead letters. read_committed,
// offsets committed by hand. Single-threaded; no call blocks longer than its bound.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "daemon/kafka_handles.h"
#include "pipeline/notify/config.h"

namespace triaged {

class KafkaSource {
 public:
  struct Record {
    int32_t partition = 0;
    int64_t offset = 0;
    std::string key, value;
  };
  struct Owner {
    // Per partition: everything below this offset is settled. Asked while partitions are given up.
    std::function<std::map<int32_t, int64_t>()> settled;
    std::function<void(int32_t partition)> revoked;
  };

  static Result<std::unique_ptr<KafkaSource>> Make(const NotifyConfig& config, Owner owner);
  ~KafkaSource();

  // nullopt: nothing came within `bound`.
  Result<std::optional<Record>> Poll(Duration bound);
  // Stops fetching while the queues are full; Poll must go on being called.
  void Pause(bool paused);
  // Commits what is assigned to us; waits for the answer.
  Status Commit(const std::map<int32_t, int64_t>& offsets);
  // Sends and waits for the acknowledgement.
  Status DeadLetter(const std::string& key, const std::string& value,
                    const std::map<std::string, std::string>& headers);
  bool joined() const { return joined_; }

 private:
  KafkaSource(const NotifyConfig& config, Owner owner) : config_(config), owner_(std::move(owner)) {}
  static void OnRebalance(rd_kafka_t* handle, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list, void* self);

  const NotifyConfig& config_;
  const Owner owner_;
  bool joined_ = false, paused_ = false;
  std::map<int32_t, int64_t> committed_;
  RdHandle producer_, consumer_;
};

}  // namespace triaged
