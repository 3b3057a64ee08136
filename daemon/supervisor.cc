#include "daemon/supervisor.h"

#include <malloc.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "daemon/clock.h"
#include "daemon/kafka_admin.h"
#include "daemon/kafka_client.h"
#include "daemon/log.h"

namespace triaged {
namespace {

namespace fs = std::filesystem;

constexpr Duration kTopicBound{10'000};

std::string RandomLineage() {
  std::random_device device;
  char text[17];
  std::snprintf(text, sizeof text, "%08x%08x", device(), device());
  return text;
}

// systemd wants to know when a reload began, by the clock that it reads itself.
void NotifyReloading() {
  const std::chrono::microseconds since_boot = MonotonicTime();  // CLOCK_MONOTONIC, which systemd reads too
  sd_notify(0, ("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(since_boot.count())).c_str());
}

}  // namespace

Supervisor::Supervisor(Config config, std::string config_path, std::shared_ptr<const Engine> engine, bool accept_data_loss)
    : config_(std::move(config)),
      config_path_(std::move(config_path)),
      accept_data_loss_(accept_data_loss),
      engine_(std::move(engine)),
      metrics_(*engine_, config_.workers, config_.kafka.partitions) {}

Supervisor::~Supervisor() {
  RequestStop();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

std::shared_ptr<const Engine> Supervisor::CurrentEngine() const {
  const std::lock_guard lock(mutex_);
  return engine_;
}

Status Supervisor::Start() {
  AdminHooks hooks;
  hooks.metrics = [this] { return metrics_.Text(); };
  hooks.ready = [this] { return metrics_.Ready(); };
  hooks.reload = [this] { return Reload(); };
  auto http = StartAdminServer(config_.web_listen_address, std::move(hooks), config_.web);
  if (!http) return http.error();
  http_ = std::move(*http);
  LogInfo("listening", {{"address", config_.web_listen_address}, {"port", std::to_string(http_->port())}});

  std::error_code error;
  // Only a directory that we make is closed to others: narrowing one that was there could shut out its other users
  // (the partitions' own directories are 0700 anyway).
  const bool made = fs::create_directories(config_.storage.path, error);
  if (made && !error) fs::permissions(config_.storage.path, fs::perms::owner_all, error);
  if (error) return EnvironmentError("storage.path " + config_.storage.path + ": " + error.message());
  StoreOptions stores;
  stores.memory_budget_bytes = static_cast<size_t>(config_.storage.memory_bytes);
  stores.expected_stores = config_.kafka.partitions;
  stores.dedup_max_entries = static_cast<size_t>(config_.storage.dedup_max_entries);
  stores.case_cache_entries = static_cast<size_t>(config_.storage.case_cache_entries);
  stores.correlation_bytes = static_cast<size_t>(config_.storage.correlation_bytes);
  stores_ = SharedStoreResources::Make(stores);

  if (!config_.kafka.embedded) return {};
  std::map<std::string, int> topics;
  for (const std::string& topic : config_.kafka.alert_topics) {
    if (!topic.starts_with('^')) topics[topic] = config_.kafka.partitions;
  }
  const TopicNames names = TopicNames::For(config_.application_id);
  for (const std::string& name : {names.intake, names.commands, names.state, names.steps, names.escalations, names.cases,
                                  names.dead_letter, names.signals, names.archive}) {
    topics[name] = config_.kafka.partitions;
  }
  auto broker = EmbeddedBroker::Start(topics);
  if (!broker) return broker.error();
  embedded_ = std::move(*broker);
  config_.kafka.bootstrap_servers = embedded_->bootstrap();
  LogInfo("embedded broker started", {{"bootstrap", config_.kafka.bootstrap_servers}});
  return {};
}

// Waits while the cluster is away; what is wrong with the topics is an error, all at once.
Status Supervisor::WaitForTopics() {
  if (embedded_) return {};
  Duration backoff{500};
  while (!stop_) {
    const OwnTopics own = OwnTopics::Of(config_);
    const bool create = config_.kafka.create_topics;
    const Status created = create ? CreateMissingTopics(config_.kafka, own, kTopicBound) : Status();
    const auto problems = created ? CheckTopics(config_.kafka, own, kTopicBound, create ? kTopicBound : Duration{0})
                                  : Result<std::vector<std::string>>(created.error());
    if (problems && problems->empty()) return {};
    if (problems) {
      std::string all = "our topics are not as they must be:";
      for (const std::string& problem : *problems) all += "\n  " + problem;
      return BadInput(all);
    }
    if (problems.error().kind == ErrorClass::kBadInput) return problems.error();
    LogWarn("waiting for Kafka", {{"why", problems.error().message}, {"again_in", FormatDuration(backoff)}});
    // Waiting is not hanging: systemd's start time-out begins anew.
    sd_notify(0, "EXTEND_TIMEOUT_USEC=60000000");
    PauseUnlessStopping(backoff);
    backoff = std::min(backoff * 2, Duration(15'000));
  }
  return {};
}

WorkerOptions Supervisor::OptionsFor(int worker) const {
  WorkerOptions options;
  options.application_id = config_.application_id;
  options.instance = config_.instance;
  options.number = worker;
  options.partitions = config_.kafka.partitions;
  if (config_.kafka.routing == Routing::kDirect) options.direct_topics = config_.kafka.alert_topics;
  options.store_directory = config_.storage.path;
  options.poll.max_records = static_cast<size_t>(config_.step.max_records);
  options.poll.max_bytes = static_cast<size_t>(config_.step.max_bytes);
  options.poll.max_wait = config_.step.max_wait;
  options.max_timers = static_cast<size_t>(config_.step.max_timers);
  options.restore_records = static_cast<size_t>(config_.step.restore_records);
  options.heartbeat_interval = config_.heartbeat_interval;
  options.ocsf = config_.ocsf;
  options.keep_closed = config_.keep_closed;
  options.archive = config_.archive;
  options.accept_data_loss = accept_data_loss_;
  options.transaction_timeout = config_.kafka.transaction_timeout;
  options.commit_timeout = config_.kafka.commit_timeout;
  options.flush_interval = config_.storage.flush_interval;
  options.standby = config_.standby;
  options.workers = config_.workers;
  return options;
}

WorkerParts Supervisor::PartsFor(int worker) {
  WorkerParts parts;
  parts.make_client = [this, worker] {
    KafkaOptions kafka;
    kafka.bootstrap_servers = config_.kafka.bootstrap_servers;
    kafka.application_id = config_.application_id;
    kafka.instance = config_.instance;
    kafka.worker = worker;
    kafka.alert_topics = config_.kafka.alert_topics;
    kafka.direct = config_.kafka.routing == Routing::kDirect;
    kafka.partitions = config_.kafka.partitions;
    kafka.properties = config_.kafka.properties;
    kafka.transaction_timeout = config_.kafka.transaction_timeout;
    kafka.session_timeout = config_.kafka.session_timeout;
    kafka.dead_letter_style = config_.kafka.dead_letter_style;
    kafka.archive = config_.archive;
    kafka.prefetch_bytes = config_.kafka.prefetch_bytes;
    kafka.stopping = [this] { return stop_.load(); };
    kafka.embedded = config_.kafka.embedded;
    return KafkaClient::Make(std::move(kafka));
  };
  parts.stores = stores_;
  parts.claims = claims_;
  parts.engine = [this] { return CurrentEngine(); };
  parts.new_lineage = RandomLineage;
  parts.pause = [this](Duration d) { PauseUnlessStopping(d); };
  parts.observer = &metrics_;
  return parts;
}

void Supervisor::RunWorker(int worker) {
  const Status ended = Worker(OptionsFor(worker), PartsFor(worker)).Run(&stop_);
  {
    const std::lock_guard lock(mutex_);
    if (!ended && failure_) failure_ = ended;
    --running_;
  }
  // One worker that must stop takes the process with it: half a daemon looks alive and is not.
  RequestStop();
}

Status Supervisor::Run() {
  if (Status ready = WaitForTopics(); !ready) return ready;
  if (!stop_) {
    running_ = config_.workers;
    // The watchdog counts from here: waiting for Kafka may have taken longer than it allows.
    for (int i = 0; i < config_.workers; ++i) metrics_.OnPhase(i, WorkerPhase::kTurn);
    for (int i = 0; i < config_.workers; ++i) threads_.emplace_back([this, i] { RunWorker(i); });
    sd_notify(0, "READY=1");
    LogInfo("started", {{"workers", std::to_string(config_.workers)}, {"application_id", config_.application_id},
                        {"fingerprint", CurrentEngine()->fingerprint}});
  }
  Watch();
  sd_notify(0, "STOPPING=1");
  metrics_.SetStopping();
  const Duration end = MonotonicTime() + config_.shutdown_timeout;
  {
    std::unique_lock lock(mutex_);
    while (running_ > 0 && MonotonicTime() < end) {
      sd_notify(0, "WATCHDOG=1");  // this wait has its own bound
      wake_.wait_for(lock, std::chrono::milliseconds(100));
    }
  }
  LeaveWorkers();
  const std::lock_guard lock(mutex_);
  return failure_;
}

// Joins the workers. One that is late with its client alone is left behind: all is committed and its stores are closed,
// and librdkafka may hang there (#4724). One that is late with anything else ends the process here and now.
void Supervisor::LeaveWorkers() {
  std::string late;
  for (int i = 0; i < static_cast<int>(threads_.size()); ++i) {
    const WorkerPhase phase = metrics_.Phase(i);
    if (phase == WorkerPhase::kStopped) {
      threads_[static_cast<size_t>(i)].join();
      continue;
    }
    threads_[static_cast<size_t>(i)].detach();
    const std::string number = std::to_string(i);
    if (phase == WorkerPhase::kClosingClient) {
      LogWarn("a worker's Kafka client did not close in time and is left behind", {{"worker", number}});
    } else {
      LogError("a worker did not stop in time", {{"worker", number}, {"doing", Name(phase)}});
      late = "workers did not stop in time; exiting, which is safe: recovery is the normal path";
    }
  }
  threads_.clear();
  if (late.empty()) return;
  LogError(late, {});
  FlushLog();
  _exit(1);
}

// Exits the process when a worker makes no turn for too long: the supervisor (systemd) starts it again.
void Supervisor::Watch() {
  uint64_t watchdog_usec = 0;
  const bool notify = sd_watchdog_enabled(0, &watchdog_usec) > 0;
  const Duration interval = notify ? std::min(Duration(1000), Duration(static_cast<int64_t>(watchdog_usec / 2000)))
                                   : Duration(1000);
  while (PauseUnlessStopping(interval)) {
    for (int i = 0; i < config_.workers; ++i) {
      const Duration idle = MonotonicTime() - metrics_.LastTurn(i);
      if (idle < config_.watchdog_timeout) continue;
      LogError("a worker makes no progress: exiting", {{"worker", std::to_string(i)}, {"idle", FormatDuration(idle)},
                                                       {"doing", Name(metrics_.Phase(i))}});
      FlushLog();
      _exit(1);
    }
    FreeRetired();
    if (notify) sd_notify(0, "WATCHDOG=1");
  }
}

// An engine of thousands of rules takes a while to free: no worker's turn pays for it. What it took goes back to the
// system at once: the thread of the next reload has most likely an arena of its own, which could not use it.
void Supervisor::FreeRetired() {
  std::vector<std::shared_ptr<const Engine>> unused;  // freed after the lock
  {
    const std::lock_guard lock(mutex_);
    for (auto& engine : retired_) {
      if (engine.use_count() == 1) unused.push_back(std::exchange(engine, nullptr));
    }
    std::erase(retired_, nullptr);
  }
  if (unused.empty()) return;
  unused.clear();
  malloc_trim(0);
}

bool Supervisor::PauseUnlessStopping(Duration d) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, d, [this] { return stop_.load(); });
  return !stop_;
}

void Supervisor::RequestStop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
}

std::pair<bool, std::string> Supervisor::Reload() {
  const std::lock_guard one_at_a_time(reload_mutex_);
  // While Kafka is waited for, or the workers stop, systemd would take READY for news about that.
  const bool up = running_ > 0 && !stop_;
  if (up) NotifyReloading();
  const auto done = ReloadNow();
  if (up) sd_notify(0, "READY=1");
  return done;
}

std::pair<bool, std::string> Supervisor::ReloadNow() {
  FreeRetired();  // reloads in quick succession do not pile engines up until the next look of Watch
  Diagnostics diagnostics;
  auto config = LoadConfig(config_path_, &diagnostics);
  if (config) {  // by these the topics were checked and the workers made: they stay until a restart
    config->alert_limits = config_.alert_limits;
    config->keep_closed = config_.keep_closed;
  }
  auto engine = config ? LoadEngine(*config, &diagnostics) : nullptr;
  metrics_.OnReload(engine.get(), WallTime());
  if (!engine) {
    const std::string why = diagnostics.Render();
    LogError("reload refused, the old configuration stays", {{"why", why}});
    return {false, why};
  }
  const std::string fingerprint = engine->fingerprint;
  {
    const std::lock_guard lock(mutex_);
    retired_.push_back(std::exchange(engine_, std::move(engine)));
  }
  LogInfo("reloaded formats, rules, policies and enrichment", {{"fingerprint", fingerprint}});
  return {true, "reloaded, fingerprint " + fingerprint};
}

}  // namespace triaged
