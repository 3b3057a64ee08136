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

RuleBudget BudgetOf(const std::string& config_path) {
  Diagnostics diagnostics;
  if (const auto config = LoadConfig(config_path, &diagnostics)) return config->rule_budget;
  std::fprintf(stderr, "triagectl: %s does not load: rules are held to the default limits\n", config_path.c_str());
  return {};
}

}  // namespace triaged
