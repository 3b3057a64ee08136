// PartitionStore: the materialised view of one state partition in RocksDB.
//
// The Kafka transaction is the commit; this store is applied after it and is never ahead of the changelog. A step's
// changes are staged in memory; StagedRecords() gives them as the changelog wants them; Commit(position) writes them
// in one WriteBatch together with the changelog offset they reach; Discard() drops them. One RocksDB directory with
// one column family per partition, write-ahead log off: after a crash the recovered state is a prefix, and the tail of
// the changelog is replayed into it. The same bytes (key, framed value) stand in RocksDB and in the changelog.
//
// Concurrency: one thread owns a store; SharedStoreResources may be shared between threads.
// Errors: Corruption is reported as `corrupt()`: move the directory aside and restore. Anything else (lock, EMFILE,
// ENOSPC) is ErrorClass::kEnvironment: retry; but records or a store of a newer release are kInvariant: stop.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/processor/case_store.h"

namespace triaged {

struct StateRecord {
  std::string key;
  std::optional<std::string> value;  // nullopt: tombstone
  bool operator==(const StateRecord&) const = default;
};

struct StoreOptions {
  size_t memory_budget_bytes = 256 * 1024 * 1024;  // block cache and write buffers of all stores together
  int expected_stores = 12;                        // write_buffer_size = clamp(budget / 4 / stores, 1–16 MiB)
  size_t dedup_max_entries = 1'000'000;            // per partition
  size_t case_cache_entries = 20'000;              // decoded cases kept between steps, per partition
  size_t correlation_bytes = 32 * 1024 * 1024;     // that the windows of correlations take, per partition
  bool in_memory = false;                          // RocksDB's memory environment: replay and simulation
};

// Block cache and options that the stores of a process share. Thread-safe.
class SharedStoreResources {
 public:
  static std::shared_ptr<SharedStoreResources> Make(const StoreOptions& options);
  virtual ~SharedStoreResources() = default;
  virtual const StoreOptions& options() const = 0;
};

// What dashboards group cases by.
struct CaseStanding {
  std::string policy;
  uint8_t level = 0;
  CaseStatus status = CaseStatus::kOpen;
  uint8_t severity = 0;
  auto operator<=>(const CaseStanding&) const = default;
};

// A feed that this partition watches, as a policy names it (pipeline/processor/feeds.h).
struct FeedStanding {
  std::string feed;               // policy + '/' + name
  Timestamp heard{};              // when its last alert was taken; zero: none yet
  bool silent = false;            // for longer than its policy allows
};

struct StoreStats {
  uint64_t cases = 0;             // all kept cases
  std::map<CaseStanding, uint64_t> standings;  // the same, by standing; none is 0
  uint64_t dedup_entries = 0;
  uint64_t dedup_shrunk = 0;      // entries forgotten before their window ended
  uint64_t baseline_entries = 0;
  uint64_t baseline_evicted = 0;  // for want of room, since the store was opened
  uint64_t baseline_bytes = 0;    // in memory
  uint64_t disk_bytes = 0;
  uint64_t resident_bytes = 0;    // estimate: indexes, cache, memtables
  uint64_t background_errors = 0;         // of all stores of this process, since it began
  uint64_t compactions = 0;               // running now
  uint64_t compaction_pending_bytes = 0;  // estimate of what compactions have yet to rewrite
  bool stalled = false;                   // RocksDB delays or stops writes, because compactions do not keep up
  uint64_t stalls = 0;                    // times that one of this process began to
  uint64_t correlation_windows = 0;
  uint64_t correlation_bytes = 0;    // of StoreOptions::correlation_bytes
  uint64_t correlation_dropped = 0;  // windows forgotten before their time for want of room
  std::vector<FeedStanding> feeds;
};

class PartitionStore : public CaseStore {
 public:
  // Opens or creates the directory (mode 0700). A store whose format version is newer than ours is refused.
  static Result<std::unique_ptr<PartitionStore>> Open(std::shared_ptr<SharedStoreResources> resources,
                                                      int32_t partition, const std::string& directory);
  // True when `error` from Open or a read means corruption, not a passing condition.
  static bool IsCorruption(const Error& error);
  // True when `error` from Open means that this process has the store open already: its worker has not given it up yet.
  static bool IsHeld(const Error& error);
  // Deletes a store's directory (environment of `resources`).
  static Status Destroy(std::shared_ptr<SharedStoreResources> resources, const std::string& directory);

  // The changelog offset applied last; -1 when empty.
  virtual int64_t position() const = 0;

  // Restore: applies changelog records in order; `position` is the offset of the last one. FinishRestore rebuilds the
  // in-memory indexes (due, dedup) and must be called before the first step, also when nothing was replayed.
  virtual Status ApplyChangelog(const std::vector<StateRecord>& records, int64_t position) = 0;
  virtual Status FinishRestore() = 0;

  // The staged changes of the step, in a deterministic order (ascending key; progress last). Encodes each changed
  // case once. Call after the last change of the step; then Commit or Discard. An error when a read of the step failed,
  // even if whoever asked went on without it: what depends on a sick disk would be decided otherwise in a replay.
  virtual Result<std::vector<StateRecord>> StagedRecords() = 0;
  virtual Status Commit(int64_t position) = 0;
  virtual void Discard() = 0;

  virtual Status Flush() = 0;
  // An Error when the disk has no room for another flush: the next one would fail.
  virtual Status CheckRoom() const = 0;
  virtual StoreStats Stats() const = 0;

  // Every stored (key, value) in key order, for comparisons in tests (staged changes excluded).
  virtual Result<std::vector<StateRecord>> Dump() = 0;
};

}  // namespace triaged
