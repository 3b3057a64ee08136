// RocksNotifyMemory: what was delivered, in RocksDB; every write is synced before it returns. Entries older than `keep`
// are dropped when the store is opened, and by Forget. Reads are thread-safe; everything else belongs to one thread.
#pragma once

#include <memory>

#include "pipeline/notify/dispatcher.h"

namespace rocksdb {
class DB;
}

namespace triaged {

class RocksNotifyMemory : public NotifyMemory {
 public:
  static Result<std::unique_ptr<RocksNotifyMemory>> Open(const std::string& path, Duration keep, Timestamp now);
  ~RocksNotifyMemory() override;

  bool Delivered(const std::string& destination, const std::string& event_id) const override;
  std::string Told(const std::string& destination, const std::string& dedup_key) const override;
  std::string Answered(const std::string& dedup_key) const override;
  void SetAnswered(const std::string& dedup_key, const std::string& sequence, Timestamp now) override;
  void SetDelivered(const std::string& destination, const std::vector<NotifyItem>& items, Timestamp now) override;

  Status Forget(Timestamp before);

  // A write failed: what follows could be repeated after a crash, so the process should stop.
  bool failed() const { return failed_; }

 private:
  explicit RocksNotifyMemory(std::unique_ptr<rocksdb::DB> db);
  std::string Get(const std::string& key) const;

  std::unique_ptr<rocksdb::DB> db_;
  bool failed_ = false;
};

}  // namespace triaged
