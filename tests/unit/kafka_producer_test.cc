// The producer against librdkafka's mock cluster, where a group's coordinator can be away while the transaction's is not.
#include <doctest/doctest.h>

#include "daemon/clock.h"
#include "daemon/kafka_client.h"
#include "daemon/log.h"
#include "daemon/kafka_producer.h"

#include <librdkafka/rdkafka_mock.h>  // behind rdkafka.h, which it needs

namespace triaged {
namespace {

constexpr int kTransactions = 1;  // the broker that coordinates them …
constexpr int kGroups = 2;        // … and the one that coordinates groups
constexpr Duration kBound{500};

class TwoBrokers {
 public:
  explicit TwoBrokers(const KafkaOptions& options) {
    auto conf = MakeConf({}, {}, {{"client.id", "mock"}, {"log_level", "3"}});
    REQUIRE(conf.ok());
    auto handle = MakeHandle(RD_KAFKA_PRODUCER, std::move(*conf));
    REQUIRE(handle.ok());
    handle_ = std::move(*handle);
    cluster_ = rd_kafka_mock_cluster_new(handle_.get(), 2);
    REQUIRE(cluster_);
    const TopicNames names = TopicNames::For(options.application_id);
    for (size_t i = 0; i < kOutputTopicCount; ++i) {
      const std::string& topic = names.Of(static_cast<OutputTopic>(i));
      REQUIRE(rd_kafka_mock_topic_create(cluster_, topic.c_str(), 1, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
      REQUIRE(rd_kafka_mock_partition_set_leader(cluster_, topic.c_str(), 0, kTransactions) == RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    const std::string transactional_id = options.application_id + "-" + options.instance + "-0";
    rd_kafka_mock_coordinator_set(cluster_, "transaction", transactional_id.c_str(), kTransactions);
    rd_kafka_mock_coordinator_set(cluster_, "group", options.application_id.c_str(), kGroups);
  }
  ~TwoBrokers() { rd_kafka_mock_cluster_destroy(cluster_); }
  TwoBrokers(const TwoBrokers&) = delete;
  TwoBrokers& operator=(const TwoBrokers&) = delete;

  std::string bootstrap() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  void GroupsAway(bool away) {
    REQUIRE((away ? rd_kafka_mock_broker_set_down : rd_kafka_mock_broker_set_up)(cluster_, kGroups) == RD_KAFKA_RESP_ERR_NO_ERROR);
  }

 private:
  RdHandle handle_;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

// A transaction up to its offsets.
Status SendOne(KafkaProducer& producer) {
  if (Status begun = producer.Begin(); !begun) return begun;
  OutputRecord record;
  record.topic = OutputTopic::kSteps;
  record.key = "k";
  record.value = "v";
  if (Status produced = producer.Produce(record); !produced) return produced;
  const RdGroupMetadata group = OwnGroupMetadata(rd_kafka_consumer_group_metadata_new("offsets-test"));
  return producer.SendOffsets({{{"alerts", 0}, 1, {}}}, group, kBound);
}

std::unique_ptr<KafkaProducer> Started(const KafkaOptions& options) {
  auto producer = KafkaProducer::Make(options);
  REQUIRE(producer.ok());
  const Status started = (*producer)->Start(Duration(20'000));
  REQUIRE_MESSAGE(started.ok(), (started.ok() ? "" : started.error().message));
  return std::move(*producer);
}

}  // namespace

TEST_CASE("kafka: sending offsets ends in time though the group's coordinator is away, and another producer goes on") {
  InitLog("off", LogFormat::kLogfmt);
  KafkaOptions options;
  options.application_id = "offsets-test";
  options.instance = "one";
  TwoBrokers brokers(options);
  options.bootstrap_servers = brokers.bootstrap();
  auto producer = Started(options);
  REQUIRE(SendOne(*producer).ok());
  REQUIRE(producer->Commit(Duration(20'000)) == CommitOutcome::kCommitted);

  brokers.GroupsAway(true);
  const Duration begun = MonotonicTime();
  CHECK_FALSE(SendOne(*producer).ok());
  const Duration took = MonotonicTime() - begun;
  CHECK_MESSAGE(took < Duration(15'000), took.count());
  CHECK_FALSE(producer->Abort(Duration(20'000)).ok());
  CHECK(MonotonicTime() - begun - took < Duration(1'000));
  producer.reset();

  brokers.GroupsAway(false);
  producer = Started(options);
  Status sent = SendOne(*producer);
  REQUIRE_MESSAGE(sent.ok(), (sent.ok() ? "" : sent.error().message));
  CHECK(producer->Commit(Duration(20'000)) == CommitOutcome::kCommitted);
  InitLog("info", LogFormat::kLogfmt);
}

}  // namespace triaged
