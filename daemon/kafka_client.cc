#include "daemon/kafka_client.h"

#include <algorithm>
#include <cstdio>

#include "daemon/clock.h"
#include "pipeline/base/check.h"
#include "pipeline/base/hash.h"

namespace triaged {
namespace {

constexpr Duration kQuiet{5};         // the queues stayed empty this long: the poll ends
constexpr Duration kOffsetsBound{5'000};

int Millis(Duration d) { return static_cast<int>(std::max<int64_t>(d.count(), 0)); }

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

}  // namespace

KafkaClient::KafkaClient(KafkaOptions options)
    : options_(std::move(options)), names_(TopicNames::For(options_.application_id)) {}

KafkaClient::~KafkaClient() { DropPolled(); }

Result<std::unique_ptr<BrokerClient>> KafkaClient::Make(KafkaOptions options) {
  std::unique_ptr<KafkaClient> client(new KafkaClient(std::move(options)));
  auto producer = KafkaProducer::Make(client->options_);
  if (!producer) return producer.error();
  client->producer_ = std::move(*producer);
  if (Status made = client->MakeConsumer(); !made) return made.error();
  return std::unique_ptr<BrokerClient>(std::move(client));
}

Status KafkaClient::MakeConsumer() {
  const Properties ours = {
      {"bootstrap.servers", options_.bootstrap_servers},
      {"group.id", options_.application_id},
      {"group.instance.id", InstanceId(options_)},
      {"partition.assignment.strategy", "range"},
      {"session.timeout.ms", std::to_string(options_.session_timeout.count())},
      {"max.poll.interval.ms", std::to_string(std::max<int64_t>(60'000, options_.session_timeout.count()))},
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"isolation.level", "read_committed"},
      {"auto.offset.reset", "error"},
      {"enable.partition.eof", "true"},
      {"check.crcs", "true"},
      {"fetch.wait.max.ms", "20"},
      {"fetch.message.max.bytes", "8388608"},
      {"queued.max.messages.kbytes", std::to_string(options_.prefetch_bytes / 1024)},
      {"socket.nagle.disable", "true"},
      {"allow.auto.create.topics", "false"},
      {"topic.metadata.refresh.interval.ms", "10000"},
  };
  auto conf = MakeConf(options_.properties, ours);
  if (!conf) return conf.error();
  rd_kafka_conf_set_opaque(conf->get(), this);
  rd_kafka_conf_set_rebalance_cb(conf->get(), &KafkaClient::OnRebalance);
  auto handle = MakeHandle(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!handle) return handle.error();
  consumer_ = std::move(*handle);
  rd_kafka_poll_set_consumer(consumer_.get());
  for (RdQueue& queue : class_queues_) queue.reset(rd_kafka_queue_new(consumer_.get()));
  return {};
}

Status KafkaClient::Start(Duration bound) {
  if (Status started = producer_->Start(bound); !started) return started;
  return Subscribe();
}

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

void KafkaClient::TakeRebalance(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t* list) {
  GroupEvent event;
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    event.kind = GroupEventKind::kAssigned;
    // The generation of this assignment: what fences us once we no longer own it.
    group_metadata_.reset(rd_kafka_consumer_group_metadata(consumer_.get()));
  } else {
    event.kind = rd_kafka_assignment_lost(consumer_.get()) ? GroupEventKind::kLost : GroupEventKind::kRevoked;
  }
  for (int i = 0; i < list->cnt; ++i) event.partitions.push_back({list->elems[i].topic, list->elems[i].partition});
  events_.push_back(std::move(event));
}

Status KafkaClient::Assign(const std::vector<PartitionOffset>& partitions) {
  DropPolled();
  consumed_.clear();
  // The class queues are made anew: what they still hold was fetched under the previous assignment.
  for (RdQueue& queue : class_queues_) queue.reset(rd_kafka_queue_new(consumer_.get()));
  RdPartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const PartitionOffset& p : partitions) {
    TRIAGED_CHECK(p.offset >= 0);
    rd_kafka_topic_partition_list_add(list.get(), p.where.topic.c_str(), p.where.partition)->offset = p.offset;
    consumed_.insert(p.where);
  }
  // Answering a revocation with an assignment of nothing is rd_kafka_assign(NULL): it lets the group go on.
  const bool answer_revoke = partitions.empty() && rejoin_owed_;
  rejoin_owed_ = false;
  const auto code = rd_kafka_assign(consumer_.get(), answer_revoke ? nullptr : list.get());
  if (code) return EnvironmentError("assigning partitions: " + ErrorText(code));
  for (const PartitionOffset& p : partitions) {
    RdQueue queue(rd_kafka_queue_get_partition(consumer_.get(), p.where.topic.c_str(), p.where.partition));
    if (!queue) return EnvironmentError("no queue for " + p.where.topic);
    rd_kafka_queue_forward(queue.get(), QueueOf(ClassOf(p.where.topic)));
  }
  return {};
}

InputClass KafkaClient::ClassOf(std::string_view topic) const {
  if (topic == names_.commands) return InputClass::kCommand;
  return topic == names_.intake ? InputClass::kIntake : InputClass::kAlert;
}

void KafkaClient::DropPolled() { messages_.clear(); }

// Rebalances, errors and the liveness of the member; never a record, those are forwarded to the class queues.
void KafkaClient::ServeGroup(PollResult* result) {
  while (RdMessage message{rd_kafka_consumer_poll(consumer_.get(), 0)}) {
    size_t bytes = 0;
    TakeMessage(std::move(message), result, &bytes);
    if (fatal_ || !events_.empty()) break;
  }
  char text[512];
  const auto code = rd_kafka_fatal_error(consumer_.get(), text, sizeof text);
  if (code) {
    fatal_ = EnvironmentError("the consumer failed: " + ErrorText(code) + " (" + text + ")");
    fenced_instance_ = code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
  }
  if (!fatal_) fatal_ = producer_->fatal();
}

void KafkaClient::FillRecord(const rd_kafka_message_t& message, InputRecord* record) const {
  record->topic = rd_kafka_topic_name(message.rkt);
  record->input_class = ClassOf(record->topic);
  record->partition = message.partition;
  record->offset = message.offset;
  rd_kafka_timestamp_type_t type;
  record->timestamp = FromUnixMillis(std::max<int64_t>(rd_kafka_message_timestamp(&message, &type), 0));
  if (message.key) record->key = {static_cast<const char*>(message.key), message.key_len};
  if (message.payload) record->value = {static_cast<const char*>(message.payload), message.len};
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers)) return;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); ++i) {
    record->headers.emplace_back(name, std::string_view(static_cast<const char*>(value), value ? size : 0));
  }
}

