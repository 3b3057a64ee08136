// The clean replay of what a daemon did on a real broker: reads its topics (read_committed, by a consumer of its own),
// repeats the recorded steps of `triaged.steps` with a fresh processor that never crashed, and compares
//   - the state topic, folded by key, with the state that the steps lead to, byte for byte;
//   - escalations and dead letters with what the steps put out, each exactly once, byte for byte;
//   - the last document of each case.
//
//   kafka_replay_check CONFIG [BOOTSTRAP]
//
// Prints one line of figures. Exit status 1: something differs, or there was nothing to compare.
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/broker_client.h"
#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/kafka_handles.h"
#include "pipeline/processor/processor.h"
#include "storage/codec.h"
#include "storage/keys.h"
#include "storage/partition_store.h"

namespace triaged {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

struct Stored {
  std::optional<std::string> key, value;
  std::vector<Header> headers;
  Timestamp at{};
};
using Log = std::map<int64_t, Stored>;  // by offset

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "kafka_replay_check: %s\n", why.c_str());
  std::exit(1);
}

Stored ToStored(const rd_kafka_message_t& message) {
  Stored stored;
  rd_kafka_timestamp_type_t type;
  stored.at = FromUnixMillis(rd_kafka_message_timestamp(&message, &type));
  if (message.key) stored.key.emplace(static_cast<const char*>(message.key), message.key_len);
  if (message.payload) stored.value.emplace(static_cast<const char*>(message.payload), message.len);
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers)) return stored;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); ++i) {
    stored.headers.push_back({name, std::string(static_cast<const char*>(value), size)});
  }
  return stored;
}

class Reader {
 public:
  Reader(const std::string& bootstrap, const Properties& properties) {
    auto conf = MakeConf({}, properties, {{"bootstrap.servers", bootstrap}, {"group.id", "replay-check"},
                                          {"enable.auto.commit", "false"}, {"isolation.level", "read_committed"},
                                          {"enable.partition.eof", "true"}, {"auto.offset.reset", "earliest"},
                                          {"fetch.wait.max.ms", "10"}});
    if (!conf) Fail(conf.error().message);
    auto handle = MakeHandle(RD_KAFKA_CONSUMER, std::move(*conf));
    if (!handle) Fail(handle.error().message);
    handle_ = std::move(*handle);
  }

  int PartitionsOf(const std::string& topic) {
    const RdTopic one(rd_kafka_topic_new(handle_.get(), topic.c_str(), nullptr));
    const struct rd_kafka_metadata* answer = nullptr;
    if (const auto code = rd_kafka_metadata(handle_.get(), 0, one.get(), &answer, Millis(kPatience))) Fail(ErrorText(code));
    const RdMetadata metadata(answer);
    if (metadata->topic_cnt != 1 || metadata->topics[0].err) Fail("topic " + topic + " is not there");
    return metadata->topics[0].partition_cnt;
  }

  Log Read(const std::string& topic, int32_t partition) {
    const RdPartitionList list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = 0;
    if (const auto code = rd_kafka_assign(handle_.get(), list.get())) Fail(ErrorText(code));
    Log log;
    const Duration end = MonotonicTime() + kPatience;
    while (MonotonicTime() < end) {
      const RdMessage message(rd_kafka_consumer_poll(handle_.get(), 100));
      if (!message) continue;
      if (!message->err) log[message->offset] = ToStored(*message);
      if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) continue;
      int64_t low = 0;
      int64_t high = 0;
      rd_kafka_get_watermark_offsets(handle_.get(), topic.c_str(), partition, &low, &high);
      if (message->offset < high) continue;  // a transaction is open
      rd_kafka_assign(handle_.get(), nullptr);
      return log;
    }
    Fail(topic + " could not be read to its end");
  }

 private:
  RdHandle handle_;
};

struct Figures {
  size_t steps = 0, inputs = 0, entries = 0, escalations = 0, letters = 0, documents = 0;
  size_t state_differs = 0, lost = 0, duplicated = 0, documents_differ = 0;
  Balance balance;
};

// What should be in the output topics: a value (with its key) and how often.
using Values = std::map<std::pair<std::string, std::string>, size_t>;

class Replay {
 public:
  Replay(Config config, std::shared_ptr<const Engine> engine)
      : config_(std::move(config)),
        engine_(std::move(engine)),
        names_(TopicNames::For(config_.application_id)),
        reader_(config_.kafka.bootstrap_servers, config_.kafka.properties) {}

  Figures Run() {
    for (int32_t number = 0; number < config_.kafka.partitions; ++number) RunPartition(number);
    Compare(names_.escalations, escalations_, &figures_.escalations);
    Compare(names_.dead_letter, letters_, &figures_.letters);
    CompareDocuments();
    return figures_;
  }

