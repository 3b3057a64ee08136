// The group's side of KafkaClient: who we are in it, what it gives and takes, offsets. Polling is in kafka_poll.cc.
#include "daemon/kafka_client.h"

#include <regex.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <thread>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "pipeline/base/check.h"
#include "pipeline/base/hash.h"

namespace triaged {
namespace {

constexpr Duration kOffsetsBound{5'000};
constexpr Duration kAssignSpacing{50};  // stopping takes a few milliseconds
constexpr Duration kMinPollInterval{60'000};
constexpr Duration kHeartbeat{3'000};

// A static member that comes back with another subscription is ignored by the coordinator, so the subscription is part
// of its name.
std::string InstanceId(const KafkaOptions& options) {
  std::string topics = options.direct ? "direct" : "repartition";
  for (const std::string& topic : options.alert_topics) topics += "," + topic;
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(StableHash64(topics)));
  return options.instance + "-" + std::to_string(options.worker) + "-" + hash;
}

RdPartitionList MakeList(const std::vector<TopicPartition>& partitions) {
  RdPartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const TopicPartition& p : partitions) rd_kafka_topic_partition_list_add(list.get(), p.topic.c_str(), p.partition);
  return list;
}

// The generation inside group metadata, by its published serialised form: "CGMDv2:", then a native int32. nullopt: the
// form is another one.
std::optional<int32_t> GenerationOf(const rd_kafka_consumer_group_metadata_t* metadata) {
  constexpr std::string_view kMagic = "CGMDv2:";
  void* bytes = nullptr;
  size_t size = 0;
  if (const RdError error{rd_kafka_consumer_group_metadata_write(metadata, &bytes, &size)}) return std::nullopt;
  std::optional<int32_t> generation;
  if (size >= kMagic.size() + sizeof(int32_t) && std::memcmp(bytes, kMagic.data(), kMagic.size()) == 0) {
    generation = 0;
    std::memcpy(&*generation, static_cast<const char*>(bytes) + kMagic.size(), sizeof(int32_t));
  }
  rd_kafka_mem_free(nullptr, bytes);
  return generation;
}

// Reading what we write ourselves would feed our outputs back as alerts.
Status CheckAlertTopics(const std::vector<std::string>& topics, const TopicNames& names) {
  if (topics.empty()) return BadInput("kafka.alert_topics is empty: name at least one topic");
  for (const std::string& topic : topics) {
    const bool pattern = topic.starts_with('^');
    regex_t compiled;
    if (pattern && regcomp(&compiled, topic.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
      return BadInput("kafka.alert_topics: '" + topic + "' is not a regular expression (POSIX extended)");
    }
    std::string own;
    for (size_t i = 0; i < kOutputTopicCount && own.empty(); ++i) {
      const std::string& name = names.Of(static_cast<OutputTopic>(i));
      if (pattern ? regexec(&compiled, name.c_str(), 0, nullptr, 0) == 0 : topic == name) own = name;
    }
    if (pattern) regfree(&compiled);
    if (!own.empty()) {
      return BadInput("kafka.alert_topics: '" + topic + "' takes in our own topic '" + own +
                      "': narrow it, or choose another application_id");
    }
  }
  return {};
}

}  // namespace

KafkaClient::KafkaClient(KafkaOptions options)
    : options_(std::move(options)), names_(TopicNames::For(options_.application_id)) {}

KafkaClient::~KafkaClient() {
  DropPolled();
  strays_.clear();
  // A client that outlives its time to end must not write to a descriptor that has become somebody else's.
  if (group_queue_) rd_kafka_queue_io_event_enable(group_queue_.get(), -1, nullptr, 0);
}

Result<std::unique_ptr<BrokerClient>> KafkaClient::Make(KafkaOptions options) {
  std::unique_ptr<KafkaClient> client(new KafkaClient(std::move(options)));
  const KafkaOptions& made = client->options_;
  if (Status checked = CheckAlertTopics(made.alert_topics, client->names_); !checked) return checked.error();
  auto producer = KafkaProducer::Make(made);
  if (!producer) return producer.error();
  client->producer_ = std::move(*producer);
  auto probe = OffsetProbe::Make(made.bootstrap_servers, made.properties);
  if (!probe) return probe.error();
  client->probe_ = std::move(*probe);
  if (Status consumer = client->MakeConsumer(); !consumer) return consumer.error();
  return std::unique_ptr<BrokerClient>(std::move(client));
}

Status KafkaClient::MakeConsumer() {
  const Properties defaults = {
      {"fetch.wait.max.ms", "20"},
      {"fetch.message.max.bytes", "8388608"},
      {"topic.metadata.refresh.interval.ms", "10000"},  // new topics of a pattern, new partitions
      // A rebalance is learned of with a heartbeat.
      {"heartbeat.interval.ms", std::to_string(std::min(kHeartbeat, options_.session_timeout / 6).count())},
  };
  const Properties required = {
      {"bootstrap.servers", options_.bootstrap_servers},
      {"group.id", options_.application_id},
      {"group.instance.id", InstanceId(options_)},
      {"partition.assignment.strategy", "range"},
      {"session.timeout.ms", std::to_string(options_.session_timeout.count())},
      {"max.poll.interval.ms", std::to_string(std::max(kMinPollInterval, options_.session_timeout).count())},
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"isolation.level", "read_committed"},
      // Every partition is assigned an explicit offset: one that the broker does not have is told, never skipped.
      {"auto.offset.reset", "error"},
      {"enable.partition.eof", "true"},
      {"check.crcs", "true"},
      // Bytes are the limit, not records. A full queue puts the fetcher to sleep for up to a second.
      {"queued.min.messages", "1000000"},
      {"queued.max.messages.kbytes", std::to_string(std::max<int64_t>(options_.prefetch_bytes / 1024, 1))},
      {"socket.nagle.disable", "true"},
      {"allow.auto.create.topics", "false"},
  };
  auto conf = MakeConf(defaults, options_.properties, required);
  if (!conf) return conf.error();
  rd_kafka_conf_set_opaque(conf->get(), this);
  rd_kafka_conf_set_rebalance_cb(conf->get(), &KafkaClient::OnRebalance);
  auto handle = MakeHandle(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!handle) return handle.error();
  consumer_ = std::move(*handle);
  rd_kafka_poll_set_consumer(consumer_.get());
  group_queue_.reset(rd_kafka_queue_get_consumer(consumer_.get()));
  waker_.Watch(group_queue_.get());
  NewClassQueues();
  return {};
}

Status KafkaClient::Start(Duration bound) {
  if (Status started = producer_->Start(bound); !started) return started;
  return Subscribe();
}

// Never commands and signals: two topics of one subscription are not sure to be assigned together, so the owner of an
// intake partition adds theirs itself.
Status KafkaClient::Subscribe() {
  std::vector<std::string> topics;
  if (options_.direct) {
    topics.push_back(options_.alert_topics.front());
  } else {
    topics = options_.alert_topics;
    topics.push_back(names_.intake);
  }
  RdPartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(topics.size())));
  for (const std::string& topic : topics) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  }
  const auto code = rd_kafka_subscribe(consumer_.get(), list.get());
  if (code) return EnvironmentError("subscribing: " + ErrorText(code));
  return {};
}

