// triagectl quality: what the configured pack and rules make of labelled alerts.
#include <cstdio>
#include <string>

#include "daemon/ctl.h"
#include "daemon/ctl_load.h"
#include "daemon/quality.h"

namespace triaged {
namespace {

bool ReadInterval(const char* option, const std::string& text, Duration* duration) {
  const auto read = ParseDuration(text);
  if (read && *read > Duration{0}) {
    *duration = *read;
    return true;
  }
  std::fprintf(stderr, "triagectl: %s '%s' is no time above 0 (30m, 8h)\n", option, text.c_str());
  return false;
}

}  // namespace

int Quality(const std::string& config_path, const QualityCommand& command) {
  QualityOptions options;
  Duration within{};
  if ((!command.from.empty() && !(options.from = ReadTime("--from", command.from))) ||
      (!command.to.empty() && !(options.to = ReadTime("--to", command.to))) ||
      !ReadInterval("--within", command.within, &within) || !ReadInterval("--shift", command.shift, &options.shift)) {
    return kExitUsage;
  }
  if (!command.first_level_closes.empty()) {
    Duration closes{};
    if (!ReadInterval("--first-level-closes", command.first_level_closes, &closes)) return kExitUsage;
    options.first_level_closes = closes;
  }
  const auto loaded = LoadConfigured(config_path);
  if (!loaded) return kExitFailed;
  auto set = ReadLabelled({command.input, command.labels, command.columns, command.benign});
  if (!set) {
    std::fprintf(stderr, "triagectl: %s\n", set.error().message.c_str());
    return kExitFailed;
  }
  const auto report = MeasureQuality(loaded->engine, options, &*set);
  if (!report) {
    std::fprintf(stderr, "triagectl: %s\n", report.error().message.c_str());
    return kExitFailed;
  }
  for (const std::string& note : report->notes) std::fprintf(stderr, "triagectl: note: %s\n", note.c_str());
  std::fprintf(stderr, "triaged %llu alerts in %.2f s of processor time\n", static_cast<unsigned long long>(report->alerts),
               report->seconds);
  std::fputs((command.json ? QualityJson(*report, within) : QualityText(*report, within)).c_str(), stdout);
  return kExitOk;
}

}  // namespace triaged
