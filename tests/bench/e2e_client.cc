// The Kafka clients of e2e_bench.py and recovery_bench.py: fills a topic, reads it as a bare librdkafka consumer does,
// relays it with and without transactions, and measures the time from producing an alert to reading its escalation.
//
//   e2e_client fill BOOTSTRAP TOPIC COUNT              alerts keyed by host, about 700 bytes each, 500 hosts
//   e2e_client consume BOOTSTRAP TOPIC COUNT           prints records a second, from the first record on
//   e2e_client latency BOOTSTRAP TOPIC ESCALATIONS COUNT RATE
//       COUNT alerts that escalate at once, RATE a second; prints "p50 p99 max" in milliseconds, and the same of a bare
//       consumer that reads the alerts themselves meanwhile
//   e2e_client relay BOOTSTRAP TOPIC TO COUNT transactions|at-least-once
//       carries records over in batches as the daemon cuts its steps; prints records a second
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "daemon/clock.h"
#include "daemon/kafka_handles.h"

namespace triaged {
namespace {

constexpr Duration kPatience{120'000};  // for the whole of a command's waiting

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "FAILED: %s\n", why.c_str());
  std::exit(1);
}

double NowMillis() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

RdHandle Client(rd_kafka_type_t type, const Properties& properties) {
  auto conf = MakeConf({}, {}, properties);
  if (!conf) Fail(conf.error().message);
  auto handle = MakeHandle(type, std::move(*conf));
  if (!handle) Fail(handle.error().message);
  return std::move(*handle);
}

RdHandle Producer(const std::string& bootstrap, const std::string& linger) {
  return Client(RD_KAFKA_PRODUCER, {{"bootstrap.servers", bootstrap}, {"partitioner", "murmur2_random"},
                                    {"linger.ms", linger}, {"queue.buffering.max.messages", "500000"}});
}

constexpr const char* kQuietRule = "Unusual parent of a shell";   // stays at level 1
constexpr const char* kLoudRule = "Ransomware: files encrypted";  // escalates at once

std::string Alert(const std::string& id, const std::string& host, const std::string& rule, int user) {
  return R"({"@timestamp":"2026-03-02T08:00:00.123Z","ecs":{"version":"8.11.0"},"event":{"kind":"alert","id":")" + id +
         R"(","severity":47,"action":"exec","outcome":"success"},"rule":{"id":"5b2c8b9a","name":")" + rule +
         R"("},"message":"A shell was started by )" + std::string(120, 'x') + R"(","host":{"name":")" + host +
         R"(","ip":["10.1.2.3"]},"user":{"name":"user)" + std::to_string(user) +
         R"("},"source":{"ip":"10.1.2.3","port":51234},"destination":{"ip":"203.0.113.9","port":443},)" +
         R"("process":{"name":"cmd.exe","pid":4711,"command_line":"cmd.exe /c whoami /all"},)" +
         R"("observer":{"product":"Example EDR"}})";
}

void Produce(rd_kafka_t* producer, const std::string& topic, const std::string& key, const std::string& value) {
  while (true) {
    const auto code = rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_KEY(key.data(), key.size()),
        RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),  // copied, not written to
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (!code) return;
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) Fail("producing to " + topic + ": " + ErrorText(code));
    rd_kafka_poll(producer, 100);
  }
}

void Fill(const std::string& bootstrap, const std::string& topic, int count) {
  const RdHandle producer = Producer(bootstrap, "20");
  for (int n = 0; n < count; ++n) {
    const std::string host = "ws-" + std::to_string(static_cast<int64_t>(n) * 7919 % 500);
    Produce(producer.get(), topic, host, Alert("0f1e2d3c-" + std::to_string(n), host, kQuietRule, n % 50));
    if (n % 1000 == 0) rd_kafka_poll(producer.get(), 0);
  }
  if (rd_kafka_flush(producer.get(), Millis(kPatience))) Fail("not everything was delivered in time");
}

