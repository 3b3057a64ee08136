#include "daemon/kafka_admin.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "daemon/broker_client.h"
#include "daemon/clock.h"
#include "daemon/kafka_handles.h"

namespace triaged {
namespace {

constexpr size_t kOverhead = 64 * 1024;           // headers and framing beyond the alert itself
constexpr size_t kLeastMessage = 4 * 1024 * 1024;  // a case at all its limits encodes to about 1.1 MB

// A store that was away for longer may miss a deletion and is restored from the beginning (WorkerOptions).
constexpr const char* kTombstoneRetention = "86400000";

size_t LeastMessageBytes(size_t alert_bytes) { return std::max(alert_bytes + kOverhead, kLeastMessage); }

// Of dead letters, per partition. They keep the time of the record they hold, so by their age Kafka might delete the only
// copy of an old alert within minutes.
constexpr const char* kMostKept = "1073741824";

struct TopicSpec {
  std::string name;
  bool compact = false;
  bool log_append_time = false;   // the broker's time drives the deadlines
  bool exact_partitions = false;  // kafka.partitions; else any number will do
  bool for_ever = false;          // created without a limit of age; whoever runs the cluster may set one
  bool bounded = false;           // created with kMostKept
};

std::vector<TopicSpec> Specs(const OwnTopics& own) {
  const TopicNames names = TopicNames::For(own.application_id);
  std::vector<TopicSpec> specs;
  for (const std::string& input : {names.intake, names.commands, names.signals, names.steps}) {
    specs.push_back({.name = input, .log_append_time = true, .exact_partitions = true});
  }
  specs.push_back({.name = names.state, .compact = true, .log_append_time = true, .exact_partitions = true});
  specs.push_back({.name = names.escalations});
  specs.push_back({.name = names.cases, .compact = true});
  specs.push_back({.name = names.dead_letter, .for_ever = true, .bounded = true});
  if (own.archive) specs.push_back({.name = names.archive, .for_ever = true});
  return specs;
}

struct Cluster {
  int brokers = 0;
  std::map<std::string, int> partitions;  // of existing topics
};

Result<RdHandle> AdminHandle(const KafkaConfig& kafka) {
  auto conf = MakeConf({}, kafka.properties, {{"bootstrap.servers", kafka.bootstrap_servers}});
  if (!conf) return conf.error();
  return MakeHandle(RD_KAFKA_PRODUCER, std::move(*conf));
}

Result<Cluster> ReadCluster(rd_kafka_t* handle, Duration bound) {
  const struct rd_kafka_metadata* answer = nullptr;
  const auto code = rd_kafka_metadata(handle, 1, nullptr, &answer, Millis(bound));
  if (code) return EnvironmentError("the Kafka cluster does not answer: " + ErrorText(code));
  const RdMetadata metadata(answer);
  Cluster cluster;
  cluster.brokers = metadata->broker_cnt;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    if (!metadata->topics[i].err) cluster.partitions[metadata->topics[i].topic] = metadata->topics[i].partition_cnt;
  }
  return cluster;
}

// As ReadCluster, again and again while one of our topics is missing, but not longer than `patience`. Each question may go
// to another broker.
Result<Cluster> ReadClusterWith(const OwnTopics& own, rd_kafka_t* handle, Duration bound, Duration patience) {
  const std::vector<TopicSpec> specs = Specs(own);
  const Duration end = MonotonicTime() + patience;
  while (true) {
    auto cluster = ReadCluster(handle, bound);
    if (!cluster || MonotonicTime() >= end) return cluster;
    const auto known = [&](const TopicSpec& spec) { return cluster->partitions.contains(spec.name); };
    if (std::all_of(specs.begin(), specs.end(), known)) return cluster;
    rd_kafka_poll(handle, 50);  // waits
  }
}

// One admin request and its result event.
using RdEvent = std::unique_ptr<rd_kafka_event_t, RdDeleter<rd_kafka_event_destroy>>;
using RdAdminOptions = std::unique_ptr<rd_kafka_AdminOptions_t, RdDeleter<rd_kafka_AdminOptions_destroy>>;
using RdNewTopic = std::unique_ptr<rd_kafka_NewTopic_t, RdDeleter<rd_kafka_NewTopic_destroy>>;
using RdResource = std::unique_ptr<rd_kafka_ConfigResource_t, RdDeleter<rd_kafka_ConfigResource_destroy>>;

Result<RdEvent> WaitFor(rd_kafka_queue_t* queue, Duration bound, const std::string& what) {
  RdEvent event(rd_kafka_queue_poll(queue, static_cast<int>(bound.count())));
  if (!event) return EnvironmentError(what + ": no answer within " + FormatDuration(bound));
  if (rd_kafka_event_error(event.get())) {
    return EnvironmentError(what + ": " + std::string(rd_kafka_event_error_string(event.get())));
  }
  return event;
}

RdNewTopic MakeNewTopic(const TopicSpec& spec, int partitions, int brokers, size_t alert_bytes) {
  char message[256];
  const int replication = std::min(brokers, 3);
  RdNewTopic topic(rd_kafka_NewTopic_new(spec.name.c_str(), partitions, replication, message, sizeof message));
  if (!topic) return topic;
  const auto set = [&](const char* name, const std::string& value) {
    rd_kafka_NewTopic_set_config(topic.get(), name, value.c_str());
  };
  set("cleanup.policy", spec.compact ? "compact" : "delete");
  if (spec.log_append_time) set("message.timestamp.type", "LogAppendTime");
  if (spec.for_ever) set("retention.ms", "-1");
  if (spec.bounded) set("retention.bytes", kMostKept);
  if (brokers >= 3) set("min.insync.replicas", "2");
  if (spec.compact && spec.log_append_time) set("delete.retention.ms", kTombstoneRetention);
  set("max.message.bytes", std::to_string(LeastMessageBytes(alert_bytes)));
  return topic;
}

using Settings = std::map<std::string, std::string>;

// The settings of these topics, in one question.
Result<std::map<std::string, Settings>> ReadSettings(rd_kafka_t* handle, const std::vector<std::string>& topics,
                                                     Duration bound) {
  std::map<std::string, Settings> settings;
  if (topics.empty()) return settings;
  std::vector<RdResource> owned;
  std::vector<rd_kafka_ConfigResource_t*> wanted;
  for (const std::string& topic : topics) {
    owned.emplace_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
    wanted.push_back(owned.back().get());
  }
  RdQueue queue(rd_kafka_queue_new(handle));
  rd_kafka_DescribeConfigs(handle, wanted.data(), wanted.size(), nullptr, queue.get());
  const auto event = WaitFor(queue.get(), bound, "reading the settings of our topics");
  if (!event) return event.error();
  size_t count = 0;
  const auto* result = rd_kafka_event_DescribeConfigs_result(event->get());
  const auto* resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
  for (size_t i = 0; i < count; ++i) {
    const std::string topic = rd_kafka_ConfigResource_name(resources[i]);
    if (const auto code = rd_kafka_ConfigResource_error(resources[i])) {
      return EnvironmentError("reading the settings of topic '" + topic + "': " + ErrorText(code));
    }
    size_t entries = 0;
    const auto* configs = rd_kafka_ConfigResource_configs(resources[i], &entries);
    for (size_t j = 0; j < entries; ++j) {
      const char* value = rd_kafka_ConfigEntry_value(configs[j]);
      settings[topic][rd_kafka_ConfigEntry_name(configs[j])] = value ? value : "";
    }
  }
  return settings;
}

// The settings that decisions and promises depend on.
void CheckSettings(const TopicSpec& spec, const Settings& settings, size_t alert_bytes, std::vector<std::string>* problems) {
  const auto value = [&](const char* name) {
    const auto at = settings.find(name);
    return at == settings.end() ? std::string() : at->second;
  };
  const auto want = [&](const std::string& name, const std::string& right, const std::string& why) {
    problems->push_back("topic '" + spec.name + "' has " + name + "=" + value(name.c_str()) + ": set it to " + right + why);
  };
  const std::string policy = spec.compact ? "compact" : "delete";
  if (value("cleanup.policy") != policy) want("cleanup.policy", policy, "");
  if (spec.log_append_time && value("message.timestamp.type") != "LogAppendTime") {
    want("message.timestamp.type", "LogAppendTime", " (the broker's time drives the deadlines)");
  }
  const std::string retention = value("delete.retention.ms");
  if (spec.compact && spec.log_append_time && !retention.empty() &&
      std::strtoll(retention.c_str(), nullptr, 10) < std::strtoll(kTombstoneRetention, nullptr, 10)) {
    want("delete.retention.ms", std::string(kTombstoneRetention) + " or more", " (a store that was away must not miss a deletion)");
  }
  const size_t least = LeastMessageBytes(alert_bytes);
  const std::string largest = value("max.message.bytes");
  if (alert_bytes > 0 && !largest.empty() && std::strtoull(largest.c_str(), nullptr, 10) < least) {
    want("max.message.bytes", std::to_string(least) + " or more", " (limits.alert_bytes and what is added to an alert; a case)");
  }
}

void CheckDirect(const KafkaConfig& kafka, const Cluster& cluster, std::vector<std::string>* problems) {
  for (const std::string& topic : kafka.alert_topics) {
    const auto found = cluster.partitions.find(topic);
    if (found != cluster.partitions.end() && found->second == kafka.partitions) continue;
    const std::string what = found == cluster.partitions.end() ? "it is missing"
                                                               : "it has " + std::to_string(found->second);
    problems->push_back("routing: direct needs alert topic '" + topic + "' with exactly " +
                        std::to_string(kafka.partitions) + " partitions (kafka.partitions); " + what +
                        ": make it so, or set routing: repartition");
  }
}

}  // namespace

