// Poll: what the group says, then records, class by class.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "daemon/clock.h"
#include "daemon/kafka_client.h"
#include "daemon/log.h"
#include "pipeline/base/check.h"

namespace triaged {
namespace {

constexpr Duration kQuiet{5};          // the queues stayed empty this long: the poll ends
constexpr Duration kLongestSleep{10};  // in case a wake-up was missed
constexpr Duration kWarnAgain{30'000};

void FillRecord(const rd_kafka_message_t& message, InputClass input_class, InputRecord* record) {
  record->input_class = input_class;
  record->topic = rd_kafka_topic_name(message.rkt);
  record->partition = message.partition;
  record->offset = message.offset;
  rd_kafka_timestamp_type_t type;
  record->timestamp = FromUnixMillis(std::max<int64_t>(rd_kafka_message_timestamp(&message, &type), 0));
  if (message.key) record->key = {static_cast<const char*>(message.key), message.key_len};
  if (message.payload) record->value = {static_cast<const char*>(message.payload), message.len};
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers)) return;
  record->headers.reserve(rd_kafka_header_cnt(headers));
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); ++i) {
    record->headers.emplace_back(name, std::string_view(static_cast<const char*>(value), value ? size : 0));
  }
}

}  // namespace

KafkaClient::Waker::Waker() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { TRIAGED_CHECK(fd_ >= 0); }

KafkaClient::Waker::~Waker() { close(fd_); }

void KafkaClient::Waker::Watch(rd_kafka_queue_t* queue) const {
  static const uint64_t kOne = 1;
  rd_kafka_queue_io_event_enable(queue, fd_, &kOne, sizeof kOne);
}

void KafkaClient::Waker::Wait(Duration at_most) const {
  pollfd waiting{fd_, POLLIN, 0};
  if (poll(&waiting, 1, Millis(std::min(at_most, kLongestSleep))) <= 0) return;
  uint64_t count = 0;
  while (read(fd_, &count, sizeof count) == sizeof count) {
  }
}

void KafkaClient::DropPolled() { messages_.clear(); }

// The partition's source, nullptr when it is not assigned (any more).
KafkaClient::Source* KafkaClient::Find(const rd_kafka_message_t& message) {
  if (!message.rkt || message.partition < 0) return nullptr;
  const auto index = static_cast<size_t>(message.partition);
  auto known = std::find_if(by_topic_.begin(), by_topic_.end(),
                            [&](const TopicSources& one) { return one.topic == message.rkt; });
  if (known != by_topic_.end() && index < known->partitions.size() && known->partitions[index]) {
    return known->partitions[index];
  }
  const auto source = sources_.find({rd_kafka_topic_name(message.rkt), message.partition});
  if (source == sources_.end()) return nullptr;
  // An assigned partition keeps its topic object alive, so the pointer stays its name until the next Assign.
  if (known == by_topic_.end()) known = by_topic_.insert(by_topic_.end(), TopicSources{message.rkt, {}});
  if (index >= known->partitions.size()) known->partitions.resize(index + 1, nullptr);
  known->partitions[index] = &source->second;
  return &source->second;
}

// Rebalances, errors and the liveness of the member. Records come this way only in the moment between an assignment and
// its forwarding: they are older than what their class queue holds, and wait in front of it.
void KafkaClient::ServeGroup() {
  while (!fatal_ && events_.empty()) {
    RdMessage message(rd_kafka_consumer_poll(consumer_.get(), 0));
    if (!message) break;
    if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      TakeError(*message);
    } else {
      strays_.push_back(std::move(message));
    }
  }
  rd_kafka_poll(producer_->handle(), 0);
  char text[512];
  const auto code = rd_kafka_fatal_error(consumer_.get(), text, sizeof text);
  if (code) {
    fatal_ = EnvironmentError("the consumer failed: " + ErrorText(code) + " (" + text + ")");
    fenced_instance_ = code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
  }
  if (!fatal_) fatal_ = producer_->fatal();
}

void KafkaClient::TakeError(const rd_kafka_message_t& message) {
  const std::string topic = message.rkt ? rd_kafka_topic_name(message.rkt) : "";
  const std::string text = rd_kafka_message_errstr(&message);
  if (message.err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || message.err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
    fatal_ = EnvironmentError("topic '" + topic + "' partition " + std::to_string(message.partition) +
                              " no longer has the offset to go on from (" + text + ")");
    return;
  }
  // librdkafka goes on by itself; a fatal one is asked for in ServeGroup. Whoever is on call should still know why.
  const Duration now = MonotonicTime();
  const auto [last, first] = warned_.try_emplace(message.err, now);
  if (!first && now - last->second < kWarnAgain) return;
  last->second = now;
  LogWarn("the consumer has trouble",
          {{"topic", topic}, {"partition", std::to_string(message.partition)}, {"error", ErrorText(message.err)}, {"text", text}});
}

