// The ends of partitions after their leader has changed, on librdkafka's mock cluster.
#include <doctest/doctest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <chrono>
#include <memory>
#include <string>

#include "daemon/kafka_reader.h"

namespace triaged {
namespace {

struct MockCluster {
  std::unique_ptr<rd_kafka_t, void (*)(rd_kafka_t*)> owner{nullptr, rd_kafka_destroy};
  std::unique_ptr<rd_kafka_mock_cluster_t, void (*)(rd_kafka_mock_cluster_t*)> cluster{nullptr, rd_kafka_mock_cluster_destroy};

  explicit MockCluster(int brokers) {
    char error[512];
    owner.reset(rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), error, sizeof error));
    REQUIRE(owner != nullptr);
    cluster.reset(rd_kafka_mock_cluster_new(owner.get(), brokers));
    REQUIRE(cluster != nullptr);
  }
};

TEST_CASE("the ends of a partition are found again after its leader has changed") {
  MockCluster mock(2);
  REQUIRE(!rd_kafka_mock_topic_create(mock.cluster.get(), "state", 1, 2));
  REQUIRE(!rd_kafka_mock_partition_set_leader(mock.cluster.get(), "state", 0, 1));
  auto probe = OffsetProbe::Make(rd_kafka_mock_cluster_bootstraps(mock.cluster.get()), {});
  REQUIRE(probe.ok());
  const auto found = [&] {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::string why = "not asked";
    while (std::chrono::steady_clock::now() < end) {
      const auto ends = (*probe)->Query({"state", 0}, std::chrono::seconds(2));
      if (ends) return std::string();
      why = ends.error().message;
    }
    return why;
  };
  CHECK(found() == "");
  for (const int leader : {2, 1, 2}) {
    REQUIRE(!rd_kafka_mock_partition_set_leader(mock.cluster.get(), "state", 0, leader));
    CHECK(found() == "");
  }
}

}  // namespace
}  // namespace triaged