 private:
  std::vector<TopicPartition> Sources(int32_t number) const {
    std::vector<TopicPartition> sources;
    if (config_.kafka.routing == Routing::kDirect) {
      for (const std::string& topic : config_.kafka.alert_topics) sources.push_back({topic, number});
    } else {
      sources.push_back({names_.intake, number});
    }
    sources.push_back({names_.commands, number});
    sources.push_back({names_.signals, number});
    return sources;
  }

  InputClass ClassOf(const std::string& topic) const {
    if (topic == names_.commands) return InputClass::kCommand;
    if (topic == names_.signals) return InputClass::kSignal;
    return topic == names_.intake ? InputClass::kIntake : InputClass::kAlert;
  }

  void RunPartition(int32_t number) {
    std::map<std::string, std::string> lived;
    std::string lineage;
    for (const auto& [offset, record] : reader_.Read(names_.state, number)) {
      const std::string key = record.key.value_or("");
      if (record.value) {
        lived[key] = *record.value;
      } else {
        lived.erase(key);
      }
      if (!lineage.empty() || key != kProgressKey || !record.value) continue;
      const auto progress = DecodeProgress(*record.value);
      if (!progress) Fail(progress.error().message);
      lineage = progress->progress.lineage;
    }
    const auto replayed = RepeatSteps(number, lineage);
    figures_.entries += lived.size();
    for (const auto& [key, value] : replayed) figures_.state_differs += lived.contains(key) && lived[key] == value ? 0 : 1;
    for (const auto& [key, value] : lived) figures_.state_differs += replayed.contains(key) ? 0 : 1;
  }

  std::map<std::string, std::string> RepeatSteps(int32_t number, const std::string& lineage) {
    StoreOptions store_options;
    store_options.in_memory = true;
    store_options.memory_budget_bytes = static_cast<size_t>(config_.storage.memory_bytes);
    store_options.dedup_max_entries = static_cast<size_t>(config_.storage.dedup_max_entries);
    store_options.case_cache_entries = static_cast<size_t>(config_.storage.case_cache_entries);
    auto store = PartitionStore::Open(SharedStoreResources::Make(store_options), number, "/replay");
    if (!store || !(*store)->FinishRestore()) Fail("the replay's store does not open");
    ProcessorOptions options{config_.application_id, config_.kafka.partitions,
                             static_cast<size_t>(config_.step.max_timers), true, config_.heartbeat_interval, config_.ocsf,
                             config_.keep_closed, config_.archive};
    Processor processor(options, engine_, store->get());
    const std::vector<TopicPartition> sources = Sources(number);
    Progress first;
    first.lineage = lineage;
    for (const TopicPartition& source : sources) first.next[SourceKey(source.topic, source.partition)] = 0;
    (*store)->SetProgress(first);
    std::map<std::string, Log> logs;
    for (const TopicPartition& source : sources) logs[source.topic] = reader_.Read(source.topic, source.partition);
    for (const auto& [offset, record] : reader_.Read(names_.steps, number)) {
      const auto step = nlohmann::json::parse(record.value.value_or("{}"));
      if (step.contains("step")) RepeatStep(step, sources, logs, &processor, store->get());
    }
    figures_.balance.Add((*store)->progress().balance);
    const auto dump = (*store)->Dump();
    if (!dump) Fail(dump.error().message);
    std::map<std::string, std::string> state;
    for (const StateRecord& record : *dump) state[record.key] = record.value.value_or("");
    return state;
  }

  void RepeatStep(const nlohmann::json& step, const std::vector<TopicPartition>& sources,
                  const std::map<std::string, Log>& logs, Processor* processor, PartitionStore* store) {
    const std::string name = "partition " + step.at("partition").dump() + " step " + step.at("step").dump();
    if (step.at("fingerprint") != engine_->fingerprint) Fail(name + " was made under another policy than this one");
    std::vector<InputRecord> inputs;
    for (const TopicPartition& source : sources) {
      const auto range = step.at("taken").find(SourceKey(source.topic, source.partition));
      if (range == step.at("taken").end()) continue;
      const Log& log = logs.at(source.topic);
      const auto end = log.lower_bound(range->at(1).get<int64_t>());
      for (auto at = log.lower_bound(range->at(0).get<int64_t>()); at != end; ++at) {
        inputs.push_back(ToInput(source, at->first, at->second));
      }
    }
    SortInputs(&inputs);
    const size_t taken = inputs.size();
    if (step.at("more_due")) {
      // It ended before an input that it did not take: any stands for that, at the clock that it moved to.
      InputRecord barrier;
      barrier.timestamp = FromUnixMillis(step.at("clock"));
      inputs.push_back(barrier);
    }
    const auto repeated = processor->Step(inputs, {FromUnixMillis(step.at("broker_time")), step.at("caught_up")});
    if (!repeated) Fail(name + ": " + repeated.error().message);
    if (repeated->taken != taken) Fail(name + " took other inputs when it was repeated");
    if (!store->StagedRecords() || !store->Commit(store->position() + 1)) Fail(name + " could not be stored");
    if (store->progress().steps != step.at("step").get<uint64_t>()) Fail(name + " is not the next one: a step is missing");
    ++figures_.steps;
    figures_.inputs += taken;
    for (const OutputRecord& output : repeated->outputs) Expect(output);
  }

