// Owners for librdkafka's objects, and its configuration as one call. Private to the kafka_* files.
#pragma once

#include <librdkafka/rdkafka.h>

#include <map>
#include <memory>
#include <string>

#include "pipeline/base/result.h"

namespace triaged {

template <auto Destroy>
struct RdDeleter {
  template <typename T>
  void operator()(T* object) const {
    Destroy(object);
  }
};
using RdQueue = std::unique_ptr<rd_kafka_queue_t, RdDeleter<rd_kafka_queue_destroy>>;
using RdPartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t, RdDeleter<rd_kafka_topic_partition_list_destroy>>;
using RdMessage = std::unique_ptr<rd_kafka_message_t, RdDeleter<rd_kafka_message_destroy>>;
using RdConf = std::unique_ptr<rd_kafka_conf_t, RdDeleter<rd_kafka_conf_destroy>>;
using RdError = std::unique_ptr<rd_kafka_error_t, RdDeleter<rd_kafka_error_destroy>>;
using RdGroupMetadata =
    std::unique_ptr<rd_kafka_consumer_group_metadata_t, RdDeleter<rd_kafka_consumer_group_metadata_destroy>>;

// Closing is the client's own, bounded business: destroying a handle must not block on the group.
struct RdHandleDeleter {
  void operator()(rd_kafka_t* handle) const { rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE); }
};
using RdHandle = std::unique_ptr<rd_kafka_t, RdHandleDeleter>;

using Properties = std::map<std::string, std::string>;

// `ours` win over `users`. The message of an error names the setting.
Result<RdConf> MakeConf(const Properties& users, const Properties& ours);
// Takes the configuration over.
Result<RdHandle> MakeHandle(rd_kafka_type_t type, RdConf conf);

inline std::string ErrorText(rd_kafka_resp_err_t code) { return rd_kafka_err2str(code); }

}  // namespace triaged