void KafkaClient::OnRebalance(rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list, void* self) {
  static_cast<KafkaClient*>(self)->TakeRebalance(code, list);
}

// The group waits for our answer, which the worker gives by Assign.
void KafkaClient::TakeRebalance(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t* list) {
  GroupEvent event;
  group_metadata_.reset();
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    event.kind = GroupEventKind::kAssigned;
    holds_assignment_ = true;
    // The generation of this assignment: what fences us once we no longer own it. One of -1 (the group has thrown us
    // out meanwhile) would be taken by the broker unfenced: such an assignment is over before it began.
    RdGroupMetadata metadata = OwnGroupMetadata(rd_kafka_consumer_group_metadata(consumer_.get()));
    if (metadata && GenerationOf(metadata.get()).value_or(0) >= 0) {
      group_metadata_ = std::move(metadata);
    } else {
      event.kind = GroupEventKind::kLost;
    }
  } else {
    event.kind = rd_kafka_assignment_lost(consumer_.get()) ? GroupEventKind::kLost : GroupEventKind::kRevoked;
    holds_assignment_ = false;
    revoke_owed_ = true;
  }
  for (int i = 0; i < list->cnt; ++i) event.partitions.push_back({list->elems[i].topic, list->elems[i].partition});
  events_.push_back(std::move(event));
}

