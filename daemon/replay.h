// Replay: the real pipeline (intake, processors, partition stores in memory) without Kafka, in virtual time. Serves
// `triagectl replay`, `triagectl test` and the scenario tests. Same input, same bytes out.
//
// Time is driven by the caller and never goes back; every deadline fires at its own due time, in order, before an
// input of the same instant. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"
#include "pipeline/model/records.h"
#include "pipeline/policy/engine.h"
#include "pipeline/processor/processor.h"
#include "storage/partition_store.h"

namespace triaged {

class Replay {
 public:
  // `ocsf`: case events carry an OCSF Incident Finding, too.
  Replay(std::shared_ptr<const Engine> engine, std::string application_id, int32_t partitions, bool ocsf = false);
  ~Replay();

  // Closed cases leave after resting this long, archived. Before Open.
  void KeepClosed(Duration keep);
  // Opens the stores; call once, first.
  Status Open();

  // Takes one alert record or command at `at` (or now, when that has passed): first everything due by then fires.
  // `topic`: the alert topic that it is taken from, whose settings hold.
  Status TakeAlert(std::string_view bytes, Timestamp at, std::string_view topic = "replay") {
    return TakeAlerts({&bytes, 1}, at, topic);
  }
  // Alerts of one instant, as one step of each partition that they go to.
  Status TakeAlerts(std::span<const std::string_view> alerts, Timestamp at, std::string_view topic = "replay");
  Status TakeCommand(std::string_view bytes, Timestamp at);
  // Lets deadlines fire up to and including `to`.
  Status AdvanceTo(Timestamp to);

  // Outputs since the last call, in the order they were made (all topics but state, intake, commands, signals and steps).
  std::vector<OutputRecord> TakeOutputs();
  // Ids of the rules that matched alerts since the last call.
  std::set<std::string> TakeMatched() { return std::exchange(matched_, {}); }

  Timestamp now() const { return now_; }
  const Balance& balance() const { return balance_; }  // intake and partitions together
  Result<std::vector<std::string>> CaseDocuments();    // JSON, by case id
  CaseStore& store(int32_t partition);

 private:
  struct Partition;
  Status Step(Partition& partition, const std::vector<InputRecord>& inputs);
  Status Deliver(const OutputRecord& record);
  Status DeliverIntake(const std::vector<OutputRecord>& records);

  std::shared_ptr<const Engine> engine_;
  ProcessorOptions options_;
  std::shared_ptr<SharedStoreResources> resources_;
  std::unique_ptr<Intake> intake_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  std::vector<OutputRecord> outputs_;
  std::set<std::string> matched_;
  Balance balance_;
  Timestamp now_{};
  int64_t next_alert_ = 0;
};

// The event time that a bare record (no envelope) is replayed at: that of its first alert, or `now` when it has none.
Timestamp EventTimeOf(Normaliser* normaliser, std::string_view record, const TopicSettings& topic, Timestamp now);

}  // namespace triaged
