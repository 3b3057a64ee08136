// Opening, restoring and inspecting a partition's store; steps are in rocks_store.cc.
#include "storage/partition_store.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "storage/keys.h"
#include "storage/rocks_store.h"

namespace triaged {
namespace {

constexpr int64_t kStoreFormat = 1;
// A store on a full disk works until its next flush, which fails. It waits until there is more room than it needs to go
// on, so that it does not come and go.
constexpr uint64_t kFlushesOfRoom = 1;
constexpr uint64_t kFlushesOfRoomToOpen = 2;

std::shared_ptr<RocksResources> Cast(const std::shared_ptr<SharedStoreResources>& resources) {
  auto rocks = std::dynamic_pointer_cast<RocksResources>(resources);
  TRIAGED_CHECK(rocks != nullptr);
  return rocks;
}

// The kind that a key's value must have; nullopt for keys this release does not know.
std::optional<RecordKind> KindOf(std::string_view key) {
  if (key.starts_with(kBaselinePrefix)) return RecordKind::kBaseline;
  if (key.starts_with(kCasePrefix)) return RecordKind::kCase;
  if (key.starts_with(kSeenPrefix)) return RecordKind::kSeenBlock;
  if (key.starts_with(kEvidencePrefix)) return RecordKind::kEvidenceRaw;
  if (key.starts_with(kKeyIndexPrefix)) return RecordKind::kKeyIndex;
  if (key.starts_with(kCorrelationPrefix)) return RecordKind::kCorrelation;
  if (key.starts_with(kSilencePrefix)) return RecordKind::kSilence;
  if (key.starts_with(kWatchPrefix)) return RecordKind::kWatch;
  if (key == kProgressKey) return RecordKind::kProgress;
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<PartitionStore>> PartitionStore::Open(std::shared_ptr<SharedStoreResources> resources,
                                                             int32_t partition, const std::string& directory) {
  auto store = std::make_unique<RocksPartitionStore>(Cast(resources), partition, directory);
  if (Status status = store->OpenDatabase(); !status) return status.error();
  return std::unique_ptr<PartitionStore>(std::move(store));
}

Status PartitionStore::Destroy(std::shared_ptr<SharedStoreResources> resources, const std::string& directory) {
  const auto rocks = Cast(resources);
  const auto options = rocks->DbOptions();
  const rocksdb::Status status = rocksdb::DestroyDB(directory, options);
  if (!status.ok()) return RocksError("delete store " + directory, status);
  return {};
}

RocksPartitionStore::RocksPartitionStore(std::shared_ptr<RocksResources> resources, int32_t partition,
                                         std::string directory)
    : resources_(std::move(resources)),
      partition_(partition),
      directory_(std::move(directory)),
      cache_(resources_->options().case_cache_entries),
      seen_(resources_->options().dedup_max_entries),
      correlations_(resources_->options().correlation_bytes) {}

// RocksDB flushes what it has not written when it is closed.
RocksPartitionStore::~RocksPartitionStore() = default;

Status RocksPartitionStore::OpenDatabase() {
  if (Status status = CheckDirectory(); !status) return status;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(resources_->DbOptions(), directory_, &db);
  if (!status.ok()) return RocksError("open store " + directory_, status);
  db_.reset(db);
  if (Status identity = CheckIdentity(); !identity) return identity;
  auto position = ReadNumber(RecordKind::kPosition, kPositionKey, -1);
  if (!position) return position.error();
  position_ = *position;
  return {};
}

Status RocksPartitionStore::CheckRoom() const { return WantRoom(kFlushesOfRoom); }

// nullopt: nobody can tell.
std::optional<uint64_t> RocksPartitionStore::FreeBytes() const {
  if (resources_->options().in_memory) {
    uint64_t free = 0;
    return resources_->env()->GetFreeSpace(directory_, &free).ok() ? std::optional(free) : std::nullopt;
  }
  std::error_code error;
  const auto space = std::filesystem::space(directory_, error);
  return error ? std::nullopt : std::optional<uint64_t>(space.available);
}

Status RocksPartitionStore::WantRoom(uint64_t flushes) const {
  const uint64_t wanted = flushes * resources_->DbOptions().write_buffer_size;
  const std::optional<uint64_t> free = FreeBytes();
  if (!free || *free >= wanted) return {};
  return EnvironmentError("store " + directory_ + ": the disk is full (No space left on device): " +
                          std::to_string(*free >> 10) + " KiB are free, " + std::to_string(wanted >> 10) +
                          " KiB are wanted; make room");
}

// RocksDB takes a directory without CURRENT for a new one, whatever else is in it; for us that is a damaged store.
Status RocksPartitionStore::CheckDirectory() const {
  if (!resources_->options().in_memory) {
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (!error) std::filesystem::permissions(directory_, std::filesystem::perms::owner_all, error);
    if (error) return EnvironmentError("create store directory " + directory_ + ": " + error.message());
  }
  if (Status room = WantRoom(kFlushesOfRoomToOpen); !room) return room;
  std::vector<std::string> names;
  const rocksdb::Status status = resources_->env()->GetChildren(directory_, &names);
  if (status.IsNotFound()) return {};  // in memory: RocksDB makes it
  if (!status.ok()) return RocksError("list store directory " + directory_, status);
  const bool current = std::find(names.begin(), names.end(), "CURRENT") != names.end();
  const bool others = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.ends_with(".sst") || name.starts_with("MANIFEST-");
  });
  if (others && !current) return CorruptionError("open store " + directory_, "it has data files but no CURRENT");
  return {};
}

// Whose store this is and in which format. A new store is marked; a store without the marks is damaged.
Status RocksPartitionStore::CheckIdentity() {
  auto format = ReadNumber(RecordKind::kFormat, kFormatKey, 0);
  if (!format) return format.error();
  if (*format == 0) {
    std::unique_ptr<rocksdb::Iterator> any(db_->NewIterator(rocksdb::ReadOptions()));
    any->SeekToFirst();
    if (any->Valid()) return CorruptionError("open store " + directory_, "it has records but no format mark");
    if (!any->status().ok()) return RocksError("open store " + directory_, any->status());
    rocksdb::WriteBatch marks;
    marks.Put(ToSlice(kFormatKey), EncodeNumber(RecordKind::kFormat, kStoreFormat));
    marks.Put(ToSlice(kPartitionKey), EncodeNumber(RecordKind::kPartition, partition_));
    const rocksdb::Status status = resources_->Write(db_.get(), &marks);
    if (!status.ok()) return RocksError("mark store " + directory_, status);
    return {};
  }
  if (*format > kStoreFormat) {
    return Error{ErrorClass::kInvariant,
                 "open store " + directory_ + ": format version " + std::to_string(*format) +
                     " of a newer release, this one reads up to " + std::to_string(kStoreFormat) +
                     "; upgrade triaged, or delete the directory to restore from the changelog"};
  }
  auto partition = ReadNumber(RecordKind::kPartition, kPartitionKey, -1);
  if (!partition) return partition.error();
  if (*partition != partition_) {
    return EnvironmentError("open store " + directory_ + ": it belongs to partition " + std::to_string(*partition) +
                            ", not " + std::to_string(partition_) + "; check the state directory");
  }
  return {};
}

Result<int64_t> RocksPartitionStore::ReadNumber(RecordKind kind, std::string_view key, int64_t fallback) {
  auto frame = Get(key);
  if (!frame) return frame.error();
  if (!frame->has_value()) return fallback;
  auto number = DecodeNumber(kind, ToView(**frame));
  if (!number) return Damage(Doing("read " + std::string(key.substr(1))), number.error());
  return *number;
}

Status RocksPartitionStore::ApplyChangelog(const std::vector<StateRecord>& records, int64_t position) {
  const std::string doing = "apply changelog up to offset " + std::to_string(position) + " to " + directory_;
  rocksdb::WriteBatch batch;
  for (const StateRecord& record : records) {
    // Damage here is the changelog's, not the store's: moving the store aside would not help.
    if (record.key.empty() || record.key[0] == kLocalPrefix) {
      return EnvironmentError(doing + ": a record has a key that no store writes; is this triaged's state topic?");
    }
    if (!record.value) {
      batch.Delete(record.key);
      continue;
    }
    auto kind = CheckFrame(*record.value);
    if (!kind) return Error{kind.error().kind, doing + ": " + kind.error().message};
    const auto expected = KindOf(record.key);
    if (expected && *expected != *kind) return EnvironmentError(doing + ": a record's kind does not match its key");
    batch.Put(record.key, *record.value);
  }
  batch.Put(ToSlice(kPositionKey), EncodeNumber(RecordKind::kPosition, position));
  const rocksdb::Status status = resources_->Write(db_.get(), &batch);
  if (!status.ok()) return RocksError(doing, status);
  position_ = position;
  return {};
}

template <typename Visit>
Status RocksPartitionStore::Scan(std::string_view prefix, Visit visit) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.readahead_size = 1024 * 1024;
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  for (it->Seek(ToSlice(prefix)); it->Valid() && it->key().starts_with(ToSlice(prefix)); it->Next()) {
    auto go_on = visit(ToView(it->key()), ToView(it->value()));
    if (!go_on) return go_on.error();
    if (!*go_on) return {};
  }
  if (!it->status().ok()) return RocksError(Doing("scan"), it->status());
  return {};
}

