// triaged-notify: escalations to people. A straight list: flags, configuration, signals, HTTP, the loop.
#include <pthread.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
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
  if (config) config->storage_path = (base / config->storage_path).string();
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

int Serve(NotifyConfig config) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const std::string address = config.listen_address;
  Notifier notifier(std::move(config));
  AdminHooks hooks;
  hooks.metrics = [&] { return notifier.MetricsText(); };
  hooks.ready = [&] { return std::pair(notifier.ready(), std::string(notifier.ready() ? "ready" : "joining the group")); };
  hooks.reload = [] { return std::pair(false, std::string("restart to apply a configuration")); };
  const auto http = StartAdminServer(address, std::move(hooks));
  if (!http) {
    LogError("stopped", {{"why", http.error().message}});
    return kExitFailed;
  }
  std::thread([&] {
    int signal = 0;
    sigwait(&signals, &signal);
    notifier.RequestStop();
  }).detach();
  LogInfo("listening", {{"port", std::to_string((*http)->port())}});
  sd_notify(0, "READY=1");
  const Status status = notifier.Run();
  if (status) {
    LogInfo("stopped", {});
  } else {
    LogError("stopped", {{"why", status.error().message}});
  }
  FlushLog();
  // Senders may wait for a slow server; what is under way is sent again, and the memory counts it.
  std::_Exit(status ? kExitOk : kExitFailed);
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
  return Serve(std::move(*config));
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
