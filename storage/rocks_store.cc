#include "storage/rocks_store.h"

#include <algorithm>

#include "pipeline/base/hash.h"
#include "storage/keys.h"

namespace triaged {

std::string RocksPartitionStore::Doing(std::string_view what) const { return std::string(what) + " in " + directory_; }

// A record that a newer release wrote is no damage: the data must be kept.
Error RocksPartitionStore::Damage(std::string_view doing, const Error& error) const {
  if (IsNewerFormat(error)) return Error{error.kind, std::string(doing) + ": " + error.message};
  return CorruptionError(doing, error.message);
}

Error RocksPartitionStore::Unread(Error error) {
  unread_ = error;
  return error;
}

Result<std::optional<rocksdb::PinnableSlice>> RocksPartitionStore::Get(std::string_view key) {
  std::optional<rocksdb::PinnableSlice> value(std::in_place);
  const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), ToSlice(key), &*value);
  if (status.IsNotFound() && !status.IsPathNotFound()) {
    value.reset();
  } else if (!status.ok()) {
    return Unread(RocksError(Doing("read"), status));
  }
  return value;
}

Result<CachedCase*> RocksPartitionStore::Load(uint64_t sequence) {
  auto frame = Get(CaseKey(sequence));
  if (!frame) return frame.error();
  if (!frame->has_value()) return nullptr;
  const CaseId id{partition_, sequence};
  auto c = DecodeCase(ToView(**frame));
  if (!c) return Unread(Damage(Doing("read case " + ToString(id)), c.error()));
  if (c->id != id) return Unread(CorruptionError(Doing("read case " + ToString(id)), "it holds case " + ToString(c->id)));
  const uint64_t key_hash = StableHash64(c->key);
  CachedCase* cached = cache_.Add(std::move(*c), key_hash);
  cached->indexed_due = cached->committed_due = cached->next_due;
  cached->indexed_rest = cached->committed_rest = RestsSince(*cached);
  return cached;
}

Case* RocksPartitionStore::Touch(CachedCase* c) {
  if (c->step != step_) {
    c->step = step_;
    c->referenced = true;
    touched_.push_back(c);
  }
  return c;
}

Result<Case*> RocksPartitionStore::Find(CaseId id) {
  if (id.partition != partition_) return nullptr;
  if (CachedCase* c = cache_.FindSequence(id.sequence)) return c->erased ? nullptr : Touch(c);
  auto loaded = Load(id.sequence);
  if (!loaded) return loaded.error();
  return *loaded == nullptr ? nullptr : Touch(*loaded);
}

Result<Case*> RocksPartitionStore::FindByKey(std::string_view key) {
  if (CachedCase* c = cache_.FindKey(StableHash64(key), key)) return Touch(c);
  const std::string index = KeyIndexKey(key);
  if (gone_.contains(index)) return nullptr;
  auto frame = Get(index);
  if (!frame) return frame.error();
  if (!frame->has_value()) return nullptr;
  auto sequence = DecodeKeyIndex(ToView(**frame));
  if (!sequence) return Unread(Damage(Doing("read the index of a grouping key"), sequence.error()));
  auto found = Find({partition_, *sequence});
  if (!found) return found;
  const bool sound = *found != nullptr && (*found)->key == key;
  if (!sound) return Unread(CorruptionError(Doing("find a case by its grouping key"), "the index names another case"));
  cache_.SetNewest(static_cast<CachedCase*>(*found));
  return found;
}

Case* RocksPartitionStore::Insert(Case c) {
  TRIAGED_CHECK(c.id.partition == partition_ && cache_.FindSequence(c.id.sequence) == nullptr);
  const uint64_t key_hash = StableHash64(c.key);
  CachedCase* cached = cache_.Add(std::move(c), key_hash);
  cached->inserted = true;
  cache_.SetNewest(cached);
  gone_.erase(KeyIndexKey(cached->key));
  Case* result = Touch(cached);
  MarkChanged(result);
  return result;
}

void RocksPartitionStore::MarkChanged(Case* c) {
  auto* cached = static_cast<CachedCase*>(c);
  TRIAGED_CHECK(cached->step == step_);  // handed out in this step
  Staging();
  if (!cached->changed) {
    cached->changed = true;
    changed_.push_back(cached);
  }
  Index(cached);
}

namespace {

// Moves one entry of an index from `from` to `to`; zero: it has none.
void Move(DueIndex* index, Timestamp from, Timestamp to, uint64_t sequence) {
  if (from == to) return;
  if (from != Timestamp{}) index->Erase({from, sequence});
  if (to != Timestamp{}) index->Insert({to, sequence});
}

}  // namespace

