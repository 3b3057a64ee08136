// RocksPartitionStore: PartitionStore over RocksDB. See partition_store.h for the contract.
//
// What a step touches lives decoded in the case cache; StagedRecords() turns the changes into one WriteBatch, Commit()
// writes it. Invariant between steps: every cached case, the due index and the dedup table equal what RocksDB holds.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/baseline_log.h"
#include "storage/case_cache.h"
#include "storage/codec.h"
#include "storage/due_index.h"
#include "storage/partition_store.h"
#include "storage/rocks.h"
#include "storage/seen_table.h"

namespace triaged {

class RocksPartitionStore : public PartitionStore {
 public:
  RocksPartitionStore(std::shared_ptr<RocksResources> resources, int32_t partition, std::string directory);
  ~RocksPartitionStore() override;
  // Once, before anything else.
  Status OpenDatabase();

  int32_t partition() const override { return partition_; }
  Result<Case*> Find(CaseId id) override;
  Result<Case*> FindByKey(std::string_view key) override;
  Case* Insert(Case c) override;
  void MarkChanged(Case* c) override;
  Status Erase(Case* c) override;
  void PutEvidenceRaw(CaseId id, uint8_t slot, std::string_view raw) override;
  Result<std::optional<std::string>> GetEvidenceRaw(CaseId id, uint8_t slot) override;
  const SeenEntry* FindSeen(uint64_t id_hash) override;
  void Remember(const SeenEntry& entry) override;
  void ForgetSeenBefore(Timestamp before) override;
  const SilenceTable& silences() const override { return silences_; }
  void PutSilence(SilenceRule rule) override;
  void EraseSilence(std::string_view id) override;
  rules::CorrelationTable& correlations() override {
    Staging();
    return correlations_;
  }
  BaselineTable& baseline() override {
    Staging();
    return baseline_;
  }
  const WatchTable& watches() const override { return watches_; }
  void PutWatch(Watch watch) override;
  void EraseWatch(std::string_view id) override;
  std::string Pack(const Case& c) const override { return EncodeCase(c); }
  Result<Case> Unpack(std::string_view packed) const override { return DecodeCase(packed); }
  std::optional<DueCase> NextDue() const override;
  std::optional<DueCase> NextResting() const override;
  const Progress& progress() const override { return progress_; }
  void SetProgress(Progress progress) override;
  Status ForEachCase(Visitor* visitor) override;

  int64_t position() const override { return position_; }
  Status ApplyChangelog(const std::vector<StateRecord>& records, int64_t position) override;
  Status FinishRestore() override;
  Result<std::vector<StateRecord>> StagedRecords() override;
  Status Commit(int64_t position) override;
  void Discard() override;
  Status Flush() override;
  StoreStats Stats() const override;
  Status CheckRoom() const override;
  Result<std::vector<StateRecord>> Dump() override;

 private:
  std::string Doing(std::string_view what) const;  // "read case 3-17 in state/3"
  Error Damage(std::string_view doing, const Error& error) const;
  Error Unread(Error error);  // a read of the step failed
  Status CheckDirectory() const;
  std::optional<uint64_t> FreeBytes() const;
  Status WantRoom(uint64_t flushes) const;
  Status CheckIdentity();
  // nullopt: no such key.
  Result<std::optional<rocksdb::PinnableSlice>> Get(std::string_view key);
  Result<int64_t> ReadNumber(RecordKind kind, std::string_view key, int64_t fallback);
  Result<CachedCase*> Load(uint64_t sequence);
  Case* Touch(CachedCase* c);
  void Staging() { prepared_ = false; }  // the prepared batch, if any, is out of date

  // Calls visit(key, value) for the keys that begin with `prefix`, ascending, until it fails or says stop.
  template <typename Visit>
  Status Scan(std::string_view prefix, Visit visit);

  std::vector<StateRecord> StageChanges();
  void StageCases(std::vector<StateRecord>* records);
  uint64_t StageSeen(std::vector<StateRecord>* records);  // the number of the block after the step's
  void StageSilences(std::vector<StateRecord>* records) const;
  void RememberSilence(std::string_view id);
  Status RestoreBaseline();
  void StageBaseline(std::vector<StateRecord>* records);
  void StageCorrelations(std::vector<StateRecord>* records) const;
  void StageWatches(std::vector<StateRecord>* records) const;
  void RememberWatch(std::string_view id);
  void StageKeyIndex(std::vector<StateRecord>* records);
  void CountStanding(CachedCase* c);
  void ForgetStanding(const CachedCase& c);
  void Index(CachedCase* c);
  void EndStep();

  const std::shared_ptr<RocksResources> resources_;
  const int32_t partition_;
  const std::string directory_;
  std::unique_ptr<rocksdb::DB> db_;

  CaseCache cache_;
  DueIndex due_;
  DueIndex resting_;  // closed cases, by RestsSince
  SeenTable seen_;
  SilenceTable silences_;
  rules::CorrelationTable correlations_;
  BaselineTable baseline_;
  BaselineLog baseline_log_;
  WatchTable watches_;
  uint64_t cases_ = 0;
  std::map<CaseStanding, uint64_t> standings_;  // of the cases in RocksDB
  int64_t position_ = -1;
  Progress progress_;  // staged, if progress_set_
  Progress committed_progress_;

  // The step.
  uint64_t step_ = 1;
  std::vector<CachedCase*> touched_;  // handed out: their contents may differ from what RocksDB has
  std::vector<CachedCase*> changed_;
  std::map<std::string, std::string> evidence_;  // key → frame
  std::set<std::string, std::less<>> gone_;      // evidence and key index of erased cases
  std::map<std::string, std::optional<SilenceRule>, std::less<>> silences_before_;  // of those changed in the step
  std::map<std::string, std::optional<Watch>, std::less<>> watches_before_;
  std::optional<Error> unread_;  // a read that failed: whatever was decided without it must not be written
  bool progress_set_ = false;
  bool prepared_ = false;         // batch_ holds the step's changes
  bool progress_staged_ = false;  // … and a progress record among them
  BaselineLog::Plan baseline_plan_;
  rocksdb::WriteBatch batch_;
};

}  // namespace triaged
