#include "daemon/config.h"

#include <re2/re2.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace triaged {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int64_t kMiB = 1024 * 1024;
constexpr int64_t kGiB = 1024 * kMiB;

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

std::string Resolve(const std::string& base, const std::string& path) {
  return fs::path(path).is_absolute() ? path : (fs::path(base) / path).lexically_normal().string();
}

// Names that the loop depends on (KAFKA.md, Settings): a user's value would break a promise, so it is refused.
constexpr std::string_view kOwnProperties[] = {
    "bootstrap.servers", "enable.auto.commit", "enable.auto.offset.store", "isolation.level", "acks",
    "enable.idempotence", "transactional.id", "transaction.timeout.ms", "group.id", "group.instance.id",
    "partition.assignment.strategy", "enable.partition.eof", "auto.offset.reset", "session.timeout.ms",
    "max.poll.interval.ms", "queued.max.messages.kbytes", "queued.min.messages", "check.crcs", "retry.backoff.ms",
    "message.max.bytes", "allow.auto.create.topics",
};

void ReadSecretFile(MapReader& reader, const YamlNode& node, const std::string& base, std::string key,
                    std::map<std::string, std::string>* properties) {
  key.resize(key.size() - std::string_view("_file").size());
  const std::string path = Resolve(base, node.scalar());
  const auto secret = ReadSourceFile(path);
  if (!secret) return reader.ErrorAt(node, secret.error().message, "the file must hold the value of `" + key + "`");
  std::string text = secret->text;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  (*properties)[key] = text;
}

void ReadProperties(MapReader& kafka, const std::string& base, KafkaConfig* out) {
  const YamlNode* node = kafka.Node("properties");
  if (!node || node->IsNull()) return;
  if (!node->IsMap()) return kafka.ErrorAt(*node, "`properties` must be a map of librdkafka settings");
  for (const auto& entry : node->map()) {
    if (!entry.value.IsScalar()) {
      kafka.ErrorAt(entry.value, "librdkafka's '" + entry.key + "' takes one value");
    } else if (std::find(std::begin(kOwnProperties), std::end(kOwnProperties), entry.key) != std::end(kOwnProperties)) {
      kafka.ErrorAt(entry.value, "'" + entry.key + "' is set by triaged: exactly-once depends on it", "remove it");
    } else if (entry.key.size() > 5 && entry.key.ends_with("_file")) {
      ReadSecretFile(kafka, entry.value, base, entry.key, &out->properties);
    } else {
      out->properties[entry.key] = entry.value.scalar();
    }
  }
}

void ReadKafka(MapReader& top, const std::string& base, const std::string& application_id, KafkaConfig* out) {
  static const YamlNode empty;
  const YamlNode* node = top.Node("kafka", /*required=*/true);
  MapReader kafka(top.source(), node ? *node : empty, "kafka", top.diagnostics());
  out->bootstrap_servers = kafka.String("bootstrap_servers");
  out->embedded = kafka.Bool("embedded_broker", false);
  if (node && out->embedded == !out->bootstrap_servers.empty()) {
    kafka.ErrorHere("set either `bootstrap_servers` or `embedded_broker: true`, and not both");
  }
  out->alert_topics = kafka.Strings("alert_topics", /*required=*/true);
  for (const std::string& topic : out->alert_topics) {
    if (topic.starts_with(application_id + ".")) {
      kafka.ErrorHere("alert topic '" + topic + "' is one of our own", "topics that begin with '" + application_id +
                                                                           ".' are written by triaged itself");
    }
  }
  out->routing = kafka.Choice("routing", {"repartition", "direct"}, 0) == 1 ? Routing::kDirect : Routing::kRepartition;
  for (const std::string& topic : out->alert_topics) {
    if (out->routing == Routing::kDirect && topic.starts_with('^')) {
      kafka.ErrorHere("routing: direct takes names, not patterns: '" + topic + "'", "list the topics one by one");
    }
  }
  out->partitions = static_cast<int>(kafka.Int("partitions", out->partitions, 1, 1000));
  out->create_topics = kafka.Bool("create_topics", true);
  out->transaction_timeout = kafka.Interval("transaction_timeout", out->transaction_timeout, seconds(1), minutes(15));
  out->commit_timeout = kafka.Interval("commit_timeout", out->commit_timeout, seconds(1), minutes(15));
  out->session_timeout = kafka.Interval("session_timeout", out->session_timeout, seconds(1), minutes(30));
  out->dead_letter_style = static_cast<DeadLetterStyle>(kafka.Choice("dead_letter_style", {"triaged", "connect", "spring"}, 0));
  out->prefetch_bytes = kafka.Bytes("prefetch", out->prefetch_bytes, kMiB, 2 * kGiB - 1);
  ReadProperties(kafka, base, out);
  kafka.Finish();
}

