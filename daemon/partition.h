// Partition: one state partition in the hands of a worker: its lifecycle, store, processor, and the offsets of its
// inputs. It decides what a changelog, a group offset and a store on disk mean when they disagree; it never talks to
// Kafka (the worker does, and hands in what it learned).
//
//   ┌────────► Assigned ──► Restoring ──► Running
//   │              │            │            │
//   │              ├────────────┴────────────┤
//   │              ▼                         ▼
//   │   revoked, or store trouble    client given up, or membership lost
//   │              ▼                         ▼
//   ├─────────── Closed ◄── for good ────── Lost
//   │  assigned anew                         │
//   └────────────────────────────────────────┘
//
// A partition that is Closed or Lost keeps its store open until the worker's next assignment, so that one that comes
// back restores only its tail. A standby's partition (somebody else owns it) stays Assigned: its store is opened by
// BeginRestore and takes slices without end; if it is taken over, the rest is a restore like any other.
// Ownership: the worker owns its partitions, a partition its store and processor. Thread-safety: none, the worker's only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/broker_client.h"
#include "daemon/worker_observer.h"
#include "pipeline/processor/processor.h"
#include "storage/partition_store.h"

namespace triaged {

// True when the lifecycle may go from one state to the other (the diagram above).
bool MayMove(PartitionState from, PartitionState to);

struct PartitionOptions {
  int32_t number = 0;
  std::string directory;                // of its store
  std::vector<TopicPartition> sources;  // intake i or alert topics i (direct), then commands i and signals i
  ProcessorOptions processor;
  bool accept_data_loss = false;
  // A store that was last applied to longer ago may miss tombstones that the changelog has dropped since (the state
  // topic's delete.retention.ms): it is wiped.
  Duration tombstone_retention{24 * 60 * 60 * 1000};
};

// What a step of one partition wants to have written. Valid until Commit or Discard.
struct PartitionStep {
  bool touched = false;  // false: nothing happened, nothing is staged
  StepResult result;
  std::vector<StateRecord> state;  // for the changelog
};

class Partition {
 public:
  Partition(PartitionOptions options, std::shared_ptr<SharedStoreResources> resources);
  ~Partition();

  int32_t number() const { return options_.number; }
  PartitionState state() const { return state_; }
  // Checks the transition (a broken one stops the process). Leaving Running drops what was staged.
  void MoveTo(PartitionState next);
  const std::vector<TopicPartition>& sources() const { return options_.sources; }
  PartitionStore* store() const { return store_.get(); }  // nullptr while none is open

  // ---- taking over ---------------------------------------------------------------------------------------------
  // Opens the store unless it is open still, and chooses where the changelog is read from. `state` must have been asked
  // for after the group offsets were read. A corrupt, outdated or foreign store is set aside first; `note` says so.
  // The record at the store's own position is read once more: it is a progress record, and its lineage must be the
  // store's.
  struct RestoreRange {
    int64_t from = 0;
    int64_t end = 0;   // the high watermark
    std::string note;  // why the store was set aside, or ""
  };
  Result<RestoreRange> BeginRestore(BrokerClient::Watermarks state, std::optional<Timestamp> broker_time);
  // Applies a slice. True: the changelog is not the one that the store was made from; the store is wiped, begin again.
  Result<bool> Restore(ChangelogSlice slice);
  // Rebuilds the indexes and compares the progress record with the group's offsets. Error kInvariant: records are
  // lost, stop (unless accept_data_loss). `warnings` are for a person. Ends ready to step.
  struct Group {
    std::map<TopicPartition, BrokerClient::Committed> committed;
    std::map<TopicPartition, BrokerClient::Watermarks> watermarks;
  };
  Status FinishRestore(const Group& group, std::shared_ptr<const Engine> engine, const std::string& new_lineage,
                       std::vector<std::string>* warnings);

  // ---- running -------------------------------------------------------------------------------------------------
  void SetEngine(std::shared_ptr<const Engine> engine);
  // The next offset to take of each source: absolute, staged changes included; and what is kept with it in the group.
  std::vector<PartitionOffset> NextOffsets() const;
  // Everything below the end was taken. A place of somebody else is passed over.
  void ReachEnd(const PartitionOffset& end);
  // An end was reached that the group does not know yet: it is to be committed with the next transaction, whatever that is
  // for, or retention would seem to have removed records that were transaction markers. Not before the progress says where
  // we stand: an offset of the group without progress means that the changelog was lost.
  bool past_markers() const { return end_ != committed_end_ && ProgressStands(); }
  void NoteOffsetsCommitted() { committed_end_ = end_; }
  int64_t NextOffset(std::string_view topic) const;
  // When this partition wants a step without input; nullopt: nothing armed.
  std::optional<Timestamp> NextDeadline() const { return processor_->NextDeadline(); }
  Timestamp clock() const { return store_->progress().clock; }

  // Takes inputs (sorted) and due deadlines. After an error everything staged is to be discarded.
  Result<PartitionStep> Step(std::span<const InputRecord> inputs, StepTime time);
  // Dead-letters one input that failed the same way twice, and goes past it.
  Result<PartitionStep> Refuse(const InputRecord& input, std::string_view reason, const std::string& message);
  // After the Kafka commit; `position` as the broker told it, or nullopt: the old one stands.
  Status Commit(std::optional<int64_t> position);
  void Discard();

  // Writes what only memory holds, when something changed since the last call.
  Status Flush();
  void CloseStore();
  // The same after an error of the store. One that was found damaged is set aside by the next BeginRestore: opening it
  // reads only a part, and may find nothing wrong.
  void CloseStore(const Error& why);

 private:
  Status OpenStore(std::string* note);
  Status Wipe();
  Status SetAside(const Error& why, std::string* note);
  Status CompareWithGroup(const Group& group, std::vector<std::string>* warnings);
  Status CompareSource(const TopicPartition& source, const BrokerClient::Committed& committed,
                       BrokerClient::Watermarks marks, std::vector<std::string>* warnings);
  int64_t EndOf(std::string_view topic) const;
  // Every progress record names its lineage and where each source stands, from the first step on.
  void StageFirstProgress();
  bool ProgressStands() const;
  Result<PartitionStep> Staged(StepResult result);

  const PartitionOptions options_;
  const std::shared_ptr<SharedStoreResources> resources_;
  PartitionState state_ = PartitionState::kAssigned;
  std::unique_ptr<PartitionStore> store_;
  std::unique_ptr<Processor> processor_;
  // By topic:
  std::map<std::string, int64_t, std::less<>> start_;    // where this assignment begins
  std::map<std::string, int64_t, std::less<>> end_;      // no record is left below
  std::map<std::string, int64_t, std::less<>> committed_end_;  // as the group knows it
  std::map<std::string, int64_t, std::less<>> rewound_;  // made anew: holds instead of the progress until that was written
  bool rewinding_ = false;                               // … which the staged step does
  std::optional<std::string> expected_lineage_;  // the store's, until the changelog's first progress record agreed
  bool restored_here_ = false;                   // this process opened the store and applied everything since
  std::string new_lineage_;                      // for the first progress record, if there is none
  bool dirty_ = false;
  std::optional<Error> damage_;  // of the store that is closed
};

}  // namespace triaged
