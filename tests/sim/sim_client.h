// SimClient: BrokerClient over a SimBroker, with the faults that a network and a process have, at named points.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/broker_client.h"
#include "tests/sim/sim_broker.h"
#include "tests/sim/sim_random.h"

namespace triaged::sim {

// Mistakes that a client or worker could make, planted to show that the simulation sees them: the holes of KAFKA.md.
struct Bugs {
  bool idle_steps_send_no_offsets = false;  // a step that took no input sends none, though a deadline fired
  bool only_one_partition_sent = false;     // a step that touches several state partitions sends one's offsets
  bool generation_read_at_commit = false;   // instead of in the assign callback
  bool unknown_offset_is_none = false;      // a time-out of committed() is read as "no offset"
  bool restore_to_last_stable = false;      // instead of to the high watermark
  bool watermark_cached = false;            // the watermark was taken before the committed offsets were read
  bool changelog_uncommitted = false;       // aborted records are restored
  bool produce_unchecked = false;           // a record that the queue did not take is forgotten
  bool abort_unchecked = false;             // a failed abort counts as done
  bool unknown_commit_is_abort = false;     // a commit without an answer counts as aborted
  bool store_before_kafka = false;          // the store is written before Kafka has decided
  bool restore_stops_short = false;         // behind the first records that a restore reads
  bool position_guessed = false;            // the store's position runs ahead of the changelog
  bool end_at_last_stable = false;          // the last stable offset passes for the end of a partition
  bool follower_skips = false;              // a standby misses records of the changelog
  bool end_at_once = false;                 // a backlog passes for read before it is
  bool store_error_ignored = false;         // a write that the disk refused passes for done
  bool wall_clock_is_broker_time = false;   // the host's clock decides, which jumps
};

// What a simulated process runs in.
class SimHost {
 public:
  virtual ~SimHost() = default;
  virtual SimBroker& broker() = 0;
  virtual Random& random() = 0;
  // A named point of the process: it may be stopped here for long, or die (throws Crash).
  virtual void Point(const char* name) = 0;
  // True when this fault shall happen now.
  virtual bool Fault(const char* name) = 0;
  virtual const Bugs& bugs() const = 0;
  // True for a record that Kafka refuses for its size.
  virtual bool TooLarge(const OutputRecord& record) = 0;
  // True when the broker does not get so many records done before the transaction's time-out.
  virtual bool TooMany(size_t records) = 0;
  virtual void OnRestored(size_t records) = 0;
  virtual Timestamp WallTime() = 0;
};

struct Crash {};  // thrown through the worker: the process is gone
struct BrokenInvariant {  // thrown by TRIAGED_CHECK: ends the whole life
  std::string what;
};

class SimClient : public BrokerClient {
 public:
  struct Options {
    std::string application_id = "triaged";
    std::string instance;
    std::vector<std::string> topics;  // subscribed
    std::vector<std::string> alert_topics;
  };
  SimClient(Options options, SimHost* host);

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
  Status Begin() override;
  Status Produce(const OutputRecord& record) override;
  Status SendOffsets(const std::vector<PartitionOffset>& offsets) override;
  CommitOutcome Commit(Duration bound) override;
  Status Abort(Duration bound) override;
  std::optional<size_t> RefusedForSize() override { return refused_; }
  const std::map<int32_t, int64_t>& LastStateOffsets() const override { return state_offsets_; }
  std::optional<Timestamp> BrokerTime() const override;
  Duration Monotonic() const override;
  int32_t StatePartitions() const override;
  void Leave(Duration bound) override;

  const std::string& member() const { return member_; }

 private:
  struct Reader {
    int64_t next = 0;
    int64_t end = 0;
  };
  std::optional<GroupEvent> GroupNews();
  InputClass ClassOf(const std::string& topic) const;
  size_t Fetch(InputClass input_class, size_t room, PollResult* result);
  // True while the coordinator, or the leader of a log, is away; the call then takes all the time it has.
  bool Away(Duration bound);
  bool Away(const TopicPartition& where, Duration bound);
  void Pass(int64_t most_ms) { host_->broker().Advance(Duration(host_->random().Between(0, most_ms))); }

  const Options options_;
  SimHost* const host_;
  const TopicNames names_;
  ProducerHandle producer_;
  std::string member_;
  int generation_ = -1;  // as the assign callback told it
  bool holds_assignment_ = false;
  bool awaits_answer_ = false;  // a revocation was told, Assign() answers it
  std::map<TopicPartition, int64_t> positions_;
  std::map<int32_t, Reader> readers_;
  std::map<TopicPartition, Watermarks> cached_;  // for the planted bug
  std::map<int32_t, int64_t> state_offsets_;
  std::optional<Timestamp> stamped_;  // newest delivery report …
  Timestamp stamped_at_{};            // … and our own clock then
  bool began_ = false;
  size_t produced_ = 0;                // records of the transaction
  std::optional<size_t> refused_;      // of them, for its size
  bool fetching_ = false;
};

}  // namespace triaged::sim
