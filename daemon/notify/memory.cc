#include "daemon/notify/memory.h"

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <charconv>
#include <map>

#include "daemon/log.h"

namespace triaged {
namespace {

// A key begins with its kind. Names and ids hold no newline: names are YAML keys of one line, ids come from case ids.
constexpr char kDelivered = 'd', kTold = 't', kAnswered = 'a';
std::string Key(char kind, const std::string& text) { return std::string{kind, '\n'} + text; }
std::string DeliveredKey(const std::string& destination, const std::string& id) {
  return Key(kDelivered, destination + "\n" + id);
}
std::string ToldKey(const std::string& destination, const std::string& key) {
  return Key(kTold, destination + "\n" + key);
}
std::string AnsweredKey(const std::string& key) { return Key(kAnswered, key); }

// A value begins with the time it was written, in milliseconds, and a space.
std::string Stamped(Timestamp now, const std::string& value) { return std::to_string(ToUnixMillis(now)) + " " + value; }

}  // namespace

RocksNotifyMemory::RocksNotifyMemory(std::unique_ptr<rocksdb::DB> db, NotifyKeep keep)
    : db_(std::move(db)), keep_(keep) {}
RocksNotifyMemory::~RocksNotifyMemory() = default;

Result<std::unique_ptr<RocksNotifyMemory>> RocksNotifyMemory::Open(const std::string& path, NotifyKeep keep,
                                                                   Timestamp now) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 4 << 20;
  options.max_open_files = 64;
  rocksdb::DB* db = nullptr;
  if (const auto status = rocksdb::DB::Open(options, path, &db); !status.ok()) {
    return EnvironmentError("cannot open the notifier's memory in " + path + ": " + status.ToString());
  }
  std::unique_ptr<RocksNotifyMemory> memory(new RocksNotifyMemory(std::unique_ptr<rocksdb::DB>(db), keep));
  if (Status forgotten = memory->Forget(now); !forgotten) return forgotten.error();
  return memory;
}

Status RocksNotifyMemory::Forget(Timestamp now) {
  rocksdb::ReadOptions once;
  once.fill_cache = false;  // a walk through all of it must not push out what is asked for
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(once));
  rocksdb::WriteBatch batch;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    int64_t at = 0;
    const rocksdb::Slice value = it->value();
    std::from_chars(value.data(), value.data() + value.size(), at);
    const char kind = it->key()[0];
    const Duration keep = kind == kDelivered ? keep_.delivered : kind == kAnswered ? keep_.answered : keep_.told;
    if (at < ToUnixMillis(now - keep)) batch.Delete(it->key());
  }
  rocksdb::Status status = it->status();
  if (status.ok()) status = db_->Write({}, &batch);
  if (!status.ok()) return EnvironmentError("cannot read the notifier's memory: " + status.ToString());
  return {};
}

void RocksNotifyMemory::Check(const rocksdb::Status& status, std::string_view what) const {
  if (status.ok()) return;
  LogError("memory failed", {{"what", std::string(what)}, {"why", status.ToString()}});
  failed_ = true;
}

std::string RocksNotifyMemory::Get(const std::string& key) const {
  std::string value;
  const auto status = db_->Get({}, key, &value);
  if (status.IsNotFound()) return {};
  Check(status, "read");
  return value.substr(value.find(' ') + 1);
}

bool RocksNotifyMemory::Delivered(const std::string& destination, const std::string& event_id) const {
  return !Get(DeliveredKey(destination, event_id)).empty();
}

std::string RocksNotifyMemory::Told(const std::string& destination, const std::string& dedup_key) const {
  return Get(ToldKey(destination, dedup_key));
}

std::string RocksNotifyMemory::Answered(const std::string& dedup_key) const { return Get(AnsweredKey(dedup_key)); }

void RocksNotifyMemory::SetAnswered(const std::string& dedup_key, const std::string& sequence, Timestamp now) {
  rocksdb::WriteOptions synced;
  synced.sync = true;
  Check(db_->Put(synced, AnsweredKey(dedup_key), Stamped(now, sequence)), "write");
}

void RocksNotifyMemory::SetDelivered(const std::string& destination, const std::vector<NotifyItem>& items, Timestamp now) {
  rocksdb::WriteBatch batch;
  std::map<std::string, std::string> told;  // by key, as it is after the items so far
  for (const NotifyItem& item : items) {
    batch.Put(DeliveredKey(destination, item.event->id), Stamped(now, "1"));
    const std::string key = ToldKey(destination, item.event->dedup_key);
    if (item.action == NotifyAction::kTrigger) {
      const auto [entry, fresh] = told.try_emplace(key);
      entry->second = RememberAs(*item.event, fresh ? Get(key) : entry->second);
      batch.Put(key, Stamped(now, entry->second));
    }
    if (item.action == NotifyAction::kResolve) {
      told[key].clear();
      batch.Delete(key);
    }
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  Check(db_->Write(synced, &batch), "write");
}

}  // namespace triaged