InputClass KafkaClient::ClassOf(std::string_view topic) const {
  if (topic == names_.commands) return InputClass::kCommand;
  if (topic == names_.signals) return InputClass::kSignal;
  return topic == names_.intake ? InputClass::kIntake : InputClass::kAlert;
}

// Made anew with each assignment: what the old ones still hold was fetched under the previous one.
void KafkaClient::NewClassQueues() {
  for (RdQueue& queue : class_queues_) {
    queue.reset(rd_kafka_queue_new(consumer_.get()));
    waker_.Watch(queue.get());
  }
}

// librdkafka stops the previous assignment's partitions on its own thread, some time after rd_kafka_assign returned,
// and clears their forwarding when it does; it is set again until something came through.
void KafkaClient::Forward() {
  if (all_flowing_) return;
  all_flowing_ = true;
  for (auto& [where, source] : sources_) {
    if (source.flowing) continue;
    all_flowing_ = false;
    rd_kafka_queue_forward(source.queue.get(), class_queues_[static_cast<size_t>(source.input_class)].get());
  }
}

// An assignment that comes before librdkafka has stopped the fetchers of the one before last stops them twice, and the
// second answer fails an assertion of its own (librdkafka issue 5573). There is no way to ask whether they stopped.
void KafkaClient::WaitForFetchersToStop() {
  const Duration since = MonotonicTime() - assigned_at_;
  if (since < kAssignSpacing) std::this_thread::sleep_for(kAssignSpacing - since);
  assigned_at_ = MonotonicTime();
}

Status KafkaClient::Assign(const std::vector<PartitionOffset>& partitions) {
  WaitForFetchersToStop();
  DropPolled();
  strays_.clear();
  by_topic_.clear();
  sources_.clear();
  NewClassQueues();
  RdPartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const PartitionOffset& p : partitions) {
    TRIAGED_CHECK(p.offset >= 0);
    rd_kafka_topic_partition_list_add(list.get(), p.where.topic.c_str(), p.where.partition)->offset = p.offset;
  }
  // Answering a revocation is rd_kafka_assign(NULL): it lets the group go on.
  const bool answer_revoke = partitions.empty() && revoke_owed_;
  revoke_owed_ = false;
  const auto code = rd_kafka_assign(consumer_.get(), answer_revoke ? nullptr : list.get());
  if (code) return EnvironmentError("assigning partitions: " + ErrorText(code));
  for (const PartitionOffset& p : partitions) {
    Source& source = sources_[p.where];
    source.input_class = ClassOf(p.where.topic);
    source.next = p.offset;
    source.queue.reset(rd_kafka_queue_get_partition(consumer_.get(), p.where.topic.c_str(), p.where.partition));
    if (!source.queue) return EnvironmentError("no queue for a partition of '" + p.where.topic + "'");
  }
  all_flowing_ = sources_.empty();
  Forward();
  return {};
}