void KafkaClient::TakeMessage(RdMessage message, PollResult* result, size_t* bytes) {
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    result->reached_end.push_back({rd_kafka_topic_name(message->rkt), message->partition});
    return;
  }
  if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
    const std::string topic = message->rkt ? rd_kafka_topic_name(message->rkt) : "?";
    fatal_ = EnvironmentError("topic '" + topic + "' partition " + std::to_string(message->partition) +
                              " no longer has the offset to go on from (" + rd_kafka_message_errstr(message.get()) + ")");
    return;
  }
  if (message->err || !message->rkt) return;  // librdkafka goes on by itself; a fatal one is asked for below
  const TopicPartition where{rd_kafka_topic_name(message->rkt), message->partition};
  if (!consumed_.contains(where)) return;  // fetched under an assignment that is over
  InputRecord record;
  FillRecord(*message, &record);
  *bytes += message->len + message->key_len;
  result->records.push_back(std::move(record));
  messages_.push_back(std::move(message));
}

PollResult KafkaClient::Poll(const PollLimits& limits) {
  DropPolled();
  PollResult result;
  ServeGroup(&result);
  size_t bytes = 0;
  const Duration end = MonotonicTime() + limits.max_wait;
  Duration quiet_since = MonotonicTime();
  while (!fatal_ && events_.empty() && result.records.size() < limits.max_records && bytes < limits.max_bytes) {
    bool took = false;
    for (InputClass input_class : {InputClass::kCommand, InputClass::kIntake, InputClass::kAlert}) {
      if (input_class == InputClass::kAlert && !limits.take_alerts) continue;
      while (result.records.size() < limits.max_records && bytes < limits.max_bytes) {
        RdMessage message(rd_kafka_consume_queue(QueueOf(input_class), 0));
        if (!message) break;
        TakeMessage(std::move(message), &result, &bytes);
        took = true;
      }
    }
    const Duration now = MonotonicTime();
    if (took) quiet_since = now;
    const bool quiet = !result.records.empty() && now - quiet_since >= kQuiet;
    if (quiet || now >= end || (!result.reached_end.empty() && result.records.empty())) break;
    if (took) continue;
    // Waits on the group's queue, which also brings rebalances at once.
    if (RdMessage message{rd_kafka_consumer_poll(consumer_.get(), result.records.empty() ? 2 : 1)}) {
      TakeMessage(std::move(message), &result, &bytes);
    }
  }
  if (!events_.empty()) {
    result.event = std::move(events_.front());
    events_.pop_front();
    rejoin_owed_ = result.event->kind != GroupEventKind::kAssigned;
    result.records.clear();
    result.reached_end.clear();
    DropPolled();
  }
  result.fatal = fatal_;
  result.fenced_instance = fenced_instance_;
  return result;
}

