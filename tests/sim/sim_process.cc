// A simulated process: its disk, its faults, its deaths.
#include <algorithm>

#include "pipeline/base/check.h"
#include "tests/sim/sim_world.h"

namespace triaged::sim {
namespace {

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
  disk = SimDisk::Make(options);
  disk->set_write_errors_ignored(world->options.bugs.store_error_ignored);
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

bool Process::TooMany(size_t records) { return records > world->most_records; }
bool Process::TooLarge(const OutputRecord& record) { return world->too_large && world->too_large(record); }

Timestamp Process::WallTime() { return world->broker.now() + wall_jump; }

void Process::OnRestored(size_t records) { world->result.restored_records += records; }

void Process::OnStep(int, const StepReport& report) { world->result.timers += report.facts.timers_fired; }

void Process::OnTrouble(int, int32_t partition, Trouble kind, const std::string& /*message*/) {
  if (kind == Trouble::kRetry && partition >= 0) ++world->result.store_retries;
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
  faults_at_start_ = disk->faults() - (disk->fault() == DiskFault::kNone ? 0 : 1);
  WorkerOptions options;
  options.application_id = world->application;
  options.instance = instance;
  options.partitions = world->partitions;
  if (world->direct) options.direct_topics = world->alert_topics;
  options.store_directory = "/store";
  options.max_timers = kMaxTimers;
  options.poll.max_records = 30;  // few enough that intake fills a poll now and then, and alerts have to wait
  options.accept_data_loss = world->options.accept_data_loss;
  options.heartbeat_interval = world->options.heartbeat_interval;
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
    disk->Quiesce();
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
    // What a sick disk did not take, the changelog has; and an open store remembers that error when the disk is well again.
    const bool was_well = disk->faults() == faults_at_start_;
    if (!finished && was_well) world->Violation("worker " + instance + " could not finish: " + finished.error().message);
    worker.reset();
  } catch (const Crash&) {
    Die();
  }
}

// Turns one kind of the store's files into noise.
void Process::GarbleDisk() {
  static constexpr std::string_view kKinds[] = {"CURRENT", "MANIFEST-", ".sst"};
  const std::string_view kind = kKinds[world->random.Below(std::size(kKinds))];
  disk->Garble(kind, world->random.Next());
}

void Process::HealDisk() {
  disk->Quiesce();
  disk->SetFault(DiskFault::kNone, 0);
}

// Closing a store writes what is not flushed, as a death does not: the disk takes nothing any more.
void Process::Die() {
  ++world->result.crashes;
  disk->Kill();
  for (Process* sibling : Siblings()) {
    sibling->worker.reset();
    sibling->not_before = world->broker.now() + Duration(world->random.Between(0, 20'000));
  }
  const bool power_cut = world->options.disk_faults && world->weather.Below(3) == 0;
  world->result.power_cuts += power_cut;
  disk->Revive(power_cut, world->weather.Next());
  const uint64_t fate = world->random.Below(10);
  if (fate < 2) {
    disk->Wipe();
  } else if (fate == 2) {
    GarbleDisk();
  }
}

}  // namespace triaged::sim
