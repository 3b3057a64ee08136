#include "daemon/kafka_handles.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>

#include "daemon/log.h"

namespace triaged {
namespace {

constexpr std::chrono::seconds kDestroyBound{5};

Status Set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  char message[512];
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), message, sizeof message) == RD_KAFKA_CONF_OK) return {};
  return BadInput("kafka.properties: " + std::string(message) + " (setting '" + name + "')");
}

// Called on librdkafka's own threads; the log is thread-safe.
void OnLog(const rd_kafka_t* handle, int level, const char* facility, const char* text) {
  // CONFWARN: a setting of the other kind of client; one map of properties serves consumer and producer. AUTOCREATE: the
  // embedded broker makes topics on sight; no real one that has transactions says so.
  for (const std::string_view noise : {"CONFWARN", "AUTOCREATE"}) {
    if (facility == noise) return;
  }
  constexpr int kError = 3;
  constexpr int kNotice = 5;
  const LogFields fields = {{"client", handle ? rd_kafka_name(handle) : ""}, {"facility", facility}, {"text", text}};
  if (level <= kError) {
    LogError("librdkafka", fields);
  } else if (level <= kNotice) {
    LogWarn("librdkafka", fields);
  } else {
    LogDebug("librdkafka", fields);
  }
}

struct Ended {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;  // guarded by mutex
};

}  // namespace

int Millis(Duration d) {
  return static_cast<int>(std::clamp<int64_t>(d.count(), 0, std::numeric_limits<int>::max()));
}

void DestroyBounded(rd_kafka_t* handle) {
  const auto ended = std::make_shared<Ended>();
  std::thread([handle, ended] {
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    const std::lock_guard lock(ended->mutex);
    ended->done = true;
    ended->changed.notify_all();
  }).detach();
  std::unique_lock lock(ended->mutex);
  if (!ended->changed.wait_for(lock, kDestroyBound, [&] { return ended->done; })) {
    LogWarn("a Kafka client did not end in time and is left behind");
  }
}

Result<RdConf> MakeConf(const Properties& defaults, const Properties& users, const Properties& required) {
  // A broker that is back is found within a second (librdkafka's own pauses grow to ten).
  static const Properties kEveryClient = {{"reconnect.backoff.max.ms", "1000"}};
  RdConf conf(rd_kafka_conf_new());
  for (const Properties* properties : {&kEveryClient, &defaults, &users, &required}) {
    for (const auto& [name, value] : *properties) {
      if (Status set = Set(conf.get(), name, value); !set) return set.error();
    }
  }
  rd_kafka_conf_set_log_cb(conf.get(), &OnLog);
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
