// EmbeddedBroker: librdkafka's mock cluster in this process, for the quick start and for error paths.
//
// It keeps about 5 MiB a partition, drops offsets that transactions commit and shows aborted records: it can never
// prove exactly-once (design: RELIABILITY.md, Real parts). Listens on loopback.
#pragma once

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <map>
#include <memory>
#include <string>

#include "daemon/kafka_handles.h"

namespace triaged {

class EmbeddedBroker {
 public:
  // Starts one broker with these topics (name → partitions).
  static Result<std::unique_ptr<EmbeddedBroker>> Start(const std::map<std::string, int>& topics);
  ~EmbeddedBroker();

  std::string bootstrap() const;

 private:
  EmbeddedBroker() = default;
  RdHandle handle_;  // the mock cluster lives in a client
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

}  // namespace triaged