  InputRecord ToInput(const TopicPartition& source, int64_t offset, const Stored& stored) const {
    InputRecord input;
    input.input_class = ClassOf(source.topic);
    input.topic = source.topic;
    input.partition = source.partition;
    input.offset = offset;
    input.timestamp = stored.at;
    if (stored.key) input.key = *stored.key;
    if (stored.value) input.value = *stored.value;
    for (const Header& header : stored.headers) input.headers.emplace_back(header.name, header.value);
    return input;
  }

  void Expect(const OutputRecord& output) {
    const std::pair what{output.key.value_or(""), output.value.value_or("")};
    if (output.topic == OutputTopic::kEscalations) ++escalations_[what];
    if (output.topic == OutputTopic::kDeadLetter) ++letters_[what];
    if (output.topic == OutputTopic::kCases) documents_[what.first] = what.second;
  }

  void Compare(const std::string& topic, const Values& expected, size_t* count) {
    Values found;
    for (int32_t p = 0; p < reader_.PartitionsOf(topic); ++p) {
      for (const auto& [offset, record] : reader_.Read(topic, p)) {
        if (OfStageOne(record)) continue;  // which keeps no steps
        ++found[{record.key.value_or(""), record.value.value_or("")}];
        ++*count;
      }
    }
    for (const auto& [what, times] : expected) {
      const auto at = found.find(what);
      const size_t seen = at == found.end() ? 0 : at->second;
      if (seen < times) figures_.lost += times - seen;
      if (seen > times) figures_.duplicated += seen - times;
    }
    for (const auto& [what, times] : found) figures_.duplicated += expected.contains(what) ? 0 : times;
  }

  static bool OfStageOne(const Stored& record) {
    return std::any_of(record.headers.begin(), record.headers.end(), [](const Header& header) {
      return header.name == "triaged.error.stage" && header.value == "intake";
    });
  }

  void CompareDocuments() {
    std::map<std::string, std::string> last;
    for (int32_t p = 0; p < reader_.PartitionsOf(names_.cases); ++p) {
      for (const auto& [offset, record] : reader_.Read(names_.cases, p)) last[record.key.value_or("")] = record.value.value_or("");
    }
    figures_.documents = last.size();
    for (const auto& [key, value] : documents_) figures_.documents_differ += last[key] == value ? 0 : 1;
    figures_.documents_differ += last.size() - documents_.size();
  }

  const Config config_;
  const std::shared_ptr<const Engine> engine_;
  const TopicNames names_;
  Reader reader_;
  Figures figures_;
  Values escalations_, letters_;
  std::map<std::string, std::string> documents_;
};

int Main(int argc, char** argv) {
  if (argc < 2) Fail("usage: kafka_replay_check CONFIG [BOOTSTRAP]");
  Diagnostics diagnostics;
  auto config = LoadConfig(argv[1], &diagnostics);
  const auto engine = config ? LoadEngine(*config, &diagnostics) : nullptr;
  if (!engine) Fail("\n" + diagnostics.Render());
  if (argc > 2) config->kafka.bootstrap_servers = argv[2];
  const Figures f = Replay(*config, engine).Run();
  nlohmann::ordered_json json;
  json["steps"] = f.steps;
  json["inputs"] = f.inputs;
  json["state_entries"] = f.entries;
  json["state_differs"] = f.state_differs;
  json["escalations"] = f.escalations;
  json["dead_letters"] = f.letters;
  json["lost"] = f.lost;
  json["duplicated"] = f.duplicated;
  json["documents"] = f.documents;
  json["documents_differ"] = f.documents_differ;
  json["consumed"] = f.balance.consumed;
  for (size_t i = 0; i < kAlertOutcomeCount; ++i) {
    json[std::string(Name(static_cast<AlertOutcome>(i)))] = f.balance.outcomes[i];
  }
  json["balance_adds"] = f.balance.Adds();
  std::printf("%s\n", json.dump().c_str());
  const bool same = f.state_differs + f.lost + f.duplicated + f.documents_differ == 0 && f.balance.Adds();
  return same && f.steps > 0 && f.inputs > 0 && f.entries > 0 && f.escalations > 0 ? 0 : 1;
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
