// What the pipeline's benchmarks push through the stages, and how. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/policy/engine.h"

namespace triaged {

// About 970 bytes each, over 200 hosts: a busy hour of a SIEM.
std::vector<std::string> MakeAlerts(size_t count);

// The shipped formats and the pack soc-tiered, with 100 rules of the shipped kind, none of which matches.
std::shared_ptr<const Engine> MakeEngine();

struct PipelineRun {
  double seconds = 0;  // that the thread computed
  uint64_t staged = 0;  // records of the state topic
  uint64_t dead_letters = 0;
};

// Every record (nullopt: a null value) through parse, normalise, rules, decide, stage and a store in memory, in steps of
// 10,000; nullopt when one was not taken.
std::optional<PipelineRun> RunPipeline(std::span<const std::optional<std::string_view>> records,
                                       const std::shared_ptr<const Engine>& engine);

}  // namespace triaged
