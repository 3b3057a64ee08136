#include "daemon/replay.h"

#include <algorithm>
#include <iterator>

#include "pipeline/base/check.h"
#include "pipeline/model/command.h"
#include "pipeline/processor/alert_parts.h"
#include "pipeline/report/report.h"

namespace triaged {

struct Replay::Partition {
  std::unique_ptr<PartitionStore> store;
  std::unique_ptr<Processor> processor;
  int64_t next_intake = 0;
  int64_t next_signal = 0;
  int64_t next_command = 0;
};

Replay::Replay(std::shared_ptr<const Engine> engine, std::string application_id, int32_t partitions, bool ocsf)
    : engine_(std::move(engine)) {
  options_.application_id = std::move(application_id);
  options_.partitions = partitions;
  options_.ocsf = ocsf;
  options_.record_steps = false;
  options_.max_timers = options_.max_purges = SIZE_MAX;
}

void Replay::KeepClosed(Duration keep) {
  options_.keep_closed = keep;
  options_.archive = true;
}

Replay::~Replay() = default;

Status Replay::Open() {
  StoreOptions store_options;
  store_options.in_memory = true;
  resources_ = SharedStoreResources::Make(store_options);
  intake_ = std::make_unique<Intake>(options_, engine_);
  for (int32_t i = 0; i < options_.partitions; ++i) {
    auto store = PartitionStore::Open(resources_, i, "/replay/" + std::to_string(i));
    if (!store) return store.error();
    auto partition = std::make_unique<Partition>();
    partition->store = std::move(*store);
    if (Status restored = partition->store->FinishRestore(); !restored) return restored;
    partition->processor = std::make_unique<Processor>(options_, engine_, partition->store.get());
    partitions_.push_back(std::move(partition));
  }
  return {};
}

Status Replay::Step(Partition& partition, const std::vector<InputRecord>& inputs) {
  auto stepped = partition.processor->Step(inputs, {now_, /*caught_up=*/true});
  if (!stepped) return stepped.error();
  TRIAGED_CHECK(stepped->taken == inputs.size() && !stepped->more_due);
  const auto staged = partition.store->StagedRecords();
  if (!staged) return staged.error();
  const auto changed = static_cast<int64_t>(staged->size());
  if (Status committed = partition.store->Commit(partition.store->position() + changed); !committed) return committed;
  // What a partition sends on is counted once, where it is decided on.
  Balance& step = stepped->facts.balance;
  step.consumed -= std::exchange(step.outcomes[static_cast<size_t>(AlertOutcome::kForwarded)], 0);
  balance_.Add(step);
  for (const uint32_t rule : stepped->facts.rule_hits) matched_.insert(engine_->rules->rules()[rule].id);
  for (OutputRecord& record : stepped->outputs) {
    if (record.topic == OutputTopic::kCommands || record.topic == OutputTopic::kSignals) {
      if (Status delivered = Deliver(record); !delivered) return delivered;
    } else {
      outputs_.push_back(std::move(record));
    }
  }
  return {};
}

// A record of one of our own topics as its partition reads it.
static InputRecord AsInput(const OutputRecord& record, InputClass input_class, std::string_view topic, int64_t offset,
                           Timestamp at) {
  InputRecord input;
  input.input_class = input_class;
  input.topic = topic;
  input.partition = record.partition;
  input.offset = offset;
  input.timestamp = at;
  if (record.key) input.key = *record.key;
  if (record.value) input.value = *record.value;
  for (const Header& header : record.headers) input.headers.emplace_back(header.name, header.value);
  return input;
}

// Hands a command or signal to the partition it names.
Status Replay::Deliver(const OutputRecord& record) {
  Partition& partition = *partitions_[static_cast<size_t>(record.partition)];
  if (record.topic == OutputTopic::kCommands) {
    return Step(partition, {AsInput(record, InputClass::kCommand, "commands", partition.next_command++, now_)});
  }
  return Step(partition, {AsInput(record, InputClass::kSignal, "signals", partition.next_signal++, now_)});
}

// Hands what stage one made to the partitions, one step each.
Status Replay::DeliverIntake(const std::vector<OutputRecord>& records) {
  std::vector<std::vector<InputRecord>> inputs(partitions_.size());
  for (const OutputRecord& record : records) {
    const auto index = static_cast<size_t>(record.partition);
    inputs[index].push_back(
        AsInput(record, InputClass::kIntake, "intake", partitions_[index]->next_intake++, now_));
  }
  for (size_t index = 0; index < inputs.size(); ++index) {
    if (inputs[index].empty()) continue;
    if (Status stepped = Step(*partitions_[index], inputs[index]); !stepped) return stepped;
  }
  return {};
}

Status Replay::AdvanceTo(Timestamp to) {
  if (now_ == Timestamp{}) now_ = to;  // time begins with the first input
  while (true) {
    Partition* next = nullptr;
    Timestamp due{};
    for (const auto& partition : partitions_) {
      const auto deadline = partition->processor->NextDeadline();
      if (deadline && *deadline <= to && (!next || *deadline < due)) {
        next = partition.get();
        due = *deadline;
      }
    }
    if (!next) break;
    now_ = std::max(now_, due);
    if (Status stepped = Step(*next, {}); !stepped) return stepped;
  }
  now_ = std::max(now_, to);
  return {};
}

Status Replay::TakeAlerts(std::span<const std::string_view> alerts, Timestamp at, std::string_view topic) {
  if (Status advanced = AdvanceTo(at); !advanced) return advanced;
  StepFacts facts;
  std::vector<OutputRecord> outputs;
  for (const std::string_view bytes : alerts) {
    InputRecord input;
    input.topic = topic;
    input.offset = next_alert_++;
    input.timestamp = now_;
    input.value = bytes;
    intake_->Take(input, &outputs, &facts);
  }
  // What stage one forwards is counted once, where stage two decides on it.
  facts.balance.consumed -= facts.balance.outcomes[static_cast<size_t>(AlertOutcome::kForwarded)];
  facts.balance.outcomes[static_cast<size_t>(AlertOutcome::kForwarded)] = 0;
  balance_.Add(facts.balance);
  const auto refused = std::stable_partition(outputs.begin(), outputs.end(), [](const OutputRecord& record) {
    return record.topic == OutputTopic::kIntake;
  });
  outputs_.insert(outputs_.end(), std::make_move_iterator(refused), std::make_move_iterator(outputs.end()));
  outputs.erase(refused, outputs.end());
  return DeliverIntake(outputs);
}

Status Replay::TakeCommand(std::string_view bytes, Timestamp at) {
  if (Status advanced = AdvanceTo(at); !advanced) return advanced;
  OutputRecord record;
  record.topic = OutputTopic::kCommands;
  record.value = std::string(bytes);
  // As a producer would: to the partition that the case id names; what cannot be read goes to the first.
  const auto command = ParseCommand(bytes);
  const int32_t named = command ? command->case_id.partition : 0;
  record.partition = named < options_.partitions ? named : 0;
  return Deliver(record);
}

std::vector<OutputRecord> Replay::TakeOutputs() { return std::exchange(outputs_, {}); }

CaseStore& Replay::store(int32_t partition) { return *partitions_[static_cast<size_t>(partition)]->store; }

Result<std::vector<std::string>> Replay::CaseDocuments() {
  struct Collect : CaseStore::Visitor {
    const Replay* replay = nullptr;
    std::vector<std::string> documents;
    bool Visit(const Case& c) override {
      const Policy* policy = replay->engine_->FindPolicy(c.policy);
      documents.push_back(CaseDocumentJson(
          c, replay->now_, {policy, replay->options_.application_id, replay->engine_->fingerprint}));
      return true;
    }
  } collect;
  collect.replay = this;
  for (const auto& partition : partitions_) {
    if (Status visited = partition->store->ForEachCase(&collect); !visited) return visited.error();
  }
  return std::move(collect.documents);
}

Timestamp EventTimeOf(Normaliser* normaliser, std::string_view record, const TopicSettings& topic, Timestamp now) {
  AlertParts parts;
  parts.Cut(record, topic, now, normaliser);
  return parts.Read(0) ? now : normaliser->alert().event_time;
}

}  // namespace triaged
