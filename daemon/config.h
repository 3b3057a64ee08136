// Config: triaged.yaml as an immutable struct. Read strictly: all errors at once, with file, line and snippet.
// configs/README.md is the reference of every setting; configs/triaged.yaml the annotated default.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/web_config.h"
#include "pipeline/base/diagnostics.h"
#include "pipeline/base/result.h"
#include "pipeline/base/time.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/policy/engine.h"
#include "pipeline/report/dead_letter_style.h"

namespace triaged {

enum class Routing { kRepartition, kDirect };
enum class LogFormat { kLogfmt, kJson };

struct KafkaConfig {
  std::string bootstrap_servers;
  bool embedded = false;                      // librdkafka's in-process mock: for the demo only
  std::vector<std::string> alert_topics;      // names, or patterns that begin with ^
  Routing routing = Routing::kRepartition;
  int partitions = 12;                        // N of our own topics; fixed for the life of an application id
  bool create_topics = true;
  Duration transaction_timeout{10'000};
  Duration commit_timeout{30'000};
  Duration session_timeout{45'000};
  DeadLetterStyle dead_letter_style = DeadLetterStyle::kTriaged;
  int64_t prefetch_bytes = 64 * 1024 * 1024;  // queued.max.messages.kbytes, per worker
  std::map<std::string, std::string> properties;  // passed to librdkafka; `*_file` twins are already read
};

struct StorageConfig {
  std::string path;
  int64_t memory_bytes = 256 * 1024 * 1024;
  int64_t dedup_max_entries = 1'000'000;
  int64_t case_cache_entries = 20'000;
  int64_t correlation_bytes = 32 * 1024 * 1024;
  Duration flush_interval{60'000};
};

struct StepLimits {
  int64_t max_records = 25'000;
  int64_t max_bytes = 16 * 1024 * 1024;
  Duration max_wait{50};
  int64_t max_timers = 1000;
  int64_t restore_records = 10'000;
};

struct Config {
  std::string application_id = "triaged";
  std::string instance;                       // names this process in the group; the host name by default
  KafkaConfig kafka;
  int workers = 1;
  bool standby = false;                       // follow the changelog of partitions that other processes own
  StorageConfig storage;
  StepLimits step;
  NormaliseLimits alert_limits;
  RuleBudget rule_budget;
  BaselineSettings baseline;
  std::vector<TopicSettings> topics;          // what is known about single alert topics
  std::string web_listen_address = "127.0.0.1:9464";
  WebConfig web;                              // of web.config_file: TLS and users
  std::string log_level = "info";
  LogFormat log_format = LogFormat::kLogfmt;
  Duration heartbeat_interval{60'000};
  Duration keep_closed{0};                    // closed cases leave after resting this long; 0: never
  bool archive = false;                       // and are written to the archive topic
  bool ocsf = false;                          // case events carry an OCSF Incident Finding, too
  Duration shutdown_timeout{30'000};
  Duration watchdog_timeout{120'000};
  // Files or directories, relative to the config file's directory.
  std::vector<std::string> formats, rules, policies;
  std::vector<std::string> enrichment;        // lists of enrichment files; may be empty
  std::string mapping;                        // the rules' mapping table; may be empty
};

// Parses the text. Paths of formats, rules and policies are made relative to `file`'s directory; `*_file` secrets are
// read. nullopt when `diagnostics` got an error.
std::optional<Config> ParseConfig(const SourceFile& file, Diagnostics* diagnostics);
std::optional<Config> LoadConfig(const std::string& path, Diagnostics* diagnostics);

// Reads a file, or every *.yaml / *.yml of a directory and those in it, in name order. A directory of which a part cannot
// be read is an error as a whole.
Result<SourceFile> ReadSourceFile(const std::string& path);
std::vector<SourceFile> ReadSources(const std::vector<std::string>& paths, Diagnostics* diagnostics);

// Lists of enrichment files and the files they name, which are relative to their list.
EnrichmentSources ReadEnrichment(const std::vector<std::string>& paths, Diagnostics* diagnostics);

// Everything that formats, rules, policies and enrichment lists name, compiled; nullptr when `diagnostics` got an error.
std::shared_ptr<const Engine> LoadEngine(const Config& config, Diagnostics* diagnostics);

// /etc/triaged/triaged.yaml where it is, else the shipped default beside the program's sources.
std::string DefaultConfigPath();

}  // namespace triaged
