// From Assigned to Running. The order is what makes it exact (KAFKA.md, Assign): nothing is consumed; the committed
// group offsets are read until they are known; only then the changelog's high watermark is asked for; the store is
// restored up to it; only then progress and group are compared and consumption begins. Everything goes in slices
// between polls, so that the member stays in the group.
#include <algorithm>

#include "daemon/input_place.h"
#include "daemon/worker.h"
#include "pipeline/base/check.h"

namespace triaged {
namespace {

constexpr Duration kHandOverRetry{20};
constexpr Duration kHandOverBound{5'000};  // of silence: a step and its commit take no longer unless something is wrong

}  // namespace

bool Worker::NeedsOffsets() const {
  bool anyone = false;
  Unknown(&anyone);
  return anyone;
}

// Whose group offsets are to be read now. Alert partitions that the group has never heard of wait until the state
// partitions have told whether this group ever ran (`anyone` counts them only once they may be resolved).
std::vector<TopicPartition> Worker::Unknown(bool* anyone) const {
  const Duration now = Now();
  std::vector<TopicPartition> unknown = alerts_.Due(now);
  const bool alerts_due = !unknown.empty();
  bool waiting = false;
  *anyone = false;
  for (const auto& [number, taking] : taking_) {
    const Partition& partition = *partitions_.at(number);
    if (partition.state() != PartitionState::kRunning) waiting = true;
    if (partition.state() != PartitionState::kAssigned || taking.offsets_known || taking.retry_at > now) continue;
    unknown.insert(unknown.end(), partition.sources().begin(), partition.sources().end());
    *anyone = true;
  }
  if (alerts_due && (group_has_offsets_ || !waiting)) *anyone = true;
  return unknown;
}

Status Worker::AdvanceAssignment() {
  if (NeedsOffsets()) {
    if (Status read = ReadOffsets(); !read || !client_) return read;
  }
  std::vector<std::pair<Duration, Partition*>> known;  // who waits longest first
  for (const auto& [number, partition] : partitions_) {
    if (partition->state() != PartitionState::kAssigned) continue;
    const Taking& taking = taking_.at(number);
    if (taking.offsets_known) known.emplace_back(taking.retry_at, partition.get());
  }
  std::stable_sort(known.begin(), known.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [_, partition] : known) {
    if (Status begun = BeginRestore(*partition); !begun) return begun;
    if (partition->state() == PartitionState::kAssigned) break;  // each that is not answered takes its while: one a turn
  }
  if (Status read = ReadSlices(); !read) return read;
  return consume_changed_ ? Reassign() : Status();
}

Status Worker::ReadOffsets() {
  bool anyone = false;
  const std::vector<TopicPartition> unknown = Unknown(&anyone);
  auto committed = client_->CommittedOffsets(unknown, options_.query_slice);
  if (!committed) return {};  // unknown, which is not "none": asked again after the next poll
  for (const auto& [where, offset] : *committed) group_has_offsets_ |= offset.offset.has_value();
  for (auto& [number, taking] : taking_) {
    const Partition& partition = *partitions_.at(number);
    if (partition.state() != PartitionState::kAssigned || taking.offsets_known || taking.retry_at > Now()) continue;
    const bool complete = std::all_of(partition.sources().begin(), partition.sources().end(),
                                      [&](const TopicPartition& source) { return committed->contains(source); });
    if (!complete) continue;
    taking.group = {};
    for (const TopicPartition& source : partition.sources()) {
      taking.group.committed[source] = committed->at(source);
    }
    taking.offsets_known = true;
  }
  return ResolveAlerts(*committed);
}

Status Worker::ResolveAlerts(const std::map<TopicPartition, BrokerClient::Committed>& committed) {
  const bool waiting = std::any_of(partitions_.begin(), partitions_.end(),
                                   [](const auto& entry) { return entry.second->state() != PartitionState::kRunning; });
  for (const TopicPartition& source : alerts_.Due(Now())) {
    const auto at = committed.find(source);
    if (at == committed.end()) continue;
    if (!at->second.offset && !group_has_offsets_) {
      // Not one offset in the whole group: either it never ran, or its offsets expired. The progress records tell.
      if (waiting) continue;
      if (Status fresh = CheckExpired(); !fresh) return fresh;
    }
    auto marks = client_->QueryWatermarks(source, options_.query_slice);
    if (!marks) {  // each such question takes its while: one a turn
      alerts_.AskLater(source, Now(), options_.retry_min, options_.retry_max);
      Report(Trouble::kRetry, -1, "where to read " + SourceKey(source.topic, source.partition) +
                                      " from is not known, nothing of it is read: " + marks.error().message);
      return {};
    }
    const auto balance = DecodeBalance(at->second.metadata);
    if (at->second.offset && !balance) {
      Report(Trouble::kWarning, -1,
             SourceKey(source.topic, source.partition) +
                 ": its group offset carries no balance of ours; stage one counts from zero");
    }
    int64_t next = at->second.offset.value_or(std::max(alerts_.Known(source), marks->low));
    const auto gone = FindLostInput(source, next, *marks);
    if (gone) {
      if (!options_.accept_data_loss) return Stop(-1, {ErrorClass::kInvariant, gone->what + "; " + gone->cure});
      Report(Trouble::kWarning, -1, gone->what + "; accepted, as configured");
      next = gone->go_on;
    }
    alerts_.Resolve(source, next, balance.value_or(Balance{}), gone || !at->second.offset);
    consume_changed_ = true;
  }
  return {};
}

Status Worker::CheckExpired() {
  if (!progress_without_offsets_) return {};
  const std::string what = "group " + options_.application_id + " has progress in " + topics_.state +
                           " but not one committed offset: they expired (offsets.retention.minutes) or were deleted, "
                           "and where the alert topics were read to is not known";
  if (!options_.accept_data_loss) {
    return Stop(-1,
                {ErrorClass::kInvariant, what + "; set the group's offsets with kafka-consumer-groups, or start once "
                                                "with --accept-data-loss to read them from the beginning"});
  }
  Report(Trouble::kWarning, -1, what + "; read from the beginning, as configured");
  return {};
}

void Worker::RetryLater(Partition& partition, const Error& error) {
  Report(Trouble::kRetry, partition.number(), error.message);
  if (client_ && partition.state() == PartitionState::kRestoring) client_->CloseChangelog(partition.number());
  if (partition.state() == PartitionState::kRunning) consume_changed_ = true;
  SetState(partition, PartitionState::kClosed);
  partition.CloseStore(error);
  SetState(partition, PartitionState::kAssigned);
  more_due_.erase(partition.number());
  Taking& taking = taking_[partition.number()];
  taking.backoff = std::clamp(taking.backoff * 2, options_.retry_min, options_.retry_max);
  taking.retry_at = Now() + taking.backoff;
  taking.offsets_known = false;
}

// What no retry mends (state of a newer release) stops us before we wrote there.
Status Worker::RetryOrStop(Partition& partition, const Error& error) {
  if (error.kind == ErrorClass::kInvariant) return Stop(partition.number(), error);
  RetryLater(partition, error);
  return {};
}

// Workers of one process learn of a rebalance one after the other; whoever is first waits for the other's store.
bool Worker::WaitForHandOver(Taking& taking, const Error& error) {
  if (!PartitionStore::IsHeld(error)) return false;
  if (!taking.held_since) taking.held_since = Now();
  if (Now() - *taking.held_since > kHandOverBound) return false;
  taking.retry_at = Now() + kHandOverRetry;
  taking.offsets_known = false;  // what the other worker committed last counts, too
  return true;
}

Status Worker::BeginRestore(Partition& partition) {
  if (!client_->BrokerTime()) return {};  // how old the store is cannot be told: after the next tick
  Taking& taking = taking_.at(partition.number());
  // After the group offsets: whatever they count as done is below this end.
  auto state = client_->QueryWatermarks({topics_.state, partition.number()}, options_.query_slice);
  if (!state) {
    RetryLater(partition, state.error());
    return {};
  }
  auto range = partition.BeginRestore(*state, client_->BrokerTime());
  if (!range) {
    return WaitForHandOver(taking, range.error()) ? Status() : RetryOrStop(partition, range.error());
  }
  taking.held_since.reset();
  if (!range->note.empty()) Report(Trouble::kStoreMoved, partition.number(), range->note);
  if (Status opened = client_->OpenChangelog(partition.number(), range->from, range->end); !opened) {
    RetryLater(partition, opened.error());
    return {};
  }
  taking.range = *range;
  taking.records = 0;
  SetState(partition, PartitionState::kRestoring);
  return {};
}

Status Worker::ReadSlices() {
  std::vector<Partition*> restoring;
  bool running = false;
  for (const auto& [number, partition] : partitions_) {
    if (partition->state() == PartitionState::kRestoring) restoring.push_back(partition.get());
    running |= partition->state() == PartitionState::kRunning;
  }
  if (restoring.empty()) return {};
  // Those that run already should not wait for those that restore.
  const Duration slice = running ? options_.restore_slice / 4 : options_.restore_slice;
  const Duration bound = std::max<Duration>(slice / static_cast<int64_t>(restoring.size()), Duration{1});
  for (Partition* partition : restoring) {
    if (Status read = RestoreSlice(*partition, bound); !read) return read;
  }
  return {};
}

Status Worker::RestoreSlice(Partition& partition, Duration bound) {
  auto slice = client_->ReadChangelog(partition.number(), options_.restore_records, bound);
  if (!slice) {
    RetryLater(partition, slice.error());
    return {};
  }
  const bool at_end = slice->at_end;
  const int64_t next = slice->next_offset;
  taking_.at(partition.number()).records += slice->records.size();
  auto foreign = partition.Restore(std::move(*slice));
  if (!foreign) return RetryOrStop(partition, foreign.error());
  if (*foreign) {
    Report(Trouble::kStoreMoved, partition.number(),
           "the store was made from another changelog (its lineage differs): wiped, restored from the beginning");
    RetryLater(partition, EnvironmentError("restore partition " + std::to_string(partition.number()) + " anew"));
    return {};
  }
  parts_.observer->OnRestoreProgress(partition.number(), next, taking_.at(partition.number()).range.end);
  return at_end ? FinishRestore(partition) : Status();
}

Status Worker::FinishRestore(Partition& partition) {
  Taking& taking = taking_.at(partition.number());
  // Asked for only now: while we restored (or stood still), somebody else may have gone on, and his progress is in the
  // changelog, beyond what any source had when we began.
  for (const TopicPartition& source : partition.sources()) {
    auto marks = client_->QueryWatermarks(source, options_.query_slice);
    if (!marks) {
      RetryLater(partition, marks.error());
      return {};
    }
    taking.group.watermarks[source] = *marks;
  }
  client_->CloseChangelog(partition.number());
  std::vector<std::string> warnings;
  Status finished = partition.FinishRestore(taking.group, engine_, parts_.new_lineage(), &warnings);
  for (const std::string& warning : warnings) Report(Trouble::kWarning, partition.number(), warning);
  if (!finished) {
    return RetryOrStop(partition, finished.error());
  }
  // The offsets were read before the restore and are stable: whoever made this progress sent some, and they are gone.
  const bool none = std::none_of(taking.group.committed.begin(), taking.group.committed.end(),
                                 [](const auto& committed) { return committed.second.offset.has_value(); });
  if (none && partition.store()->progress().steps > 0) progress_without_offsets_ = true;
  taking.backoff = options_.retry_min;
  parts_.observer->OnRestored(partition.number(), taking.records, taking.range.from, taking.range.end);
  SetState(partition, PartitionState::kRunning);
  consume_changed_ = true;
  return {};
}

}  // namespace triaged
