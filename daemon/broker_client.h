// BrokerClient: all that one worker asks of Kafka, in one interface. KafkaClient (kafka_client.h) is librdkafka behind
// it; the simulator's is tests/sim. The worker is written against this alone, so the code that decides about
// exactly-once is the code that is simulated.
//
// One client is one member of the group: consumer, changelog reader and transactional producer. Single-threaded: the
// owning worker calls it. No call blocks longer than the time it is given (plus scheduling).
//
// After an error of class kEnvironment with `rebuild` needed (see ClientError), the worker destroys the client and
// makes a new one: all its partitions are Lost.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"
#include "pipeline/model/records.h"

namespace triaged {

struct TopicPartition {
  std::string topic;
  int32_t partition = 0;
  auto operator<=>(const TopicPartition&) const = default;
};

struct PartitionOffset {
  TopicPartition where;
  int64_t offset = 0;      // next offset to take; absolute, never negative when sent
  std::string metadata;    // kept with the group offset (stage one's balance)
};

// The names of our own topics: prefix = application id.
struct TopicNames {
  std::string intake, commands, state, steps, escalations, cases, dead_letter, signals, archive;
  static TopicNames For(std::string_view application_id);
  const std::string& Of(OutputTopic topic) const;
};

struct PollLimits {
  size_t max_records = 25'000;
  size_t max_bytes = 16 * 1024 * 1024;
  Duration max_wait{50};        // until the first record; once there is one, ends when the queues stay empty ~5 ms
  bool take_alerts = true;      // false: leave alerts untaken (intake lags)
};

enum class GroupEventKind { kAssigned, kRevoked, kLost };
struct GroupEvent {
  GroupEventKind kind = GroupEventKind::kAssigned;
  std::vector<TopicPartition> partitions;  // the whole assignment (classic protocol, range): alerts and intake
};

struct PollResult {
  // Records in serving order: commands, signals, intake, alerts; views valid until the next Poll.
  std::vector<InputRecord> records;
  // At most one; when set, `records` is empty: everything polled before it was dropped unless it was stepped.
  std::optional<GroupEvent> event;
  // Partitions that reached the end of their log (EOF at the high watermark) since they were assigned, and that end: it
  // lies behind transaction markers and aborted records, too.
  std::vector<PartitionOffset> reached_end;
  // The client is unusable (fatal consumer or producer error): rebuild it.
  std::optional<Error> fatal;
  bool fenced_instance = false;  // FENCED_INSTANCE_ID was the fatal error
};

enum class CommitOutcome {
  kCommitted,
  kAborted,    // the transaction cannot commit (fenced generation, abortable error): Abort() must succeed next
  kUnknown,    // unresolved within the time: give up the client and the partitions
};

// One partition of the changelog being read back (read_committed).
struct ChangelogSlice {
  struct Record {
    std::string key;
    std::optional<std::string> value;
    int64_t offset = 0;
  };
  std::vector<Record> records;
  int64_t next_offset = 0;       // first offset not yet read (control records skipped)
  int64_t log_end = -1;          // high watermark as the client knows it without asking; -1: not yet
  bool at_end = false;           // EOF at or beyond the end given to OpenChangelog
};

class BrokerClient {
 public:
  virtual ~BrokerClient() = default;

  // init_transactions, then subscribe. `bound` limits the whole call.
  virtual Status Start(Duration bound) = 0;

  virtual PollResult Poll(const PollLimits& limits) = 0;

  // Replaces what is consumed: exactly these partitions from exactly these offsets (empty: nothing, group membership
  // stays). Must be called (even with an empty list) to answer each kAssigned, kRevoked and kLost event.
  virtual Status Assign(const std::vector<PartitionOffset>& partitions) = 0;

  // Committed group offsets: nullopt = the group has none. An Error = unknown (time-out): ask again.
  struct Committed {
    std::optional<int64_t> offset;
    std::string metadata;
  };
  virtual Result<std::map<TopicPartition, Committed>> CommittedOffsets(const std::vector<TopicPartition>& partitions,
                                                                      Duration bound) = 0;
  // First and end (high watermark) offset of a partition, asked now.
  struct Watermarks {
    int64_t low = 0;
    int64_t high = 0;
  };
  virtual Result<Watermarks> QueryWatermarks(const TopicPartition& partition, Duration bound) = 0;

  // How many records each assigned partition has behind what Poll gave last, as the client knows it without asking;
  // partitions of which it knows nothing yet are left out.
  virtual std::vector<std::pair<TopicPartition, int64_t>> Lags() const = 0;

  // Changelog reading; several partitions may be open at once. `end` is a high watermark seen by QueryWatermarks, or
  // kFollow: there is no end. With a bound of 0 a read gives what is at hand.
  static constexpr int64_t kFollow = INT64_MAX;
  virtual Status OpenChangelog(int32_t partition, int64_t from, int64_t end) = 0;
  virtual Result<ChangelogSlice> ReadChangelog(int32_t partition, size_t max_records, Duration bound) = 0;
  virtual void CloseChangelog(int32_t partition) = 0;

  // One transaction at a time. Produce checks and retries a full queue within `bound` of the client's settings; any
  // other failure is an error and the transaction must be aborted.
  virtual Status Begin() = 0;
  virtual Status Produce(const OutputRecord& record) = 0;
  virtual Status SendOffsets(const std::vector<PartitionOffset>& offsets) = 0;
  virtual CommitOutcome Commit(Duration bound) = 0;
  // In a transaction that failed: which of its records, counted from 0, Kafka (or this client before it) refused for its
  // size; of several the largest. Who produces it again will be refused again. nullopt: none, as far as is known.
  virtual std::optional<size_t> RefusedForSize() = 0;
  virtual Status Abort(Duration bound) = 0;  // fails: the worker's partitions are Lost, rebuild
  // After kCommitted: the changelog offset that each state partition reached in this transaction; absent when it wrote
  // nothing there or the broker did not tell (duplicate sequence): the old position stands.
  virtual const std::map<int32_t, int64_t>& LastStateOffsets() const = 0;

  // Broker time: LogAppendTime of our newest delivery report plus monotonic time since; nullopt before the first.
  virtual std::optional<Timestamp> BrokerTime() const = 0;
  // Monotonic time of this process, for intervals (virtual in the simulator).
  virtual Duration Monotonic() const = 0;

  // N: partitions of the state topic, and of any topic of ours.
  virtual int32_t StatePartitions() const = 0;

  // Gives the place in the group away at once, instead of after the session time-out; nothing but destruction follows.
  virtual void Leave(Duration bound) = 0;
};

}  // namespace triaged
