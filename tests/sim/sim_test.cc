// Seeded lives of the whole daemon but Kafka's wire: see sim_world.h for what must hold in each.
// TRIAGED_SIM_SEEDS: how many seeds (2,000 when not set); TRIAGED_SIM_SEED: only this one.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/sim/sim_world.h"

namespace triaged::sim {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : fallback;
}

uint64_t Seeds() { return FromEnvironment("TRIAGED_SIM_SEEDS", 2000); }

void Add(WorldResult* sum, const WorldResult& result) {
  if (result.violation && !sum->violation) sum->violation = result.violation;
  sum->crashes += result.crashes;
  sum->pauses += result.pauses;
  sum->rebuilds += result.rebuilds;
  sum->aborts += result.aborts;
  sum->rebalances += result.rebalances;
  sum->alerts += result.alerts;
  sum->commands += result.commands;
  sum->escalation_events += result.escalation_events;
  sum->timers += result.timers;
  sum->commits += result.commits;
  sum->stores_moved += result.stores_moved;
  sum->purged += result.purged;
  sum->takeovers_warm += result.takeovers_warm;
}

// Lives have nothing in common: each core takes one after the other, up to the first violation.
WorldResult RunSeeds(uint64_t first, uint64_t last) {
  std::atomic<uint64_t> next{first};
  std::mutex mutex;
  WorldResult sum;
  const auto run = [&] {
    for (uint64_t seed = next++; seed <= last; seed = next++) {
      WorldOptions options;
      options.seed = seed;
      const WorldResult result = RunWorld(options);
      const std::lock_guard lock(mutex);
      Add(&sum, result);
      if (result.violation) next = last + 1;
    }
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) others.emplace_back(run);
  run();
  for (std::thread& other : others) other.join();
  return sum;
}

TEST_CASE("every seed keeps the invariants") {
  const uint64_t only = FromEnvironment("TRIAGED_SIM_SEED", 0);
  const uint64_t first = only ? only : 1;
  const uint64_t last = only ? only : Seeds();
  const WorldResult sum = RunSeeds(first, last);
  INFO("run the seed alone with TRIAGED_SIM_SEED");
  REQUIRE_MESSAGE(!sum.violation, sum.violation.value_or(""));
  MESSAGE((last - first + 1), " seeds: ", sum.alerts, " alerts, ", sum.commands, " commands, ", sum.escalation_events,
          " events, ", sum.timers, " deadlines, ", sum.commits, " commits, ", sum.aborts, " aborts, ", sum.crashes,
          " crashes, ", sum.pauses, " pauses, ", sum.rebuilds, " rebuilds, ", sum.rebalances, " rebalances, ",
          sum.stores_moved, " stores set aside, ",
          sum.purged, " cases left, ", sum.takeovers_warm, " standbys taken over");
  if (only) return;
  // A simulation in which nothing happens proves nothing.
  CHECK(sum.escalation_events > sum.alerts / 4);
  CHECK(sum.crashes > 0);
  CHECK(sum.timers > 0);
  if (last >= 50) CHECK(sum.purged > 0);
  if (last >= 50) CHECK(sum.takeovers_warm > 0);
  if (last >= 50) CHECK(sum.stores_moved > 0);
}

TEST_CASE("the same seed gives the same bytes") {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    WorldOptions options;
    options.seed = seed;
    const WorldResult first = RunWorld(options);
    const WorldResult second = RunWorld(options);
    CHECK_MESSAGE(first.digest == second.digest, "seed ", seed);
    CHECK(first.commits == second.commits);
    options.seed = seed + 1000;
    CHECK(RunWorld(options).digest != first.digest);
  }
}

// Processes die, often, at one named point.
TEST_CASE("death at each named point") {
  const uint64_t seeds = std::max<uint64_t>(Seeds() / 40, 3);
  for (const char* point : {"start", "poll", "assign", "mid_revoke", "committed", "watermarks", "mid_restore",
                            "before_begin", "before_produce", "after_produce", "before_send_offsets",
                            "after_send_offsets", "before_commit", "after_commit", "before_abort"}) {
    uint64_t crashes = 0;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      WorldOptions options;
      options.seed = seed;
      options.crash_point = point;
      const bool often = std::string(point).ends_with("_produce") || std::string(point) == "poll";
      options.crash_per_mille = often ? 3 : 40;
      const WorldResult result = RunWorld(options);
      REQUIRE_MESSAGE(!result.violation, point, ": ", result.violation.value_or(""));
      crashes += result.crashes;
    }
    CHECK_MESSAGE(crashes > 0, point);
  }
}

// An owner stands still at one named point until others have taken over, and wakes again.
TEST_CASE("zombies at each named point of a transaction") {
  const uint64_t seeds = std::max<uint64_t>(Seeds() / 40, 3);
  for (const char* point :
       {"poll", "before_begin", "before_send_offsets", "after_send_offsets", "before_commit", "after_commit"}) {
    uint64_t pauses = 0;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      WorldOptions options;
      options.seed = seed;
      options.pause_point = point;
      options.least_processes = 2;
      const WorldResult result = RunWorld(options);
      REQUIRE_MESSAGE(!result.violation, point, ": ", result.violation.value_or(""));
      pauses += result.pauses;
    }
    CHECK_MESSAGE(pauses > 0, point);
  }
}

}  // namespace
}  // namespace triaged::sim
