// What comes over a simulated life from outside: sick disks, brokers that are away for minutes, clocks that jump. It
// has a source of chance of its own, so that a life without it is the same one.
#include <iterator>

#include "tests/sim/sim_world.h"

namespace triaged::sim {
namespace {

// How often each begins, in a thousand events.
constexpr uint64_t kDiskRate = 6;
constexpr uint64_t kOutageRate = 3;
constexpr uint64_t kClockRate = 5;
constexpr uint64_t kMostRoom = 40'000;  // bytes: some tables fit, or a part of one
constexpr int64_t kSkew = 5 * 60'000;   // between brokers; nobody runs a cluster whose clocks differ by more

}  // namespace

void World::Weather() {
  for (const auto& process : processes_) {
    if (process->disk->fault() != DiskFault::kNone && process->sick_until <= broker.now()) process->HealDisk();
  }
  if (outage_ && outage_until_ <= broker.now()) EndOutage();
  if (!faults_on) return;
  if (options.disk_faults && weather.Below(1000) < kDiskRate) DiskWeather();
  if (options.outages && !outage_ && weather.Below(1000) < kOutageRate) {
    const uint64_t which = weather.Below(2 * SimBroker::kBrokers);  // one, or all
    for (size_t i = 0; i < SimBroker::kBrokers; ++i) {
      if (which == i || which >= SimBroker::kBrokers) broker.SetDown(i, true);
    }
    outage_ = true;
    outage_until_ = broker.now() + Duration(weather.Between(1, weather.Below(3) == 0 ? 600 : 40) * 1000);
    ++result.outages;
  }
  if (options.clock_jumps && weather.Below(1000) < kClockRate) ClockWeather();
}

void World::DiskWeather() {
  Process& process = *processes_[weather.Below(processes_.size())];
  const auto fault = static_cast<DiskFault>(1 + weather.Below(kDiskFaults));
  const uint64_t room = weather.Below(kMostRoom);
  const Duration time(weather.Between(1, 90) * 1000);
  if (process.disk->fault() != DiskFault::kNone) return;
  process.disk->Quiesce();
  process.disk->SetFault(fault, room);
  process.sick_until = broker.now() + time;
  ++result.disk_faults;
}

void World::ClockWeather() {
  static constexpr int64_t kJumps[] = {-24 * 60, -60, -1, 1, 60, 24 * 60};  // minutes
  ++result.clock_jumps;
  const uint64_t dice = weather.Below(3);
  if (dice == 0) {
    broker.MoveLeaders();
  } else if (dice == 1) {
    broker.SetSkew(weather.Below(SimBroker::kBrokers), Duration(weather.Between(-kSkew, kSkew)));
  } else {
    Process& process = *processes_[weather.Below(processes_.size())];
    process.wall_jump = Duration(kJumps[weather.Below(std::size(kJumps))] * 60'000);
  }
}

// What a producer may stamp on a topic that keeps its time; nullopt: the broker's.
std::optional<Timestamp> World::ProducersStamp() {
  if (!options.clock_jumps || weather.Below(30) != 0) return std::nullopt;
  static constexpr const char* kStamps[] = {"1970-01-01T00:00:01Z", "2099-12-31T23:59:59Z"};
  const uint64_t dice = weather.Below(3);
  return dice < 2 ? *ParseTimestamp(kStamps[dice]) : broker.now() - std::chrono::hours(1);
}

void World::EndOutage() {
  outage_ = false;
  for (size_t i = 0; i < SimBroker::kBrokers; ++i) broker.SetDown(i, false);
}

void World::EndWeather() {
  EndOutage();
  for (size_t i = 0; i < SimBroker::kBrokers; ++i) broker.SetSkew(i, Duration{0});
  for (const auto& process : processes_) {
    process->HealDisk();
    process->wall_jump = Duration{0};
  }
}

}  // namespace triaged::sim
