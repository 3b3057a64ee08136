#include "tests/kafka/kafka_fixture.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "daemon/clock.h"
#include "daemon/kafka_admin.h"

namespace triaged {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kPatience = seconds(40);

RdHandle MustMake(rd_kafka_type_t type, const Properties& settings) {
  auto conf = MakeConf({{"bootstrap.servers", Bootstrap()}}, {}, settings);
  REQUIRE(conf.ok());
  auto handle = MakeHandle(type, std::move(*conf));
  REQUIRE(handle.ok());
  return std::move(*handle);
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

Read ToRead(const rd_kafka_message_t& message) {
  Read read;
  read.offset = message.offset;
  if (message.key) read.key.assign(static_cast<const char*>(message.key), message.key_len);
  if (message.payload) read.value.emplace(static_cast<const char*>(message.payload), message.len);
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers)) return read;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); ++i) {
    read.headers.push_back({name, std::string(static_cast<const char*>(value), size)});
  }
  return read;
}

}  // namespace

std::string Bootstrap() {
  const std::string bootstrap = Environment("TRIAGED_TEST_BOOTSTRAP");
  REQUIRE_MESSAGE(!bootstrap.empty(), "TRIAGED_TEST_BOOTSTRAP is not set: run this through tests/kafka/broker.py run");
  return bootstrap;
}

std::string NewApplication() {
  static int count = 0;
  return "test" + std::to_string(getpid()) + "n" + std::to_string(++count);
}

KafkaOptions OptionsFor(const std::string& application) {
  KafkaOptions options;
  options.bootstrap_servers = Bootstrap();
  options.application_id = application;
  options.instance = "test";
  options.alert_topics = {"^" + application + "-alerts$"};
  options.session_timeout = seconds(6);
  return options;
}

void CreateTopic(const std::string& topic, int partitions) {
  const RdHandle handle = MustMake(RD_KAFKA_PRODUCER, {});
  char text[256];
  rd_kafka_NewTopic_t* wanted = rd_kafka_NewTopic_new(topic.c_str(), partitions, 1, text, sizeof text);
  const RdQueue queue(rd_kafka_queue_new(handle.get()));
  rd_kafka_CreateTopics(handle.get(), &wanted, 1, nullptr, queue.get());
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue.get(), 20'000);
  rd_kafka_NewTopic_destroy(wanted);
  REQUIRE(event != nullptr);
  rd_kafka_event_destroy(event);
}

void MakeTopics(const std::string& application, int partitions) {
  KafkaConfig kafka;
  kafka.bootstrap_servers = Bootstrap();
  kafka.partitions = partitions;
  REQUIRE(CreateMissingTopics(kafka, {application, 1 << 20}, seconds(20)).ok());
  CreateTopic(application + "-alerts", 1);
}

