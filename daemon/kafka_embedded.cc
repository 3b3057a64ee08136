#include "daemon/kafka_embedded.h"

namespace triaged {

Result<std::unique_ptr<EmbeddedBroker>> EmbeddedBroker::Start(const std::map<std::string, int>& topics) {
  auto conf = MakeConf({}, {}, {{"client.id", "embedded-broker"}, {"log_level", "3"}});
  if (!conf) return conf.error();
  auto handle = MakeHandle(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!handle) return handle.error();
  std::unique_ptr<EmbeddedBroker> broker(new EmbeddedBroker());
  broker->handle_ = std::move(*handle);
  broker->cluster_ = rd_kafka_mock_cluster_new(broker->handle_.get(), 1);
  if (!broker->cluster_) return EnvironmentError("the embedded broker cannot start");
  for (const auto& [topic, partitions] : topics) {
    const auto code = rd_kafka_mock_topic_create(broker->cluster_, topic.c_str(), partitions, 1);
    if (code) return EnvironmentError("embedded broker: topic '" + topic + "': " + ErrorText(code));
  }
  return broker;
}

EmbeddedBroker::~EmbeddedBroker() {
  if (cluster_) rd_kafka_mock_cluster_destroy(cluster_);
}

std::string EmbeddedBroker::bootstrap() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }

}  // namespace triaged
