// WorkerObserver: all that a worker tells the shell, which makes metrics, logs and health of it. The worker itself
// neither logs nor counts.
//
// Every call comes on the worker's own thread, between or inside its turns; several workers may share one observer, so
// implementations are thread-safe, quick, and never call back into the worker. The default of each call does nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/broker_client.h"
#include "pipeline/base/time.h"
#include "pipeline/processor/processor.h"
#include "storage/partition_store.h"

namespace triaged {

// The life of a state partition in a worker; partition.h has the diagram and the table of legal transitions.
enum class PartitionState : uint8_t { kAssigned, kRestoring, kRunning, kClosed, kLost };
std::string_view Name(PartitionState state);

// One partition's part of a committed transaction.
struct StepReport {
  int32_t partition = -1;  // state partition; -1: stage one
  StepFacts facts;
  Duration decide{0};  // monotonic: deciding and encoding
};

enum class Trouble : uint8_t {
  kWarning,     // went on; a person should know
  kRetry,       // the environment failed; aborted or closed, and tried again
  kLostClient,  // the Kafka client was given up; all partitions are Lost and taken anew
  kStoreMoved,  // a damaged or foreign store was set aside and is restored from the changelog
  kStop,        // the daemon must stop (RunOnce returns the same error)
};
std::string_view Name(Trouble trouble);

// What a worker is in the middle of, so that one that hangs can be told where.
enum class WorkerPhase : uint8_t {
  kTurn,  // a turn begins; also all of it that has no name of its own
  kConnecting,
  kSendingOffsets,
  kCommitting,
  kWritingStores,
  kAborting,
  kClosingStores,
  kClosingClient,  // all is committed and the stores are closed
  kStopped,
};
std::string_view Name(WorkerPhase phase);

class WorkerObserver {
 public:
  virtual ~WorkerObserver() = default;

  // kTurn comes once a turn, also while nothing happens: the sign of life for the watchdog.
  virtual void OnPhase(int /*worker*/, WorkerPhase /*phase*/) {}
  // The client is there (true) or was given up (false).
  virtual void OnConnected(int /*worker*/, bool /*connected*/) {}
  // Told when it changes: whether the worker has its assignment of the group (without partitions is healthy), and of how many
  // alert partitions it does not know yet where it stands: they are not consumed.
  virtual void OnAssignment(int /*worker*/, bool /*assigned*/, size_t /*alert_partitions_unknown*/) {}
  // Before and after a worker takes a new configuration over, between two turns: all that a reload holds it up.
  virtual void OnEngineTaken(int /*worker*/, bool /*done*/) {}
  virtual void OnPartitionState(int /*worker*/, int32_t /*partition*/, PartitionState /*state*/) {}
  virtual void OnRestoreProgress(int32_t /*partition*/, int64_t /*position*/, int64_t /*end*/) {}
  // A partition was taken over: so many records of the changelog, from `from` up to `end`, were replayed into its store.
  virtual void OnRestored(int32_t /*partition*/, uint64_t /*records*/, int64_t /*from*/, int64_t /*end*/) {}
  // A partition of somebody else is followed, so many records behind its changelog's end; nullopt: no longer.
  virtual void OnStandby(int32_t /*partition*/, std::optional<int64_t> /*behind*/) {}

  // After the commit, never before.
  virtual void OnStep(int /*worker*/, const StepReport& /*report*/) {}

  // A running partition's logical clock beside broker time: broker_time - clock is how far it is behind.
  virtual void OnClock(int32_t /*partition*/, Timestamp /*clock*/, Timestamp /*broker_time*/) {}
  virtual void OnStoreStats(int32_t /*partition*/, const StoreStats& /*stats*/) {}
  // Of everything this worker consumes (BrokerClient::Lags).
  virtual void OnLags(int /*worker*/, const std::vector<std::pair<TopicPartition, int64_t>>& /*lags*/) {}
  virtual void OnTransaction(int /*worker*/, CommitOutcome /*outcome*/, Duration /*took*/) {}

  // `partition` -1: the worker as a whole.
  virtual void OnTrouble(int /*worker*/, int32_t /*partition*/, Trouble /*kind*/, const std::string& /*message*/) {}
};

}  // namespace triaged