int Partitions(rd_kafka_t* handle, const std::string& topic) {
  const RdTopic object(rd_kafka_topic_new(handle, topic.c_str(), nullptr));
  const struct rd_kafka_metadata* metadata = nullptr;
  if (rd_kafka_metadata(handle, 0, object.get(), &metadata, 10'000)) Fail("no metadata of " + topic);
  const RdMetadata owner(metadata);
  return metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
}

// Reads all partitions of a topic from `offset` on.
class Reader {
 public:
  Reader(const std::string& bootstrap, const std::string& topic, int64_t offset)
      : handle_(Client(RD_KAFKA_CONSUMER, {{"bootstrap.servers", bootstrap}, {"group.id", "e2e-bench"},
                                           {"enable.auto.commit", "false"}, {"isolation.level", "read_committed"}})) {
    const int partitions = Partitions(handle_.get(), topic);
    if (partitions == 0) Fail("topic " + topic + " is not there");
    const RdPartitionList list(rd_kafka_topic_partition_list_new(partitions));
    for (int i = 0; i < partitions; ++i) {
      int64_t low = 0;
      int64_t high = 0;
      // An absolute end: "latest" is looked up later, and what is produced meanwhile would be passed over.
      const Duration end = MonotonicTime() + std::chrono::seconds(30);
      // A topic made a moment ago may have no leader yet.
      while (const auto code = rd_kafka_query_watermark_offsets(handle_.get(), topic.c_str(), i, &low, &high, 10'000)) {
        if (MonotonicTime() > end) Fail("no offsets of " + topic + " " + std::to_string(i) + ": " + ErrorText(code));
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
      rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), i)->offset = offset < 0 ? high : low;
    }
    rd_kafka_poll_set_consumer(handle_.get());
    if (rd_kafka_assign(handle_.get(), list.get())) Fail("assigning " + topic);
  }

  template <typename Visit>
  void Take(int wait_ms, Visit visit) {
    const RdMessage message(rd_kafka_consumer_poll(handle_.get(), wait_ms));
    if (message && !message->err) visit(*message);
  }
  rd_kafka_t* handle() { return handle_.get(); }

 private:
  RdHandle handle_;
};

void Consume(const std::string& bootstrap, const std::string& topic, int count) {
  Reader reader(bootstrap, topic, 0);
  const Duration end = MonotonicTime() + kPatience;
  int taken = 0;
  int first_batch = 0;
  double first = 0;
  while (taken < count) {
    if (MonotonicTime() > end) Fail("read " + std::to_string(taken) + " of " + std::to_string(count));
    reader.Take(5, [&](const rd_kafka_message_t&) { ++taken; });
    if (first_batch > 0 || taken == 0) continue;
    first_batch = taken;  // connecting is not what is measured
    first = NowMillis();
  }
  std::printf("%.0f\n", (count - first_batch) / std::max(NowMillis() - first, 1e-3) * 1000.0);
}

void Check(rd_kafka_error_t* error, const char* doing) {
  const RdError owner(error);
  if (error) Fail(std::string(doing) + ": " + rd_kafka_error_string(error));
}

// The cost of exactly-once alone: the same batches, acknowledged by all replicas, with and without a transaction around
// them and their offsets.
void Relay(const std::string& bootstrap, const std::string& topic, const std::string& to, int count, bool transactions) {
  constexpr int kBatch = 25'000;  // as WorkerOptions::poll
  constexpr double kBatchMillis = 50;
  Properties properties = {{"bootstrap.servers", bootstrap}, {"acks", "all"}, {"linger.ms", "5"},
                           {"queue.buffering.max.messages", "500000"}};
  if (transactions) properties["transactional.id"] = to;
  auto conf = MakeConf({}, {}, properties);
  if (!conf) Fail(conf.error().message);
  // Without one every commit waits for another ten milliseconds.
  rd_kafka_conf_set_dr_msg_cb(conf->get(), [](rd_kafka_t*, const rd_kafka_message_t* message, void*) {
    if (message->err) Fail("delivery: " + ErrorText(message->err));
  });
  auto made = MakeHandle(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!made) Fail(made.error().message);
  rd_kafka_t* producer = made->get();
  if (transactions) Check(rd_kafka_init_transactions(producer, Millis(kPatience)), "init_transactions");
  Reader reader(bootstrap, topic, 0);
  std::vector<int64_t> next(static_cast<size_t>(Partitions(reader.handle(), topic)), -1);
  Partitions(producer, to);  // made before anything is timed
  int taken = 0;
  double first = 0;
  while (taken < count) {
    bool begun = false;
    int batch = 0;
    const double end = NowMillis() + kBatchMillis;
    while (batch < kBatch && NowMillis() < end) {
      reader.Take(5, [&](const rd_kafka_message_t& message) {
        if (first == 0) first = NowMillis();
        if (transactions && !begun) Check(rd_kafka_begin_transaction(producer), "begin");
        begun = true;
        Produce(producer, to, std::string(static_cast<const char*>(message.key), message.key_len),
                std::string(static_cast<const char*>(message.payload), message.len));
        next[static_cast<size_t>(message.partition)] = message.offset + 1;
        ++batch;
      });
    }
    if (!begun) continue;
    taken += batch;
    const RdPartitionList offsets(rd_kafka_topic_partition_list_new(static_cast<int>(next.size())));
    for (size_t i = 0; i < next.size(); ++i) {
      if (next[i] < 0) continue;
      rd_kafka_topic_partition_list_add(offsets.get(), topic.c_str(), static_cast<int32_t>(i))->offset = next[i];
    }
    if (transactions) {
      const RdGroupMetadata group = OwnGroupMetadata(rd_kafka_consumer_group_metadata(reader.handle()));
      Check(rd_kafka_send_offsets_to_transaction(producer, offsets.get(), group.get(), Millis(kPatience)), "offsets");
      Check(rd_kafka_commit_transaction(producer, Millis(kPatience)), "commit");
    } else {
      if (rd_kafka_flush(producer, Millis(kPatience))) Fail("not everything was delivered in time");
      if (const auto code = rd_kafka_commit(reader.handle(), offsets.get(), 0)) Fail("commit: " + ErrorText(code));
    }
  }
  std::printf("%.0f\n", count / (NowMillis() - first) * 1000.0);
}

std::string_view EventType(const rd_kafka_message_t& message) {
  rd_kafka_headers_t* headers = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  if (rd_kafka_message_headers(&message, &headers)) return {};
  if (rd_kafka_header_get_last(headers, "ce_type", &value, &size)) return {};
  return {static_cast<const char*>(value), size};
}

// The number behind the first mark "e2e-host-" in an event; -1: none.
int HostNumber(const rd_kafka_message_t& message) {
  constexpr std::string_view kMark = "e2e-host-";
  const std::string_view text(static_cast<const char*>(message.payload), message.len);
  const size_t at = text.find(kMark);
  return at == std::string_view::npos ? -1 : std::atoi(std::string(text.substr(at + kMark.size(), 8)).c_str());
}

// When each numbered alert was sent, and how long it took until it was seen.
class Stopwatch {
 public:
  explicit Stopwatch(int count) : sent_(static_cast<size_t>(count), 0) {}

  void Sent(int number) { sent_[static_cast<size_t>(number)] = NowMillis(); }
  // Of a message that names the alert; one that was not sent, or was seen before, is a failure.
  void Seen(const rd_kafka_message_t& message) {
    const int number = HostNumber(message);
    if (number < 0 || static_cast<size_t>(number) >= sent_.size()) return;
    double& at = sent_[static_cast<size_t>(number)];
    if (at == 0) Fail("alert " + std::to_string(number) + " came through twice");
    took_.push_back(NowMillis() - at);
    at = 0;
  }
  bool Done() const { return took_.size() == sent_.size(); }
  size_t seen() const { return took_.size(); }
  void Print() {
    std::sort(took_.begin(), took_.end());
    std::printf("%.1f %.1f %.1f\n", took_[took_.size() / 2], took_[took_.size() * 99 / 100], took_.back());
  }

 private:
  std::vector<double> sent_;
  std::vector<double> took_;
};

void Latency(const std::string& bootstrap, const std::string& topic, const std::string& escalations, int count,
             int rate) {
  Reader events(bootstrap, escalations, -1);
  Reader alerts(bootstrap, topic, -1);
  const RdHandle producer = Producer(bootstrap, "0");
  Partitions(producer.get(), topic);  // connected before the first alert
  Stopwatch whole(count);
  Stopwatch bare(count);
  const Duration end = MonotonicTime() + kPatience;
  const double begin = NowMillis();
  for (int next = 0; !whole.Done() || !bare.Done();) {
    if (MonotonicTime() > end) Fail("of " + std::to_string(count) + " alerts " + std::to_string(whole.seen()) + " escalated in time");
    if (next < count && NowMillis() >= begin + next * 1000.0 / rate) {
      const std::string host = "e2e-host-" + std::to_string(next);
      const std::string alert = Alert(host, host, kLoudRule, next % 50);
      whole.Sent(next);
      bare.Sent(next++);
      Produce(producer.get(), topic, host, alert);
    }
    rd_kafka_poll(producer.get(), 0);
    alerts.Take(0, [&](const rd_kafka_message_t& message) { bare.Seen(message); });
    events.Take(1, [&](const rd_kafka_message_t& message) {
      if (EventType(message) == "io.triaged.case.escalated.v1") whole.Seen(message);
    });
  }
  whole.Print();
  bare.Print();
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto number = [&](size_t i) { return std::atoi(words[i].c_str()); };
  if (words.size() == 4 && words[0] == "fill") {
    triaged::Fill(words[1], words[2], number(3));
  } else if (words.size() == 4 && words[0] == "consume") {
    triaged::Consume(words[1], words[2], number(3));
  } else if (words.size() == 6 && words[0] == "relay") {
    triaged::Relay(words[1], words[2], words[3], number(4), words[5] == "transactions");
  } else if (words.size() == 6 && words[0] == "latency") {
    triaged::Latency(words[1], words[2], words[3], number(4), number(5));
  } else {
    std::fprintf(stderr, "usage: e2e_client fill|consume BOOTSTRAP TOPIC COUNT\n"
                         "       e2e_client latency BOOTSTRAP TOPIC ESCALATIONS COUNT RATE\n"
                         "       e2e_client relay BOOTSTRAP TOPIC TO COUNT transactions|at-least-once\n");
    return 2;
  }
  return 0;
}
