// What this folder needs of RocksDB: options, the environment, and the meaning of its errors. No other header includes
// RocksDB's.
#pragma once

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/status.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pipeline/base/result.h"
#include "storage/partition_store.h"

namespace triaged {

// What RocksDB tells about the stores of a process, on threads of its own. A store that failed is closed and opened again:
// what it told must outlive it.
struct StoreEvents {
  std::atomic<uint64_t> background_errors{0};
  std::atomic<uint64_t> stalls{0};  // times that writes began to be delayed or stopped
};

// Immutable after construction, so threads may share it.
class RocksResources : public SharedStoreResources {
 public:
  // `env`, when given, replaces the real one (tests inject faults), or with `in_memory` the memory; it must outlive the
  // resources.
  explicit RocksResources(const StoreOptions& options, rocksdb::Env* env = nullptr);

  const StoreOptions& options() const override { return options_; }
  rocksdb::Env* env() const { return env_; }
  const StoreEvents& events() const { return *events_; }
  // Options of one store, whose events are counted.
  virtual rocksdb::Options DbOptions() const;
  // Every write of a store goes through here, without a log. Tests make it fail.
  virtual rocksdb::Status Write(rocksdb::DB* db, rocksdb::WriteBatch* batch) const;

 private:
  StoreOptions options_;
  std::unique_ptr<rocksdb::Env> memory_env_;
  rocksdb::Env* env_;
  std::shared_ptr<rocksdb::Cache> cache_;
  const std::shared_ptr<StoreEvents> events_ = std::make_shared<StoreEvents>();
};

// `doing` says what failed and where: "open store state/3". Corruption gets the mark that IsCorruption looks for.
Error RocksError(std::string_view doing, const rocksdb::Status& status);
Error CorruptionError(std::string_view doing, std::string_view what);

inline rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

}  // namespace triaged
