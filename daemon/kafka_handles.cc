#include "daemon/kafka_handles.h"

namespace triaged {
namespace {

Status Set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  char message[512];
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), message, sizeof message) == RD_KAFKA_CONF_OK) return {};
  return BadInput("kafka.properties: " + std::string(message) + " (setting '" + name + "')");
}

}  // namespace

Result<RdConf> MakeConf(const Properties& users, const Properties& ours) {
  RdConf conf(rd_kafka_conf_new());
  for (const Properties* properties : {&users, &ours}) {
    for (const auto& [name, value] : *properties) {
      if (Status set = Set(conf.get(), name, value); !set) return set.error();
    }
  }
  return conf;
}

Result<RdHandle> MakeHandle(rd_kafka_type_t type, RdConf conf) {
  char message[512];
  rd_kafka_t* handle = rd_kafka_new(type, conf.get(), message, sizeof message);
  if (!handle) return EnvironmentError("cannot make a Kafka client: " + std::string(message));
  conf.release();  // rd_kafka_new has taken it
  return RdHandle(handle);
}

}  // namespace triaged
