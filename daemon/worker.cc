// The worker's client, its group events, and the turn. Taking partitions over is in worker_assignment.cc, steps and
// transactions are in worker_step.cc, partitions of others in worker_standby.cc.
#include "daemon/worker.h"

#include <algorithm>

#include "pipeline/base/check.h"
#include "storage/codec.h"

namespace triaged {
namespace {

// FENCED_INSTANCE_ID this often in this time means that another process lives under our name; once or twice it may be
// our own earlier self (KAFKA.md).
constexpr size_t kFencedLimit = 3;
constexpr Duration kFencedWindow = std::chrono::minutes(5);
// A worker that cannot join gives its stores' locks to others after this many tries.
constexpr int kStartsBeforeRelease = 3;
// Alerts wait while intake lags, but not for ever: no more than this many polls in a row leave them untaken.
constexpr int kMaxAlertPollsSkipped = 20;
// Offsets that moved over transaction markers alone wait this long for a transaction to go with.
constexpr Duration kMarkersWait{1'000};

}  // namespace

Worker::Worker(WorkerOptions options, WorkerParts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      topics_(TopicNames::For(options_.application_id)),
      engine_(parts_.engine()),
      alerts_({options_.application_id, options_.partitions, options_.max_timers, options_.record_steps,
               options_.heartbeat_interval, options_.ocsf, options_.keep_closed, options_.archive},
              engine_),
      client_backoff_(options_.retry_min) {
  TRIAGED_CHECK(parts_.make_client && parts_.stores && parts_.new_lineage && parts_.pause && parts_.observer);
  TRIAGED_CHECK(parts_.claims != nullptr);
  TRIAGED_CHECK(engine_ != nullptr && options_.partitions > 0);
}

Worker::~Worker() { parts_.claims->Set(this, {}); }

void Worker::Enter(WorkerPhase phase) const { parts_.observer->OnPhase(options_.number, phase); }

void Worker::Report(Trouble kind, int32_t partition, const std::string& message) const {
  parts_.observer->OnTrouble(options_.number, partition, kind, message);
}

Status Worker::Stop(int32_t partition, const Error& error) {
  Report(Trouble::kStop, partition, error.message);
  return error;
}

// ---- client ---------------------------------------------------------------------------------------------------

Status Worker::StartClient() {
  const auto wait = [&] {
    // Others of this process may take over what we cannot hold: an open store is a held lock.
    if (++failed_starts_ >= kStartsBeforeRelease) {
      partitions_.clear();
      parts_.claims->Set(this, {});
    }
    parts_.pause(client_backoff_);
    client_backoff_ = std::min(client_backoff_ * 2, options_.retry_max);
  };
  Enter(WorkerPhase::kConnecting);
  auto made = parts_.make_client();
  Status started = made ? (*made)->Start(options_.start_timeout) : Status(made.error());
  if (!started) {
    if (started.error().kind != ErrorClass::kEnvironment) return Stop(-1, started.error());
    Report(Trouble::kRetry, -1, started.error().message);
    wait();
    return {};
  }
  client_ = std::move(*made);
  if (client_->StatePartitions() != options_.partitions) {
    return Stop(-1, {ErrorClass::kInvariant,
                     "topic " + topics_.state + " has " + std::to_string(client_->StatePartitions()) +
                         " partitions, kafka.partitions says " + std::to_string(options_.partitions) +
                         "; the number is fixed for the life of an application id: set it back, or choose a new id"});
  }
  failed_starts_ = 0;
  last_commit_ = last_flush_ = last_stats_ = Now();
  failing_since_.reset();
  parts_.observer->OnConnected(options_.number, true);
  return Tick();  // so that there is a broker time from the first step on
}

Status Worker::LoseClient(const std::string& why, bool fenced) {
  const Duration now = Now();
  Report(Trouble::kLostClient, -1, why);
  if (fenced) fenced_at_.push_back(now);
  DropStandbys();
  while (!fenced_at_.empty() && now - fenced_at_.front() > kFencedWindow) fenced_at_.pop_front();
  client_.reset();
  parts_.observer->OnConnected(options_.number, false);
  GiveUpPartitions(PartitionState::kLost);
  if (fenced_at_.size() >= kFencedLimit) {
    return Stop(
        -1, {ErrorClass::kInvariant, "fenced " + std::to_string(kFencedLimit) +
                                         " times in 5 minutes: another process runs as instance " + options_.instance +
                                         " of " + options_.application_id + "; give each process its own `instance`"});
  }
  parts_.pause(client_backoff_);
  client_backoff_ = std::min(client_backoff_ * 2, options_.retry_max);
  return {};
}

void Worker::AdoptEngine() {
  auto engine = parts_.engine();
  if (engine == engine_ || !engine) return;
  parts_.observer->OnEngineTaken(options_.number, false);
  engine_ = std::move(engine);
  alerts_.SetEngine(engine_);
  for (const auto& [number, partition] : partitions_) partition->SetEngine(engine_);
  parts_.observer->OnEngineTaken(options_.number, true);
}

// ---- group ----------------------------------------------------------------------------------------------------

void Worker::SetState(Partition& partition, PartitionState state) {
  partition.MoveTo(state);
  parts_.observer->OnPartitionState(options_.number, partition.number(), state);
}

// The stores stay open: a partition that comes back restores only its tail.
void Worker::GiveUpPartitions(PartitionState state) {
  joined_ = false;
  for (const auto& [number, partition] : partitions_) {
    if (partition->state() == PartitionState::kClosed || partition->state() == PartitionState::kLost) continue;
    if (client_ && partition->state() == PartitionState::kRestoring) client_->CloseChangelog(number);
    SetState(*partition, state);
  }
  taking_.clear();
  alerts_.Reset({});
  reached_end_.clear();
  more_due_.clear();
  consume_changed_ = false;
  intake_full_ = false;
}

std::unique_ptr<Partition> Worker::MakePartition(int32_t number) const {
  PartitionOptions options;
  options.number = number;
  options.directory = options_.store_directory + "/" + std::to_string(number);
  for (const std::string& topic : options_.direct_topics) options.sources.push_back({topic, number});
  if (!direct()) options.sources.push_back({topics_.intake, number});
  options.sources.push_back({topics_.commands, number});
  options.sources.push_back({topics_.signals, number});
  options.processor = {options_.application_id, options_.partitions, options_.max_timers, options_.record_steps,
                       options_.heartbeat_interval, options_.ocsf, options_.keep_closed, options_.archive};
  options.accept_data_loss = options_.accept_data_loss;
  options.tombstone_retention = options_.tombstone_retention;
  return std::make_unique<Partition>(std::move(options), parts_.stores);
}

Status Worker::OnAssigned(const GroupEvent& event) {
  GiveUpPartitions(PartitionState::kClosed);
  const std::string& driver = direct() ? options_.direct_topics.front() : topics_.intake;
  std::set<int32_t> owned;
  std::vector<TopicPartition> alerts;
  for (const TopicPartition& assigned : event.partitions) {
    if (assigned.topic == driver) {
      owned.insert(assigned.partition);
    } else if (!direct() && assigned.topic != topics_.commands && assigned.topic != topics_.signals) {
      alerts.push_back(assigned);
    }
  }
  if (!owned.empty() && *owned.rbegin() >= options_.partitions) {
    return Stop(*owned.rbegin(),
                {ErrorClass::kInvariant, "topic " + driver + " has more than " + std::to_string(options_.partitions) +
                                             " partitions; it must have exactly as many as the state topic"});
  }
  parts_.claims->Set(this, owned);
  for (auto& [number, kept] : partitions_) {
    if (owned.contains(number)) continue;
    if (kept->state() == PartitionState::kLost) SetState(*kept, PartitionState::kClosed);
    KeepAsStandby(std::move(kept));
  }
  std::erase_if(partitions_, [&](const auto& kept) { return !kept.second; });
  alerts_.Reset(alerts);
  group_has_offsets_ = progress_without_offsets_ = false;
  for (int32_t number : owned) {
    auto& partition = partitions_[number];
    if (!partition) {
      partition = TakeStandby(number);
      if (!partition) partition = MakePartition(number);
      parts_.observer->OnPartitionState(options_.number, number, PartitionState::kAssigned);
    } else {
      SetState(*partition, PartitionState::kAssigned);
    }
    taking_[number].backoff = options_.retry_min;
  }
  joined_ = true;
  return {};
}

Status Worker::OnGroupEvent(const GroupEvent& event) {
  // The answer to the group comes first, so that a rebalance never waits for our stores.
  if (Status answered = client_->Assign({}); !answered) return LoseClient(answered.error().message, false);
  switch (event.kind) {
    case GroupEventKind::kAssigned:
      return OnAssigned(event);
    case GroupEventKind::kRevoked:
      GiveUpPartitions(PartitionState::kClosed);
      break;
    case GroupEventKind::kLost:
      GiveUpPartitions(PartitionState::kLost);
      break;
  }
  return {};
}

// Consumes exactly what runs, from our own next offsets: also the way to rewind. What was prefetched is dropped, and
// with it the ends that were reached.
Status Worker::Reassign() {
  consume_changed_ = false;
  reached_end_.clear();
  std::vector<PartitionOffset> consumed = alerts_.NextOffsets();
  for (const auto& [number, partition] : partitions_) {
    if (partition->state() != PartitionState::kRunning) continue;
    const auto offsets = partition->NextOffsets();
    consumed.insert(consumed.end(), offsets.begin(), offsets.end());
  }
  if (Status assigned = client_->Assign(consumed); !assigned) return LoseClient(assigned.error().message, false);
  return {};
}

bool Worker::CaughtUp(const Partition& partition) const {
  return std::all_of(partition.sources().begin(), partition.sources().end(),
                     [&](const TopicPartition& source) { return reached_end_.contains(source); });
}

bool Worker::Ready() const {
  return client_ && joined_ && alerts_.Unresolved().empty() &&
         std::all_of(partitions_.begin(), partitions_.end(),
                     [](const auto& entry) { return entry.second->state() == PartitionState::kRunning; });
}

// ---- the turn -------------------------------------------------------------------------------------------------

PollLimits Worker::Limits() const {
  PollLimits limits = options_.poll;
  limits.max_records = std::max<size_t>(limits.max_records >> halvings_, 1);
  limits.max_bytes = std::max<size_t>(limits.max_bytes >> halvings_, 1);
  limits.take_alerts = direct() || !intake_full_ || alert_polls_skipped_ >= kMaxAlertPollsSkipped;
  const auto sooner = [&](Duration wait) { limits.max_wait = std::clamp(wait, Duration{0}, limits.max_wait); };
  if (!more_due_.empty() || consume_changed_ || NeedsOffsets()) sooner(Duration{0});
  const auto broker_time = client_->BrokerTime();
  const Duration now = Now();
  for (const auto& [number, partition] : partitions_) {
    if (partition->state() == PartitionState::kRestoring) sooner(Duration{0});
    if (partition->state() == PartitionState::kAssigned) sooner(taking_.at(number).retry_at - now);
    if (partition->state() != PartitionState::kRunning || !broker_time || !CaughtUp(*partition)) continue;
    if (const auto due = partition->NextDeadline()) sooner(*due - *broker_time);
  }
  return limits;
}

void Worker::TellAssignment() {
  const std::pair now(client_ && joined_, alerts_.Unresolved().size());
  if (std::exchange(told_, now) != now) parts_.observer->OnAssignment(options_.number, now.first, now.second);
}

Status Worker::RunOnce() {
  Enter(WorkerPhase::kTurn);
  TellAssignment();
  AdoptEngine();
  if (!client_) return StartClient();
  const PollLimits limits = Limits();
  PollResult polled = client_->Poll(limits);
  if (polled.fatal) return LoseClient(polled.fatal->message, polled.fenced_instance);
  if (polled.event) return OnGroupEvent(*polled.event);
  for (const PartitionOffset& end : polled.reached_end) reached_end_.insert(end.where);

  size_t first_hand = 0;
  size_t first_hand_bytes = 0;
  for (const InputRecord& record : polled.records) {
    if (record.input_class == InputClass::kAlert) continue;
    ++first_hand;
    first_hand_bytes += record.value ? record.value->size() : 0;
  }
  intake_full_ = first_hand * 2 >= limits.max_records || first_hand_bytes * 2 >= limits.max_bytes;
  alert_polls_skipped_ = limits.take_alerts ? 0 : alert_polls_skipped_ + 1;

  if (Status stepped = StepRecords(std::move(polled.records)); !stepped || !client_) return stepped;
  for (const PartitionOffset& end : polled.reached_end) {
    if (!reached_end_.contains(end.where)) continue;  // it was rewound
    alerts_.ReachEnd(end);
    const auto at = partitions_.find(end.where.partition);
    if (at != partitions_.end() && at->second->state() == PartitionState::kRunning) at->second->ReachEnd(end);
  }
  if (Status advanced = AdvanceAssignment(); !advanced || !client_) return advanced;
  const Duration quiet = Now() - last_commit_;
  const bool past_markers = alerts_.past_markers() || std::any_of(partitions_.begin(), partitions_.end(), IsPastMarkers);
  if (!client_->BrokerTime() || quiet >= options_.tick_interval || (past_markers && quiet >= kMarkersWait)) {
    if (Status ticked = Tick(); !ticked || !client_) return ticked;
  }
  AdvanceStandbys();
  Housekeeping();
  return {};
}

void Worker::Housekeeping() {
  const Duration now = Now();
  const auto broker_time = client_->BrokerTime();
  const bool flush = now - last_flush_ >= options_.flush_interval;
  const bool stats = now - last_stats_ >= options_.stats_interval;
  if (flush) last_flush_ = now;
  if (stats) last_stats_ = now;
  for (const auto& [number, partition] : partitions_) {
    if (partition->state() != PartitionState::kRunning) continue;
    if (broker_time) {
      parts_.observer->OnClock(number, partition->clock(), *broker_time);
    }
    if (stats) {
      parts_.observer->OnStoreStats(number, partition->store()->Stats());
      if (Status room = partition->store()->CheckRoom(); !room) {
        RetryLater(*partition, room.error());
        continue;
      }
    }
    if (!flush) continue;
    if (Status flushed = partition->Flush(); !flushed) RetryLater(*partition, flushed.error());
  }
  if (flush) FlushStandbys();
  if (stats) parts_.observer->OnLags(options_.number, client_->Lags());
}

Status Worker::Run(const std::atomic<bool>* stop) {
  while (!stop->load(std::memory_order_relaxed)) {
    if (Status turn = RunOnce(); !turn) {
      leave_for_good_ = IsNewerFormat(turn.error());
      Finish().IgnoreError();  // the first error is the one to tell
      return turn;
    }
  }
  return Finish();
}

Status Worker::Finish() {
  if (std::exchange(finished_, true)) return {};
  Status first;
  Enter(WorkerPhase::kClosingStores);
  for (const auto& [number, partition] : partitions_) {
    if (Status flushed = partition->Flush(); !flushed && first) first = flushed;
    if (partition->state() != PartitionState::kClosed) SetState(*partition, PartitionState::kClosed);
  }
  partitions_.clear();
  DropStandbys();
  parts_.claims->Set(this, {});
  Enter(WorkerPhase::kClosingClient);
  if (client_ && leave_for_good_) client_->Leave(options_.leave_timeout);
  client_.reset();
  parts_.observer->OnConnected(options_.number, false);
  Enter(WorkerPhase::kStopped);
  return first;
}

}  // namespace triaged
