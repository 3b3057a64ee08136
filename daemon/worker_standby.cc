// Warm standby: the stores of partitions that others own are kept up with the changelog, so that taking one over replays
// only what came last. It is the restore without an end: the same Partition, which stays Assigned, the same checks of
// lineage and age, the same slices, read_committed. Nothing here begins a transaction or knows an engine.
//
// A worker takes a followed partition over with its store open; one that it loses it follows from there on. Between the
// workers of a process StoreClaims tells who owns a partition: its store is given up at the next turn.
#include <algorithm>

#include "daemon/worker.h"

namespace triaged {

// Each is followed by one worker of the process, whoever owns the others.
bool Worker::Follows(int32_t number) const {
  return options_.standby && number % options_.workers == options_.number % options_.workers &&
         !parts_.claims->OwnedByOther(this, number);
}

void Worker::KeepAsStandby(std::unique_ptr<Partition> partition) {
  if (!Follows(partition->number())) return;
  partition->MoveTo(PartitionState::kAssigned);
  standbys_[partition->number()].partition = std::move(partition);
}

std::unique_ptr<Partition> Worker::TakeStandby(int32_t number) {
  const auto at = standbys_.find(number);
  if (at == standbys_.end()) return nullptr;
  if (at->second.following) client_->CloseChangelog(number);
  parts_.observer->OnStandby(number, std::nullopt);
  std::unique_ptr<Partition> partition = std::move(at->second.partition);
  standbys_.erase(at);
  return partition;
}

void Worker::AdvanceStandbys() {
  if (!options_.standby) return;
  std::vector<int32_t> wanted;
  for (const auto& [number, standby] : standbys_) {
    if (!Follows(number)) wanted.push_back(number);
  }
  for (int32_t number : wanted) TakeStandby(number);
  if (!Ready() || !client_->BrokerTime()) return;  // our own come first; and how old a store is must be known
  bool warming = std::any_of(standbys_.begin(), standbys_.end(),
                             [](const auto& entry) { return entry.second.following && !entry.second.warm; });
  for (int32_t number = 0; number < options_.partitions; ++number) {
    if (partitions_.contains(number) || !Follows(number)) continue;
    Standby& standby = standbys_[number];
    if (standby.following) {
      FollowSlice(standby);
    } else if (!warming && Now() >= standby.retry_at) {
      // One after the other: so long as it is behind, a partition's prefetch is full.
      if (!standby.partition) standby.partition = MakePartition(number);
      BeginFollowing(standby);
      warming = true;
    }
  }
}

void Worker::BeginFollowing(Standby& standby) {
  Partition& partition = *standby.partition;
  auto state = client_->QueryWatermarks({topics_.state, partition.number()}, options_.query_slice);
  if (!state) return StopFollowing(standby, state.error());
  auto range = partition.BeginRestore(*state, client_->BrokerTime());
  if (!range) return StopFollowing(standby, range.error());
  if (!range->note.empty()) Report(Trouble::kStoreMoved, partition.number(), range->note);
  if (Status opened = client_->OpenChangelog(partition.number(), range->from, BrokerClient::kFollow); !opened) {
    return StopFollowing(standby, opened.error());
  }
  standby.following = true;
  standby.warm = false;
  standby.end = range->end;
  parts_.observer->OnStandby(partition.number(), range->end - range->from);
}

void Worker::FollowSlice(Standby& standby) {
  const int32_t number = standby.partition->number();
  const Duration bound = standby.warm ? Duration{0} : options_.restore_slice / 4;
  auto slice = client_->ReadChangelog(number, options_.restore_records, bound);
  if (!slice) return StopFollowing(standby, slice.error());
  const int64_t next = slice->next_offset;
  const int64_t end = std::max(slice->log_end, standby.end);
  auto foreign = standby.partition->Restore(std::move(*slice));
  if (!foreign) return StopFollowing(standby, foreign.error());
  if (*foreign) {
    Report(Trouble::kStoreMoved, number,
           "the store was made from another changelog (its lineage differs): wiped, followed from the beginning");
    return StopFollowing(standby, EnvironmentError("follow partition " + std::to_string(number) + " anew"));
  }
  standby.warm |= next >= standby.end;
  standby.backoff = Duration{0};
  parts_.observer->OnStandby(number, std::max<int64_t>(0, end - next));
}

// The store is closed: what happens to the changelog meanwhile is found out when it is opened again.
void Worker::StopFollowing(Standby& standby, const Error& error) {
  const int32_t number = standby.partition->number();
  // Another worker of this process has not given it up yet, or needs it again: nothing is wrong.
  if (!PartitionStore::IsHeld(error)) Report(Trouble::kRetry, number, "standby: " + error.message);
  if (standby.following) client_->CloseChangelog(number);
  standby.following = standby.warm = false;
  standby.partition->CloseStore(error);
  standby.backoff = std::clamp(standby.backoff * 2, options_.retry_min, options_.retry_max);
  standby.retry_at = Now() + standby.backoff;
  parts_.observer->OnStandby(number, std::nullopt);
}

void Worker::FlushStandbys() {
  for (auto& [number, standby] : standbys_) {
    if (!standby.following) continue;
    if (Status flushed = standby.partition->Flush(); !flushed) StopFollowing(standby, flushed.error());
  }
}

// With the client, which ends its reading within a bound of its own: stores are closed without waiting for librdkafka.
void Worker::DropStandbys() {
  for (const auto& [number, standby] : standbys_) parts_.observer->OnStandby(number, std::nullopt);
  standbys_.clear();
}

}  // namespace triaged
