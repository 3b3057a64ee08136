// Worker: the loop. One thread, one member of the consumer group, one transactional producer, and the partitions that
// the group gave it.
//
//   poll ─► step each partition (and stage one) ─► one Kafka transaction ─► store commit ─► restores, ticks, flushes
//
// The Kafka transaction is the one commit; a store is written only after it. Whatever fails before that is aborted,
// staged work is dropped, and inputs are taken again; whatever stays unknown makes the worker give up its client and
// its partitions, and taking them back settles it by reading the changelog (KAFKA.md names each hole, the comments here
// say which line closes it).
//
// Ownership: owns its client, its partitions and their stores; shares store resources, the engine and the observer.
// Concurrency: everything on the thread that calls RunOnce or Run; only the stop flag comes from outside. Limits: one
// poll (records, bytes, wait) bounds a turn's input, max_timers its deadlines, restore_records a slice of a restore;
// no call blocks longer than the time-outs in WorkerOptions.
//
// For whoever is on call: the observer's OnTrouble carries every abort, rebuild and set-aside with its reason.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "daemon/broker_client.h"
#include "daemon/partition.h"
#include "daemon/store_claims.h"
#include "daemon/worker_alerts.h"
#include "daemon/worker_observer.h"
#include "pipeline/processor/processor.h"
#include "storage/partition_store.h"

