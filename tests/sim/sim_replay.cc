// The exact replay: `triaged.steps` says which inputs each committed step took, at which clock, under which engine. A
// fresh processor that repeats these steps must reach the very state that the daemon's crashes and moves led to.
#include <nlohmann/json.hpp>

#include "tests/sim/sim_world.h"

namespace triaged::sim {
namespace {

InputRecord InputOf(const Entry& entry, InputClass input_class, const TopicPartition& where, int64_t offset) {
  InputRecord input;
  input.input_class = input_class;
  input.topic = where.topic;
  input.partition = where.partition;
  input.offset = offset;
  input.timestamp = entry.at;
  if (entry.key) input.key = *entry.key;
  if (entry.value) input.value = *entry.value;
  for (const Header& header : entry.headers) input.headers.emplace_back(header.name, header.value);
  return input;
}

}  // namespace

std::optional<std::string> World::ReplaySteps(const Partition& partition) {
  const int32_t number = partition.number();
  StoreOptions store_options;
  store_options.in_memory = true;
  store_options.memory_budget_bytes = 16 * 1024 * 1024;
  const auto resources = SharedStoreResources::Make(store_options);
  auto store = PartitionStore::Open(resources, number, "/replay");
  if (!store || !(*store)->FinishRestore()) return "the replay's store does not open";
  ProcessorOptions processor_options;
  processor_options.application_id = application;
  processor_options.partitions = partitions;
  processor_options.max_timers = kMaxTimers;
  processor_options.heartbeat_interval = options.heartbeat_interval;  // a step may consist of nothing else
  processor_options.keep_closed = kKeepClosed;
  processor_options.archive = kArchive;
  Processor processor(processor_options, engine, store->get());
  Progress first;
  first.lineage = partition.store()->progress().lineage;
  for (const TopicPartition& source : partition.sources()) first.next[SourceKey(source.topic, source.partition)] = 0;
  (*store)->SetProgress(first);

  for (const Entry& entry : broker.LogOf({names.steps, number}).entries) {
    if (entry.control || entry.fate != Fate::kCommitted) continue;
    const auto step = nlohmann::json::parse(*entry.value);
    if (!step.contains("step")) continue;  // a tick
    const std::string fingerprint = step.at("fingerprint");
    processor.SetEngine(ShippedEngine()->fingerprint == fingerprint ? ShippedEngine() : OtherEngine());
    std::vector<InputRecord> inputs;
    for (const TopicPartition& source : partition.sources()) {
      const auto range = step.at("taken").find(SourceKey(source.topic, source.partition));
      if (range == step.at("taken").end()) continue;
      const Log& log = broker.LogOf(source);
      const InputClass input_class = source.topic == names.commands ? InputClass::kCommand
                                     : source.topic == names.signals ? InputClass::kSignal
                                     : source.topic == names.intake  ? InputClass::kIntake
                                                                     : InputClass::kAlert;
      for (int64_t offset = range->at(0); offset < range->at(1).get<int64_t>(); ++offset) {
        const Entry& input = log.entries[static_cast<size_t>(offset)];
        if (input.control || input.fate != Fate::kCommitted) continue;
        inputs.push_back(InputOf(input, input_class, source, offset));
      }
    }
    SortInputs(&inputs);
    const size_t taken = inputs.size();
    if (step.at("more_due")) {
      // It ended at an input it did not take: any stands for that, at the clock that it moved to.
      InputRecord barrier;
      barrier.timestamp = FromUnixMillis(step.at("clock"));
      inputs.push_back(barrier);
    }
    const auto repeated = processor.Step(inputs, {FromUnixMillis(step.at("broker_time")), step.at("caught_up")});
    const std::string name = "step " + step.at("step").dump();
    if (!repeated) return name + ": " + repeated.error().message;
    if (repeated->taken != taken) return name + " took other inputs when it was repeated";
    if (Status committed = (*store)->Commit((*store)->position() + 1); !committed) return committed.error().message;
    if ((*store)->progress().steps != step.at("step").get<uint64_t>()) return name + " is not the next one";
  }
  const auto replayed = (*store)->Dump();
  const auto lived = partition.store()->Dump();
  if (!replayed || !lived) return "a store cannot be read";
  if (*replayed != *lived) return "the replay of its steps leads to another state";
  return std::nullopt;
}

}  // namespace triaged::sim
