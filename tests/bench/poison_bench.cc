// Alerts through the whole pipeline, with records among them that are none or that are odd, for poison_bench.py to count
// the instructions of. Exits with 1 when a record was not taken, or the wrong ones became dead letters.
//
//   poison_bench ALERTS POISON        POISON records beside the ALERTS good ones, spread evenly
#include <cstdio>
#include <string>
#include <vector>

#include "tests/bench/pipeline_load.h"

namespace triaged {
namespace {

// RELIABILITY's row of poison, but for the 100 MB, of which there is one.
struct Poison {
  std::vector<std::optional<std::string>> unreadable = {
      "{not json", std::string(10'000, '['), "nul", "[1,2", std::nullopt, "", "\xff\xfe\xfa", std::string("{\"a\":\"nul \0 inside\"}", 20),
      R"({"host":{"name":"\ud800"}})", R"({"ecs":{"version":"8.11"}} trailing)", R"({"a":1e400})"};
  std::vector<std::optional<std::string>> odd = {
      R"({"ecs":{"version":"8.11"},"event":{"kind":"alert","id":"odd-1","id":"odd-2"},"host":{"name":"ws-1"}})",
      R"({"ecs":{"version":"8.11"},"event":{"kind":"alert","id":9007199254740993},"host":{"name":"ws-1"}})",
      R"({"ecs":{"version":"8.11"},"event":{"kind":"alert","id":123456789012345678901234567890},"host":{"name":"ws-1"}})"};
  std::string huge = "{\"a\":\"" + std::string(100'000'000, 'x') + "\"}";
};

int Main(size_t alerts, size_t poisoned) {
  const auto engine = MakeEngine();
  if (!engine) return 1;
  const std::vector<std::string> good = MakeAlerts(alerts);
  const Poison poison;
  std::vector<std::optional<std::string_view>> records;
  size_t dead = 0;
  for (size_t i = 0, added = 0; i < good.size(); ++i) {
    records.emplace_back(good[i]);
    for (; added < (i + 1) * poisoned / good.size(); ++added) {
      const size_t kinds = poison.unreadable.size() + poison.odd.size();
      const size_t kind = added % kinds;
      if (added == 0) {
        records.emplace_back(poison.huge);
      } else {
        records.emplace_back(kind < poison.unreadable.size() ? poison.unreadable[kind] : poison.odd[kind - poison.unreadable.size()]);
      }
      dead += added == 0 || kind < poison.unreadable.size();
    }
  }
  const auto run = RunPipeline(records, engine);
  if (!run) return 1;
  std::printf("%zu records, %llu dead letters of %zu\n", records.size(), static_cast<unsigned long long>(run->dead_letters), dead);
  return run->dead_letters == dead ? 0 : 1;
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) {
  if (argc == 3) return triaged::Main(std::stoul(argv[1]), std::stoul(argv[2]));
  std::fprintf(stderr, "usage: poison_bench ALERTS POISON\n");
  return 2;
}