void RocksPartitionStore::Index(CachedCase* c) {
  const Timestamp due = c->erased ? Timestamp{} : c->next_due;
  const Timestamp rest = c->erased ? Timestamp{} : RestsSince(*c);
  Move(&due_, c->indexed_due, due, c->id.sequence);
  Move(&resting_, c->indexed_rest, rest, c->id.sequence);
  c->indexed_due = due;
  c->indexed_rest = rest;
}

Status RocksPartitionStore::Erase(Case* c) {
  auto* cached = static_cast<CachedCase*>(c);
  MarkChanged(cached);
  const uint64_t sequence = cached->id.sequence;
  const std::string index = KeyIndexKey(cached->key);
  if (const CachedCase* newest = cache_.FindKey(cached->key_hash, cached->key)) {
    if (newest == cached) gone_.insert(index);
  } else if (!gone_.contains(index)) {
    auto frame = Get(index);
    if (!frame) return frame.error();
    auto newest_sequence = frame->has_value() ? DecodeKeyIndex(ToView(**frame)) : Result<uint64_t>(0);
    if (!newest_sequence) return Unread(Damage(Doing("read the index of a grouping key"), newest_sequence.error()));
    if (*newest_sequence == sequence) gone_.insert(index);
  }
  const std::string prefix = NumberedKey(kEvidencePrefix, sequence);
  std::erase_if(evidence_, [&](const auto& entry) { return entry.first.starts_with(prefix); });
  std::unique_ptr<rocksdb::Iterator> stored(db_->NewIterator(rocksdb::ReadOptions()));
  for (stored->Seek(prefix); stored->Valid() && stored->key().starts_with(prefix); stored->Next()) {
    gone_.emplace(ToView(stored->key()));
  }
  if (!stored->status().ok()) {
    return Unread(RocksError(Doing("read evidence"), stored->status()));
  }
  cache_.ForgetKey(cached);
  cached->erased = true;
  Index(cached);
  return {};
}

void RocksPartitionStore::PutEvidenceRaw(CaseId id, uint8_t slot, std::string_view raw) {
  TRIAGED_CHECK(id.partition == partition_);
  Staging();
  evidence_[EvidenceKey(id.sequence, slot)] = EncodeEvidenceRaw(raw.substr(0, kMaxEvidenceRawBytes));
}

Result<std::optional<std::string>> RocksPartitionStore::GetEvidenceRaw(CaseId id, uint8_t slot) {
  if (id.partition != partition_) return std::optional<std::string>();
  const std::string key = EvidenceKey(id.sequence, slot);
  rocksdb::PinnableSlice pinned;
  std::string_view frame;
  if (const auto staged = evidence_.find(key); staged != evidence_.end()) {
    frame = staged->second;
  } else {
    auto stored = Get(key);
    if (!stored) return stored.error();
    if (!stored->has_value()) return std::optional<std::string>();
    pinned = std::move(**stored);
    frame = ToView(pinned);
  }
  auto raw = DecodeEvidenceRaw(frame);
  if (!raw) return Unread(Damage(Doing("read evidence of case " + ToString(id)), raw.error()));
  return std::optional<std::string>(std::move(*raw));
}

const SeenEntry* RocksPartitionStore::FindSeen(uint64_t id_hash) { return seen_.Find(id_hash); }

void RocksPartitionStore::Remember(const SeenEntry& entry) {
  Staging();
  seen_.Remember(entry);
}

void RocksPartitionStore::ForgetSeenBefore(Timestamp before) {
  Staging();
  seen_.ForgetBefore(before);
}

std::optional<DueCase> RocksPartitionStore::NextDue() const {
  const auto first = due_.First();
  if (!first) return std::nullopt;
  return DueCase{first->at, {partition_, first->sequence}};
}

std::optional<DueCase> RocksPartitionStore::NextResting() const {
  const auto first = resting_.First();
  if (!first) return std::nullopt;
  return DueCase{first->at, {partition_, first->sequence}};
}

void RocksPartitionStore::SetProgress(Progress progress) {
  Staging();
  progress_ = std::move(progress);
  progress_set_ = true;
}