Status RocksPartitionStore::RestoreBaseline() {
  baseline_.Clear();
  baseline_log_.Clear();
  BaselineMarks marks;
  Status status = Scan(kBaselinePrefix, [&](std::string_view key, std::string_view frame) -> Result<bool> {
    const auto number = ParseNumberedKey(kBaselinePrefix, key);
    auto block = DecodeBaselineBlock(frame);
    if (!number) return CorruptionError(Doing("scan baseline blocks"), "a key has a wrong length");
    if (!block) return Damage(Doing("scan baseline blocks"), block.error());
    std::vector<BaselineTable::Slot> slots;
    for (const BaselineEntry& entry : block->entries) slots.push_back(baseline_.Restore(entry));
    baseline_log_.RestoreBlock(*number, std::move(slots));
    marks = block->marks;
    return true;
  });
  if (!status) return status;
  baseline_.FinishRestore(marks);
  baseline_log_.FinishRestore(baseline_);
  return {};
}

Status RocksPartitionStore::FinishRestore() {
  Discard();
  cache_.Clear();
  seen_.Clear();
  // What another owner took away meanwhile must not stay.
  silences_ = SilenceTable();
  watches_ = WatchTable();
  cases_ = 0;
  standings_.clear();
  std::vector<DueIndex::Item> due, resting;
  Status status = Scan(kCasePrefix, [&](std::string_view key, std::string_view frame) -> Result<bool> {
    auto head = DecodeCaseHead(frame);
    if (!head) return Damage(Doing("scan cases"), head.error());
    if (head->id.partition != partition_ || ParseNumberedKey(kCasePrefix, key) != head->id.sequence) {
      return CorruptionError(Doing("scan cases"), "case " + ToString(head->id) + " stands under another's key");
    }
    ++cases_;
    ++standings_[{std::move(head->policy), head->level, head->status, head->severity}];
    if (head->next_due != Timestamp{}) {
      due.push_back({head->next_due, head->id.sequence});
    } else if (head->status == CaseStatus::kClosed) {
      const auto c = DecodeCase(frame);
      if (!c) return Damage(Doing("scan cases"), c.error());
      if (RestsSince(*c) != Timestamp{}) resting.push_back({RestsSince(*c), head->id.sequence});
    }
    return true;
  });
  if (!status) return status;
  due_.Rebuild(std::move(due));
  resting_.Rebuild(std::move(resting));

  status = Scan(kSeenPrefix, [&](std::string_view key, std::string_view frame) -> Result<bool> {
    const auto number = ParseNumberedKey(kSeenPrefix, key);
    auto entries = DecodeSeenBlock(frame);
    if (!number) return CorruptionError(Doing("scan dedup blocks"), "a key has a wrong length");
    if (!entries) return Damage(Doing("scan dedup blocks"), entries.error());
    seen_.RestoreBlock(*number, *entries);
    return true;
  });
  if (!status) return status;

  if (Status restored = RestoreBaseline(); !restored) return restored;

  correlations_ = rules::CorrelationTable(resources_->options().correlation_bytes);
  status = Scan(kCorrelationPrefix, [&](std::string_view key, std::string_view frame) -> Result<bool> {
    auto window = DecodeCorrelation(frame);
    if (!window) return Damage(Doing("scan correlation windows"), window.error());
    correlations_.Restore(std::string(key.substr(kCorrelationPrefix.size())), std::move(*window));
    return true;
  });
  if (!status) return status;

  status = Scan(kSilencePrefix, [&](std::string_view /*key*/, std::string_view frame) -> Result<bool> {
    auto rule = DecodeSilence(frame);
    if (!rule) return Damage(Doing("scan silences"), rule.error());
    silences_.Put(std::move(*rule));
    return true;
  });
  if (!status) return status;

  status = Scan(kWatchPrefix, [&](std::string_view /*key*/, std::string_view frame) -> Result<bool> {
    auto watch = DecodeWatch(frame);
    if (!watch) return Damage(Doing("scan watches"), watch.error());
    watches_.Put(std::move(*watch));
    return true;
  });
  if (!status) return status;

  StoredProgress stored;
  auto frame = Get(kProgressKey);
  if (!frame) return frame.error();
  if (frame->has_value()) {
    auto decoded = DecodeProgress(ToView(**frame));
    if (!decoded) return Damage(Doing("read progress"), decoded.error());
    stored = std::move(*decoded);
  }
  seen_.FinishRestore(stored.seen_horizon, stored.next_seen_block);
  progress_ = committed_progress_ = std::move(stored.progress);
  return {};
}