// An EOF comes at the last stable offset. Below the high watermark a transaction is open, and the end is not reached:
// once it is over, another EOF comes.
void KafkaClient::TakeEnd(const rd_kafka_message_t& message, PollResult* result) const {
  TopicPartition where{rd_kafka_topic_name(message.rkt), message.partition};
  int64_t low = 0;
  int64_t high = -1;
  const auto code =
      rd_kafka_get_watermark_offsets(consumer_.get(), where.topic.c_str(), where.partition, &low, &high);
  if (code || high < 0 || message.offset < high) return;
  result->reached_end.push_back({std::move(where), message.offset, {}});
}

void KafkaClient::TakeMessage(RdMessage message, PollResult* result, size_t* bytes) {
  if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) return TakeError(*message);
  Source* source = Find(*message);
  if (!source) return;  // fetched under an assignment that is over
  source->flowing = true;
  source->next = message->err ? message->offset : message->offset + 1;  // a partition's end lies behind control records
  if (message->err) return TakeEnd(*message, result);
  FillRecord(*message, source->input_class, &result->records.emplace_back());
  *bytes += message->len + message->key_len;
  messages_.push_back(std::move(message));
}

// One round over the classes; true if anything came.
bool KafkaClient::TakeRecords(const PollLimits& limits, PollResult* result, size_t* bytes) {
  bool took = false;
  const auto room = [&] { return !fatal_ && result->records.size() < limits.max_records && *bytes < limits.max_bytes; };
  while (!strays_.empty() && room()) {
    TakeMessage(std::move(strays_.front()), result, bytes);
    strays_.pop_front();
    took = true;
  }
  for (InputClass input_class : {InputClass::kCommand, InputClass::kSignal, InputClass::kIntake, InputClass::kAlert}) {
    if (input_class == InputClass::kAlert && !limits.take_alerts) continue;
    rd_kafka_queue_t* queue = class_queues_[static_cast<size_t>(input_class)].get();
    while (strays_.empty() && room()) {
      RdMessage message(rd_kafka_consume_queue(queue, 0));
      if (!message) break;
      TakeMessage(std::move(message), result, bytes);
      took = true;
    }
  }
  return took;
}

PollResult KafkaClient::Poll(const PollLimits& limits) {
  DropPolled();
  PollResult result;
  size_t bytes = 0;
  const Duration begun = MonotonicTime();
  Duration quiet_since = begun;
  while (true) {
    ServeGroup();
    if (fatal_ || !events_.empty()) break;
    Forward();
    const bool took = TakeRecords(limits, &result, &bytes);
    if (fatal_ || result.records.size() >= limits.max_records || bytes >= limits.max_bytes) break;
    const Duration now = MonotonicTime();
    if (took) quiet_since = now;
    const Duration left = begun + limits.max_wait - now;
    if (left <= Duration(0) || (!result.reached_end.empty() && result.records.empty())) break;
    if (took) continue;
    if (result.records.empty()) {
      waker_.Wait(all_flowing_ ? left : std::min(left, kQuiet));
    } else {
      const Duration quiet = now - quiet_since;
      if (quiet >= kQuiet) break;
      waker_.Wait(std::min(left, kQuiet - quiet));
    }
  }
  TakeEvent(&result);
  // Rounds may have brought commands after alerts.
  const auto later = [](const InputRecord& a, const InputRecord& b) { return a.input_class < b.input_class; };
  if (!std::is_sorted(result.records.begin(), result.records.end(), later)) {
    std::stable_sort(result.records.begin(), result.records.end(), later);
  }
  result.fatal = fatal_;
  result.fenced_instance = fenced_instance_;
  return result;
}

// A rebalance drops what was polled before it and not stepped.
void KafkaClient::TakeEvent(PollResult* result) {
  if (events_.empty()) return;
  result->event = std::move(events_.front());
  events_.pop_front();
  result->records.clear();
  result->reached_end.clear();
  DropPolled();
  strays_.clear();
}

}  // namespace triaged