namespace triaged {

struct WorkerOptions {
  std::string application_id = "triaged";
  std::string instance = "0";  // names this process; with `number` it names the tick's key
  int number = 0;              // of this worker in its process
  int32_t partitions = 12;     // N
  // Direct routing: the alert topics (exactly N partitions each); the first drives the assignment. Empty: repartition.
  std::vector<std::string> direct_topics;
  std::string store_directory;  // one subdirectory per state partition
  PollLimits poll;
  size_t max_timers = 1000;             // deadlines per partition and step
  size_t restore_records = 10'000;      // of one changelog slice
  Duration heartbeat_interval{60'000};  // heartbeat events, by the logical clock; 0: none
  bool ocsf = false;                    // case events carry an OCSF Incident Finding, too
  Duration keep_closed{0};              // closed cases leave after resting this long; 0: never
  bool archive = false;                 // and are written to the archive topic
  bool record_steps = true;
  bool accept_data_loss = false;
  bool standby = false;      // follow the partitions of others, too: those whose number % workers is `number`
  int workers = 1;           // of this process
  Duration start_timeout{20'000};  // shorter than the time to stop
  Duration transaction_timeout{10'000};  // the coordinator aborts what takes longer
  Duration commit_timeout{30'000};
  Duration abort_timeout{10'000};
  Duration leave_timeout{10'000};
  Duration query_slice{1'000};     // one question about offsets or watermarks
  Duration restore_slice{100};     // reading the changelog, per turn
  Duration tick_interval{10'000};  // longest time without a delivery report, so that broker time stays known
  Duration flush_interval{60'000};
  Duration stats_interval{10'000};
  Duration retry_min{100};  // backoff of a partition or client that could not be had
  Duration retry_max{10'000};
  Duration stall_timeout{60'000};  // transactions fail this long without one success: rebuild the client
  Duration tombstone_retention{24 * 60 * 60 * 1000};  // the state topic's delete.retention.ms
};

// What a worker is given. All are called on its thread; functions must be set.
struct WorkerParts {
  std::function<Result<std::unique_ptr<BrokerClient>>()> make_client;
  std::shared_ptr<SharedStoreResources> stores;
  std::function<std::shared_ptr<const Engine>()> engine;  // asked between two turns; a new pointer is a reload
  std::function<std::string()> new_lineage;               // a random id, for a partition's first progress record
  std::function<void(Duration)> pause;                    // waits, or returns early when the daemon stops
  WorkerObserver* observer = nullptr;                     // outlives the worker
  std::shared_ptr<StoreClaims> claims;                    // of the process; must be set
};

class Worker {
 public:
  Worker(WorkerOptions options, WorkerParts parts);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // One turn. Environment trouble is handled inside; an error means that the daemon must stop (records lost, another
  // instance with our name, a changed partition count, a broken invariant).
  Status RunOnce();
  // Turns until `stop`, then Finish().
  Status Run(const std::atomic<bool>* stop);
  // Flushes and closes the stores, then ends the client: a static member, which keeps its place in the group.
  Status Finish();

  // For health, admin pages and tests; on the worker's thread.
  const std::map<int32_t, std::unique_ptr<Partition>>& partitions() const { return partitions_; }
  const BrokerClient* client() const { return client_.get(); }
  // Joined, and every assigned partition runs.
  bool Ready() const;
  // Its commands, its signals and its intake were read to the end since they were assigned.
  bool CaughtUp(const Partition& partition) const;

 private:
  using InputPlace = std::pair<TopicPartition, int64_t>;  // one input record

  // One transaction in the making. A turn makes one, or a few when deadlines did not fit.
  struct Turn {
    struct Part {
      Partition* partition = nullptr;
      StepReport report;
    };
    // Where the outputs from `begin` on came from, to blame one when Kafka refuses it.
    struct Origin {
      size_t begin = 0;
      int32_t partition = -1;  // -1: stage one
      std::string_view topic;  // the one input record behind them, if it was one
      int32_t source_partition = 0;
      int64_t offset = 0;
      bool one_input = false;
    };
    std::vector<OutputRecord> outputs;
    std::vector<Origin> origins;  // ascending by `begin`
    std::vector<Part> parts;
    Duration stage_one_took{0};
    Duration begun{0};             // of its transaction
    bool alerts = false;           // stage one moved, or saw a partition for the first time
    bool tick = false;
    bool empty() const { return outputs.empty() && parts.empty() && !alerts; }
  };
  // Inputs of one partition in this turn, sorted; `taken` of them are done.
  struct Pending {
    std::vector<InputRecord> records;
    size_t taken = 0;
    // Sorts what is left as if there had been nothing else: the order of a step's inputs follows from these alone, so that
    // a replay, which knows no others, finds the same.
    void DropTaken();
    std::span<const InputRecord> rest() const { return std::span(records).subspan(taken); }
  };
  // What keeps failing the same way. After two identical failures a partition's inputs are stepped one by one, and the
  // one that fails alone twice is bad input: dead-lettered.
  struct Fault {
    std::string message;
    int count = 0;
    std::optional<InputPlace> suspect;  // stepped alone when it failed …
    int alone = 0;                      // … this often
  };
  enum class Ending { kCommitted, kDropped };  // dropped: aborted and rewound, or the client is gone

  // ---- worker.cc: client, group, loop
  Status StartClient();
  Status LoseClient(const std::string& why, bool fenced);
  Status Stop(int32_t partition, const Error& error);
  void AdoptEngine();
  PollLimits Limits() const;
  Status OnGroupEvent(const GroupEvent& event);
  Status OnAssigned(const GroupEvent& event);
  void GiveUpPartitions(PartitionState state);
  Status Reassign();
  void SetState(Partition& partition, PartitionState state);
  std::unique_ptr<Partition> MakePartition(int32_t number) const;
  void TellAssignment();
  void Housekeeping();
  void Enter(WorkerPhase phase) const;
  void Report(Trouble kind, int32_t partition, const std::string& message) const;
  bool direct() const { return !options_.direct_topics.empty(); }
  Duration Now() const { return client_->Monotonic(); }

  // ---- worker_assignment.cc: from Assigned to Running
  Status AdvanceAssignment();
  bool NeedsOffsets() const;
  std::vector<TopicPartition> Unknown(bool* anyone) const;
  Status ReadOffsets();
  Status ResolveAlerts(const std::map<TopicPartition, BrokerClient::Committed>& committed);
  Status BeginRestore(Partition& partition);
  Status ReadSlices();
  Status RestoreSlice(Partition& partition, Duration bound);
  Status FinishRestore(Partition& partition);
  Status CheckExpired();
  void RetryLater(Partition& partition, const Error& error);
  Status RetryOrStop(Partition& partition, const Error& error);
  struct Taking;
  bool WaitForHandOver(Taking& taking, const Error& error);  // false: it is no hand-over, or it takes too long

  // ---- worker_standby.cc: partitions of others
  struct Standby;
  bool Follows(int32_t number) const;
  void KeepAsStandby(std::unique_ptr<Partition> partition);
  std::unique_ptr<Partition> TakeStandby(int32_t number);  // nullptr: it is none
  void AdvanceStandbys();
  void BeginFollowing(Standby& standby);
  void FollowSlice(Standby& standby);
  void StopFollowing(Standby& standby, const Error& error);
  void FlushStandbys();
  void DropStandbys();

  // ---- worker_step.cc: steps and transactions
  Status StepRecords(std::vector<InputRecord> records);
  void Distribute(std::vector<InputRecord>* records, Turn* turn);
  bool WantsStep(const Partition& partition, const Pending& pending) const;
  Status StepPartition(Partition& partition, Pending* pending, Turn* turn);
  void AddToTurn(Partition& partition, PartitionStep step, StepReport report, const InputRecord* input, Turn* turn);
  Status Tick();
  Result<Ending> Transact(Turn& turn);
  Status SendOffsets(const Turn& turn);
  void NoteIfSlow(const Turn& turn);
  static bool IsPastMarkers(const std::pair<const int32_t, std::unique_ptr<Partition>>& entry);
  void CommitStores(Turn& turn);
  Status AbortAndRewind(const Turn& turn, std::string why);
  Status DropStep();
  void Blame(const Turn& turn, size_t output, const std::string& message);
  void NoteFault(int32_t partition, const std::string& message, const std::optional<InputPlace>& suspect);

  const WorkerOptions options_;
  const WorkerParts parts_;
  const TopicNames topics_;
  std::shared_ptr<const Engine> engine_;
  AlertSources alerts_;
  std::map<int32_t, std::unique_ptr<Partition>> partitions_;

  // Of the client in hand.
  std::unique_ptr<BrokerClient> client_;
  std::set<TopicPartition> reached_end_;
  std::set<int32_t> more_due_;
  Duration last_commit_{0};  // monotonic, of the newest delivery report
  Duration last_flush_{0};
  Duration last_stats_{0};
  std::optional<Duration> failing_since_;
  bool intake_full_ = false;  // the last poll was filled by intake, signals and commands
  int alert_polls_skipped_ = 0;

  // Polls are halved so often since transactions took too long; so many committed since. They outlive clients.
  int halvings_ = 0;
  int committed_since_ = 0;

  // Of the assignment in hand.
  struct Taking {
    Partition::Group group;  // as read before the restore
    Partition::RestoreRange range;
    Duration retry_at{0};
    Duration backoff{0};
    std::optional<Duration> held_since;  // its store is still open in another worker of this process
    bool offsets_known = false;
    uint64_t records = 0;  // replayed
  };
  std::map<int32_t, Taking> taking_;
  bool joined_ = false;                    // an assignment is in hand, be it empty
  std::pair<bool, size_t> told_{};         // of it to the observer
  bool consume_changed_ = false;           // Assign is owed: the set of running partitions changed
  bool group_has_offsets_ = false;         // at least one, of what was asked for
  bool progress_without_offsets_ = false;  // a partition was restored that the group knows nothing of

  // A partition that somebody else owns. It stays Assigned; its store follows the changelog.
  struct Standby {
    std::unique_ptr<Partition> partition;
    bool following = false;  // the changelog is open
    bool warm = false;       // it was read to the end that it had when the following began
    int64_t end = 0;
    Duration retry_at{0};
    Duration backoff{0};
  };
  std::map<int32_t, Standby> standbys_;

  std::map<int32_t, Pending> pending_;  // of the turn in hand
  std::map<int32_t, Fault> faults_;
  std::map<InputPlace, Fault> alert_faults_;
  std::deque<Duration> fenced_at_;
  Duration client_backoff_{0};
  int failed_starts_ = 0;
  bool finished_ = false;
  bool leave_for_good_ = false;  // others can run what we cannot
};

}  // namespace triaged
