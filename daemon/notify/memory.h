// RocksNotifyMemory: what was delivered, in RocksDB; every write is synced before it returns. What is older than `keep`
// says is dropped when the store is opened, and by Forget. Reads and `failed` are thread-safe; everything else belongs
// to one thread.
#pragma once

#include <atomic>
#include <memory>

#include "pipeline/notify/dispatcher.h"

namespace rocksdb {
class DB;
class Status;
}

namespace triaged {

class RocksNotifyMemory : public NotifyMemory {
 public:
  static Result<std::unique_ptr<RocksNotifyMemory>> Open(const std::string& path, NotifyKeep keep, Timestamp now);
  ~RocksNotifyMemory() override;

  bool Delivered(const std::string& destination, const std::string& event_id) const override;
  std::string Told(const std::string& destination, const std::string& dedup_key) const override;
  std::string Answered(const std::string& dedup_key) const override;
  void SetAnswered(const std::string& dedup_key, const std::string& sequence, Timestamp now) override;
  void SetDelivered(const std::string& destination, const std::vector<NotifyItem>& items, Timestamp now) override;

  Status Forget(Timestamp now);

  // A write failed, and what follows could be repeated after a crash; or a read, and what it answered says nothing. The
  // process should stop, and do nothing more on such an answer.
  bool failed() const { return failed_; }

 private:
  RocksNotifyMemory(std::unique_ptr<rocksdb::DB> db, NotifyKeep keep);
  std::string Get(const std::string& key) const;
  void Check(const rocksdb::Status& status, std::string_view what) const;

  std::unique_ptr<rocksdb::DB> db_;
  const NotifyKeep keep_;
  mutable std::atomic<bool> failed_ = false;
};

}  // namespace triaged