Result<std::map<TopicPartition, BrokerClient::Committed>> KafkaClient::CommittedOffsets(
    const std::vector<TopicPartition>& partitions, Duration bound) {
  const RdPartitionList list = MakeList(partitions);
  const auto code = rd_kafka_committed(consumer_.get(), list.get(), Millis(bound));
  if (code) return EnvironmentError("the group's offsets are not known yet: " + ErrorText(code));
  std::map<TopicPartition, Committed> committed;
  for (int i = 0; i < list->cnt; ++i) {
    const auto& entry = list->elems[i];
    if (entry.err) return EnvironmentError("the group's offset of " + std::string(entry.topic) + ": " + ErrorText(entry.err));
    Committed& one = committed[{entry.topic, entry.partition}];
    if (entry.offset >= 0) one.offset = entry.offset;
    if (entry.metadata) one.metadata.assign(static_cast<const char*>(entry.metadata), entry.metadata_size);
  }
  return committed;
}

Result<BrokerClient::Watermarks> KafkaClient::QueryWatermarks(const TopicPartition& partition, Duration bound) {
  Watermarks marks;
  const auto code = rd_kafka_query_watermark_offsets(consumer_.get(), partition.topic.c_str(), partition.partition,
                                                     &marks.low, &marks.high, Millis(bound));
  if (code) return EnvironmentError("asking for the ends of " + partition.topic + ": " + ErrorText(code));
  return marks;
}

Status KafkaClient::OpenChangelog(int32_t partition, int64_t from, int64_t end) {
  Changelog& changelog = changelogs_[partition];
  changelog.next = from;
  changelog.end = end;
  changelog.reader.reset();
  if (from >= end) return {};
  const Properties ours = {{"bootstrap.servers", options_.bootstrap_servers}, {"group.id", names_.state + "-reader"},
                           {"enable.auto.commit", "false"},                   {"isolation.level", "read_committed"},
                           {"auto.offset.reset", "earliest"},                 {"enable.partition.eof", "true"},
                           {"check.crcs", "true"},                            {"fetch.wait.max.ms", "20"},
                           {"socket.nagle.disable", "true"},                  {"allow.auto.create.topics", "false"}};
  auto conf = MakeConf(options_.properties, ours);
  if (!conf) return conf.error();
  auto handle = MakeHandle(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!handle) return handle.error();
  changelog.reader = std::move(*handle);
  RdPartitionList list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), names_.state.c_str(), partition)->offset = from;
  const auto code = rd_kafka_assign(changelog.reader.get(), list.get());
  if (code) return EnvironmentError("reading the changelog: " + ErrorText(code));
  return {};
}

Result<ChangelogSlice> KafkaClient::ReadChangelog(int32_t partition, size_t max_records, Duration bound) {
  Changelog& changelog = changelogs_.at(partition);
  ChangelogSlice slice;
  const Duration end = MonotonicTime() + bound;
  while (changelog.next < changelog.end && slice.records.size() < max_records && MonotonicTime() < end) {
    const RdMessage message(rd_kafka_consumer_poll(changelog.reader.get(), Millis(std::min(Duration(100), end - MonotonicTime()))));
    if (!message) continue;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      // Its offset is the last stable one: with a transaction still open it comes before the end we wait for.
      changelog.next = std::max(changelog.next, message->offset);
      continue;
    }
    if (message->err) continue;
    ChangelogSlice::Record record;
    record.key.assign(static_cast<const char*>(message->key), message->key_len);
    if (message->payload) record.value.emplace(static_cast<const char*>(message->payload), message->len);
    record.offset = message->offset;
    changelog.next = message->offset + 1;
    slice.records.push_back(std::move(record));
  }
  slice.next_offset = changelog.next;
  slice.at_end = changelog.next >= changelog.end;
  return slice;
}

void KafkaClient::CloseChangelog(int32_t partition) { changelogs_.erase(partition); }

Status KafkaClient::SendOffsets(const std::vector<PartitionOffset>& offsets) {
  if (!group_metadata_) return EnvironmentError("no assignment was taken: nothing may be committed");
  return producer_->SendOffsets(offsets, group_metadata_.get(), kOffsetsBound);
}

Duration KafkaClient::Monotonic() const { return MonotonicTime(); }

void KafkaClient::Close(bool leave_group, Duration bound) {
  DropPolled();
  changelogs_.clear();
  const Duration end = MonotonicTime() + bound;
  if (leave_group) {
    // close() alone sends no LeaveGroup for a static member.
    rd_kafka_unsubscribe(consumer_.get());
    while (rd_kafka_assignment_lost(consumer_.get()) == 0 && events_.empty() && MonotonicTime() < end) {
      const RdMessage ignored(rd_kafka_consumer_poll(consumer_.get(), 50));
    }
  }
  rd_kafka_assign(consumer_.get(), nullptr);
  RdQueue queue(rd_kafka_queue_new(consumer_.get()));
  if (const RdError error{rd_kafka_consumer_close_queue(consumer_.get(), queue.get())}) return;
  while (!rd_kafka_consumer_closed(consumer_.get()) && MonotonicTime() < end) {
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue.get(), 50);
    if (!event) continue;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) rd_kafka_assign(consumer_.get(), nullptr);
    rd_kafka_event_destroy(event);
  }
}

}  // namespace triaged