Result<std::vector<std::string>> CheckTopics(const KafkaConfig& kafka, const OwnTopics& own, Duration bound,
                                             Duration patience) {
  const auto handle = AdminHandle(kafka);
  if (!handle) return handle.error();
  const auto cluster = ReadClusterWith(own, handle->get(), bound, patience);
  if (!cluster) return cluster.error();
  std::vector<std::string> there;
  for (const TopicSpec& spec : Specs(own)) {
    if (cluster->partitions.contains(spec.name)) there.push_back(spec.name);
  }
  const auto settings = ReadSettings(handle->get(), there, bound);
  if (!settings) return settings.error();
  std::vector<std::string> problems;
  for (const TopicSpec& spec : Specs(own)) {
    const auto found = cluster->partitions.find(spec.name);
    if (found == cluster->partitions.end()) {
      problems.push_back("topic '" + spec.name + "' is missing: create it with `triagectl topics create`");
      continue;
    }
    if (spec.exact_partitions && found->second != kafka.partitions) {
      problems.push_back("topic '" + spec.name + "' has " + std::to_string(found->second) + " partitions, kafka.partitions is " +
                         std::to_string(kafka.partitions) + ": the number is fixed for the life of an application_id; " +
                         "set it back, or choose a new application_id");
    }
    const auto at = settings->find(spec.name);
    if (at != settings->end()) CheckSettings(spec, at->second, own.alert_bytes, &problems);
  }
  if (kafka.routing == Routing::kDirect) CheckDirect(kafka, *cluster, &problems);
  return problems;
}