Status RocksPartitionStore::ForEachCase(Visitor* visitor) {
  // Cases inserted in this step are not in RocksDB yet; a cached case may be newer than what is there.
  std::vector<uint64_t> staged;
  for (const CachedCase* c : changed_) {
    if (c->inserted && !c->erased) staged.push_back(c->id.sequence);
  }
  std::sort(staged.begin(), staged.end());
  auto next_staged = staged.begin();
  bool stopped = false;
  const auto visit_staged_below = [&](uint64_t end) {
    for (; !stopped && next_staged != staged.end() && *next_staged < end; ++next_staged) {
      stopped = !visitor->Visit(*cache_.FindSequence(*next_staged));
    }
  };
  Status status = Scan(kCasePrefix, [&](std::string_view key, std::string_view frame) -> Result<bool> {
    const auto sequence = ParseNumberedKey(kCasePrefix, key);
    if (!sequence) return CorruptionError(Doing("visit cases"), "a key has a wrong length");
    visit_staged_below(*sequence);
    if (stopped) return false;
    if (const CachedCase* cached = cache_.FindSequence(*sequence)) {
      if (cached->erased) return true;
      stopped = !visitor->Visit(*cached);
      return !stopped;
    }
    auto c = DecodeCase(frame);
    if (!c) return Damage(Doing("visit cases"), c.error());
    stopped = !visitor->Visit(*c);
    return !stopped;
  });
  if (!status) return status;
  visit_staged_below(UINT64_MAX);
  return {};
}

