// triaged-notify: escalations to people. A straight list: flags, configuration, signals, HTTP, the loop.
#include <pthread.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

#include "daemon/ctl.h"
#include "daemon/admin_pages.h"
#include "daemon/log.h"
#include "daemon/notify/notifier.h"

namespace triaged {
namespace {

std::optional<NotifyConfig> Load(const std::string& path, Diagnostics* diagnostics) {
  const auto file = ReadSourceFile(path);
  if (!file) {
    diagnostics->Error({path, 0, 0}, file.error().message);
    return std::nullopt;
  }
  const auto base = std::filesystem::path(path).parent_path();
  const auto read = [&base](const std::string& name) -> Result<std::string> {
    const auto secret = ReadSourceFile((base / name).string());
    if (!secret) return secret.error();
    return secret->text;
  };
  auto config = ParseNotifyConfig(*file, read, diagnostics);
  if (!config) return config;
  config->storage_path = (base / config->storage_path).string();
  for (auto& [name, destination] : config->destinations) {
    if (destination.ca_file.empty()) continue;
    destination.ca_file = (base / destination.ca_file).string();
    if (const auto there = ReadSourceFile(destination.ca_file); !there) {
      diagnostics->Error({path, 0, 0}, "ca_file of destination " + name + ": " + there.error().message);
      return std::nullopt;
    }
  }
  return config;
}

// `triaged-notify --route FILE`: where the event in the file would go, without sending anything.
int ShowRoute(const NotifyConfig& config, const std::string& path) {
  const auto file = ReadSourceFile(path);
  const auto event = file ? ParseNotifyEvent(file->text) : Result<std::optional<NotifyEvent>>(file.error());
  if (!event) {
    std::fprintf(stderr, "triaged-notify: %s\n", event.error().message.c_str());
    return kExitFailed;
  }
  if (!*event) return kExitOk;
  for (const std::string& name : RouteEvent(config, **event, (*event)->time)) std::printf("%s\n", name.c_str());
  return kExitOk;
}

// What signals ask for, until it is taken. One thread waits for signals; the notifier that runs is told.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    signal(SIGPIPE, SIG_IGN);
  }
  // `reload` answers whether the notifier shall end for a new configuration.
  void Watch(std::function<bool()> reload) {
    std::thread([this, reload = std::move(reload)] {
      while (true) {
        int signal = 0;
        sigwait(&set_, &signal);
        if (signal == SIGHUP && !reload()) continue;
        const std::lock_guard lock(mutex_);
        stop_ = stop_ || signal != SIGHUP;
        if (running_) running_->RequestStop();
      }
    }).detach();
  }
  // False once a stop was asked for.
  bool Run(Notifier* notifier) {
    const std::lock_guard lock(mutex_);
    running_ = notifier;
    return !stop_;
  }
  bool stop() {
    const std::lock_guard lock(mutex_);
    running_ = nullptr;
    return stop_;
  }

 private:
  sigset_t set_;
  std::mutex mutex_;
  Notifier* running_ = nullptr;
  bool stop_ = false;
};

// The configuration that a reload found right, and how reloads went.
struct Reload {
  std::mutex mutex;
  std::optional<NotifyConfig> next;
  bool successful = true;
};

bool CheckReload(const std::string& path, Reload* reload) {
  Diagnostics diagnostics;
  auto config = Load(path, &diagnostics);
  const std::lock_guard lock(reload->mutex);
  reload->successful = config.has_value();
  if (config) {
    reload->next = std::move(config);
    LogInfo("configuration reloaded", {{"file", path}});
  } else {
    LogError("configuration refused; the old one stays", {{"why", diagnostics.Render()}});
  }
  return reload->successful;
}

Status RunOnce(NotifyConfig config, Reload* reload, Signals* signals) {
  const std::string address = config.listen_address;
  Notifier notifier(std::move(config));
  AdminHooks hooks;
  hooks.metrics = [&] {
    const std::lock_guard lock(reload->mutex);
    return notifier.MetricsText() +
           "# HELP triaged_notify_config_last_reload_successful 0 after a configuration was refused.\n"
           "# TYPE triaged_notify_config_last_reload_successful gauge\n"
           "triaged_notify_config_last_reload_successful " + (reload->successful ? "1\n" : "0\n");
  };
  hooks.ready = [&] { return std::pair(notifier.ready(), std::string(notifier.ready() ? "ready" : "joining the group")); };
  hooks.reload = [] { return std::pair(false, std::string("send SIGHUP to apply a configuration")); };
  const auto http = StartAdminServer(address, std::move(hooks));
  if (!http) return http.error();
  LogInfo("listening", {{"port", std::to_string((*http)->port())}});
  sd_notify(0, "READY=1");
  const bool run = signals->Run(&notifier);
  {
    const std::lock_guard lock(reload->mutex);
    if (reload->next) notifier.RequestStop();  // came between two notifiers
  }
  const Status status = run ? notifier.Run() : Status();
  const bool stop = signals->stop();  // from here on nobody calls the notifier
  if (status && !stop) return status;
  if (status) {
    LogInfo("stopped", {});
  } else {
    LogError("stopped", {{"why", status.error().message}});
  }
  FlushLog();
  std::_Exit(status ? kExitOk : kExitFailed);  // senders may still wait for a slow server
}

int Serve(NotifyConfig config, const std::string& path) {
  Signals signals;
  Reload reload;
  signals.Watch([&] { return CheckReload(path, &reload); });
  while (true) {
    if (const Status status = RunOnce(std::move(config), &reload, &signals); !status) {
      LogError("stopped", {{"why", status.error().message}});
      FlushLog();
      std::_Exit(kExitFailed);
    }
    const std::lock_guard lock(reload.mutex);
    config = std::move(*reload.next);  // a notifier ends without stop or error for this alone
    reload.next.reset();
  }
}

int Main(int argc, char** argv) {
  std::string config_file = "/etc/triaged/notify.yaml", log_level = "info", route;
  bool check = false;
  CLI::App app("triaged-notify: sends escalations to people", "triaged-notify");
  app.set_version_flag("--version", "triaged-notify " TRIAGED_VERSION);
  app.add_option("--config.file", config_file, "configuration")->capture_default_str();
  app.add_option("--log.level", log_level)->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  app.add_flag("--check", check, "check the configuration and exit");
  app.add_option("--route", route, "print the destinations of the event (CloudEvents JSON) in this file and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kExitOk : kExitUsage;
  }
  Diagnostics diagnostics;
  auto config = Load(config_file, &diagnostics);
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (!config) return check ? kExitFailed : kExitConfig;
  if (check) return kExitOk;
  if (!route.empty()) return ShowRoute(*config, route);
  InitLog(log_level, LogFormat::kLogfmt);
  return Serve(std::move(*config), config_file);
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
