#include "daemon/kafka_producer.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "daemon/clock.h"
#include "daemon/kafka_client.h"
#include "daemon/log.h"
#include "pipeline/base/hash.h"

namespace triaged {
namespace {

constexpr Duration kSlice{1000};            // of one blocking call
constexpr Duration kQueueFullBound{10'000};
constexpr Duration kMetadataBound{5'000};
constexpr Duration kRequestBound{5'000};

Error FromRd(const rd_kafka_error_t* error, const std::string& what) {
  return EnvironmentError(what + ": " + rd_kafka_error_string(error));
}

// rd_kafka_send_offsets_to_transaction heeds no limit: it may block for as long as the group's coordinator is away
// (librdkafka issue 5456). So it runs on a thread of its own, which keeps all that it uses until the call is over. Who
// gives up waiting makes a new producer, and that one's epoch fences whatever this one may still send.
class OffsetsCall {
 public:
  OffsetsCall(RdSharedHandle producer, RdGroupMetadata group, RdPartitionList offsets, Duration end)
      : producer_(std::move(producer)), group_(std::move(group)), offsets_(std::move(offsets)), end_(end) {}

  void Run() {
    RdError error;
    do {
      error.reset(rd_kafka_send_offsets_to_transaction(producer_.get(), offsets_.get(), group_.get(), Millis(kSlice)));
    } while (error && rd_kafka_error_is_retriable(error.get()) && MonotonicTime() < end_);
    const std::lock_guard lock(mutex_);
    if (error) status_ = FromRd(error.get(), "send_offsets_to_transaction");
    done_ = true;
    ended_.notify_all();
  }

  // nullopt: not over after `bound`.
  std::optional<Status> Wait(Duration bound) {
    std::unique_lock lock(mutex_);
    if (!ended_.wait_for(lock, bound, [this] { return done_; })) return std::nullopt;
    return status_;
  }

 private:
  const RdSharedHandle producer_;
  const RdGroupMetadata group_;
  const RdPartitionList offsets_;
  const Duration end_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;  // these two guarded by mutex_
  Status status_;
};

}  // namespace

KafkaProducer::KafkaProducer(const KafkaOptions& options)
    : names_(TopicNames::For(options.application_id)), embedded_(options.embedded), stopping_(options.stopping),
      dead_letter_style_(options.dead_letter_style), archive_(options.archive) {}

KafkaProducer::~KafkaProducer() {
  // What is still queued belongs to no committed transaction.
  if (handle_) rd_kafka_purge(handle_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

Result<std::unique_ptr<KafkaProducer>> KafkaProducer::Make(const KafkaOptions& options) {
  std::unique_ptr<KafkaProducer> producer(new KafkaProducer(options));
  const Properties defaults = {
      {"linger.ms", "2"},
      {"compression.type", "lz4"},  // states of cases that are much alike: the broker's work is most of a commit
      {"queue.buffering.max.messages", "500000"},
      {"queue.buffering.max.kbytes", "524288"},
      // No call ends before its request does.
      {"socket.timeout.ms", std::to_string(std::min(kRequestBound, options.transaction_timeout).count())},
  };
  const Properties required = {
      {"bootstrap.servers", options.bootstrap_servers},
      {"transactional.id", options.application_id + "-" + options.instance + "-" + std::to_string(options.worker)},
      {"transaction.timeout.ms", std::to_string(options.transaction_timeout.count())},
      {"enable.idempotence", "true"},
      {"acks", "all"},
      // CONCURRENT_TRANSACTIONS, the answer to a transaction right behind another, costs a whole backoff.
      {"retry.backoff.ms", "10"},
      {"socket.nagle.disable", "true"},
      // A deleted state topic must not come back with the broker's defaults.
      {"allow.auto.create.topics", "false"},
      {"message.max.bytes", std::to_string(options.max_record_bytes)},
  };
  auto conf = MakeConf(defaults, options.properties, required);
  if (!conf) return conf.error();
  rd_kafka_conf_set_opaque(conf->get(), producer.get());
  rd_kafka_conf_set_dr_msg_cb(conf->get(), &KafkaProducer::OnDelivery);
  auto handle = MakeHandle(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!handle) return handle.error();
  producer->handle_ = std::move(*handle);
  return producer;
}

void KafkaProducer::OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
  static_cast<KafkaProducer*>(self)->TakeDelivery(*message);
}

void KafkaProducer::TakeDelivery(const rd_kafka_message_t& message) {
  const char* topic = message.rkt ? rd_kafka_topic_name(message.rkt) : "";
  if (message.err) {
    const bool purged = message.err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || message.err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
    if (!purged && !delivery_failed_) {
      LogWarn("a record was not delivered; its transaction is aborted",
              {{"topic", topic}, {"partition", std::to_string(message.partition)}, {"error", ErrorText(message.err)}});
    }
    delivery_failed_ = true;
    if (message.err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || message.err == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE) {
      NoteRefused(reinterpret_cast<uintptr_t>(message._private), message.len + message.key_len);
    }
    return;
  }
  // Offset -1 is a duplicate sequence: the broker has the record, but does not say where; the old position stands.
  if (names_.state == topic && message.offset >= 0) {
    int64_t& last = state_offsets_.try_emplace(message.partition, message.offset).first->second;
    last = std::max(last, message.offset);
    int64_t& ever = ever_reached_.try_emplace(message.partition, -1).first->second;
    if (message.offset <= ever && !state_lost_) {
      state_lost_ = "topic '" + names_.state + "' was made anew or cut under us: a record of partition " +
                    std::to_string(message.partition) + " went to offset " + std::to_string(message.offset) + " after " +
                    std::to_string(ever) + " had been written; what stood there is lost";
    }
    ever = std::max(ever, message.offset);
  }
  if (embedded_) {  // stamps nothing itself, and is on this machine
    base_time_ = WallTime();
    base_monotonic_ = MonotonicTime();
    return;
  }
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const int64_t time = rd_kafka_message_timestamp(&message, &type);
  // Topics that keep the producer's time report that one, which is not the broker's.
  if (time <= 0 || type != RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME) return;
  base_time_ = FromUnixMillis(time);
  base_monotonic_ = MonotonicTime();
}

// A batch is refused as a whole: the largest record of it is the one that is too large.
void KafkaProducer::NoteRefused(size_t record, size_t bytes) {
  if (!refused_ || bytes > refused_->bytes) refused_ = {record, bytes};
}

std::optional<size_t> KafkaProducer::RefusedForSize() {
  rd_kafka_poll(handle_.get(), 0);  // the report may not have been read yet
  return refused_ ? std::optional(refused_->record) : std::nullopt;
}

void KafkaProducer::KnowStateEnd(int32_t partition, int64_t end) {
  int64_t& ever = ever_reached_.try_emplace(partition, -1).first->second;
  ever = std::max(ever, end - 1);
}

std::optional<Timestamp> KafkaProducer::BrokerTime() const {
  if (!base_time_) return std::nullopt;
  return *base_time_ + (MonotonicTime() - base_monotonic_);
}

std::optional<Error> KafkaProducer::fatal() const {
  char text[512];
  const auto code = rd_kafka_fatal_error(handle_.get(), text, sizeof text);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
  return EnvironmentError("the producer failed: " + ErrorText(code) + " (" + text + ")");
}

Status KafkaProducer::Start(Duration bound) {
  const Duration end = MonotonicTime() + bound;
  while (true) {
    const Duration left = end - MonotonicTime();
    const RdError error(rd_kafka_init_transactions(handle_.get(), std::max(Millis(std::min(kSlice, left)), 1)));
    if (!error) break;
    if (!rd_kafka_error_is_retriable(error.get()) || MonotonicTime() >= end || stopping_()) {
      return FromRd(error.get(), "init_transactions");
    }
  }
  // Metadata first: the first record to an unknown topic can wait a second (librdkafka #5032).
  for (size_t i = 0; i < kOutputTopicCount; ++i) {
    const auto topic = static_cast<OutputTopic>(i);
    if (topic == OutputTopic::kArchive && !archive_) continue;
    if (stopping_()) return EnvironmentError("stopping before our topics were known");
    const Duration left = end - MonotonicTime();
    if (Status learned = LearnPartitions(names_.Of(topic), std::min(kMetadataBound, left)); !learned) {
      return learned;
    }
  }
  return {};
}

Status KafkaProducer::LearnPartitions(const std::string& topic, Duration bound) {
  const RdTopic handle(rd_kafka_topic_new(handle_.get(), topic.c_str(), nullptr));
  if (!handle) return EnvironmentError("asking for topic '" + topic + "': " + ErrorText(rd_kafka_last_error()));
  const struct rd_kafka_metadata* answer = nullptr;
  const auto code = rd_kafka_metadata(handle_.get(), 0, handle.get(), &answer, std::max(Millis(bound), 1));
  if (code) return EnvironmentError("asking for topic '" + topic + "': " + ErrorText(code));
  const RdMetadata metadata(answer);
  const auto why = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
  if (why == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
    return EnvironmentError("topic '" + topic + "' is not there: create it with `triagectl topics create`");
  }
  if (why) return EnvironmentError("topic '" + topic + "': " + ErrorText(why));
  partition_counts_[topic] = metadata->topics[0].partition_cnt;
  return {};
}

int32_t KafkaProducer::StatePartitions() const {
  const auto count = partition_counts_.find(names_.state);
  return count == partition_counts_.end() ? 0 : count->second;
}

Status KafkaProducer::Begin() {
  rd_kafka_poll(handle_.get(), 0);  // reports of an aborted transaction are not this one's
  state_offsets_.clear();
  produced_ = 0;
  delivery_failed_ = false;
  refused_.reset();
  if (state_lost_) return Error{ErrorClass::kInvariant, *state_lost_ + "; restore the topic, or start once with --accept-data-loss"};
  const RdError error(rd_kafka_begin_transaction(handle_.get()));
  if (error) return FromRd(error.get(), "begin_transaction");
  return {};
}

Result<int32_t> KafkaProducer::PartitionOf(const OutputRecord& record) {
  if (record.partition >= 0) return record.partition;
  if (!record.key) return RD_KAFKA_PARTITION_UA;  // any will do
  const auto count = partition_counts_.find(names_.Of(record.topic));
  if (count == partition_counts_.end() || count->second <= 0) {
    return EnvironmentError("topic '" + names_.Of(record.topic) + "' is not known to the producer");
  }
  return PartitionForKey(*record.key, count->second);
}

Status KafkaProducer::Send(const OutputRecord& record, int32_t partition) {
  rd_kafka_headers_t* headers = record.headers.empty() ? nullptr : rd_kafka_headers_new(record.headers.size());
  for (const Header& header : record.headers) {
    rd_kafka_header_add(headers, header.name.data(), static_cast<ssize_t>(header.name.size()), header.value.data(),
                        static_cast<ssize_t>(header.value.size()));
  }
  const std::string& topic = names_.Of(record.topic);
  const void* key = record.key ? record.key->data() : nullptr;
  const size_t key_size = record.key ? record.key->size() : 0;
  void* value = record.value ? const_cast<char*>(record.value->data()) : nullptr;  // copied, never written to
  const size_t value_size = record.value ? record.value->size() : 0;
  const int64_t timestamp = record.timestamp ? ToUnixMillis(*record.timestamp) : 0;
  const Duration end = MonotonicTime() + kQueueFullBound;
  while (true) {
    const auto code = rd_kafka_producev(
        handle_.get(), RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_VALUE(value, value_size),
        RD_KAFKA_V_TIMESTAMP(timestamp), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_OPAQUE(reinterpret_cast<void*>(produced_)), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {  // the headers belong to the record now
      ++produced_;
      return {};
    }
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && MonotonicTime() < end) {
      rd_kafka_poll(handle_.get(), 10);
      continue;
    }
    if (headers) rd_kafka_headers_destroy(headers);
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) NoteRefused(produced_, key_size + value_size);
    return EnvironmentError("producing to '" + topic + "' (" + std::to_string(partition) + "): " + ErrorText(code));
  }
}

Status KafkaProducer::Produce(const OutputRecord& record) {
  const auto partition = PartitionOf(record);
  if (!partition) return partition.error();
  if (record.topic != OutputTopic::kDeadLetter || dead_letter_style_ == DeadLetterStyle::kTriaged) {
    return Send(record, *partition);
  }
  OutputRecord styled = record;
  AddDeadLetterHeaders(dead_letter_style_, &styled);
  return Send(styled, *partition);
}

Status KafkaProducer::SendOffsets(const std::vector<PartitionOffset>& offsets, const RdGroupMetadata& group,
                                  Duration bound) {
  RdPartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  for (const PartitionOffset& offset : offsets) {
    auto* entry = rd_kafka_topic_partition_list_add(list.get(), offset.where.topic.c_str(), offset.where.partition);
    entry->offset = offset.offset;
    if (offset.metadata.empty()) continue;
    // The list owns it from here on, and ends it with free().
    entry->metadata = strndup(offset.metadata.data(), offset.metadata.size());
    entry->metadata_size = offset.metadata.size();
  }
  const auto call = std::make_shared<OffsetsCall>(handle_, group, std::move(list), MonotonicTime() + bound);
  std::thread([call] { call->Run(); }).detach();
  if (const auto sent = call->Wait(bound + kRequestBound)) return *sent;
  left_behind_ = true;
  return EnvironmentError("send_offsets_to_transaction: no answer within " + FormatDuration(bound + kRequestBound));
}

CommitOutcome KafkaProducer::Commit(Duration bound) {
  const Duration end = MonotonicTime() + bound;
  // As committing would: so that what the reports say is known before.
  rd_kafka_flush(handle_.get(), Millis(kSlice));
  if (delivery_failed_ || state_lost_) return CommitOutcome::kAborted;
  while (true) {
    const RdError error(rd_kafka_commit_transaction(handle_.get(), Millis(kSlice)));
    if (!error) return CommitOutcome::kCommitted;
    if (rd_kafka_error_txn_requires_abort(error.get())) {
      LogWarn("a transaction cannot commit", {{"error", rd_kafka_error_string(error.get())}});
      return CommitOutcome::kAborted;
    }
    if (!rd_kafka_error_is_retriable(error.get()) || MonotonicTime() >= end) {
      LogWarn("whether a transaction committed is not known", {{"error", rd_kafka_error_string(error.get())}});
      return CommitOutcome::kUnknown;
    }
  }
}

Status KafkaProducer::Abort(Duration bound) {
  if (left_behind_) return EnvironmentError("the producer still waits for its answer and is left behind");
  const Duration end = MonotonicTime() + bound;
  while (true) {
    const RdError error(rd_kafka_abort_transaction(handle_.get(), Millis(kSlice)));
    if (!error) return {};
    if (!rd_kafka_error_is_retriable(error.get()) || MonotonicTime() >= end) {
      return FromRd(error.get(), "abort_transaction");
    }
  }
}

Status ProduceOne(const std::string& bootstrap_servers, const Properties& properties, const std::string& topic,
                  int32_t partition, const std::string& key, const std::string& value, Duration bound) {
  rd_kafka_resp_err_t delivered = RD_KAFKA_RESP_ERR__TIMED_OUT;
  auto conf = MakeConf({}, properties, {{"bootstrap.servers", bootstrap_servers}, {"acks", "all"},
                                        {"message.timeout.ms", std::to_string(bound.count())},
                                        {"allow.auto.create.topics", "false"}});
  if (!conf) return conf.error();
  rd_kafka_conf_set_opaque(conf->get(), &delivered);
  rd_kafka_conf_set_dr_msg_cb(conf->get(), [](rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    *static_cast<rd_kafka_resp_err_t*>(opaque) = message->err;
  });
  auto handle = MakeHandle(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!handle) return handle.error();
  const auto code = rd_kafka_producev(
      handle->get(), RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data(), key.size()),
      RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()), RD_KAFKA_V_END);
  if (code) return EnvironmentError("producing to '" + topic + "': " + ErrorText(code));
  rd_kafka_flush(handle->get(), Millis(bound));
  if (delivered) return EnvironmentError("producing to '" + topic + "': " + ErrorText(delivered));
  return {};
}

}  // namespace triaged
