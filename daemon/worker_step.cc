// Steps and transactions: what was polled becomes one Kafka transaction, and only after its commit a store write.
#include <algorithm>
#include <map>

#include "daemon/worker.h"
#include "pipeline/base/check.h"
#include "pipeline/base/time.h"

namespace triaged {
namespace {

// Transactions of one turn when deadlines do not fit into one step; then what is left is polled again.
constexpr int kMaxRounds = 1000;
constexpr Duration kMaxTurn = std::chrono::seconds(5);
// The same failure this often in a row is not the environment's.
constexpr int kSameFailures = 2;
constexpr int kHopelessFailures = 10;
// Polls are halved at most so often, and doubled again after so many transactions that committed.
constexpr int kMostHalvings = 14;
constexpr int kCommitsToGrow = 20;

std::pair<TopicPartition, int64_t> PlaceOf(const InputRecord& input) {
  return {{std::string(input.topic), input.partition}, input.offset};
}

}  // namespace

// Stage one takes its records here; those of state partitions are set aside for StepPartition. Records of a partition
// that does not run, or below its next offset, were polled before a rewind or rebalance: dropped.
void Worker::Distribute(std::vector<InputRecord>* records, Turn* turn) {
  pending_.clear();
  const Duration begun = Now();
  // Records come in runs of one source: looked up once a run.
  std::string_view topic;
  int32_t number = -1;
  Pending* pending = nullptr;
  int64_t next = 0;
  for (InputRecord& record : *records) {
    if (record.input_class == InputClass::kAlert && !direct()) {
      const size_t before = turn->outputs.size();
      if (!alerts_.Take(record, &turn->outputs)) continue;
      if (turn->outputs.size() == before) continue;
      turn->origins.push_back({before, -1, record.topic, record.partition, record.offset, true});
      continue;
    }
    if (record.topic != topic || record.partition != number) {
      topic = record.topic;
      number = record.partition;
      const auto at = partitions_.find(number);
      const bool runs = at != partitions_.end() && at->second->state() == PartitionState::kRunning;
      pending = runs ? &pending_[number] : nullptr;
      if (runs) next = at->second->NextOffset(topic);
    }
    if (pending && record.offset >= next) pending->records.push_back(std::move(record));
  }
  for (auto& [partition, inputs] : pending_) SortInputs(&inputs.records);
  turn->alerts = alerts_.moved();
  turn->stage_one_took = Now() - begun;
}

void Worker::Pending::DropTaken() {
  if (taken == 0 || rest().empty()) return;
  records.erase(records.begin(), records.begin() + static_cast<ptrdiff_t>(taken));
  taken = 0;
  SortInputs(&records);
}

bool Worker::WantsStep(const Partition& partition, const Pending& pending) const {
  if (!pending.rest().empty()) return true;
  if (!CaughtUp(partition)) return false;  // the clock follows the records until then
  const auto due = partition.NextDeadline();
  const auto broker_time = client_->BrokerTime();
  return due && broker_time && *due <= std::max(*broker_time, partition.clock());
}

void Worker::NoteFault(int32_t number, const std::string& message, const std::optional<InputPlace>& suspect) {
  Fault& fault = faults_[number];
  if (fault.message != message) fault = {message, 0, std::nullopt, 0};
  ++fault.count;
  if (!suspect) return;
  fault.alone = fault.suspect == suspect ? fault.alone + 1 : 1;
  fault.suspect = suspect;
}

// Adds the partition's step to the turn. A step that fails leaves the turn as it was.
Status Worker::StepPartition(Partition& partition, Pending* pending, Turn* turn) {
  const int32_t number = partition.number();
  std::span<const InputRecord> inputs = pending->rest();
  const auto fault = faults_.find(number);
  const bool failing = fault != faults_.end() && fault->second.count >= kSameFailures;
  if (failing && inputs.empty() && fault->second.count >= kHopelessFailures) {
    return Stop(number,
                {ErrorClass::kInvariant, "deadlines of partition " + std::to_string(number) +
                                             " cannot be carried out, whatever is tried: " + fault->second.message});
  }
  if (failing && !inputs.empty()) inputs = inputs.first(1);
  std::optional<InputPlace> alone;
  if (inputs.size() == 1) alone = PlaceOf(inputs.front());
  const bool refuse = failing && alone && fault->second.suspect == alone && fault->second.alone >= kSameFailures;

  const Duration begun = Now();
  const StepTime time{*client_->BrokerTime(), CaughtUp(partition)};
  Result<PartitionStep> step = refuse ? partition.Refuse(inputs.front(), "repeated_failure", fault->second.message)
                                      : partition.Step(inputs, time);
  if (refuse) faults_.erase(fault);
  if (!step) {
    partition.Discard();
    if (step.error().kind == ErrorClass::kInvariant) return Stop(number, step.error());
    if (step.error().kind == ErrorClass::kEnvironment) {
      RetryLater(partition, step.error());
    } else {
      NoteFault(number, step.error().message, alone);
      Report(Trouble::kRetry, number, step.error().message);
    }
    return {};
  }
  pending->taken += step->result.taken;
  if (step->result.more_due) {
    more_due_.insert(number);
  } else {
    more_due_.erase(number);
  }
  if (!step->touched) return {};
  StepReport report;
  report.partition = number;
  report.decide = Now() - begun;
  AddToTurn(partition, std::move(*step), std::move(report), alone ? &inputs.front() : nullptr, turn);
  return {};
}

// `input`: the one input record of the step, if it was one.
void Worker::AddToTurn(Partition& partition, PartitionStep step, StepReport report, const InputRecord* input,
                       Turn* turn) {
  Turn::Origin origin;
  origin.begin = turn->outputs.size();
  origin.partition = partition.number();
  origin.one_input = input != nullptr;
  if (input) {
    origin.topic = input->topic;
    origin.source_partition = input->partition;
    origin.offset = input->offset;
  }
  turn->origins.push_back(origin);
  report.facts = std::move(step.result.facts);
  for (OutputRecord& output : step.result.outputs) turn->outputs.push_back(std::move(output));
  for (StateRecord& record : step.state) {
    OutputRecord output;
    output.topic = OutputTopic::kState;
    output.partition = partition.number();
    output.key = std::move(record.key);
    output.value = std::move(record.value);
    turn->outputs.push_back(std::move(output));
  }
  turn->parts.push_back({&partition, std::move(report)});
}

Status Worker::StepRecords(std::vector<InputRecord> records) {
  if (!client_->BrokerTime()) return records.empty() ? Status() : DropStep();
  const Duration begun = Now();
  Turn turn;
  Distribute(&records, &turn);
  for (int round = 0;; ++round) {
    bool left = false;
    size_t taken = 0;
    for (const auto& [number, partition] : partitions_) {
      if (partition->state() != PartitionState::kRunning) continue;
      Pending& pending = pending_[number];
      if (!WantsStep(*partition, pending)) continue;
      pending.DropTaken();
      const size_t before = pending.taken;
      if (Status stepped = StepPartition(*partition, &pending, &turn); !stepped) return stepped;
      if (partition->state() != PartitionState::kRunning) continue;  // closed: its inputs come again
      taken += pending.taken - before;
      left |= !pending.rest().empty();
    }
    const bool idle = turn.empty();
    if (!idle) {
      const auto ended = Transact(turn);
      if (!ended) return ended.error();
      if (*ended == Ending::kDropped) return {};
    }
    if (!left) break;
    // Nothing moves (a step that fails), or it takes long: back to the group, and poll what is left again.
    if ((idle && taken == 0) || round >= kMaxRounds || Now() - begun > kMaxTurn) return Reassign();
    turn = Turn{};
  }
  // Everything went through: whatever failed before does not fail any more.
  for (const auto& [number, pending] : pending_) {
    if (!pending.records.empty() && partitions_.at(number)->state() == PartitionState::kRunning) faults_.erase(number);
  }
  return {};
}

Status Worker::Tick() {
  Turn turn;
  turn.tick = true;
  OutputRecord tick;
  tick.topic = OutputTopic::kSteps;
  tick.key = options_.instance + "/" + std::to_string(options_.number);
  tick.value = R"({"tick":")" + *tick.key + R"("})";
  turn.outputs.push_back(std::move(tick));
  const auto ended = Transact(turn);
  return ended ? Status() : Status(ended.error());
}

// ---- the transaction ------------------------------------------------------------------------------------------

Result<Worker::Ending> Worker::Transact(Turn& turn) {
  const auto dropped = [](Status status) -> Result<Ending> {
    if (!status) return status.error();
    return Ending::kDropped;
  };
  turn.begun = Now();
  turn.alerts |= alerts_.past_markers();
  if (Status begin = client_->Begin(); !begin) {
    if (begin.error().kind == ErrorClass::kInvariant) return Stop(-1, begin.error()).error();
    return dropped(LoseClient(begin.error().message, false));
  }
  for (const OutputRecord& output : turn.outputs) {
    if (Status produced = client_->Produce(output); !produced) {
      return dropped(AbortAndRewind(turn, produced.error().message));
    }
  }
  if (Status sent = SendOffsets(turn); !sent) return dropped(AbortAndRewind(turn, sent.error().message));
  Enter(WorkerPhase::kCommitting);
  const CommitOutcome outcome = client_->Commit(options_.commit_timeout);
  const Duration took = Now() - turn.begun;
  parts_.observer->OnTransaction(options_.number, outcome, took);
  switch (outcome) {
    case CommitOutcome::kAborted:
      return dropped(AbortAndRewind(turn, "the transaction cannot commit"));
    case CommitOutcome::kUnknown:
      NoteIfSlow(turn);
      return dropped(LoseClient("whether a transaction committed stayed unknown for " +
                                    FormatDuration(options_.commit_timeout) + "; the changelog will tell",
                                false));
    case CommitOutcome::kCommitted:
      break;
  }
  last_commit_ = Now();
  failing_since_.reset();
  if (!turn.tick) {
    client_backoff_ = options_.retry_min;
    if (halvings_ > 0 && ++committed_since_ >= kCommitsToGrow) {
      --halvings_;
      committed_since_ = 0;
    }
  }
  CommitStores(turn);
  return Ending::kCommitted;
}

bool Worker::IsPastMarkers(const std::pair<const int32_t, std::unique_ptr<Partition>>& entry) {
  return entry.second->state() == PartitionState::kRunning && entry.second->past_markers();
}

// What takes longer than the coordinator waits would take as long again: the broker is slow, not away, or a step is large.
void Worker::NoteIfSlow(const Turn& turn) {
  if (Now() - turn.begun < options_.transaction_timeout || halvings_ >= kMostHalvings) return;
  ++halvings_;
  committed_since_ = 0;
  Report(Trouble::kWarning, -1, "a transaction was not done within kafka.transaction_timeout (" +
                                    FormatDuration(options_.transaction_timeout) + "): polls are halved until it is");
}

// For every state partition the step touched, the offsets of all its sources, also when only a deadline
// fired: the group generation that comes with them is what fences a former owner off this partition.
Status Worker::SendOffsets(const Turn& turn) {
  std::map<int32_t, const Partition*> moved;
  for (const Turn::Part& part : turn.parts) moved.emplace(part.partition->number(), part.partition);
  for (const auto& entry : partitions_) {
    if (IsPastMarkers(entry)) moved.emplace(entry.first, entry.second.get());
  }
  std::vector<PartitionOffset> offsets;
  for (const auto& [number, partition] : moved) {
    for (PartitionOffset& next : partition->NextOffsets()) offsets.push_back(std::move(next));
  }
  if (turn.alerts) {
    for (PartitionOffset& next : alerts_.StagedOffsets()) offsets.push_back(std::move(next));
  }
  if (offsets.empty()) return {};
  for (const PartitionOffset& offset : offsets) TRIAGED_CHECK(offset.offset >= 0);
  Enter(WorkerPhase::kSendingOffsets);
  return client_->SendOffsets(offsets);
}

void Worker::CommitStores(Turn& turn) {
  Enter(WorkerPhase::kWritingStores);
  for (const auto& entry : partitions_) {
    if (IsPastMarkers(entry)) entry.second->NoteOffsetsCommitted();
  }
  const auto& reached = client_->LastStateOffsets();
  for (Turn::Part& part : turn.parts) {
    Partition& partition = *part.partition;
    partition.NoteOffsetsCommitted();
    const auto at = reached.find(partition.number());
    const std::optional<int64_t> position = at != reached.end() ? std::optional(at->second) : std::nullopt;
    const Status written = partition.Commit(position);
    parts_.observer->OnStep(options_.number, part.report);
    // Kafka has it, the store has not: the partition is closed, and the changelog brings it back.
    if (!written) RetryLater(partition, written.error());
  }
  if (!turn.alerts) return;
  StepReport report;
  report.facts = alerts_.staged_facts();
  report.decide = turn.stage_one_took;
  alerts_.Commit();
  parts_.observer->OnStep(options_.number, report);
}

// Staged work is dropped, and inputs are taken again, only after the abort succeeded: until then the transaction may
// still commit.
Status Worker::AbortAndRewind(const Turn& turn, std::string why) {
  Enter(WorkerPhase::kAborting);
  NoteIfSlow(turn);
  if (const auto refused = client_->RefusedForSize()) {
    const OutputRecord& output = turn.outputs[*refused];
    // The same words each time, however large it is and whoever noticed: by them a fault is known again.
    const std::string fault =
        "Kafka takes no record as large as this one for '" + topics_.Of(output.topic) + "' (max.message.bytes)";
    Blame(turn, *refused, fault);
    why += "; " + fault + ": " + std::to_string(output.value ? output.value->size() : 0) + " bytes";
  }
  if (Status aborted = client_->Abort(options_.abort_timeout); !aborted) {
    return LoseClient(why + "; and it could not be aborted: " + aborted.error().message, false);
  }
  if (!failing_since_) failing_since_ = Now();
  if (Now() - *failing_since_ > options_.stall_timeout) {
    return LoseClient("no transaction committed for " + FormatDuration(options_.stall_timeout) + ": " + why, false);
  }
  Report(Trouble::kRetry, -1, why + "; aborted, tried again");
  parts_.pause(options_.retry_min);
  return turn.tick ? Status() : DropStep();
}

Status Worker::DropStep() {
  alerts_.Discard();
  pending_.clear();
  for (const auto& [number, partition] : partitions_) {
    if (partition->state() == PartitionState::kRunning) partition->Discard();
  }
  return Reassign();
}

// Kafka refuses a record for its size, and would again: find out which input made it.
void Worker::Blame(const Turn& turn, size_t output, const std::string& message) {
  const auto after = std::upper_bound(turn.origins.begin(), turn.origins.end(), output,
                                      [](size_t at, const Turn::Origin& origin) { return at < origin.begin; });
  if (after == turn.origins.begin()) return;
  const Turn::Origin& origin = *std::prev(after);
  const InputPlace place{{std::string(origin.topic), origin.source_partition}, origin.offset};
  if (origin.partition >= 0) {
    NoteFault(origin.partition, message, origin.one_input ? std::optional(place) : std::nullopt);
    return;
  }
  // Stage one's outputs come of one record each: no need to isolate it.
  Fault& fault = alert_faults_[place];
  if (++fault.count < kSameFailures) return;
  alerts_.Refuse(place.first, place.second, message);
  alert_faults_.erase(place);
}

}  // namespace triaged
