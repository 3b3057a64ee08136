// KafkaClient on the embedded broker (librdkafka's mock cluster): the demo's way, without Java. What only a real broker
// can show is in tests/kafka.
#include <doctest/doctest.h>

#include <algorithm>

#include "daemon/clock.h"
#include "daemon/kafka_client.h"
#include "daemon/kafka_embedded.h"

namespace triaged {
namespace {

using std::chrono::seconds;

constexpr char kApplication[] = "demo";

struct Demo {
  Demo() {
    const TopicNames names = TopicNames::For(kApplication);
    std::map<std::string, int> topics = {{"alerts", 2}};
    for (size_t i = 0; i < kOutputTopicCount; ++i) topics[names.Of(static_cast<OutputTopic>(i))] = 2;
    auto started = EmbeddedBroker::Start(topics);
    REQUIRE(started.ok());
    broker = std::move(*started);
  }

  std::unique_ptr<BrokerClient> Connect() const {
    KafkaOptions options;
    options.bootstrap_servers = broker->bootstrap();
    options.application_id = kApplication;
    options.instance = "unit";
    options.alert_topics = {"alerts"};
    options.partitions = 2;
    options.embedded = true;
    auto client = KafkaClient::Make(std::move(options));
    REQUIRE(client.ok());
    const Status ready = (*client)->Start(seconds(20));
    REQUIRE_MESSAGE(ready.ok(), (ready.ok() ? "" : ready.error().message));
    return std::move(*client);
  }

  std::unique_ptr<EmbeddedBroker> broker;
};

std::vector<TopicPartition> Join(BrokerClient& client) {
  const Duration end = MonotonicTime() + seconds(30);
  while (MonotonicTime() < end) {
    const PollResult polled = client.Poll({});
    REQUIRE_FALSE(polled.fatal.has_value());
    if (!polled.event) continue;
    REQUIRE(client.Assign({}).ok());
    if (polled.event->kind == GroupEventKind::kAssigned) return polled.event->partitions;
  }
  return {};
}

OutputRecord Record(OutputTopic topic, int32_t partition, const std::string& key) {
  OutputRecord record;
  record.topic = topic;
  record.partition = partition;
  record.key = key;
  record.value = "value of " + key;
  return record;
}

TEST_CASE("embedded broker: join, transact, consume, read the changelog back") {
  const Demo demo;
  auto client = demo.Connect();
  CHECK(client->StatePartitions() == 2);
  const auto assigned = Join(*client);
  CHECK(assigned.size() == 4);  // two of alerts, two of intake

  CHECK_FALSE(client->BrokerTime().has_value());
  REQUIRE(client->Begin().ok());
  for (const char* key : {"a", "b", "c"}) {
    REQUIRE(client->Produce(Record(OutputTopic::kState, 1, key)).ok());
    REQUIRE(client->Produce(Record(OutputTopic::kIntake, 1, key)).ok());
  }
  // A record that carries a time of its own, far off: broker time does not follow it.
  OutputRecord odd = Record(OutputTopic::kDeadLetter, 0, "odd");
  odd.timestamp = WallTime() + std::chrono::hours(24 * 365 * 70);
  REQUIRE(client->Produce(odd).ok());
  const TopicNames names = TopicNames::For(kApplication);
  REQUIRE(client->SendOffsets({{{names.intake, 1}, 0, "m"}, {{names.commands, 1}, 0, {}}}).ok());
  REQUIRE(client->Commit(seconds(20)) == CommitOutcome::kCommitted);
  CHECK(client->LastStateOffsets() == std::map<int32_t, int64_t>{{1, 2}});
  REQUIRE(client->BrokerTime().has_value());
  CHECK(std::chrono::abs(*client->BrokerTime() - WallTime()) < seconds(5));

  // What was committed is consumed, and then the end is told.
  const TopicPartition intake{names.intake, 1};
  REQUIRE(client->Assign({{intake, 1, {}}}).ok());
  std::vector<std::string> keys;
  bool ended = false;
  for (const Duration end = MonotonicTime() + seconds(20); !ended && MonotonicTime() < end;) {
    const PollResult polled = client->Poll({});
    for (const InputRecord& record : polled.records) {
      CHECK(record.input_class == InputClass::kIntake);
      CHECK(record.offset == 1 + static_cast<int64_t>(keys.size()));
      keys.emplace_back(record.key.value_or(""));
    }
    ended = std::any_of(polled.reached_end.begin(), polled.reached_end.end(),
                        [&](const PartitionOffset& reached) { return reached.where == intake; });
  }
  CHECK(ended);
  CHECK(keys == std::vector<std::string>{"b", "c"});

  const auto marks = client->QueryWatermarks({names.state, 1}, seconds(5));
  REQUIRE(marks.ok());
  CHECK(marks->low == 0);
  REQUIRE(marks->high >= 3);
  REQUIRE(client->OpenChangelog(1, 0, marks->high).ok());
  size_t read = 0;
  ended = false;
  for (const Duration end = MonotonicTime() + seconds(20); !ended && MonotonicTime() < end;) {
    const auto slice = client->ReadChangelog(1, 2, Duration(200));
    REQUIRE(slice.ok());
    CHECK(slice->records.size() <= 2);
    read += slice->records.size();
    ended = slice->at_end;
  }
  CHECK(ended);
  CHECK(read == 3);
  client->CloseChangelog(1);

  const Duration closing = MonotonicTime();
  client.reset();
  CHECK(MonotonicTime() - closing < seconds(6));
}

TEST_CASE("kafka settings: a wrong one is named, and our own topics are no alert topics") {
  KafkaOptions options;
  options.bootstrap_servers = "127.0.0.1:1";
  options.application_id = kApplication;
  options.alert_topics = {"alerts", "^siem\\..*"};
  REQUIRE(KafkaClient::Make(options).ok());

  const auto refusal = [&](const std::vector<std::string>& topics, const Properties& properties) {
    KafkaOptions wrong = options;
    if (!topics.empty()) wrong.alert_topics = topics;
    wrong.properties = properties;
    const auto made = KafkaClient::Make(wrong);
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().kind == ErrorClass::kBadInput);
    return made.error().message;
  };
  CHECK(refusal({}, {{"no.such.setting", "1"}}).find("no.such.setting") != std::string::npos);
  CHECK(refusal({}, {{"fetch.wait.max.ms", "soon"}}).find("fetch.wait.max.ms") != std::string::npos);
  CHECK(refusal({"alerts", "^.*"}, {}).find("demo.intake") != std::string::npos);
  CHECK(refusal({"^demo\\.(cases|dead-letter)$"}, {}).find("demo.cases") != std::string::npos);
  CHECK(refusal({"demo.state"}, {}).find("demo.state") != std::string::npos);
  CHECK(refusal({"^(("}, {}).find("regular expression") != std::string::npos);
}

}  // namespace
}  // namespace triaged
