// KafkaSource on the embedded broker (librdkafka's mock cluster).
#include "daemon/notify/kafka_source.h"

#include <doctest/doctest.h>

#include "daemon/clock.h"
#include "daemon/kafka_embedded.h"
#include "daemon/kafka_producer.h"

namespace triaged {
namespace {

using std::chrono::seconds;

TEST_CASE("notify source: what is settled is committed when its partition is given up") {
  auto broker = EmbeddedBroker::Start({{"events", 1}});
  REQUIRE(broker);
  NotifyConfig config;
  config.bootstrap_servers = (*broker)->bootstrap();
  config.topic = "events";
  config.properties = {{"session.timeout.ms", "4000"}, {"heartbeat.interval.ms", "500"}};
  for (int i = 0; i < 3; ++i) {
    REQUIRE(ProduceOne(config.bootstrap_servers, {}, "events", 0, "key", std::to_string(i), seconds(20)));
  }
  int revoked = 0;
  KafkaSource::Owner owner;
  owner.settled = [] { return std::map<int32_t, int64_t>{{0, 2}}; };
  owner.revoked = [&revoked](int32_t partition) { revoked += partition == 0; };
  const auto read_one = [](KafkaSource& source) {
    const Duration end = MonotonicTime() + seconds(30);
    while (MonotonicTime() < end) {
      auto record = source.Poll(Duration{100});
      REQUIRE(record);
      if (*record) return (*record)->value;
    }
    return std::string("nothing came");
  };
  {
    auto first = KafkaSource::Make(config, owner);
    REQUIRE(first);
    for (const char* wanted : {"0", "1", "2"}) CHECK(read_one(**first) == wanted);
  }
  CHECK(revoked == 1);
  auto next = KafkaSource::Make(config, owner);
  REQUIRE(next);
  CHECK(read_one(**next) == "2");
}

}  // namespace
}  // namespace triaged