Status CreateMissingTopics(const KafkaConfig& kafka, const OwnTopics& own, Duration bound) {
  const auto handle = AdminHandle(kafka);
  if (!handle) return handle.error();
  const auto cluster = ReadCluster(handle->get(), bound);
  if (!cluster) return cluster.error();
  std::vector<RdNewTopic> topics;
  std::vector<rd_kafka_NewTopic_t*> raw;
  for (const TopicSpec& spec : Specs(own)) {
    if (cluster->partitions.contains(spec.name)) continue;
    topics.push_back(MakeNewTopic(spec, kafka.partitions, cluster->brokers, own.alert_bytes));
    raw.push_back(topics.back().get());
  }
  if (raw.empty()) return {};
  RdQueue queue(rd_kafka_queue_new(handle->get()));
  RdAdminOptions options(rd_kafka_AdminOptions_new(handle->get(), RD_KAFKA_ADMIN_OP_CREATETOPICS));
  char message[256];
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), Millis(bound), message, sizeof message);
  rd_kafka_CreateTopics(handle->get(), raw.data(), raw.size(), options.get(), queue.get());
  const auto event = WaitFor(queue.get(), bound + std::chrono::seconds(5), "creating topics");
  if (!event) return event.error();
  size_t count = 0;
  const auto* results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event->get()), &count);
  for (size_t i = 0; i < count; ++i) {
    const auto code = rd_kafka_topic_result_error(results[i]);
    if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
      return EnvironmentError("creating topic '" + std::string(rd_kafka_topic_result_name(results[i])) +
                              "': " + ErrorText(code));
    }
  }
  return {};
}

}  // namespace triaged