void RocksPartitionStore::StageCases(std::vector<StateRecord>* records) {
  std::sort(changed_.begin(), changed_.end(),
            [](const CachedCase* a, const CachedCase* b) { return a->id.sequence < b->id.sequence; });
  for (const CachedCase* c : changed_) {
    if (c->erased) {
      records->push_back({CaseKey(c->id.sequence), std::nullopt});
      continue;
    }
    TRIAGED_CHECK(c->next_due == c->indexed_due && RestsSince(*c) == c->indexed_rest);
    TRIAGED_CHECK(StableHash64(c->key) == c->key_hash);
    records->push_back({CaseKey(c->id.sequence), EncodeCase(*c)});
  }
}

uint64_t RocksPartitionStore::StageSeen(std::vector<StateRecord>* records) {
  for (uint64_t block : seen_.ExpiredBlocks()) records->push_back({SeenBlockKey(block), std::nullopt});
  uint64_t number = seen_.next_block();
  for (const auto& entries : seen_.StagedBlocks()) {
    records->push_back({SeenBlockKey(number++), EncodeSeenBlock(entries)});
  }
  return number;
}

void RocksPartitionStore::StageKeyIndex(std::vector<StateRecord>* records) {
  const auto begin = static_cast<ptrdiff_t>(records->size());
  for (const CachedCase* c : changed_) {
    if (c->inserted && c->newest_of_key) records->push_back({KeyIndexKey(c->key), EncodeKeyIndex(c->id.sequence)});
  }
  std::sort(records->begin() + begin, records->end(),
            [](const StateRecord& a, const StateRecord& b) { return a.key < b.key; });
}

void RocksPartitionStore::RememberSilence(std::string_view id) {
  Staging();
  if (silences_before_.find(id) != silences_before_.end()) return;
  const SilenceRule* rule = silences_.Find(id);
  silences_before_.emplace(id, rule ? std::optional(*rule) : std::nullopt);
}

void RocksPartitionStore::PutSilence(SilenceRule rule) {
  RememberSilence(rule.id);
  silences_.Put(std::move(rule));
}

void RocksPartitionStore::EraseSilence(std::string_view id) {
  RememberSilence(id);
  silences_.Erase(id);
}

void RocksPartitionStore::StageSilences(std::vector<StateRecord>* records) const {
  for (const auto& [id, before] : silences_before_) {
    const SilenceRule* rule = silences_.Find(id);
    if (rule) {
      records->push_back({SilenceKey(id), EncodeSilence(*rule)});
    } else if (before) {
      records->push_back({SilenceKey(id), std::nullopt});
    }
  }
}

void RocksPartitionStore::StageBaseline(std::vector<StateRecord>* records) {
  baseline_plan_ = baseline_log_.PlanStep(baseline_);
  for (const uint64_t number : baseline_plan_.dead) {
    records->push_back({NumberedKey(kBaselinePrefix, number), std::nullopt});
  }
  for (const BaselineLog::Plan::Block& planned : baseline_plan_.blocks) {
    BaselineBlock block{baseline_.marks(), {}};
    block.entries.reserve(planned.slots.size());
    for (const BaselineTable::Slot slot : planned.slots) block.entries.push_back(baseline_.entry(slot));
    records->push_back({NumberedKey(kBaselinePrefix, planned.number), EncodeBaselineBlock(block)});
  }
}

void RocksPartitionStore::StageCorrelations(std::vector<StateRecord>* records) const {
  for (const auto& [key, before] : correlations_.changed()) {
    if (const rules::CorrelationWindow* window = correlations_.Find(key)) {
      records->push_back({CorrelationKey(key), EncodeCorrelation(*window)});
    } else if (before) {
      records->push_back({CorrelationKey(key), std::nullopt});
    }
  }
}

void RocksPartitionStore::RememberWatch(std::string_view id) {
  Staging();
  if (watches_before_.find(id) != watches_before_.end()) return;
  const Watch* watch = watches_.Find(id);
  watches_before_.emplace(id, watch ? std::optional(*watch) : std::nullopt);
}

void RocksPartitionStore::PutWatch(Watch watch) {
  RememberWatch(watch.id);
  watches_.Put(std::move(watch));
}

void RocksPartitionStore::EraseWatch(std::string_view id) {
  // The caller's view may be into what is erased.
  const std::string gone(id);
  RememberWatch(gone);
  watches_.Erase(gone);
}

void RocksPartitionStore::StageWatches(std::vector<StateRecord>* records) const {
  for (const auto& [id, before] : watches_before_) {
    const Watch* watch = watches_.Find(id);
    if (watch) {
      records->push_back({WatchKey(id), EncodeWatch(*watch)});
    } else if (before) {
      records->push_back({WatchKey(id), std::nullopt});
    }
  }
}