Result<std::map<TopicPartition, BrokerClient::Committed>> KafkaClient::CommittedOffsets(
    const std::vector<TopicPartition>& partitions, Duration bound) {
  std::map<TopicPartition, Committed> committed;
  if (partitions.empty()) return committed;
  const RdPartitionList list = MakeList(partitions);
  const auto code = rd_kafka_committed(consumer_.get(), list.get(), Millis(bound));
  if (code) return EnvironmentError("the group's offsets are not known yet: " + ErrorText(code));
  for (int i = 0; i < list->cnt; ++i) {
    const auto& entry = list->elems[i];
    if (entry.err) return EnvironmentError("the group's offset of " + std::string(entry.topic) + ": " + ErrorText(entry.err));
    Committed& one = committed[{entry.topic, entry.partition}];
    if (entry.offset >= 0) one.offset = entry.offset;
    if (entry.metadata) one.metadata.assign(static_cast<const char*>(entry.metadata), entry.metadata_size);
  }
  return committed;
}

std::vector<std::pair<TopicPartition, int64_t>> KafkaClient::Lags() const {
  std::vector<std::pair<TopicPartition, int64_t>> lags;
  for (const auto& [where, source] : sources_) {
    int64_t low = 0;
    int64_t high = -1;
    const auto code =
        rd_kafka_get_watermark_offsets(consumer_.get(), where.topic.c_str(), where.partition, &low, &high);
    if (!code && high >= 0) lags.emplace_back(where, std::max<int64_t>(0, high - source.next));
  }
  return lags;
}

Result<BrokerClient::Watermarks> KafkaClient::QueryWatermarks(const TopicPartition& partition, Duration bound) {
  return probe_->Query(partition, bound);
}

Status KafkaClient::OpenChangelog(int32_t partition, int64_t from, int64_t end) {
  if (!changelog_) {
    auto reader = ChangelogReader::Make(options_.bootstrap_servers, options_.properties, names_.state);
    if (!reader) return reader.error();
    changelog_ = std::move(*reader);
  }
  if (end != kFollow) producer_->KnowStateEnd(partition, end);
  return changelog_->Open(partition, from, end);
}

Result<ChangelogSlice> KafkaClient::ReadChangelog(int32_t partition, size_t max_records, Duration bound) {
  TRIAGED_CHECK(changelog_ != nullptr);
  return changelog_->Read(partition, max_records, bound);
}

// With the last partition goes the reader: its threads and connections serve nothing until the next rebalance.
void KafkaClient::CloseChangelog(int32_t partition) {
  if (!changelog_) return;
  changelog_->Close(partition);
  if (changelog_->empty()) changelog_.reset();
}

Status KafkaClient::SendOffsets(const std::vector<PartitionOffset>& offsets) {
  if (!group_metadata_) return EnvironmentError("the assignment is over: nothing may be committed under it");
  return producer_->SendOffsets(offsets, group_metadata_, kOffsetsBound);
}

Duration KafkaClient::Monotonic() const { return MonotonicTime(); }

// Closing alone sends no LeaveGroup for a static member. Once it has unsubscribed and holds nothing, closing brings no
// revocation, and is waited for only so that the request goes out.
void KafkaClient::Leave(Duration bound) {
  DropPolled();
  const Duration end = MonotonicTime() + bound;
  rd_kafka_unsubscribe(consumer_.get());
  while (holds_assignment_ && MonotonicTime() < end) {
    const RdMessage ignored(rd_kafka_consumer_poll(consumer_.get(), 50));
  }
  if (holds_assignment_ || !Assign({})) return;
  const RdQueue queue(rd_kafka_queue_new(consumer_.get()));
  if (const RdError error{rd_kafka_consumer_close_queue(consumer_.get(), queue.get())}) return;
  while (!rd_kafka_consumer_closed(consumer_.get()) && MonotonicTime() < end) {
    if (rd_kafka_event_t* event = rd_kafka_queue_poll(queue.get(), 50)) rd_kafka_event_destroy(event);
  }
}

}  // namespace triaged