TopicSettings ReadTopic(MapReader& top, const std::string& name, const YamlNode& node) {
  MapReader reader(top.source(), node, "the topic '" + name + "'", top.diagnostics());
  TopicSettings topic;
  topic.topic = name;
  topic.format = reader.String("format");
  const std::string zone = reader.String("zone");
  if (!zone.empty() && !(topic.zone = Zone::Find(zone))) {
    const auto near = DidYouMean(zone, Zone::Names());
    reader.ErrorHere("'" + zone + "' is no IANA time zone", near.empty() ? "" : "did you mean '" + std::string(near) + "'?");
  }
  for (const std::string& entry : reader.Strings("split")) AddSplit(entry, &topic.split);
  topic.split.envelope = reader.Strings("envelope");
  if (!topic.split.envelope.empty() && topic.split.under.empty()) {
    reader.ErrorHere("`envelope` names what stands around the alerts of a path in `split`, and there is none");
  }
  reader.Finish();
  return topic;
}

// Each entry says something about one entry of `kafka.alert_topics`, or about a topic that one of its patterns matches.
void ReadTopics(MapReader& top, Config* out) {
  const YamlNode* node = top.Node("topics");
  if (!node || node->IsNull()) return;
  if (!node->IsMap()) return top.ErrorAt(*node, "`topics` maps topics to what is known about them");
  const auto& known = out->kafka.alert_topics;
  const bool patterns = std::any_of(known.begin(), known.end(), [](const auto& topic) { return topic.starts_with('^'); });
  for (const auto& entry : node->map()) {
    TopicSettings topic = ReadTopic(top, entry.key, entry.value);
    if (entry.key.starts_with('^')) {
      auto pattern = std::make_shared<re2::RE2>(entry.key, re2::RE2::Quiet);
      if (!pattern->ok()) top.ErrorAt(entry.value, "'" + entry.key + "' is no regular expression: " + pattern->error());
      topic.pattern = std::move(pattern);
    } else if (!patterns && std::find(known.begin(), known.end(), entry.key) == known.end()) {
      top.ErrorAt(entry.value, "'" + entry.key + "' is none of kafka.alert_topics", "no alert is ever read from it");
    }
    out->topics.push_back(std::move(topic));
  }
}

void ReadStorage(MapReader& top, const std::string& base, StorageConfig* out) {
  static const YamlNode empty;
  const YamlNode* node = top.Node("storage", /*required=*/true);
  MapReader storage(top.source(), node ? *node : empty, "storage", top.diagnostics());
  out->path = storage.String("path", {}, /*required=*/true);
  if (!out->path.empty()) out->path = Resolve(base, out->path);
  out->memory_bytes = storage.Bytes("memory", out->memory_bytes, 16 * kMiB, 1024 * kGiB);
  out->dedup_max_entries = storage.Int("dedup_max_entries", out->dedup_max_entries, 1000, 100'000'000);
  out->case_cache_entries = storage.Int("case_cache_entries", out->case_cache_entries, 100, 10'000'000);
  out->correlation_bytes = storage.Bytes("correlation_bytes", out->correlation_bytes, 64 * 1024, 16 * kGiB);
  out->flush_interval = storage.Interval("flush_interval", out->flush_interval, seconds(1), hours(1));
  storage.Finish();
}