std::vector<StateRecord> RocksPartitionStore::StageChanges() {
  std::vector<StateRecord> records;
  records.reserve(changed_.size() * 2 + evidence_.size() + 4);
  StageBaseline(&records);
  StageCases(&records);
  const uint64_t next_block = StageSeen(&records);
  for (const auto& [key, frame] : evidence_) records.push_back({key, frame});
  StageKeyIndex(&records);
  for (const std::string& key : gone_) records.push_back({key, std::nullopt});
  StageCorrelations(&records);
  StageSilences(&records);
  StageWatches(&records);
  progress_staged_ = progress_set_ || !records.empty() || seen_.forgot();
  if (progress_staged_) {
    records.push_back({std::string(kProgressKey), EncodeProgress({progress_, seen_.horizon(), next_block})});
  }
  batch_.Clear();
  for (const StateRecord& record : records) {
    const rocksdb::Status status = record.value ? batch_.Put(record.key, *record.value) : batch_.Delete(record.key);
    TRIAGED_CHECK(status.ok());  // in memory, below RocksDB's limits
  }
  prepared_ = true;
  return records;
}

Result<std::vector<StateRecord>> RocksPartitionStore::StagedRecords() {
  if (unread_) return *unread_;
  return StageChanges();
}

Status RocksPartitionStore::Commit(int64_t position) {
  if (!prepared_) StageChanges();
  const int64_t reached = std::max(position, position_);
  if (batch_.Count() > 0 || reached != position_) {
    const std::string value = EncodeNumber(RecordKind::kPosition, reached);
    rocksdb::Status status = batch_.Put(ToSlice(kPositionKey), value);
    if (status.ok()) status = resources_->Write(db_.get(), &batch_);
    if (!status.ok()) {
      prepared_ = false;
      return RocksError(Doing("write a step"), status);
    }
  }
  position_ = reached;
  for (CachedCase* c : changed_) {
    if (c->erased) {
      if (!c->inserted) {
        ForgetStanding(*c);
        --cases_;
      }
      cache_.Drop(c);
      continue;
    }
    c->committed_due = c->indexed_due;
    c->committed_rest = c->indexed_rest;
    c->changed = false;
    CountStanding(c);
    if (c->inserted) ++cases_;
    c->inserted = false;
  }
  seen_.Commit(progress_staged_);
  baseline_log_.Commit(baseline_plan_, baseline_);
  committed_progress_ = progress_;
  EndStep();
  cache_.Trim();
  return {};
}

void RocksPartitionStore::ForgetStanding(const CachedCase& c) {
  const auto old = standings_.find({c.policy, c.counted_level, c.counted_status, c.counted_severity});
  TRIAGED_CHECK(old != standings_.end());
  if (--old->second == 0) standings_.erase(old);
}

void RocksPartitionStore::CountStanding(CachedCase* c) {
  const bool same = c->counted_status == c->status && c->counted_severity == c->severity && c->counted_level == c->level;
  if (same && !c->inserted) return;
  if (!c->inserted) ForgetStanding(*c);
  ++standings_[{c->policy, c->level, c->status, c->severity}];
  c->counted_status = c->status;
  c->counted_severity = c->severity;
  c->counted_level = c->level;
}

void RocksPartitionStore::Discard() {
  for (CachedCase* c : touched_) {
    Move(&due_, c->indexed_due, c->committed_due, c->id.sequence);
    Move(&resting_, c->indexed_rest, c->committed_rest, c->id.sequence);
    cache_.Drop(c);
  }
  seen_.Discard();
  for (const auto& [id, before] : silences_before_) {
    silences_.Erase(id);
    if (before) silences_.Put(*before);
  }
  correlations_.Discard();
  baseline_.Discard();
  for (const auto& [id, before] : watches_before_) {
    watches_.Erase(id);
    if (before) watches_.Put(*before);
  }
  progress_ = committed_progress_;
  EndStep();
}

void RocksPartitionStore::EndStep() {
  touched_.clear();
  changed_.clear();
  evidence_.clear();
  gone_.clear();
  silences_before_.clear();
  correlations_.EndStep();
  baseline_.EndStep();
  watches_before_.clear();
  baseline_plan_ = {};
  batch_.Clear();
  progress_set_ = prepared_ = progress_staged_ = false;
  unread_.reset();
  ++step_;
}

}  // namespace triaged
