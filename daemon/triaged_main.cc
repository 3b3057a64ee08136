// triaged: the daemon. A straight list: flags, configuration, engine, signals, supervisor.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <thread>

#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/log.h"
#include "daemon/supervisor.h"
#include "storage/codec.h"

namespace triaged {
namespace {

struct Flags {
  std::string config_file = DefaultConfigPath();
  std::string storage_path, listen_address, web_config, log_level, log_format;
  bool accept_data_loss = false;
};

// Flags win over the file.
void Override(const Flags& flags, Config* config, Diagnostics* diagnostics) {
  if (!flags.storage_path.empty()) config->storage.path = flags.storage_path;
  if (!flags.listen_address.empty()) config->web_listen_address = flags.listen_address;
  if (!flags.web_config.empty()) config->web = LoadWebConfig(flags.web_config, diagnostics).value_or(WebConfig{});
  if (!flags.log_level.empty()) config->log_level = flags.log_level;
  if (!flags.log_format.empty()) config->log_format = flags.log_format == "json" ? LogFormat::kJson : LogFormat::kLogfmt;
}

sigset_t OurSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

// Signals are waited for on a thread of their own: no work is done in a handler.
void ServeSignals(Supervisor* supervisor) {
  const sigset_t signals = OurSignals();
  bool stopping = false;
  while (true) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == SIGHUP) {
      supervisor->Reload();
    } else if (stopping) {
      // A second one exits at once, which is safe because recovery is the normal path.
      _exit(1);
    } else {
      stopping = true;
      LogInfo("stopping", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
      supervisor->RequestStop();
    }
  }
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("triaged: reads alerts from Kafka, groups them into cases, escalates on time and exactly once", "triaged");
  app.set_version_flag("--version", "triaged " TRIAGED_VERSION);
  app.add_option("--config.file", flags.config_file, "configuration")->capture_default_str();
  app.add_option("--storage.path", flags.storage_path, "directory of the partition stores");
  app.add_option("--web.listen-address", flags.listen_address, "host:port of metrics and health");
  app.add_option("--web.config.file", flags.web_config, "TLS and users of the HTTP server (Prometheus' web configuration)");
  app.add_option("--log.level", flags.log_level)->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  app.add_option("--log.format", flags.log_format)->check(CLI::IsMember({"logfmt", "json"}));
  app.add_flag("--accept-data-loss", flags.accept_data_loss,
               "start although records are lost (deleted topics, expired offsets): see deploy/README.md first");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kExitOk : kExitUsage;
  }

  Diagnostics diagnostics;
  auto config = LoadConfig(flags.config_file, &diagnostics);
  if (config) Override(flags, &*config, &diagnostics);
  auto engine = config && !diagnostics.HasErrors() ? LoadEngine(*config, &diagnostics) : nullptr;
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (!engine) return kExitConfig;
  InitLog(config->log_level, config->log_format);

  // Blocked before any thread is made, so that all inherit it and only the signal thread sees them.
  const sigset_t signals = OurSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  Supervisor supervisor(std::move(*config), flags.config_file, std::move(engine), flags.accept_data_loss);
  std::thread(ServeSignals, &supervisor).detach();
  Status status = supervisor.Start();
  if (status) status = supervisor.Run();
  if (!status) LogError("stopped", {{"why", status.error().message}});
  if (status) LogInfo("stopped", {});
  FlushLog();
  // The signal thread still waits and uses the supervisor: leave without running it down underneath.
  // What a newer release wrote is no matter of trying again: the supervisor should not.
  std::_Exit(status ? kExitOk : IsNewerFormat(status.error()) ? kExitConfig : kExitFailed);
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