constexpr int64_t kMostSteps = int64_t{1} << 40;  // an hour of one alert

void ReadLimits(MapReader& top, Config* out) {
  static const YamlNode empty;
  const YamlNode* node = top.Node("limits");
  MapReader limits(top.source(), node ? *node : empty, "limits", top.diagnostics());
  out->alert_limits.max_bytes =
      static_cast<size_t>(limits.Bytes("alert_bytes", static_cast<int64_t>(out->alert_limits.max_bytes), 1024, 64 * kMiB));
  out->alert_limits.max_depth = static_cast<int>(limits.Int("alert_depth", out->alert_limits.max_depth, 4, 1000));
  out->alert_limits.max_alerts = static_cast<size_t>(
      limits.Int("alerts_per_record", static_cast<int64_t>(out->alert_limits.max_alerts), 1, 100'000));
  RuleBudget& budget = out->rule_budget;
  budget.rule = static_cast<uint64_t>(limits.Int("rule_steps", static_cast<int64_t>(budget.rule), 1, kMostSteps));
  budget.set = static_cast<uint64_t>(limits.Int("rule_set_steps", static_cast<int64_t>(budget.set), 1, kMostSteps));
  budget.alert = static_cast<uint64_t>(limits.Int("alert_rule_steps", static_cast<int64_t>(budget.alert), 1'000, kMostSteps));
  out->step.max_records = limits.Int("step_records", out->step.max_records, 1, 1'000'000);
  out->step.max_bytes = limits.Bytes("step_bytes", out->step.max_bytes, 64 * 1024, kGiB);
  out->step.max_wait = limits.Interval("step_wait", out->step.max_wait, milliseconds(1), seconds(1));
  out->step.max_timers = limits.Int("step_timers", out->step.max_timers, 1, 1'000'000);
  out->step.restore_records = limits.Int("restore_records", out->step.restore_records, 1, 1'000'000);
  limits.Finish();
}

void ReadBaseline(MapReader& top, BaselineSettings* out) {
  static const YamlNode empty;
  const YamlNode* node = top.Node("baseline");
  MapReader baseline(top.source(), node ? *node : empty, "baseline", top.diagnostics());
  const int64_t keys = baseline.Int("keys", static_cast<int64_t>(out->keys), 0, int64_t{kMaxBaselineKeys});
  if (keys > 0 && keys < int64_t{kMinBaselineKeys}) {
    baseline.ErrorHere("`keys` must be 0 (no baseline) or at least " + std::to_string(kMinBaselineKeys));
  }
  out->keys = static_cast<size_t>(keys);
  out->half_life = baseline.Interval("half_life", out->half_life, hours(1), std::chrono::days(365));
  if (out->half_life % hours(1) != Duration(0)) {
    baseline.ErrorHere("`half_life` must be whole hours, not " + FormatDuration(out->half_life));
  }
  out->learn = baseline.Interval("learn", out->learn, Duration(0), std::chrono::days(90));
  out->forget = baseline.Interval("forget", out->forget, std::chrono::days(1), std::chrono::days(365));
  if (out->forget <= out->learn) {
    baseline.ErrorHere("`forget` (" + FormatDuration(out->forget) + ") must be longer than `learn` (" +
                       FormatDuration(out->learn) + "), or nothing is known by the time it is asked");
  }
  baseline.Finish();
}

void ReadRetention(MapReader& top, Config* out) {
  const YamlNode* node = top.Node("retention");
  if (!node || node->IsNull()) return;
  MapReader retention(top.source(), *node, "retention", top.diagnostics());
  retention.Node("closed_cases", /*required=*/true);
  out->keep_closed = retention.Interval("closed_cases", out->keep_closed, seconds(1), hours(24 * 366 * 10));
  out->archive = retention.Bool("archive", false);
  retention.Finish();
}

// A window that looks back at an earlier case of the same key must not be longer than the case is kept.
void CheckRetention(const Config& config, const Engine& engine, Diagnostics* diagnostics) {
  if (config.keep_closed <= Duration{0}) return;
  const auto check = [&](const Policy& policy, const std::string& what, Duration window) {
    if (window <= config.keep_closed) return;
    diagnostics->Error({"retention.closed_cases", 0, 0},
                       FormatDuration(config.keep_closed) + " is shorter than " + what + " of policy '" + policy.name +
                           "', " + FormatDuration(window) + ", which looks back at closed cases",
                       {}, "keep closed cases at least as long, or shorten the window");
  };
  for (const auto& policy : engine.policies) {
    check(*policy, "recurrence_window", policy->recurrence_window);
    check(*policy, "risk.window", policy->risk.window);
    for (const GroupingRule& rule : policy->grouping) check(*policy, "grouping rule '" + rule.name + "': reopen", rule.reopen);
  }
}

void ReadWebAndLog(MapReader& top, const std::string& base, Config* out) {
  static const YamlNode empty;
  const YamlNode* web_node = top.Node("web");
  MapReader web(top.source(), web_node ? *web_node : empty, "web", top.diagnostics());
  out->web_listen_address = web.String("listen_address", out->web_listen_address);
  const std::string web_config = web.String("config_file");
  if (!web_config.empty()) out->web = LoadWebConfig(Resolve(base, web_config), top.diagnostics()).value_or(WebConfig{});
  web.Finish();
  const YamlNode* log_node = top.Node("log");
  MapReader log(top.source(), log_node ? *log_node : empty, "log", top.diagnostics());
  const std::vector<std::string_view> levels = {"debug", "info", "warn", "error"};
  out->log_level = std::string(levels[log.Choice("level", levels, 1)]);
  out->log_format = log.Choice("format", {"logfmt", "json"}, 0) == 1 ? LogFormat::kJson : LogFormat::kLogfmt;
  log.Finish();
}

}  // namespace

std::optional<Config> ParseConfig(const SourceFile& file, Diagnostics* diagnostics) {
  const auto yaml = ParseYaml(file, diagnostics);
  if (!yaml) return std::nullopt;
  if (yaml->documents.size() != 1) {
    diagnostics->Error({file.name, 1, 1}, "expected one YAML document, found " + std::to_string(yaml->documents.size()));
    return std::nullopt;
  }
  const std::string base = fs::path(file.name).parent_path().string();
  Config config;
  MapReader top(*yaml->source, yaml->documents.front(), "the configuration", diagnostics);
  config.application_id = top.String("application_id", config.application_id);
  config.instance = top.String("instance", HostName());
  config.workers = static_cast<int>(top.Int("workers", 1, 1, 64));
  config.standby = top.Bool("standby", false);
  ReadKafka(top, base, config.application_id, &config.kafka);
  ReadStorage(top, base, &config.storage);
  ReadLimits(top, &config);
  ReadTopics(top, &config);
  ReadBaseline(top, &config.baseline);
  ReadRetention(top, &config);
  ReadWebAndLog(top, base, &config);
  config.heartbeat_interval = top.Interval("heartbeat_interval", config.heartbeat_interval, Duration(0), hours(1));
  config.ocsf = top.Bool("ocsf", false);
  config.shutdown_timeout = top.Interval("shutdown_timeout", config.shutdown_timeout, seconds(1), minutes(10));
  // Joining may take a while (WorkerOptions::start_timeout) in which a worker has no turn.
  config.watchdog_timeout = top.Interval("watchdog_timeout", config.watchdog_timeout, seconds(90), hours(1));
  for (auto [key, list] : {std::pair("formats", &config.formats), {"rules", &config.rules}, {"policies", &config.policies}}) {
    for (const std::string& path : top.Strings(key, /*required=*/true)) list->push_back(Resolve(base, path));
  }
  if (const std::string mapping = top.String("mapping"); !mapping.empty()) config.mapping = Resolve(base, mapping);
  for (const std::string& path : top.Strings("enrichment")) config.enrichment.push_back(Resolve(base, path));
  top.Finish();
  if (diagnostics->HasErrors()) return std::nullopt;
  return config;
}

std::optional<Config> LoadConfig(const std::string& path, Diagnostics* diagnostics) {
  auto file = ReadSourceFile(path);
  if (!file) {
    diagnostics->Error({path, 0, 0}, file.error().message);
    return std::nullopt;
  }
  return ParseConfig(*file, diagnostics);
}

Result<SourceFile> ReadSourceFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return EnvironmentError("cannot read " + path + ": no such file, or no permission");
  // Not by the stream's buffer: an error of reading would look like the end of the file.
  std::string text;
  char part[64 * 1024];
  do {
    in.read(part, sizeof part);
    text.append(part, static_cast<size_t>(in.gcount()));
  } while (in);
  if (in.bad() || !in.eof()) return EnvironmentError("cannot read " + path + ": is it a file?");
  return SourceFile{path, std::move(text)};
}

std::vector<SourceFile> ReadSources(const std::vector<std::string>& paths, Diagnostics* diagnostics) {
  std::vector<std::string> names;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      names.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (fs::recursive_directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
      const auto extension = at->path().extension();
      if (extension == ".yaml" || extension == ".yml") found.push_back(at->path().string());
    }
    if (error) {  // a part of the rules is not the rules
      diagnostics->Error({path, 0, 0}, "cannot read all of the directory: " + error.message());
      continue;
    }
    if (found.empty()) diagnostics->Error({path, 0, 0}, "the directory has no *.yaml file");
    std::sort(found.begin(), found.end());
    names.insert(names.end(), found.begin(), found.end());
  }
  std::vector<SourceFile> sources;
  for (const std::string& name : names) {
    auto file = ReadSourceFile(name);
    if (file) {
      sources.push_back(std::move(*file));
    } else {
      diagnostics->Error({name, 0, 0}, file.error().message);
    }
  }
  return sources;
}

EnrichmentSources ReadEnrichment(const std::vector<std::string>& paths, Diagnostics* diagnostics) {
  EnrichmentSources sources;
  if (paths.empty()) return sources;
  sources.lists = ReadSources(paths, diagnostics);
  for (const SourceFile& list : sources.lists) {
    const std::string base = fs::path(list.name).parent_path().string();
    for (EnrichmentSpec& spec : ReadEnrichmentList(list, diagnostics)) {
      auto data = ReadSourceFile(Resolve(base, spec.file));
      if (data) {
        sources.inputs.push_back({std::move(spec), std::move(*data)});
      } else {
        diagnostics->Error(spec.where, data.error().message, "file: " + spec.file, "the path is relative to this list");
      }
    }
  }
  return sources;
}

std::shared_ptr<const Engine> LoadEngine(const Config& config, Diagnostics* diagnostics) {
  EngineSources sources;
  sources.formats = ReadSources(config.formats, diagnostics);
  sources.rules = ReadSources(config.rules, diagnostics);
  sources.policies = ReadSources(config.policies, diagnostics);
  sources.enrichment = ReadEnrichment(config.enrichment, diagnostics);
  if (!config.mapping.empty()) {
    auto file = ReadSourceFile(config.mapping);
    if (file) {
      sources.mapping = std::move(*file);
    } else {
      diagnostics->Error({config.mapping, 0, 0}, file.error().message);
    }
  }
  if (diagnostics->HasErrors()) return nullptr;
  sources.topics = config.topics;
  sources.baseline = config.baseline;
  sources.rule_budget = config.rule_budget;
  auto engine = CompileEngine(sources, config.alert_limits, diagnostics);
  if (engine) CheckRetention(config, *engine, diagnostics);
  return diagnostics->HasErrors() ? nullptr : engine;
}

std::string DefaultConfigPath() {
  const std::string installed = "/etc/triaged/triaged.yaml";
  std::error_code error;
  if (fs::exists(installed, error)) return installed;
  return TRIAGED_SHIPPED_CONFIGS "/triaged.yaml";
}

}  // namespace triaged