int32_t PartitionsOf(const std::string& topic) {
  const RdHandle handle = MustMake(RD_KAFKA_PRODUCER, {});
  const RdTopic one(rd_kafka_topic_new(handle.get(), topic.c_str(), nullptr));
  const struct rd_kafka_metadata* answer = nullptr;
  REQUIRE(rd_kafka_metadata(handle.get(), 0, one.get(), &answer, 10'000) == RD_KAFKA_RESP_ERR_NO_ERROR);
  const RdMetadata metadata(answer);
  REQUIRE(metadata->topic_cnt == 1);
  return metadata->topics[0].partition_cnt;
}

void Fill(const std::string& topic, int32_t partition, int count) {
  const RdHandle handle = MustMake(RD_KAFKA_PRODUCER, {{"acks", "all"}, {"enable.idempotence", "true"}});
  std::string value(200, 'v');
  for (int i = 0; i < count; ++i) {
    const auto code = rd_kafka_producev(handle.get(), RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
                                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(value.data(), value.size()),
                                        RD_KAFKA_V_END);
    REQUIRE(code == RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  REQUIRE(rd_kafka_flush(handle.get(), 30'000) == RD_KAFKA_RESP_ERR_NO_ERROR);
}

OutputRecord StateRecord(int32_t partition, std::string key, std::optional<std::string> value) {
  OutputRecord record;
  record.topic = OutputTopic::kState;
  record.partition = partition;
  record.key = std::move(key);
  record.value = std::move(value);
  return record;
}

std::vector<Read> ReadCommitted(const std::string& topic, int32_t partition) {
  const RdHandle handle = MustMake(RD_KAFKA_CONSUMER, {{"group.id", "test-reader"},
                                                       {"enable.auto.commit", "false"},
                                                       {"isolation.level", "read_committed"},
                                                       {"enable.partition.eof", "true"},
                                                       {"auto.offset.reset", "earliest"}});
  const RdPartitionList list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = 0;
  REQUIRE(rd_kafka_assign(handle.get(), list.get()) == RD_KAFKA_RESP_ERR_NO_ERROR);
  std::vector<Read> records;
  const bool ended = Eventually([&] {
    const RdMessage message(rd_kafka_consumer_poll(handle.get(), 100));
    if (!message) return false;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      int64_t low = 0;
      int64_t high = 0;
      rd_kafka_get_watermark_offsets(handle.get(), topic.c_str(), partition, &low, &high);
      return message->offset >= high;
    }
    if (!message->err) records.push_back(ToRead(*message));
    return message->err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
  });
  REQUIRE(ended);
  return records;
}

bool Eventually(const std::function<bool()>& condition) {
  const Duration end = MonotonicTime() + kPatience;
  while (!condition()) {
    if (MonotonicTime() >= end) return false;
  }
  return true;
}

// ---- members ----------------------------------------------------------------------------------------------------

Member::Member(const std::string& application, int partitions, const Tweak& tweak)
    : application_(application), names_(TopicNames::For(application)) {
  MakeTopics(application, partitions);
  KafkaOptions options = OptionsFor(application);
  options.partitions = partitions;
  if (tweak) tweak(options);
  auto client = KafkaClient::Make(std::move(options));
  REQUIRE(client.ok());
  client_ = std::move(*client);
}

void Member::Start() {
  const Status started = client_->Start(kPatience);
  REQUIRE_MESSAGE(started.ok(), (started.ok() ? "" : started.error().message));
}

void Member::Step() {
  const PollResult polled = client_->Poll({});
  REQUIRE_MESSAGE(!polled.fatal.has_value(), (polled.fatal ? polled.fatal->message : ""));
  if (!polled.event) return;
  assigned_.clear();
  if (polled.event->kind == GroupEventKind::kAssigned) assigned_ = polled.event->partitions;
  REQUIRE(client_->Assign({}).ok());
}

std::vector<TopicPartition> Member::Join() {
  Start();
  REQUIRE(Eventually([&] {
    Step();
    return !assigned_.empty();
  }));
  return assigned_;
}

size_t Member::Owned(const std::string& topic) const {
  size_t owned = 0;
  for (const TopicPartition& one : assigned_) owned += one.topic == topic ? 1 : 0;
  return owned;
}

Other::Other(const std::string& application) {
  KafkaOptions options = OptionsFor(application);
  options.instance = "other";
  options.transaction_timeout = seconds(60);
  auto producer = KafkaProducer::Make(options);
  REQUIRE(producer.ok());
  producer_ = std::move(*producer);
  REQUIRE(producer_->Start(kPatience).ok());
  group_ = OwnGroupMetadata(rd_kafka_consumer_group_metadata_new(application.c_str()));
}

Status Other::SendOffsets(const std::vector<PartitionOffset>& offsets) {
  return producer_->SendOffsets(offsets, group_, seconds(10));
}

void Other::Flush() { REQUIRE(rd_kafka_flush(producer_->handle(), 20'000) == RD_KAFKA_RESP_ERR_NO_ERROR); }

// ---- a second process ---------------------------------------------------------------------------------------------

std::string ChildRole() { return Environment("TRIAGED_TEST_ROLE"); }
std::string ChildApplication() { return Environment("TRIAGED_TEST_APPLICATION"); }
void StopMyself() { raise(SIGSTOP); }
void ExitChild(int code) { _exit(code); }

Child::Child(const std::string& role, const std::string& application) {
  const std::string filter = "--test-case=child: " + role;
  std::vector<std::string> environment = {"TRIAGED_TEST_ROLE=" + role, "TRIAGED_TEST_APPLICATION=" + application,
                                          "TRIAGED_TEST_BOOTSTRAP=" + Bootstrap()};
  std::vector<char*> envp;
  for (std::string& one : environment) envp.push_back(one.data());
  envp.push_back(nullptr);
  std::string program = "/proc/self/exe";
  std::string argument = filter;
  char* argv[] = {program.data(), argument.data(), nullptr};
  pid_ = fork();
  REQUIRE(pid_ >= 0);
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  execve(program.c_str(), argv, envp.data());
  _exit(127);
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool Child::WaitStopped(Duration bound) {
  const Duration end = MonotonicTime() + bound;
  int status = 0;
  while (MonotonicTime() < end) {
    if (waitpid(pid_, &status, WUNTRACED | WNOHANG) == pid_) {
      if (WIFSTOPPED(status)) return true;
      pid_ = -1;
      return false;
    }
    std::this_thread::sleep_for(milliseconds(20));
  }
  return false;
}

void Child::Continue() const { kill(pid_, SIGCONT); }

int Child::Wait(Duration bound) {
  const Duration end = MonotonicTime() + bound;
  int status = 0;
  while (MonotonicTime() < end) {
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    std::this_thread::sleep_for(milliseconds(20));
  }
  return -1;
}

}  // namespace triaged