Status RocksPartitionStore::Flush() {
  const rocksdb::Status status = db_->Flush(rocksdb::FlushOptions());
  if (!status.ok()) return RocksError(Doing("flush"), status);
  return {};
}

StoreStats RocksPartitionStore::Stats() const {
  StoreStats stats;
  stats.cases = cases_;
  stats.standings = standings_;
  stats.dedup_entries = seen_.size();
  stats.dedup_shrunk = seen_.shrunk();
  stats.baseline_entries = baseline_.size();
  stats.baseline_evicted = baseline_.evicted();
  stats.baseline_bytes = baseline_.bytes();
  stats.correlation_windows = correlations_.size();
  stats.correlation_bytes = correlations_.bytes();
  stats.correlation_dropped = correlations_.dropped();
  for (const auto& [id, watch] : watches_.watches()) {
    // The others only tell what they heard, which leaves a mark.
    if (!id.starts_with(kFeedWatch) || watch.told != Timestamp{}) continue;
    stats.feeds.push_back({id.substr(kFeedWatch.size()), watch.heard, watch.due == Timestamp{}});
  }
  stats.background_errors = resources_->events().background_errors.load(std::memory_order_relaxed);
  stats.stalls = resources_->events().stalls.load(std::memory_order_relaxed);
  uint64_t memtables = 0, readers = 0, stopped = 0, delayed = 0;
  db_->GetIntProperty(rocksdb::DB::Properties::kIsWriteStopped, &stopped);
  db_->GetIntProperty(rocksdb::DB::Properties::kActualDelayedWriteRate, &delayed);  // 0: not delayed
  stats.stalled = stopped > 0 || delayed > 0;
  db_->GetIntProperty(rocksdb::DB::Properties::kEstimatePendingCompactionBytes, &stats.compaction_pending_bytes);
  db_->GetIntProperty(rocksdb::DB::Properties::kNumRunningCompactions, &stats.compactions);
  db_->GetIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &stats.disk_bytes);
  db_->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &memtables);
  db_->GetIntProperty(rocksdb::DB::Properties::kEstimateTableReadersMem, &readers);
  stats.resident_bytes = cache_.bytes() + due_.bytes() + resting_.bytes() + seen_.bytes() + baseline_.bytes() + memtables +
                         readers;
  return stats;
}

Result<std::vector<StateRecord>> RocksPartitionStore::Dump() {
  std::vector<StateRecord> records;
  Status status = Scan("", [&](std::string_view key, std::string_view frame) -> Result<bool> {
    if (key[0] != kLocalPrefix) records.push_back({std::string(key), std::string(frame)});
    return true;
  });
  if (!status) return status.error();
  return records;
}

}  // namespace triaged
