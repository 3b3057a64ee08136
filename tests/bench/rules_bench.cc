// SigmaHQ rules over structured Windows events on one core: events per second for 10, 100, 1,000 and all rules, with and
// without logsource routing, next to reading the events alone; loading, next to the YAML library's own parse; and what a
// reload costs a worker, next to a step.
//
//   rules_bench RULES_DIRECTORY [--quick]
//
// Exit code 1 below the floors, which are ratios measured in the same run; 77 where the shared data is absent.
#include <malloc.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "pipeline/processor/processor.h"
#include "pipeline/rules/raw_event.h"
#include "pipeline/rules/rules.h"
#include "storage/partition_store.h"
#include "tests/bench/thread_clock.h"

namespace triaged {
namespace {

constexpr const char* kEvents = TRIAGED_SOURCE_DIR "/../shared/alerts/windows_sysmon/otrf_sample.ndjson";
constexpr double kSpeedFloor = 0.12;  // of the speed of reading alone, with all rules and routing
constexpr double kLoadLimit = 3.0;  // × the YAML library's parse
constexpr double kMemoryLimit = 100;  // MiB that all rules may take, without what loading them needs for a while
constexpr int kReloadPartitions = 12;
constexpr size_t kStepAlerts = 25'000;  // limits.step_records

double ResidentMiB() {
  std::ifstream in("/proc/self/statm");
  double total = 0;
  double resident = 0;
  in >> total >> resident;
  return resident * 4096 / (1 << 20);
}

std::vector<std::string> ReadEvents() {
  std::vector<std::string> events;
  std::ifstream in(kEvents);
  for (std::string line; std::getline(in, line);) events.push_back(line);
  return events;
}

// `count` of `files`, spread over all of them.
std::vector<SourceFile> Sample(const std::vector<SourceFile>& files, size_t count) {
  std::vector<SourceFile> sample;
  for (size_t i = 0; i < count; ++i) sample.push_back(files[i * files.size() / count]);
  return sample;
}

struct Measured {
  double read = 0;  // seconds per event, reading alone
  double both = 0;  // reading and evaluating
  double matches = 0;
  uint64_t most_steps = 0;  // of the budget of one event
};

Measured Measure(const RuleSet& rules, const FieldCatalog& catalog, const std::vector<std::string>& events, int rounds) {
  RawEventReader reader(catalog);
  const auto scratch = rules.NewScratch();
  std::vector<uint32_t> matched;
  Measured best{1e9, 1e9, 0, 0};
  for (int round = 0; round < rounds; ++round) {
    size_t fields = 0;
    size_t matches = 0;
    const double begin = Now();
    for (const std::string& event : events) {
      if (reader.Read(event)) fields += reader.fields().present().size();
    }
    const double middle = Now();
    for (const std::string& event : events) {
      if (!reader.Read(event)) continue;
      matched.clear();
      rules.Evaluate(reader.fields(), scratch.get(), &matched);
      matches += matched.size();
      best.most_steps = std::max(best.most_steps, scratch->steps);
    }
    const double end = Now();
    const double count = static_cast<double>(events.size());
    if (fields > 0) best.read = std::min(best.read, (middle - begin) / count);
    best.both = std::min(best.both, (end - middle) / count);
    best.matches = static_cast<double>(matches) / count;
  }
  return best;
}

// Seconds of the library's own parse of all files.
double LibraryParse(const std::vector<SourceFile>& files) {
  const double begin = Now();
  size_t documents = 0;
  for (const SourceFile& file : files) documents += YAML::LoadAll(file.text).size();
  return documents > 0 ? Now() - begin : 0;
}

// One set of lines; false when loading or evaluating is slower than it may be.
bool Bench(const std::vector<SourceFile>& files, const std::vector<std::string>& events, int rounds, double library,
           const std::shared_ptr<const RuleMapping>& mapping) {
  std::printf("%s logsource routing\n", mapping ? "with" : "without");
  Diagnostics diagnostics;
  bool good = true;
  for (const size_t count : {size_t{10}, size_t{100}, size_t{1000}, files.size()}) {
    const std::vector<SourceFile> sample = Sample(files, std::min(count, files.size()));
    FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
    RuleOptions options;
    options.raw = true;
    options.mapping = mapping;
    malloc_trim(0);
    const double memory = ResidentMiB();
    const double begin = Now();
    const auto rules = RuleSet::Compile(sample, &catalog, &diagnostics, options);
    const double load = Now() - begin;
    if (!rules) {
      std::fputs(diagnostics.Render().c_str(), stderr);
      return false;
    }
    const Measured measured = Measure(*rules, catalog, events, rounds);
    std::printf("%5zu rules: %7.0f events/s, read alone %7.0f/s, ratio %.2f; rules %5.2f us/event; %.2f matches/event\n",
                sample.size(), 1 / measured.both, 1 / measured.read, measured.read / measured.both,
                (measured.both - measured.read) * 1e6, measured.matches);
    if (sample.size() != files.size()) continue;
    malloc_trim(0);  // what only loading needed
    const double held = ResidentMiB() - memory;
    std::printf("budget: %llu steps for the most costly event, of %llu\n",
                static_cast<unsigned long long>(measured.most_steps), static_cast<unsigned long long>(RuleBudget{}.alert));
    std::printf("load: %.2f s, the YAML library alone %.2f s, ratio %.2f (limit %.1f); %.0f MiB held (limit %.0f)\n", load,
                library, load / library, kLoadLimit, held, kMemoryLimit);
    good = load <= kLoadLimit * library && held <= kMemoryLimit &&
           (!mapping || measured.read / measured.both >= kSpeedFloor);
  }
  return good;
}

// What a reload costs the worker's thread: a new engine for intake and all its partitions, next to one full step. The
// rest of a reload (reading, compiling, freeing) happens on other threads.
bool BenchReload(const std::vector<SourceFile>& files) {
  Diagnostics diagnostics;
  EngineSources sources;
  const std::string configs = TRIAGED_SOURCE_DIR "/configs/";
  sources.formats = ReadSources({configs + "formats"}, &diagnostics);
  sources.policies = ReadSources({configs + "policies/soc-tiered.yaml"}, &diagnostics);
  sources.rules = files;
  if (auto mapping = ReadSourceFile(configs + "mappings/sigma-ecs.yaml")) sources.mapping = std::move(*mapping);
  const auto engine = CompileEngine(sources, {}, &diagnostics);
  const auto next = CompileEngine(sources, {}, &diagnostics);
  if (!engine || !next) {
    std::fputs(diagnostics.Render().c_str(), stderr);
    return false;
  }
  StoreOptions store_options;
  store_options.in_memory = true;
  const auto resources = SharedStoreResources::Make(store_options);
  std::vector<std::unique_ptr<PartitionStore>> stores;
  std::vector<std::unique_ptr<Processor>> processors;
  ProcessorOptions options;
  options.partitions = kReloadPartitions;
  for (int i = 0; i < kReloadPartitions; ++i) {
    auto store = PartitionStore::Open(resources, i, "/reload/" + std::to_string(i));
    if (!store || !(*store)->FinishRestore()) return false;
    processors.push_back(std::make_unique<Processor>(options, engine, store->get()));
    stores.push_back(std::move(*store));
  }
  Intake intake(options, engine);
  std::vector<std::string> alerts;
  for (size_t i = 0; i < kStepAlerts; ++i) {
    alerts.push_back(R"({"ecs.version":"8.11.0","event.kind":"alert","event.id":")" + std::to_string(i) +
                     R"(","@timestamp":"2026-03-02T08:00:00Z","host.name":"h)" + std::to_string(i % 500) +
                     R"(","rule.name":"Odd process","process.command_line":"powershell -enc SQBFAFgA","event.severity":47})");
  }
  const Timestamp at = FromUnixMillis(1'772'438'400'000);
  std::vector<InputRecord> inputs(alerts.size());
  for (size_t i = 0; i < alerts.size(); ++i) {
    inputs[i].topic = "alerts";
    inputs[i].offset = static_cast<int64_t>(i);
    inputs[i].timestamp = at;
    inputs[i].value = alerts[i];
  }
  const double begin = Now();
  const auto stepped = processors.front()->Step(inputs, {at, false});
  const double middle = Now();
  if (!stepped || stepped->taken != inputs.size()) return false;
  const double swapping = Now();
  intake.SetEngine(next);
  for (const auto& processor : processors) processor->SetEngine(next);
  const double end = Now();
  std::printf("reload: the worker pauses %.1f ms for %d partitions; a step of %zu alerts takes %.1f ms (the limit)\n",
              (end - swapping) * 1e3, kReloadPartitions, alerts.size(), (middle - begin) * 1e3);
  return end - swapping <= middle - begin;
}

int Main(int argc, char** argv) {
  if (argc < 2) return 2;
  const int rounds = argc > 2 && !std::strcmp(argv[2], "--quick") ? 3 : 20;
  Diagnostics diagnostics;
  const std::vector<SourceFile> files = ReadSources({argv[1]}, &diagnostics);
  const std::vector<std::string> events = ReadEvents();
  if (files.empty() || events.empty()) {
    std::printf("no rules or no events here\n");
    return 77;
  }
  const double library = LibraryParse(files);
  const auto tables = ReadSources({TRIAGED_SOURCE_DIR "/configs/mappings/windows-events.yaml"}, &diagnostics);
  const auto mapping = tables.empty() ? nullptr : RuleMapping::Read(tables.front(), &diagnostics);
  if (!mapping) return 1;
  const bool plain = Bench(files, events, rounds, library, nullptr);
  const bool routed = Bench(files, events, rounds, library, mapping);
  const bool reload = BenchReload(files);
  return plain && routed && reload ? 0 : 1;
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
