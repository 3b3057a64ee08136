// Processor: one state partition's step. Merges inputs with due deadlines, decides, and stages what changes.
//
// Time (ARCHITECTURE, Time): the logical clock is max(clock, min(record time, broker time)) before each input, and
// broker time after the last one when the partition is caught up. Deadlines due at or before the clock fire before the
// input that moved it, in the order (deadline, case id), at most max_timers a step; when more are due the step ends
// before it takes the input, so `taken` may be less than given.
//
// Deterministic: same store, same inputs, same readings, same engine: same bytes. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"
#include "pipeline/model/case_event.h"
#include "pipeline/model/records.h"
#include "pipeline/policy/engine.h"
#include "pipeline/processor/case_store.h"

namespace triaged {

struct ProcessorOptions {
  std::string application_id = "triaged";
  int32_t partitions = 1;           // N, of the state topic
  size_t max_timers = 1000;         // deadlines fired in one step
  bool record_steps = true;         // write one triaged.steps record a step
  Duration heartbeat_interval{0};   // a heartbeat event per partition this often, by the logical clock; 0: none
  bool ocsf = false;                // case events carry an OCSF Incident Finding, too
  Duration keep_closed{0};          // a closed case leaves after resting this long, by the logical clock; 0: never
  bool archive = false;             // and is written to the archive topic as it leaves
  size_t max_purges = 100;          // cases that leave in one step; an archived one may bring its evidence, 1 MB
};

struct StepTime {
  Timestamp broker_time{};
  bool caught_up = false;
};

// What a step did, for metrics and logs. Derived counts only; the core never logs.
struct StepFacts {
  Balance balance;                                   // of this step alone
  uint64_t timers_fired = 0;
  uint64_t purged = 0;                               // closed cases that left after their retention
  std::vector<uint32_t> rule_hits;                   // indexes into the engine's rules, one per hit
  uint64_t over_rule_budget = 0;                     // alerts on which some rules were given up
  std::vector<uint32_t> rules_given_up;              // these rules, one per alert
  struct Event {
    CaseEventType type;
    CaseId case_id;
    std::string policy;
    std::string reason;
    uint8_t level_to = 0;
    ClockKind clock = ClockKind::kAcknowledge;
    bool nobody_on_shift = false;
    Duration since_opened{0};
    Duration overdue{0};                             // how late a deadline fired, by the logical clock
  };
  std::vector<Event> events;
  struct DeadLetter {
    std::string reason, topic, message;
    int32_t partition = 0;
    int64_t offset = 0;
  };
  std::vector<DeadLetter> dead_letters;
};

struct StepResult {
  size_t taken = 0;                      // of the inputs given
  std::vector<OutputRecord> outputs;     // without the state topic's: those are the store's staged records
  StepFacts facts;
  bool more_due = false;                 // deadlines are left that are already due: call again at once
};

class Processor {
 public:
  Processor(ProcessorOptions options, std::shared_ptr<const Engine> engine, CaseStore* store);
  ~Processor();

  // Between two steps only. Armed deadlines stand unless they lead nowhere any more (decide/fit.h).
  void SetEngine(std::shared_ptr<const Engine> engine);

  // Inputs must be sorted with SortInputs; those below the progress record's next offset are skipped (and taken).
  // An error (store) leaves the staged changes to be discarded.
  Result<StepResult> Step(std::span<const InputRecord> inputs, StepTime time);

  // When the next deadline falls due by the logical clock; nullopt when nothing is armed.
  std::optional<Timestamp> NextDeadline() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The order in which a step takes its inputs: record time, topic, partition, offset (DOMAIN.md, Commands). The records of
// one partition keep the order of their offsets: one with an older stamp counts as of the time of those before it.
void SortInputs(std::vector<InputRecord>* inputs);

// Stage one: parse, normalise, choose the case key, and send the alert's bytes to its partition of the intake topic.
// Stateless and deterministic; one per worker thread.
class Intake {
 public:
  Intake(ProcessorOptions options, std::shared_ptr<const Engine> engine);
  ~Intake();
  void SetEngine(std::shared_ptr<const Engine> engine);
  // Appends the outputs (intake or dead letter) of one alert record and counts it in `facts`.
  void Take(const InputRecord& input, std::vector<OutputRecord>* outputs, StepFacts* facts);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace triaged
