// Owners for librdkafka's objects, and its configuration as one call. Private to the kafka_* files.
//
// Thread-safety: as the objects they own; DestroyBounded may be called from any thread.
#pragma once

#include <librdkafka/rdkafka.h>

#include <map>
#include <memory>
#include <string>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"

// librdkafka's RD_KAFKA_V_… macros check their types by statement expressions.
#ifdef __clang__
#pragma clang diagnostic ignored "-Wgnu-statement-expression"
#endif

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
using RdTopic = std::unique_ptr<rd_kafka_topic_t, RdDeleter<rd_kafka_topic_destroy>>;
using RdConf = std::unique_ptr<rd_kafka_conf_t, RdDeleter<rd_kafka_conf_destroy>>;
using RdError = std::unique_ptr<rd_kafka_error_t, RdDeleter<rd_kafka_error_destroy>>;
using RdMetadata = std::unique_ptr<const struct rd_kafka_metadata, RdDeleter<rd_kafka_metadata_destroy>>;
using RdGroupMetadata = std::shared_ptr<rd_kafka_consumer_group_metadata_t>;
inline RdGroupMetadata OwnGroupMetadata(rd_kafka_consumer_group_metadata_t* metadata) {
  return {metadata, RdDeleter<rd_kafka_consumer_group_metadata_destroy>()};
}

// Destroys a client without closing its consumer: closing tells a static member's group nothing, and answering the
// revocation that it brings can block for ever (librdkafka drops what is asked while it ends). Destroying can block,
// too (#4724): after 5 s the client is left to its thread, with a warning.
void DestroyBounded(rd_kafka_t* handle);
using RdHandle = std::unique_ptr<rd_kafka_t, RdDeleter<DestroyBounded>>;
using RdSharedHandle = std::shared_ptr<rd_kafka_t>;  // of an RdHandle

using Properties = std::map<std::string, std::string>;

// Three layers: `defaults`, what the user passes through over them, and `required` over all: what exactly-once needs.
// librdkafka's log lines go to our log. The message of an error names the setting.
Result<RdConf> MakeConf(const Properties& defaults, const Properties& users, const Properties& required);
// Takes the configuration over.
Result<RdHandle> MakeHandle(rd_kafka_type_t type, RdConf conf);

inline std::string ErrorText(rd_kafka_resp_err_t code) { return rd_kafka_err2str(code); }
// For librdkafka's time-outs: never negative, which would mean "for ever".
int Millis(Duration d);

}  // namespace triaged
