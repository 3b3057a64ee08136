#include "daemon/ctl_load.h"

#include <cstdio>

namespace triaged {

std::optional<Loaded> LoadConfigured(const std::string& config_path) {
  Diagnostics diagnostics;
  Loaded loaded;
  if (auto config = LoadConfig(config_path, &diagnostics)) {
    loaded.config = std::move(*config);
    loaded.engine = LoadEngine(loaded.config, &diagnostics);
  }
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (!loaded.engine) return std::nullopt;
  return loaded;
}

std::optional<Timestamp> ReadTime(const char* option, const std::string& text) {
  const auto at = ParseTimestamp(text);
  if (!at) std::fprintf(stderr, "triagectl: %s '%s' is not an RFC 3339 time (2026-03-02T08:00:00Z)\n", option, text.c_str());
  return at;
}

RuleBudget BudgetOf(const std::string& config_path) {
  Diagnostics diagnostics;
  if (const auto config = LoadConfig(config_path, &diagnostics)) return config->rule_budget;
  std::fprintf(stderr, "triagectl: %s does not load: rules are held to the default limits\n", config_path.c_str());
  return {};
}

}  // namespace triaged
