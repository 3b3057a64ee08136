// triagectl topics, and the commands: what talks to the broker.
#include <cstdio>
#include <random>

#include "daemon/broker_client.h"
#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/kafka_admin.h"
#include "daemon/kafka_producer.h"

namespace triaged {
namespace {

constexpr Duration kBound{15'000};

std::optional<Config> LoadOnline(const std::string& path) {
  Diagnostics diagnostics;
  auto config = LoadConfig(path, &diagnostics);
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (config && config->kafka.embedded) {
    std::fprintf(stderr, "triagectl: %s uses the embedded broker, which lives in the daemon alone\n", path.c_str());
    return std::nullopt;
  }
  return config;
}

int Failed(const Error& error) {
  std::fprintf(stderr, "triagectl: %s\n", error.message.c_str());
  return kExitFailed;
}

std::string RandomId() {
  std::random_device device;
  char text[33];
  std::snprintf(text, sizeof text, "%08x%08x%08x%08x", device(), device(), device(), device());
  return text;
}

int TellOfTopics(const Config& config, Duration patience) {
  const auto problems = CheckTopics(config.kafka, OwnTopics::Of(config), kBound, patience);
  if (!problems) return Failed(problems.error());
  for (const std::string& problem : *problems) std::fprintf(stderr, "%s\n", problem.c_str());
  if (problems->empty()) std::printf("ok: all topics of '%s' are there and right\n", config.application_id.c_str());
  return problems->empty() ? kExitOk : kExitFailed;
}

}  // namespace

int CreateTopics(const std::string& config_path) {
  const auto config = LoadOnline(config_path);
  if (!config) return kExitFailed;
  const Status created = CreateMissingTopics(config->kafka, OwnTopics::Of(*config), kBound);
  return created ? TellOfTopics(*config, kBound) : Failed(created.error());
}

int CheckTopics(const std::string& config_path) {
  const auto config = LoadOnline(config_path);
  return config ? TellOfTopics(*config, Duration{0}) : kExitFailed;
}

int SendCommand(const std::string& config_path, Command command) {
  const auto config = LoadOnline(config_path);
  if (!config) return kExitFailed;
  if (command.id.empty()) command.id = RandomId();
  const std::string json = CommandJson(command);
  if (const auto parsed = ParseCommand(json); !parsed) return Failed(parsed.error());
  const Status sent = ProduceOne(config->kafka.bootstrap_servers, config->kafka.properties,
                                 TopicNames::For(config->application_id).commands, command.case_id.partition,
                                 ToString(command.case_id), json, kBound);
  if (!sent) return Failed(sent.error());
  std::printf("%s\n", command.id.c_str());
  return kExitOk;
}

}  // namespace triaged
