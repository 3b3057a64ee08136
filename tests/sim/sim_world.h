// SimWorld: one simulated life. Some processes, each a real Worker with the real Processor and PartitionStore over its
// own disk, share a SimBroker; alerts and commands arrive; processes crash, pause, stop, lose their disk and come back;
// and after every event the invariants are checked:
//
//   1. every escalation event id appears at most once to a read_committed reader
//   2. no store's position is ahead of what is decided in its changelog
// and at the end, once everything is idle and caught up:
//   3. every store equals the replay of its changelog, and the state that repeating its recorded steps leads to
//   4. every alert and command is accounted for, and the balances add up
//   5. every event that a case counted was published; no open case is overdue
//   6. what left after its retention is in the archive once, and nowhere else
//   7. what was merged away, also across partitions, is held once by its target; cases count every alert once
// and always:
//   8. no event bears a time that no broker's clock has shown yet: deadlines do not fire early
//
// The same seed gives the same bytes. A violation is told as text, not asserted, so that planted bugs can be tested.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/worker.h"
#include "pipeline/model/command.h"
#include "tests/sim/sim_broker.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_random.h"

namespace triaged::sim {

inline constexpr size_t kMaxTimers = 3;  // deadlines a step: so few that backlogs of them occur
inline constexpr Duration kKeepClosed{4 * 60'000};  // so short that cases leave in the middle of things
inline constexpr bool kArchive = true;

struct WorldOptions {
  uint64_t seed = 1;
  int events = 500;
  Duration heartbeat_interval{60'000};
  Bugs bugs;
  // Named point at which processes die (each time with this chance in a thousand); "" : anywhere, rarely.
  std::string crash_point;
  uint64_t crash_per_mille = 30;
  // The same for pauses, which are then long enough that others take over.
  std::string pause_point;
  uint64_t pause_per_mille = 20;
  bool network_faults = true;
  bool crashes = true;
  bool pauses = true;
  bool disk_faults = true;
  bool outages = true;      // one broker or all are down for up to minutes
  bool clock_jumps = true;   // brokers' clocks differ, hosts' clocks jump, producers stamp what they like
  int64_t least_processes = 1;
  int64_t most_processes = 3;
  // Chosen by the seed when not given.
  std::optional<int32_t> partitions;
  std::optional<bool> direct;
  std::optional<bool> standby;  // the processes follow partitions that they do not own
  bool accept_data_loss = false;
};

struct WorldResult {
  std::optional<std::string> violation;
  uint64_t digest = 0;
  uint64_t crashes = 0, pauses = 0, rebuilds = 0, aborts = 0, rebalances = 0, stores_moved = 0;
  uint64_t restored_records = 0;  // to take partitions over
  uint64_t takeovers_warm = 0;    // of partitions that had been followed to the end
  uint64_t disk_faults = 0, power_cuts = 0, store_retries = 0, outages = 0, clock_jumps = 0;
  uint64_t alerts = 0, commands = 0, escalation_events = 0, timers = 0, commits = 0, purged = 0;
};

WorldResult RunWorld(const WorldOptions& options);

// The shipped policy, rules and formats, compiled once.
std::shared_ptr<const Engine> ShippedEngine();
// The same with other times in the policy: what a reload brings.
std::shared_ptr<const Engine> OtherEngine();

class World;

// One operating-system process: a worker and a disk.
class Process : public SimHost, public WorkerObserver {
 public:
  // `sibling`: another worker of the same operating-system process: one disk, one death.
  Process(World* world, std::string instance, const Process* sibling);
  ~Process() override;

  // SimHost
  SimBroker& broker() override;
  Random& random() override;
  void Point(const char* name) override;
  bool Fault(const char* name) override;
  const Bugs& bugs() const override;

  // WorkerObserver
  void OnStep(int worker, const StepReport& report) override;
  void OnTrouble(int worker, int32_t partition, Trouble kind, const std::string& message) override;
  void OnTransaction(int worker, CommitOutcome outcome, Duration took) override;
  void OnStandby(int32_t partition, std::optional<int64_t> behind) override;
  void OnPartitionState(int worker, int32_t partition, PartitionState state) override;
  bool TooLarge(const OutputRecord& record) override;
  bool TooMany(size_t records) override;
  Timestamp WallTime() override;
  void OnRestored(size_t records) override;

  void Start();
  void RunOnce();  // catches a Crash
  void StopCleanly();
  void Die();  // with its siblings; what was not flushed is lost, and after a power cut what was not synced
  void GarbleDisk();
  void HealDisk();

  World* const world;
  const std::string instance;
  std::shared_ptr<SimDisk> disk;
  std::shared_ptr<StoreClaims> claims;
  std::unique_ptr<Worker> worker;
  SimClient* client = nullptr;  // of the worker; may dangle between clients: see Heartbeat
  Timestamp sick_until{};  // its disk
  Duration wall_jump{0};   // its wall clock is off by
  bool paused = false;
  bool doomed = false;  // its instance lives elsewhere as well: stopping for that is right
  Timestamp not_before{};
  std::optional<Error> stopped;  // why its worker stopped by itself, in a scenario that expects it
  bool may_stop = false;

 private:
  std::vector<Process*> Siblings() const;  // itself among them
  std::set<int32_t> warm_;                 // followed, and at the end
  std::set<int32_t> handed_over_;          // warm when they were last given up
  uint64_t faults_at_start_ = 0;           // of its disk, one that was there not counted
};

class World {
 public:
  explicit World(const WorldOptions& options);
  WorldResult Run();

  // For the processes.
  const WorldOptions options;
  Random random;
  Random weather;  // of disks, outages and clocks: a life without them is the same one
  SimBroker broker;
  WorldResult result;
  std::string application = "sim";
  TopicNames names = TopicNames::For("sim");
  int32_t partitions = 1;
  std::vector<std::string> alert_topics;
  bool direct = false;
  bool standby = false;
  bool faults_on = true;
  bool nested = false;  // inside somebody's pause
  std::shared_ptr<const Engine> engine;
  uint64_t lineages = 0;

  void Violation(std::string what);
  void Pause(Process* process);
  bool failed() const { return result.violation.has_value(); }
  const std::vector<std::unique_ptr<Process>>& processes() const { return processes_; }

  // For written scenarios, instead of Run().
  Process* AddProcess(const std::string& instance);
  void ProduceAlert(const std::string& host, const std::string& rule, int severity, const std::string& message);
  void ProduceAlerts();
  void ProduceCommand(const Command& command);
  // Each process that can runs one turn; all markers are written. False once a worker wants to stop.
  void Turn();
  void Settle();  // until all is taken and idle; no faults from now on
  void CheckEnd();
  void ForgetPublished();                              // the escalations topic was made anew
  uint64_t Published(std::string_view type) const;     // events whose ce_type is this
  std::function<bool(const OutputRecord&)> too_large;  // what Kafka refuses for its size
  size_t most_records = SIZE_MAX;  // that it gets done before a transaction's time-out

 private:
  void Event();
  void Weather();
  void DiskWeather();
  void ClockWeather();
  std::optional<Timestamp> ProducersStamp();
  void EndOutage();
  void EndWeather();
  void Mishap(uint64_t dice);
  void ProduceSomeCommand();
  Process* Pick();
  void Check();
  void CheckEscalations();
  void CheckPositions();
  bool Quiet();
  bool SignalsTaken(const Partition& partition);
  uint64_t DerivedAlerts();
  struct Sums {
    uint64_t stage_one = 0, forwarded = 0, stage_two = 0, commands = 0, commands_forwarded = 0;
  };
  Sums Add();
  void CheckPartition(const Partition& partition);
  void CheckCases();
  struct Archived {
    uint64_t alerts = 0;
    std::string merged_into;
    std::vector<std::string> merged_from;
  };
  std::map<std::string, Archived> ReadArchive();
  std::optional<std::string> ReplaySteps(const Partition& partition);

  std::vector<std::unique_ptr<Process>> processes_;
  bool outage_ = false;
  Timestamp outage_until_{};
  std::map<TopicPartition, int64_t> scanned_;
  std::set<std::string> event_ids_;
  std::map<std::string, uint64_t> events_of_case_;
  std::map<std::string, uint64_t, std::less<>> events_of_type_;
  std::vector<std::string> cases_;
  uint64_t next_alert_ = 1;
  uint64_t next_command_ = 1;
};

}  // namespace triaged::sim
