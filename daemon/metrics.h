// Metrics: everything the workers tell, as Prometheus series and log lines.
//
// All series are created at start (prometheus-cpp 1.0.1 must not have any removed during a scrape), labels are bounded
// by configuration: policies, levels, rules, reasons known beforehand. Thread-safe: workers and the HTTP server call.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "daemon/worker_observer.h"
#include "pipeline/policy/engine.h"

namespace prometheus {
class Registry;
}  // namespace prometheus

namespace triaged {

class MetricFamilies;

class Metrics final : public WorkerObserver {
 public:
  Metrics(const Engine& engine, int workers, int partitions);
  ~Metrics() override;

  std::string Text() const;                              // Prometheus text format
  // And why not: a worker that has not joined, or a partition that is ours and does not run.
  std::pair<bool, std::string> Ready() const;
  void OnReload(const Engine* engine, Timestamp now);    // nullptr: refused. One caller at a time.
  // Monotonic time of the worker's last turn, for the watchdog, and what it is in the middle of.
  Duration LastTurn(int worker) const;
  WorkerPhase Phase(int worker) const;
  void SetStopping();

  void OnPhase(int worker, WorkerPhase phase) override;
  void OnAssignment(int worker, bool assigned, size_t alert_partitions_unknown) override;
  void OnConnected(int worker, bool connected) override;
  void OnEngineTaken(int worker, bool done) override;
  void OnPartitionState(int worker, int32_t partition, PartitionState state) override;
  void OnRestoreProgress(int32_t partition, int64_t position, int64_t end) override;
  void OnRestored(int32_t partition, uint64_t records, int64_t from, int64_t end) override;
  void OnStandby(int32_t partition, std::optional<int64_t> behind) override;
  void OnStep(int worker, const StepReport& report) override;
  void OnClock(int32_t partition, Timestamp clock, Timestamp broker_time) override;
  void OnStoreStats(int32_t partition, const StoreStats& stats) override;
  void OnLags(int worker, const std::vector<std::pair<TopicPartition, int64_t>>& lags) override;
  void OnTransaction(int worker, CommitOutcome outcome, Duration took) override;
  void OnTrouble(int worker, int32_t partition, Trouble kind, const std::string& message) override;

 private:
  void AddEngine(const Engine& engine);
  void CountEvent(const StepFacts::Event& event);
  void CountRuleHits(const StepFacts& facts);
  void CountDeadLetters(const StepFacts& facts);
  bool MayLogDeadLetter(uint64_t* suppressed);
  // With mutex_ held.
  void ShowPartitions();
  void ShowClockLag();
  void ShowStandbys();
  void ShowStores();
  void ShowStandings();
  void ShowFeeds();
  std::string LevelName(const std::string& policy, uint8_t level) const;
  std::string ReasonLabel(const std::string& reason) const;

  std::unique_ptr<prometheus::Registry> registry_;
  std::unique_ptr<MetricFamilies> families_;
  const std::vector<double> targets_;                    // bucket limits of the times that policies set targets for
  mutable std::mutex mutex_;                             // guards what stands below
  std::map<std::string, std::vector<std::string>> levels_;  // by policy
  std::map<std::string, std::vector<std::string>> severities_;
  std::set<std::string> reasons_;
  std::map<std::string, std::pair<std::string, std::string>> feeds_;  // id → policy and name, of the engine in use
  std::vector<std::string> rules_;                       // ids, in the order of the engine in use
  uint64_t store_errors_ = 0, store_stalls_ = 0;         // of the process: they stay when the partition that told them goes
  std::vector<bool> connected_;
  std::vector<std::pair<bool, size_t>> assignments_;     // by worker, as OnAssignment told
  // By worker and partition: while a partition moves between two workers of ours, both speak of it.
  std::map<std::pair<int, int32_t>, PartitionState> states_;
  struct Standby {
    int64_t behind = 0;
    bool warm = false;                                   // has been at the end
  };
  std::map<int32_t, Standby> standbys_;                  // partitions of others that are followed
  std::map<int32_t, Duration> lags_;
  std::map<int32_t, StoreStats> stores_;
  std::map<int, std::map<std::string, int64_t>> topic_lags_;  // by worker and topic
  std::vector<Duration> last_turns_;
  std::vector<WorkerPhase> phases_;
  std::vector<Duration> last_commits_;                   // or of joining
  std::vector<Duration> engines_begun_;                  // when each worker began to take a configuration over
  std::string fingerprint_;                              // of the engine in use
  Duration letters_second_{0};                           // the second that is counted …
  int letters_logged_ = 0;                               // … and the dead letters logged in it
  uint64_t letters_suppressed_ = 0;                      // since the last one logged
  bool stopping_ = false;
};

}  // namespace triaged
