// Seeded lives of the whole daemon but Kafka's wire: see sim_world.h for what must hold in each.
// TRIAGED_SIM_SEEDS: how many seeds (1,000 when not set); TRIAGED_SIM_SEED: only this one.
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "tests/sim/sim_world.h"

namespace triaged::sim {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : fallback;
}

uint64_t Seeds() { return FromEnvironment("TRIAGED_SIM_SEEDS", 1000); }

TEST_CASE("every seed keeps the invariants") {
  const uint64_t only = FromEnvironment("TRIAGED_SIM_SEED", 0);
  const uint64_t first = only ? only : 1;
  const uint64_t last = only ? only : Seeds();
  WorldResult sum;
  for (uint64_t seed = first; seed <= last; ++seed) {
    WorldOptions options;
    options.seed = seed;
    const WorldResult result = RunWorld(options);
    INFO("run this seed alone with TRIAGED_SIM_SEED=", seed);
    REQUIRE_MESSAGE(!result.violation, result.violation.value_or(""));
    sum.crashes += result.crashes;
    sum.pauses += result.pauses;
    sum.rebuilds += result.rebuilds;
    sum.aborts += result.aborts;
    sum.rebalances += result.rebalances;
    sum.alerts += result.alerts;
    sum.commands += result.commands;
    sum.escalation_events += result.escalation_events;
    sum.timers += result.timers;
    sum.commits += result.commits;
  }
  MESSAGE((last - first + 1), " seeds: ", sum.alerts, " alerts, ", sum.commands, " commands, ", sum.escalation_events,
          " events, ", sum.timers, " deadlines, ", sum.commits, " commits, ", sum.aborts, " aborts, ", sum.crashes,
          " crashes, ", sum.pauses, " pauses, ", sum.rebuilds, " rebuilds, ", sum.rebalances, " rebalances");
  if (only) return;
  // A simulation in which nothing happens proves nothing.
  CHECK(sum.escalation_events > sum.alerts / 4);
  CHECK(sum.crashes > 0);
  CHECK(sum.timers > 0);
}

}  // namespace
}  // namespace triaged::sim
