// What the store costs: next to raw RocksDB writes of the same bytes in the same run, per lookup, and per open case.
//
// TRIAGED_BENCH_CASES sets the number of open cases of the Footprint benchmark (default 100000).
#include <benchmark/benchmark.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "storage/codec.h"
#include "storage/keys.h"
#include "storage/partition_store.h"
#include "storage/rocks.h"

namespace triaged {
namespace {

constexpr int64_t kStart = 1'795'000'000'000;

// A case as one or a few alerts of one host make it.
Case TypicalCase(uint64_t sequence) {
  const std::string host = "host-" + std::to_string(sequence % 1'000'003) + ".corp.example";
  const Timestamp now = FromUnixMillis(kStart + static_cast<int64_t>(sequence));
  Case c;
  c.id = {0, sequence};
  c.key = "soc|host|" + std::to_string(sequence);
  c.policy = "soc";
  c.severity = 1;
  c.team = "soc-l1";
  c.alert_count = 3;
  c.first_seen = c.last_seen = c.first_ingested = c.opened_at = c.episode_at = c.level_at = c.updated_at = now;
  c.max_score = 73;
  c.hosts.Add(sequence * 31), c.users.Add(sequence * 37);
  c.sources = {"endpoint"};
  c.techniques = {"T1003.001"};
  c.tactics = {"Credential Access"};
  c.votes = {{"credential-dumping", "Credential dumping", "LSASS was read", Verdict::kNeedsReview, 70, 3}};
  const std::string alert = "a1b2c3d4-" + std::to_string(sequence);
  c.observed = {{field::kHostName, 3, host, alert, "host.name"},
                {field::kUserName, 3, "svc-backup", alert, "user.name"},
                {field::kSourceIp, 2, "10.1.2.3", alert, "source.ip"},
                {field::kProcessName, 1, "procdump.exe", alert, "process.name"}};
  Evidence e;
  e.topic = "alerts", e.partition = 3, e.offset = static_cast<int64_t>(sequence) * 3, e.alert_id = alert;
  e.event_time = now, e.rule_name = "Credential dumping",
  e.message = "LSASS memory was read by procdump.exe on " + host;
  e.score = 73,
  e.excerpt = "{\"@timestamp\":\"2026-11-21T04:08:00.000Z\",\"host\":{\"name\":\"" + host + "\"},\"event\":{";
  e.raw_slot = 0;
  c.evidence = {e};
  for (ClockKind kind : {ClockKind::kAcknowledge, ClockKind::kResolve}) {
    Clock& clock = c.clocks[static_cast<size_t>(kind)];
    clock.state = ClockState::kRunning;
    clock.started = now;
    clock.due = now + Duration(900'000);
  }
  c.level_due[1] = now + Duration(1'800'000);
  c.next_due = now + Duration(900'000);
  c.episode = 1;
  c.timeline = {{now, "opened", "", "opened by Credential dumping on " + host}};
  return c;
}

class Directory {
 public:
  Directory() {
    path_ = (std::filesystem::temp_directory_path() /
             ("triaged-bench-" + std::to_string(getpid()) + "-" + std::to_string(std::random_device()())))
                .string();
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::unique_ptr<PartitionStore> OpenStore(const std::string& path, StoreOptions options = {}) {
  auto store = PartitionStore::Open(SharedStoreResources::Make(options), 0, path);
  TRIAGED_CHECK(store.ok() && (*store)->FinishRestore().ok());
  return std::move(store).value();
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

// One round: the store takes `batch` new cases in a step; raw RocksDB takes the same bytes in one WriteBatch.
// raw_share: how much of raw RocksDB's speed the store keeps (1 is the limit).
void PutsNextToRaw(benchmark::State& state) {
  const auto batch = static_cast<uint64_t>(state.range(0));
  Directory ours, theirs;
  auto store = OpenStore(ours.path());
  const RocksResources raw_resources{StoreOptions{}};
  rocksdb::DB* opened = nullptr;
  TRIAGED_CHECK(
      rocksdb::DB::Open(raw_resources.DbOptions(), theirs.path(), &opened)
          .ok());
  std::unique_ptr<rocksdb::DB> raw(opened);
  rocksdb::WriteOptions no_log;
  no_log.disableWAL = true;

  double store_seconds = 0, raw_seconds = 0;
  uint64_t sequence = 0, bytes = 0;
  for (auto _ : state) {
    std::vector<Case> cases;
    for (uint64_t i = 0; i < batch; ++i) cases.push_back(TypicalCase(++sequence));
    auto started = std::chrono::steady_clock::now();
    for (Case& c : cases) store->Insert(std::move(c));
    auto staged = store->StagedRecords();
    TRIAGED_CHECK(staged.ok() && store->Commit(static_cast<int64_t>(sequence)).ok());
    const double store_round = Seconds(started);
    started = std::chrono::steady_clock::now();
    rocksdb::WriteBatch write;
    for (const StateRecord& record : *staged) write.Put(record.key, *record.value);
    TRIAGED_CHECK(raw->Write(no_log, &write).ok());
    raw_seconds += Seconds(started);
    store_seconds += store_round;
    for (const StateRecord& record : *staged) bytes += record.value->size();
    state.SetIterationTime(store_round);
  }
  state.counters["cases/s"] = static_cast<double>(sequence) / store_seconds;
  state.counters["raw_cases/s"] = static_cast<double>(sequence) / raw_seconds;
  state.counters["raw_share"] = raw_seconds / store_seconds;
  state.counters["bytes/case"] = static_cast<double>(bytes) / static_cast<double>(sequence);
}
BENCHMARK(PutsNextToRaw)->Arg(10)->Arg(100)->Arg(1000)->UseManualTime();

// A thousand alerts into a few cases: found, changed, dedup remembered; the step is written once.
void AlertsIntoHotCases(benchmark::State& state) {
  constexpr uint64_t kAlerts = 10'000;
  const auto hot = static_cast<uint64_t>(state.range(0));
  Directory directory;
  auto store = OpenStore(directory.path());
  std::vector<std::string> keys;
  for (uint64_t i = 1; i <= hot; ++i) keys.push_back(store->Insert(TypicalCase(i))->key);
  TRIAGED_CHECK(store->Commit(0).ok());
  std::mt19937_64 random(1);
  int64_t position = 0;
  for (auto _ : state) {
    for (uint64_t i = 0; i < kAlerts; ++i) {
      const uint64_t hash = random();
      benchmark::DoNotOptimize(store->FindSeen(hash));
      Case* c = *store->FindByKey(keys[hash % hot]);
      ++c->alert_count;
      store->MarkChanged(c);
      store->Remember({hash, FromUnixMillis(kStart + position), c->id.sequence, 73, 0});
    }
    TRIAGED_CHECK(store->StagedRecords().ok() && store->Commit(++position).ok());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kAlerts));
}
BENCHMARK(AlertsIntoHotCases)->Arg(100)->Arg(2000)->Unit(benchmark::kMillisecond);

void FindByKeyCached(benchmark::State& state) {
  const auto cases = static_cast<uint64_t>(state.range(0));
  Directory directory;
  auto store = OpenStore(directory.path());
  std::vector<std::string> keys;
  for (uint64_t i = 1; i <= cases; ++i) keys.push_back(store->Insert(TypicalCase(i))->key);
  TRIAGED_CHECK(store->Commit(0).ok());
  std::mt19937_64 random(1);
  for (auto _ : state) benchmark::DoNotOptimize(store->FindByKey(keys[random() % cases]));
}
BENCHMARK(FindByKeyCached)->Arg(100)->Arg(1000)->Arg(20'000);

void FindCached(benchmark::State& state) {
  const auto cases = static_cast<uint64_t>(state.range(0));
  Directory directory;
  auto store = OpenStore(directory.path());
  for (uint64_t i = 1; i <= cases; ++i) store->Insert(TypicalCase(i));
  TRIAGED_CHECK(store->Commit(0).ok());
  std::mt19937_64 random(1);
  for (auto _ : state) benchmark::DoNotOptimize(store->Find({0, 1 + random() % cases}));
}
BENCHMARK(FindCached)->Arg(100)->Arg(1000)->Arg(20'000);

// Random cases out of 100,000 with room for none in the cache between steps: read and decode.
void FindUncached(benchmark::State& state) {
  constexpr uint64_t kCases = 100'000;
  StoreOptions options;
  options.case_cache_entries = 0;
  Directory directory;
  auto store = OpenStore(directory.path(), options);
  for (uint64_t i = 1; i <= kCases; ++i) {
    store->Insert(TypicalCase(i));
    if (i % 1000 == 0) TRIAGED_CHECK(store->Commit(static_cast<int64_t>(i)).ok());
  }
  TRIAGED_CHECK(store->Flush().ok());
  std::mt19937_64 random(1);
  uint64_t found = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(store->Find({0, 1 + random() % kCases}));
    if (++found % 1000 == 0) store->Discard();
  }
}
BENCHMARK(FindUncached);

void FindByKeyAbsent(benchmark::State& state) {
  Directory directory;
  auto store = OpenStore(directory.path());
  for (uint64_t i = 1; i <= 100'000; ++i) {
    store->Insert(TypicalCase(i));
    if (i % 1000 == 0) TRIAGED_CHECK(store->Commit(static_cast<int64_t>(i)).ok());
  }
  uint64_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(store->FindByKey("soc|absent|" + std::to_string(++next)));
}
BENCHMARK(FindByKeyAbsent);

void EncodeTypicalCase(benchmark::State& state) {
  const Case c = TypicalCase(1);
  for (auto _ : state) benchmark::DoNotOptimize(EncodeCase(c));
}
BENCHMARK(EncodeTypicalCase);

void DecodeTypicalCase(benchmark::State& state) {
  const std::string bytes = EncodeCase(TypicalCase(1));
  for (auto _ : state) benchmark::DoNotOptimize(DecodeCase(bytes));
}
BENCHMARK(DecodeTypicalCase);

void DedupMissAndRemember(benchmark::State& state) {
  StoreOptions options;
  options.in_memory = true;
  auto store = OpenStore("/dedup", options);
  std::mt19937_64 random(1);
  uint64_t count = 0;
  for (auto _ : state) {
    const uint64_t hash = random();
    benchmark::DoNotOptimize(store->FindSeen(hash));
    store->Remember({hash, FromUnixMillis(kStart), 1, 50, 0});
    if (++count % 10'000 == 0) {
      state.PauseTiming();
      TRIAGED_CHECK(store->Commit(static_cast<int64_t>(count)).ok());
      state.ResumeTiming();
    }
  }
}
BENCHMARK(DedupMissAndRemember);

uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// First figures at 1 M cases: 206 and 22 bytes; a loss of a fifth is a failure.
constexpr double kMostDiskBytes = 250;
constexpr double kMostResidentBytes = 27;

// N open cases: bytes of each on disk and in memory, and how long a restart takes to be ready.
void Footprint(benchmark::State& state) {
  const char* wanted = std::getenv("TRIAGED_BENCH_CASES");
  const uint64_t cases = wanted == nullptr ? 100'000 : std::strtoull(wanted, nullptr, 10);
  const auto count = static_cast<double>(cases);
  for (auto _ : state) {
    Directory directory;
    {
      auto store = OpenStore(directory.path());
      for (uint64_t i = 1; i <= cases; ++i) {
        store->Insert(TypicalCase(i));
        if (i % 1000 == 0) TRIAGED_CHECK(store->Commit(static_cast<int64_t>(i)).ok());
      }
      TRIAGED_CHECK(store->Commit(static_cast<int64_t>(cases)).ok() && store->Flush().ok());
      state.counters["resident_full_cache/case"] = static_cast<double>(store->Stats().resident_bytes) / count;
    }
    const uint64_t before = ResidentBytes();
    const auto started = std::chrono::steady_clock::now();
    auto store = OpenStore(directory.path());
    state.counters["restart_s"] = Seconds(started);
    const StoreStats stats = store->Stats();
    TRIAGED_CHECK(stats.cases == cases);
    state.counters["disk/case"] = static_cast<double>(stats.disk_bytes) / count;
    state.counters["resident/case"] = static_cast<double>(stats.resident_bytes) / count;
    const uint64_t after = ResidentBytes();
    if (cases >= 1'000'000 && (state.counters["disk/case"] > kMostDiskBytes || state.counters["resident/case"] > kMostResidentBytes)) {
      std::fprintf(stderr, "FAILED: a case takes more than %.0f bytes on disk or %.0f resident\n", kMostDiskBytes, kMostResidentBytes);
      std::exit(1);
    }
    state.counters["process_growth/case"] = after < before ? 0 : static_cast<double>(after - before) / count;
  }
}
BENCHMARK(Footprint)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace triaged

BENCHMARK_MAIN();
