// A simulated process: its disk, its faults, its deaths.
#include <algorithm>

#include "pipeline/base/check.h"
#include "storage/rocks.h"
#include "tests/sim/sim_world.h"

namespace triaged::sim {
namespace {

constexpr const char* kStore = "/store/";

rocksdb::Env* EnvOf(const std::shared_ptr<SharedStoreResources>& disk) {
  return dynamic_cast<RocksResources&>(*disk).env();
}

// How often each fault happens, in a million calls.
uint64_t FaultRate(std::string_view name) {
  if (name == "fatal") return 600;
  if (name == "assign") return 2'000;
  if (name == "start") return 50'000;
  if (name == "committed") return 150'000;
  if (name == "watermarks") return 20'000;
  if (name == "restore") return 10'000;
  if (name == "produce") return 300;
  if (name == "send_offsets") return 5'000;
  if (name == "commit_aborts") return 10'000;
  if (name == "commit_unknown") return 8'000;
  if (name == "abort") return 200'000;
  if (name == "no_position") return 50'000;
  return 0;
}

}  // namespace

Process::Process(World* the_world, std::string name, const Process* sibling)
    : world(the_world), instance(std::move(name)) {
  if (sibling) {
    disk = sibling->disk;
    claims = sibling->claims;
    return;
  }
  claims = std::make_shared<StoreClaims>();
  StoreOptions options;
  options.in_memory = true;
  options.memory_budget_bytes = 16 * 1024 * 1024;
  disk = SharedStoreResources::Make(options);
}

std::vector<Process*> Process::Siblings() const {
  std::vector<Process*> siblings;
  for (const auto& process : world->processes()) {
    if (process->disk == disk) siblings.push_back(process.get());
  }
  return siblings;
}

Process::~Process() = default;

SimBroker& Process::broker() { return world->broker; }
Random& Process::random() { return world->random; }
const Bugs& Process::bugs() const { return world->options.bugs; }

bool Process::Fault(const char* name) {
  if (!world->options.network_faults || !world->faults_on) return false;
  return world->random.PerMillion(FaultRate(name));
}

void Process::Point(const char* name) {
  if (!world->faults_on || paused) return;
  const WorldOptions& options = world->options;
  const std::string_view point(name);
  if (options.crashes) {
    const bool dies = options.crash_point.empty()
                          ? world->random.PerMillion(150)
                          : options.crash_point == point && world->random.Below(1000) < options.crash_per_mille;
    if (dies) throw Crash{};
  }
  if (!options.pauses || world->nested) return;
  const bool pausable = point == "before_commit" || point == "after_send_offsets" || point == "before_begin" ||
                        point == "before_send_offsets" || point == "after_commit" || point == "poll";
  const bool stops = options.pause_point.empty()
                         ? pausable && world->random.PerMillion(point == "poll" ? 500 : 4'000)
                         : options.pause_point == point && world->random.Below(1000) < options.pause_per_mille;
  if (stops) world->Pause(this);
}

bool Process::TooLarge(const OutputRecord& record) { return world->too_large && world->too_large(record); }

void Process::OnRestored(size_t records) { world->result.restored_records += records; }

void Process::OnStep(int, const StepReport& report) { world->result.timers += report.facts.timers_fired; }

void Process::OnTrouble(int, int32_t, Trouble kind, const std::string&) {
  if (kind == Trouble::kLostClient) ++world->result.rebuilds;
  if (kind == Trouble::kStoreMoved) ++world->result.stores_moved;
}

void Process::OnTransaction(int, CommitOutcome outcome, Duration) {
  ++(outcome == CommitOutcome::kCommitted ? world->result.commits : world->result.aborts);
}

void Process::OnStandby(int32_t partition, std::optional<int64_t> behind) {
  if (behind) {
    handed_over_.erase(partition);
    if (*behind == 0) warm_.insert(partition);
  } else if (warm_.erase(partition)) {
    handed_over_.insert(partition);
  }
}

void Process::OnPartitionState(int, int32_t partition, PartitionState state) {
  if (state == PartitionState::kAssigned && handed_over_.erase(partition)) ++world->result.takeovers_warm;
}

void Process::Start() {
  WorkerOptions options;
  options.application_id = world->application;
  options.instance = instance;
  options.partitions = world->partitions;
  if (world->direct) options.direct_topics = world->alert_topics;
  options.store_directory = "/store";
  options.max_timers = kMaxTimers;
  options.poll.max_records = 30;  // few enough that intake fills a poll now and then, and alerts have to wait
  options.accept_data_loss = world->options.accept_data_loss;
  options.heartbeat_interval = kHeartbeat;
  options.keep_closed = kKeepClosed;
  options.archive = kArchive;
  options.flush_interval = Duration{20'000};
  options.standby = world->standby;
  WorkerParts parts;
  parts.make_client = [this]() -> Result<std::unique_ptr<BrokerClient>> {
    SimClient::Options client_options;
    client_options.application_id = world->application;
    client_options.instance = instance;
    client_options.alert_topics = world->alert_topics;
    client_options.topics = world->direct ? std::vector<std::string>{world->alert_topics.front()} : world->alert_topics;
    if (!world->direct) client_options.topics.push_back(world->names.intake);
    auto made = std::make_unique<SimClient>(client_options, this);
    return std::unique_ptr<BrokerClient>(std::move(made));
  };
  parts.stores = disk;
  parts.engine = [this] { return world->engine; };
  parts.new_lineage = [this] { return "lineage-" + std::to_string(world->lineages++); };
  parts.pause = [this](Duration wait) { not_before = world->broker.now() + wait; };
  parts.observer = this;
  parts.claims = claims;
  worker = std::make_unique<Worker>(std::move(options), std::move(parts));
}

void Process::RunOnce() {
  try {
    const Status turn = worker->RunOnce();
    if (turn) return;
    if (may_stop) stopped = turn.error();
    if (doomed || may_stop) {
      StopCleanly();
      return;
    }
    world->Violation("worker " + instance + " stopped: " + turn.error().message);
  } catch (const Crash&) {
    Die();
  }
}

void Process::StopCleanly() {
  try {
    const Status finished = worker->Finish();
    if (!finished) world->Violation("worker " + instance + " could not finish: " + finished.error().message);
    worker.reset();
  } catch (const Crash&) {
    Die();
  }
}

std::vector<std::string> Process::Directories() const {
  std::vector<std::string> directories;
  for (int32_t i = 0; i < world->partitions; ++i) directories.push_back(kStore + std::to_string(i));
  return directories;
}

// What the disk would hold after a kill: RocksDB writes without a log here, so what was not flushed is not in it. A
// compaction may run beside us; then the picture is taken again.
Process::Files Process::Snapshot() const {
  rocksdb::Env* env = EnvOf(disk);
  const auto list = [&] {
    std::map<std::string, uint64_t> sizes;
    for (const std::string& directory : Directories()) {
      std::vector<std::string> names;
      if (!env->GetChildren(directory, &names).ok()) continue;
      for (const std::string& name : names) {
        if (name == "." || name == ".." || name == "LOCK" || name.starts_with("LOG")) continue;
        uint64_t size = 0;
        if (env->GetFileSize(directory + "/" + name, &size).ok()) sizes[directory + "/" + name] = size;
      }
    }
    return sizes;
  };
  while (true) {
    const auto before = list();
    Files files;
    for (const auto& [name, size] : before) {
      std::string bytes;
      if (rocksdb::ReadFileToString(env, name, &bytes).ok()) files[name] = std::move(bytes);
    }
    if (files.size() == before.size() && list() == before) return files;
  }
}

void Process::Rewrite(const Files& files) {
  WipeDisk();
  rocksdb::Env* env = EnvOf(disk);
  for (const auto& [name, bytes] : files) {
    const rocksdb::Status written = rocksdb::WriteStringToFile(env, bytes, name, false);
    TRIAGED_CHECK(written.ok());
  }
}

void Process::WipeDisk() {
  rocksdb::Env* env = EnvOf(disk);
  for (const std::string& directory : Directories()) {
    std::vector<std::string> names;
    if (!env->GetChildren(directory, &names).ok()) continue;
    for (const std::string& name : names) {
      if (name != "." && name != "..") env->DeleteFile(directory + "/" + name);
    }
  }
}

// Turns one kind of the store's files into noise. A kind and not a file: how many tables there are is the matter of a
// compaction that runs beside us, and the seed alone must decide what happens.
void Process::GarbleDisk() {
  static constexpr std::string_view kKinds[] = {"CURRENT", "MANIFEST-", ".sst"};
  const std::string_view kind = kKinds[world->random.Below(std::size(kKinds))];
  Random noise(world->random.Next());
  for (auto& [name, bytes] : Snapshot()) {
    if (name.find(kind) == std::string::npos) continue;
    std::string garbled = bytes;
    for (char& byte : garbled) byte = static_cast<char>(noise.Next());
    const rocksdb::Status written = rocksdb::WriteStringToFile(EnvOf(disk), garbled, name, false);
    TRIAGED_CHECK(written.ok());
  }
}

void Process::Die() {
  ++world->result.crashes;
  const Files files = Snapshot();
  // Closing writes what is not flushed, as a death does not: undone by Rewrite.
  for (Process* sibling : Siblings()) {
    sibling->worker.reset();
    sibling->not_before = world->broker.now() + Duration(world->random.Between(0, 20'000));
  }
  const uint64_t fate = world->random.Below(10);
  if (fate < 2) {
    WipeDisk();
  } else {
    Rewrite(files);
    if (fate == 2) GarbleDisk();
  }
}

}  // namespace triaged::sim
