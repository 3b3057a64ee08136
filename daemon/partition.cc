#include "daemon/partition.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "daemon/input_place.h"
#include "pipeline/base/check.h"
#include "pipeline/report/report.h"
#include "storage/codec.h"
#include "storage/keys.h"

namespace triaged {
namespace {

constexpr size_t kStates = 5;
// kLegal[from][to], in the order Assigned, Restoring, Running, Closed, Lost.
constexpr std::array<std::array<bool, kStates>, kStates> kLegal = {{
    {false, true, false, true, true},    // Assigned: restore begins; revoked; lost
    {false, false, true, true, true},    // Restoring: caught up with the changelog; revoked or store trouble; lost
    {false, false, false, true, true},   // Running: revoked or store trouble; lost
    {true, false, false, false, false},  // Closed: assigned anew
    {true, false, false, true, false},   // Lost: assigned anew; or given up for good
}};

constexpr size_t kMaxRefusedBytes = 64 * 1024;

std::string Where(const TopicPartition& source) { return SourceKey(source.topic, source.partition); }

}  // namespace

std::string_view Name(PartitionState state) {
  static constexpr std::array<std::string_view, kStates> kNames = {"assigned", "restoring", "running", "closed",
                                                                   "lost"};
  return kNames[static_cast<size_t>(state)];
}

std::string_view Name(WorkerPhase phase) {
  switch (phase) {
    case WorkerPhase::kTurn: return "in its turn";
    case WorkerPhase::kConnecting: return "connecting";
    case WorkerPhase::kSendingOffsets: return "sending offsets";
    case WorkerPhase::kCommitting: return "committing";
    case WorkerPhase::kWritingStores: return "writing its stores";
    case WorkerPhase::kAborting: return "aborting";
    case WorkerPhase::kClosingStores: return "closing its stores";
    case WorkerPhase::kClosingClient: return "closing its Kafka client";
    case WorkerPhase::kStopped: return "stopped";
  }
  return "?";
}

std::string_view Name(Trouble trouble) {
  static constexpr std::array<std::string_view, 5> kNames = {"warning", "retry", "lost_client", "store_moved", "stop"};
  return kNames[static_cast<size_t>(trouble)];
}

bool MayMove(PartitionState from, PartitionState to) {
  return kLegal[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

Partition::Partition(PartitionOptions options, std::shared_ptr<SharedStoreResources> resources)
    : options_(std::move(options)), resources_(std::move(resources)) {}

Partition::~Partition() = default;

void Partition::MoveTo(PartitionState next) {
  TRIAGED_CHECK(MayMove(state_, next));
  state_ = next;
  if (state_ == PartitionState::kRunning) return;
  processor_.reset();
  if (store_) store_->Discard();
}

// ---- taking over ------------------------------------------------------------------------------------------------

Status Partition::Wipe() {
  CloseStore();
  return PartitionStore::Destroy(resources_, options_.directory);
}

// A damaged store is evidence: it is kept, once, beside the new one.
Status Partition::SetAside(const Error& why, std::string* note) {
  CloseStore();
  *note = why.message;
  if (resources_->options().in_memory) return PartitionStore::Destroy(resources_, options_.directory);
  const std::string aside = options_.directory + ".corrupt";
  std::error_code error;
  std::filesystem::remove_all(aside, error);
  if (!error) std::filesystem::rename(options_.directory, aside, error);
  if (error) {
    return EnvironmentError("set aside the damaged store " + options_.directory + " as " + aside + ": " +
                            error.message() + "; check the permissions of the storage directory");
  }
  *note += "; moved to " + aside;
  return {};
}

Status Partition::OpenStore(std::string* note) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto opened = PartitionStore::Open(resources_, options_.number, options_.directory);
    Status status = opened ? Status() : Status(opened.error());
    if (opened) {
      store_ = std::move(*opened);
      restored_here_ = false;
      status = store_->FinishRestore();  // to learn the progress record: its lineage is compared with the changelog's
    }
    if (status) return {};
    store_.reset();
    if (!PartitionStore::IsCorruption(status.error())) return status;
    if (Status moved = SetAside(status.error(), note); !moved) return moved;
  }
  return EnvironmentError("store " + options_.directory +
                          " is damaged again right after it was made anew: check the disk");
}

Result<Partition::RestoreRange> Partition::BeginRestore(BrokerClient::Watermarks state,
                                                        std::optional<Timestamp> broker_time) {
  RestoreRange range;
  range.end = state.high;
  if (damage_) {
    if (Status moved = SetAside(*damage_, &range.note); !moved) return moved.error();
    damage_.reset();
  }
  if (!store_) {
    if (Status opened = OpenStore(&range.note); !opened) return opened.error();
  }
  const int64_t position = store_->position();
  const Progress& progress = store_->progress();
  std::string wipe;
  if (position >= state.high) {
    wipe = "its position " + std::to_string(position) + " is past the changelog's end " + std::to_string(state.high) +
           ": the state topic was made anew or lost records";
  } else if (position >= 0 && progress.lineage.empty() && !restored_here_) {
    wipe = "an earlier restore was interrupted before its first progress record";
  } else if (position >= 0 && !restored_here_ && broker_time && progress.clock != Timestamp{} &&
             *broker_time - progress.clock > options_.tombstone_retention) {
    wipe = "it was last applied to longer ago than the state topic keeps tombstones";
  }
  if (position >= 0 && !wipe.empty()) {
    const std::string note = "store " + options_.directory + " is restored from the beginning: " + wipe;
    range.note = note;
    // Of a topic that lost its records the store may be the last copy.
    const bool last_copy = position >= state.high;
    if (Status gone = last_copy ? SetAside(EnvironmentError(note), &range.note) : Wipe(); !gone) return gone.error();
    if (Status opened = OpenStore(&range.note); !opened) return opened.error();
  }
  expected_lineage_.reset();
  if (!store_->progress().lineage.empty()) expected_lineage_ = store_->progress().lineage;
  restored_here_ = true;
  range.from = std::max<int64_t>({store_->position(), state.low, 0});
  return range;
}

Result<bool> Partition::Restore(ChangelogSlice slice) {
  if (slice.records.empty()) return false;
  for (const ChangelogSlice::Record& record : slice.records) {
    if (!expected_lineage_) break;
    if (record.key != kProgressKey || !record.value) continue;
    auto stored = DecodeProgress(*record.value);
    if (!stored) {
      return Error{stored.error().kind, "changelog partition " + std::to_string(options_.number) + " offset " +
                                            std::to_string(record.offset) + ": " + stored.error().message};
    }
    if (*expected_lineage_ != stored->progress.lineage) {
      if (Status wiped = Wipe(); !wiped) return wiped.error();
      return true;
    }
    expected_lineage_.reset();
  }
  const int64_t last = slice.records.back().offset;
  std::vector<StateRecord> records;
  records.reserve(slice.records.size());
  for (ChangelogSlice::Record& record : slice.records) {
    records.push_back({std::move(record.key), std::move(record.value)});
  }
  dirty_ = true;
  if (Status applied = store_->ApplyChangelog(records, std::max(last, store_->position())); !applied) {
    return applied.error();
  }
  return false;
}

Status Partition::CompareWithGroup(const Group& group, std::vector<std::string>* warnings) {
  for (const TopicPartition& source : options_.sources) {
    const auto committed = group.committed.find(source);
    const auto marks = group.watermarks.find(source);
    TRIAGED_CHECK(committed != group.committed.end() && marks != group.watermarks.end());
    Status compared = CompareSource(source, committed->second, marks->second, warnings);
    if (!compared) return compared;
  }
  return {};
}

// progress = group offset: go on. Progress ahead, or no group offset: the changelog is the truth. Group ahead: a
// transaction that the group knows of is missing from the changelog.
Status Partition::CompareSource(const TopicPartition& source, const BrokerClient::Committed& committed,
                                BrokerClient::Watermarks marks, std::vector<std::string>* warnings) {
  const std::optional<int64_t>& offset = committed.offset;
  const Progress& progress = store_->progress();
  const auto own = progress.next.find(Where(source));
  const bool known = own != progress.next.end();
  int64_t next = known ? own->second : offset.value_or(marks.low);
  if (known && !offset) {
    warnings->push_back(Where(source) + " has no group offset; the progress record's " + std::to_string(next) +
                        " holds");
  } else if (known && *offset < next) {
    warnings->push_back(Where(source) + ": the progress record (" + std::to_string(next) +
                        ") is ahead of the group offset (" + std::to_string(*offset) + "); it holds");
  }
  const bool lost = offset && (known ? *offset > next : progress.steps == 0 && *offset > 0);
  if (lost) {
    const std::string what = Where(source) + ": the group offset " + std::to_string(*offset) +
                             " is ahead of the changelog's progress (" + (known ? std::to_string(next) : "none") +
                             "): records of the state topic are lost";
    if (!options_.accept_data_loss) {
      return Error{ErrorClass::kInvariant,
                   what + "; restore the topic, or start once with --accept-data-loss to go on with what is left"};
    }
    warnings->push_back(what + "; accepted, as configured");
  }
  const int64_t end = std::max(next, offset ? DecodeEnd(committed.metadata).value_or(0) : 0);
  if (const auto gone = FindLostInput(source, end, marks)) {
    if (!options_.accept_data_loss) return Error{ErrorClass::kInvariant, gone->what + "; " + gone->cure};
    warnings->push_back(gone->what + "; accepted, as configured");
    if (gone->go_on < next) rewound_[source.topic] = gone->go_on;
    next = gone->go_on;
  }
  next = std::max(next, marks.low);
  start_[source.topic] = next;
  return {};
}

Status Partition::FinishRestore(const Group& group, std::shared_ptr<const Engine> engine,
                                const std::string& new_lineage, std::vector<std::string>* warnings) {
  if (Status finished = store_->FinishRestore(); !finished) {
    if (!PartitionStore::IsCorruption(finished.error())) return finished;
    std::string note;
    const Error why = finished.error();
    if (Status moved = SetAside(why, &note); !moved) return moved;
    return EnvironmentError(note);
  }
  start_.clear();
  end_.clear();
  committed_end_.clear();
  rewound_.clear();
  rewinding_ = false;
  if (Status compared = CompareWithGroup(group, warnings); !compared) return compared;
  new_lineage_ = new_lineage;
  processor_ = std::make_unique<Processor>(options_.processor, std::move(engine), store_.get());
  return {};
}

// ---- running ----------------------------------------------------------------------------------------------------

void Partition::SetEngine(std::shared_ptr<const Engine> engine) {
  if (processor_) processor_->SetEngine(std::move(engine));
}

int64_t Partition::NextOffset(std::string_view topic) const {
  const auto rewound = rewound_.find(topic);
  if (rewound != rewound_.end() && !rewinding_) return rewound->second;
  const auto start = start_.find(topic);
  const int64_t begin = start != start_.end() ? start->second : 0;
  const auto& next = store_->progress().next;
  const auto own = next.find(SourceKey(topic, options_.number));
  return own != next.end() ? std::max(own->second, begin) : begin;
}

std::vector<PartitionOffset> Partition::NextOffsets() const {
  std::vector<PartitionOffset> offsets;
  for (const TopicPartition& source : options_.sources) {
    const int64_t next = NextOffset(source.topic);
    offsets.push_back({source, next, EncodeEnd(std::max(next, EndOf(source.topic)))});
  }
  return offsets;
}

int64_t Partition::EndOf(std::string_view topic) const {
  const auto at = end_.find(topic);
  return at != end_.end() ? at->second : 0;
}

void Partition::ReachEnd(const PartitionOffset& end) {
  const auto& sources = options_.sources;
  if (std::find(sources.begin(), sources.end(), end.where) != sources.end()) end_[end.where.topic] = end.offset;
}

bool Partition::ProgressStands() const {
  const Progress& stored = store_->progress();
  const auto stands = [&](const TopicPartition& source) {
    const auto at = stored.next.find(Where(source));
    return at != stored.next.end() && at->second == NextOffset(source.topic);
  };
  const auto& sources = options_.sources;
  return !stored.lineage.empty() && std::all_of(sources.begin(), sources.end(), stands);
}

void Partition::StageFirstProgress() {
  if (ProgressStands()) return;
  Progress progress = store_->progress();
  if (progress.lineage.empty()) progress.lineage = new_lineage_;
  for (const TopicPartition& source : options_.sources) progress.next[Where(source)] = NextOffset(source.topic);
  store_->SetProgress(std::move(progress));
  rewinding_ = true;
}

Result<PartitionStep> Partition::Staged(StepResult result) {
  PartitionStep step;
  step.touched = result.taken > 0 || result.facts.timers_fired > 0 || !result.outputs.empty();
  step.result = std::move(result);
  if (!step.touched) {
    Discard();
    return step;
  }
  auto staged = store_->StagedRecords();
  if (!staged) return staged.error();
  step.state = std::move(*staged);
  return step;
}

Result<PartitionStep> Partition::Step(std::span<const InputRecord> inputs, StepTime time) {
  StageFirstProgress();
  auto result = processor_->Step(inputs, time);
  if (!result) return result.error();
  return Staged(std::move(*result));
}

Result<PartitionStep> Partition::Refuse(const InputRecord& input, std::string_view reason, const std::string& message) {
  StageFirstProgress();
  StepResult result;
  OutputRecord letter = DeadLetterRecord(input, reason, message, "decide");
  if (letter.value && letter.value->size() > kMaxRefusedBytes) {
    letter.headers.push_back({"triaged.error.cut", std::to_string(letter.value->size())});
    letter.value->resize(kMaxRefusedBytes);
  }
  result.outputs.push_back(std::move(letter));
  result.facts.dead_letters.push_back(
      {std::string(reason), std::string(input.topic), message, input.partition, input.offset});
  Balance& balance = result.facts.balance;
  if (input.input_class == InputClass::kCommand) {
    ++balance.commands_consumed;
    ++balance.commands_refused;
  } else if (input.input_class != InputClass::kSignal) {  // which are our own, and in no balance
    ++balance.consumed;
    ++balance.outcomes[static_cast<size_t>(AlertOutcome::kDeadLettered)];
  }
  Progress progress = store_->progress();
  progress.next[SourceKey(input.topic, input.partition)] = input.offset + 1;
  progress.balance.Add(balance);
  ++progress.steps;
  store_->SetProgress(std::move(progress));
  result.taken = 1;
  return Staged(std::move(result));
}

Status Partition::Commit(std::optional<int64_t> position) {
  dirty_ = true;
  if (rewinding_) rewound_.clear();
  return store_->Commit(position.value_or(store_->position()));
}

void Partition::Discard() {
  rewinding_ = false;
  if (store_) store_->Discard();
}

Status Partition::Flush() {
  if (!store_ || !dirty_) return {};
  if (Status flushed = store_->Flush(); !flushed) return flushed;
  dirty_ = false;
  return {};
}

void Partition::CloseStore() {
  processor_.reset();
  store_.reset();
  restored_here_ = false;
  expected_lineage_.reset();
}

void Partition::CloseStore(const Error& why) {
  if (store_ && PartitionStore::IsCorruption(why)) damage_ = why;
  CloseStore();
}

}  // namespace triaged
