// What most subcommands of triagectl begin with: the configuration, the engine it names, times; or what is wrong with them.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "daemon/config.h"
#include "pipeline/policy/engine.h"

namespace triaged {

struct Loaded {
  Config config;
  std::shared_ptr<const Engine> engine;
};

// Diagnostics go to stderr; nullopt: there were errors among them.
std::optional<Loaded> LoadConfigured(const std::string& config_path);

// The RFC 3339 time that `option` was given; nullopt: it is none, which is said on stderr.
std::optional<Timestamp> ReadTime(const char* option, const std::string& text);

// What the configuration allows rules to cost; where it does not load, the defaults, which is said on stderr.
RuleBudget BudgetOf(const std::string& config_path);

}  // namespace triaged
