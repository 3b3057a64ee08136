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

}  // namespace triaged
