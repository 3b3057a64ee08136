#include "storage/rocks.h"

#include <rocksdb/convenience.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include <algorithm>

namespace triaged {
namespace {

constexpr std::string_view kCorruptMark = "store corrupt: ";
constexpr std::string_view kHeldMark = "store held: ";
constexpr size_t kMinWriteBuffer = 1024 * 1024;
constexpr size_t kMaxWriteBuffer = 16 * 1024 * 1024;
constexpr int kMaxOpenFiles = 128;  // per store: a hundred stores stay below the usual limit of a service

class EventCounter : public rocksdb::EventListener {
 public:
  explicit EventCounter(std::shared_ptr<StoreEvents> events) : events_(std::move(events)) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status*) override {
    events_->background_errors.fetch_add(1, std::memory_order_relaxed);
  }
  void OnStallConditionsChanged(const rocksdb::WriteStallInfo& info) override {
    if (info.condition.prev != rocksdb::WriteStallCondition::kNormal) return;
    events_->stalls.fetch_add(1, std::memory_order_relaxed);
  }

 private:
  std::shared_ptr<StoreEvents> events_;
};

rocksdb::CompressionType Compression() {
  const auto supported = rocksdb::GetSupportedCompressions();
  const bool lz4 = std::find(supported.begin(), supported.end(), rocksdb::kLZ4Compression) != supported.end();
  return lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

}  // namespace

RocksResources::RocksResources(const StoreOptions& options, rocksdb::Env* env)
    : options_(options),
      env_(env == nullptr ? rocksdb::Env::Default() : env),
      cache_(rocksdb::NewLRUCache(options.memory_budget_bytes / 2)) {
  if (!options_.in_memory || env != nullptr) return;
  memory_env_.reset(rocksdb::NewMemEnv(env_));
  env_ = memory_env_.get();
}

rocksdb::Options RocksResources::DbOptions() const {
  rocksdb::Options options;
  options.env = env_;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  options.listeners.push_back(std::make_shared<EventCounter>(events_));
  options.max_open_files = kMaxOpenFiles;
  options.max_background_jobs = 2;
  // Half of the budget is the block cache's; a quarter is the active write buffers', and as much may wait for a flush.
  const size_t share = options_.memory_budget_bytes / 4 / static_cast<size_t>(std::max(1, options_.expected_stores));
  options.write_buffer_size = std::clamp(share, kMinWriteBuffer, kMaxWriteBuffer);
  options.max_write_buffer_number = 2;
  // Most lookups of a grouping key are for keys that do not exist; these filters answer without a search.
  options.memtable_whole_key_filtering = true;
  options.memtable_prefix_bloom_size_ratio = 0.02;
  options.compression = Compression();
  options.level_compaction_dynamic_level_bytes = true;
  options.target_file_size_base = 16 * 1024 * 1024;
  options.max_bytes_for_level_base = 64 * 1024 * 1024;

  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache_;
  table.block_size = 8 * 1024;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));

  options.info_log_level = rocksdb::WARN_LEVEL;
  options.keep_log_file_num = 2;
  options.max_log_file_size = 1024 * 1024;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

rocksdb::Status RocksResources::Write(rocksdb::DB* db, rocksdb::WriteBatch* batch) const {
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  return db->Write(options, batch);
}

Error CorruptionError(std::string_view doing, std::string_view what) {
  return EnvironmentError(std::string(kCorruptMark) + std::string(doing) + ": " + std::string(what) +
                          "; move the directory aside and restore from the changelog");
}

Error RocksError(std::string_view doing, const rocksdb::Status& status) {
  // A file that the manifest names and nobody finds is damage as well; EMFILE, ENOSPC or a held lock are not.
  if (status.IsCorruption() || status.IsPathNotFound()) return CorruptionError(doing, status.ToString());
  // RocksDB has no code for this, only a text.
  if (status.IsIOError() && status.ToString().find("lock hold by current process") != std::string::npos) {
    return EnvironmentError(std::string(kHeldMark) + std::string(doing) + ": another worker of this process has it open");
  }
  return EnvironmentError(std::string(doing) + ": " + status.ToString());
}

std::shared_ptr<SharedStoreResources> SharedStoreResources::Make(const StoreOptions& options) {
  return std::make_shared<RocksResources>(options);
}

bool PartitionStore::IsCorruption(const Error& error) { return error.message.starts_with(kCorruptMark); }

bool PartitionStore::IsHeld(const Error& error) { return error.message.starts_with(kHeldMark); }

}  // namespace triaged
