// Seeded lives of the whole daemon but Kafka's wire: see sim_world.h for what must hold in each.
// TRIAGED_SIM_SEEDS: how many seeds (2,000 when not set); TRIAGED_SIM_SEED: only this one.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <set>
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
  static constexpr uint64_t WorldResult::* kCounts[] = {
      &WorldResult::crashes,       &WorldResult::pauses,     &WorldResult::rebuilds,     &WorldResult::aborts,
      &WorldResult::rebalances,    &WorldResult::alerts,     &WorldResult::commands,     &WorldResult::escalation_events,
      &WorldResult::timers,        &WorldResult::commits,    &WorldResult::stores_moved, &WorldResult::purged,
      &WorldResult::disk_faults,   &WorldResult::power_cuts, &WorldResult::outages,      &WorldResult::clock_jumps,
      &WorldResult::store_retries, &WorldResult::takeovers_warm};
  for (const auto count : kCounts) sum->*count += result.*count;
}

// Lives have nothing in common: each core takes one after the other, up to the first violation. `digests`, when given:
// of each life.
WorldResult RunLives(const std::vector<WorldOptions>& lives, std::vector<uint64_t>* digests = nullptr) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  WorldResult sum;
  if (digests) digests->assign(lives.size(), 0);
  const auto run = [&] {
    for (size_t i = next++; i < lives.size(); i = next++) {
      const WorldResult result = RunWorld(lives[i]);
      const std::lock_guard lock(mutex);
      Add(&sum, result);
      if (digests) (*digests)[i] = result.digest;
      if (result.violation) next = lives.size();
    }
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) others.emplace_back(run);
  run();
  for (std::thread& other : others) other.join();
  return sum;
}

std::vector<WorldOptions> Lives(const WorldOptions& options, uint64_t first, uint64_t last) {
  std::vector<WorldOptions> lives(last - first + 1, options);
  for (WorldOptions& life : lives) life.seed = first++;
  return lives;
}

std::string Figures(uint64_t first, uint64_t last, const WorldResult& sum) {
  const auto of = [](uint64_t count, const char* what) { return std::to_string(count) + " " + what; };
  return of(last - first + 1, "lives") + " (seeds " + std::to_string(first) + " to " + std::to_string(last) + "): " +
         of(sum.alerts, "alerts, ") + of(sum.commands, "commands, ") + of(sum.escalation_events, "events, ") +
         of(sum.timers, "deadlines, ") + of(sum.purged, "cases left; ") + of(sum.commits, "commits, ") +
         of(sum.aborts, "aborts; ") + of(sum.crashes, "deaths, ") + of(sum.power_cuts, "of them power cuts, ") +
         of(sum.pauses, "pauses, ") + of(sum.disk_faults, "times a sick or full disk, ") +
         of(sum.store_retries, "times a partition was closed and tried again, ") +
         of(sum.stores_moved, "stores restored anew, ") + of(sum.outages, "times a broker or all of them down, ") +
         of(sum.clock_jumps, "clock jumps or leader changes, ") + of(sum.rebuilds, "clients rebuilt, ") +
         of(sum.rebalances, "rebalances, ") + of(sum.takeovers_warm, "standbys taken over");
}

// One line for whoever asked for the long form (tests/run.sh).
void Tell(const std::string& line) {
  const char* path = std::getenv("TRIAGED_REPORT");
  if (path && *path) std::ofstream(path, std::ios::app) << "simulation: " << line << "\n";
}

TEST_CASE("every seed keeps the invariants") {
  const uint64_t only = FromEnvironment("TRIAGED_SIM_SEED", 0);
  const uint64_t first = only ? only : 1;
  const uint64_t last = only ? only : Seeds();
  const WorldResult sum = RunLives(Lives({}, first, last));
  INFO("run the seed alone with TRIAGED_SIM_SEED");
  if (sum.violation) Tell("failed: " + *sum.violation + "; alone: tests/run.sh --only '^simulation$' --seed N");
  REQUIRE_MESSAGE(!sum.violation, sum.violation.value_or(""));
  const std::string figures = Figures(first, last, sum);
  Tell(figures + ": 0 lost, 0 duplicated, 0 state mismatches, 0 deadlines early");
  MESSAGE(figures);
  if (only) return;
  // A simulation in which nothing happens proves nothing.
  CHECK(sum.escalation_events > sum.alerts / 4);
  CHECK(sum.crashes > 0);
  CHECK(sum.timers > 0);
  if (last >= 50) CHECK(sum.purged > 0);
  if (last >= 50) CHECK(sum.takeovers_warm > 0);
  if (last >= 50) CHECK(sum.stores_moved > 0);
  if (last < 50) return;
  CHECK(std::min({sum.disk_faults, sum.power_cuts, sum.store_retries, sum.outages, sum.clock_jumps}) > 0);
}

TEST_CASE("the same seed gives the same bytes") {
  const std::vector<WorldOptions> lives = Lives({}, 1, std::max<uint64_t>(Seeds() / 100, 10));
  std::vector<uint64_t> first, second;
  RunLives(lives, &first);
  RunLives(lives, &second);
  for (size_t i = 0; i < lives.size(); ++i) CHECK_MESSAGE(first[i] == second[i], "seed ", lives[i].seed);
  const std::set<uint64_t> different(first.begin(), first.end());
  CHECK(different.size() == lives.size());
}

// Processes die, often, at one named point.
TEST_CASE("death at each named point") {
  const uint64_t seeds = std::max<uint64_t>(Seeds() / 40, 3);
  for (const char* point : {"start", "poll", "assign", "mid_revoke", "committed", "watermarks", "mid_restore",
                            "before_begin", "before_produce", "after_produce", "before_send_offsets",
                            "after_send_offsets", "before_commit", "after_commit", "before_abort"}) {
    WorldOptions options;
    options.crash_point = point;
    const bool often = std::string(point).ends_with("_produce") || std::string(point) == "poll";
    options.crash_per_mille = often ? 3 : 40;
    const WorldResult sum = RunLives(Lives(options, 1, seeds));
    REQUIRE_MESSAGE(!sum.violation, point, ": ", sum.violation.value_or(""));
    CHECK_MESSAGE(sum.crashes > 0, point);
  }
}

// An owner stands still at one named point until others have taken over, and wakes again.
TEST_CASE("zombies at each named point of a transaction") {
  const uint64_t seeds = std::max<uint64_t>(Seeds() / 40, 3);
  for (const char* point :
       {"poll", "before_begin", "before_send_offsets", "after_send_offsets", "before_commit", "after_commit"}) {
    WorldOptions options;
    options.pause_point = point;
    options.least_processes = 2;
    const WorldResult sum = RunLives(Lives(options, 1, seeds));
    REQUIRE_MESSAGE(!sum.violation, point, ": ", sum.violation.value_or(""));
    CHECK_MESSAGE(sum.pauses > 0, point);
  }
}

}  // namespace
}  // namespace triaged::sim
