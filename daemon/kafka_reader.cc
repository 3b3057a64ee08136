#include "daemon/kafka_reader.h"

#include <algorithm>

#include "daemon/clock.h"
#include "pipeline/base/check.h"

namespace triaged {
namespace {

constexpr Duration kWait{100};        // one wait for changelog records
constexpr Duration kWaitForMore{5};   // once there are some

std::string Where(const TopicPartition& partition) {
  return "'" + partition.topic + "' partition " + std::to_string(partition.partition);
}

// What no waiting repairs, or what must not be passed over: told to the caller, who opens the partition anew.
bool EndsReading(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__DESTROY: return true;
    default: return false;
  }
}

}  // namespace

Result<std::unique_ptr<OffsetProbe>> OffsetProbe::Make(const std::string& bootstrap_servers,
                                                       const Properties& properties) {
  auto conf = MakeConf({}, properties, {{"bootstrap.servers", bootstrap_servers},
                                        {"isolation.level", "read_uncommitted"},
                                        {"enable.auto.commit", "false"},
                                        {"socket.nagle.disable", "true"},
                                        {"allow.auto.create.topics", "false"}});
  if (!conf) return conf.error();
  auto handle = MakeHandle(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!handle) return handle.error();
  return std::unique_ptr<OffsetProbe>(new OffsetProbe(std::move(*handle)));
}

Result<int64_t> OffsetProbe::Ask(const TopicPartition& partition, int64_t which, Duration bound) {
  RdPartitionList list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), partition.topic.c_str(), partition.partition)->offset = which;
  auto code = rd_kafka_offsets_for_times(handle_.get(), list.get(), std::max(Millis(bound), 1));
  if (!code) code = list->elems[0].err;
  if (!code && list->elems[0].offset < 0) code = RD_KAFKA_RESP_ERR__NO_OFFSET;
  if (code) return EnvironmentError("asking for the ends of " + Where(partition) + ": " + ErrorText(code));
  return list->elems[0].offset;
}

Result<BrokerClient::Watermarks> OffsetProbe::Query(const TopicPartition& partition, Duration bound) {
  const Duration end = MonotonicTime() + bound;
  const Duration answered = end - bound / 4;  // the rest is for learning of a new leader
  const auto low = Ask(partition, RD_KAFKA_OFFSET_BEGINNING, answered - MonotonicTime());
  const auto high = low ? Ask(partition, RD_KAFKA_OFFSET_END, answered - MonotonicTime()) : low;
  if (high) return BrokerClient::Watermarks{*low, *high};
  LearnLeaders(partition.topic, end - MonotonicTime());
  return high.error();
}

void OffsetProbe::LearnLeaders(const std::string& topic, Duration bound) {
  const RdTopic handle(rd_kafka_topic_new(handle_.get(), topic.c_str(), nullptr));
  const struct rd_kafka_metadata* answer = nullptr;
  // Without an answer the next question fails, too, and asks again.
  if (handle && !rd_kafka_metadata(handle_.get(), 0, handle.get(), &answer, std::max(Millis(bound), 1))) RdMetadata{answer};
}

Result<std::unique_ptr<ChangelogReader>> ChangelogReader::Make(const std::string& bootstrap_servers,
                                                               const Properties& properties,
                                                               const std::string& state_topic) {
  auto conf = MakeConf({{"fetch.wait.max.ms", "20"}, {"fetch.message.max.bytes", "4194304"}}, properties,
                       {{"bootstrap.servers", bootstrap_servers},
                        {"enable.auto.commit", "false"},
                        {"isolation.level", "read_committed"},
                        {"auto.offset.reset", "error"},
                        {"enable.partition.eof", "true"},
                        {"check.crcs", "true"},
                        {"queued.max.messages.kbytes", "16384"},  // per partition
                        {"socket.nagle.disable", "true"},
                        {"allow.auto.create.topics", "false"}});
  if (!conf) return conf.error();
  auto handle = MakeHandle(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!handle) return handle.error();
  RdTopic topic(rd_kafka_topic_new(handle->get(), state_topic.c_str(), nullptr));
  if (!topic) return EnvironmentError("cannot read topic '" + state_topic + "': " + ErrorText(rd_kafka_last_error()));
  return std::unique_ptr<ChangelogReader>(new ChangelogReader(std::move(*handle), std::move(topic)));
}

ChangelogReader::~ChangelogReader() {
  while (!open_.empty()) Close(open_.begin()->first);
}

Status ChangelogReader::Open(int32_t partition, int64_t from, int64_t end) {
  Close(partition);
  Source& source = open_[partition];
  source.next = from;
  source.end = end;
  if (from >= end) return {};
  source.queue.reset(rd_kafka_queue_new(handle_.get()));
  if (rd_kafka_consume_start_queue(topic_.get(), partition, from, source.queue.get()) == 0) return {};
  const std::string why = ErrorText(rd_kafka_last_error());
  open_.erase(partition);
  return EnvironmentError("reading the changelog, partition " + std::to_string(partition) + ": " + why);
}

Status ChangelogReader::Take(const rd_kafka_message_t& message, Source* source, ChangelogSlice* slice) const {
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    // At the last stable offset: while a transaction is open it comes before the end that we wait for, and again later.
    source->next = std::max(source->next, message.offset);
    return {};
  }
  if (message.err) {
    if (!EndsReading(message.err)) return {};  // librdkafka goes on by itself
    return EnvironmentError("reading the changelog '" + std::string(rd_kafka_topic_name(topic_.get())) + "' partition " +
                            std::to_string(message.partition) + " at " + std::to_string(source->next) + ": " +
                            rd_kafka_message_errstr(&message));
  }
  if (message.offset < source->next) return {};
  ChangelogSlice::Record record;
  if (message.key) record.key.assign(static_cast<const char*>(message.key), message.key_len);
  if (message.payload) record.value.emplace(static_cast<const char*>(message.payload), message.len);
  record.offset = message.offset;
  source->next = message.offset + 1;
  slice->records.push_back(std::move(record));
  return {};
}

Result<ChangelogSlice> ChangelogReader::Read(int32_t partition, size_t max_records, Duration bound) {
  const auto at = open_.find(partition);
  TRIAGED_CHECK(at != open_.end());
  Source& source = at->second;
  ChangelogSlice slice;
  const Duration stop = MonotonicTime() + bound;
  while (source.next < source.end && slice.records.size() < max_records) {
    const Duration left = std::max(stop - MonotonicTime(), Duration(0));
    const Duration wait = std::min(slice.records.empty() ? kWait : kWaitForMore, left);
    const RdMessage message(rd_kafka_consume_queue(source.queue.get(), Millis(wait)));
    if (message) {
      if (Status taken = Take(*message, &source, &slice); !taken) return taken.error();
    }
    if (!message && (left == Duration(0) || !slice.records.empty())) break;
    if (left == Duration(0) && bound > Duration(0)) break;
  }
  int64_t low = 0;
  if (rd_kafka_get_watermark_offsets(handle_.get(), rd_kafka_topic_name(topic_.get()), partition, &low, &slice.log_end)) {
    slice.log_end = -1;
  }
  slice.next_offset = source.next;
  slice.at_end = source.next >= source.end;
  return slice;
}

void ChangelogReader::Close(int32_t partition) {
  const auto at = open_.find(partition);
  if (at == open_.end()) return;
  if (at->second.queue) rd_kafka_consume_stop(topic_.get(), partition);
  open_.erase(at);
}

}  // namespace triaged
