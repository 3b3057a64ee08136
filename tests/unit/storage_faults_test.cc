// PartitionStore on a disk that fails: errors are reported as passing conditions, nothing committed is lost or invented.
#include <doctest/doctest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "storage/rocks.h"
#include "tests/unit/storage_random.h"

namespace triaged {
namespace {

using testing::Random;
using testing::TempDirectory;

// The real file system, until `full` is set; then nothing can be written.
class FullDisk : public rocksdb::FileSystemWrapper {
 public:
  FullDisk() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FullDisk"; }
  std::atomic<bool> full{false};

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (full) return rocksdb::IOStatus::NoSpace("disk full");
    std::unique_ptr<rocksdb::FSWritableFile> real;
    rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(name, options, &real, debug);
    if (status.ok()) *file = std::make_unique<File>(std::move(real), this);
    return status;
  }

 private:
  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile> file, FullDisk* disk)
        : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk) {}
    using FSWritableFileOwnerWrapper::Append;
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
      if (disk_->full) return rocksdb::IOStatus::NoSpace("disk full");
      return FSWritableFileOwnerWrapper::Append(data, options, debug);
    }

   private:
    FullDisk* disk_;
  };
};

// Tables are written only once the writer of steps stands still: a disk that is too slow for it.
class SlowDisk : public rocksdb::FileSystemWrapper {
 public:
  SlowDisk() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "SlowDisk"; }
  std::atomic<uint64_t> steps{0};
  std::atomic<bool> slow{false};

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    constexpr std::chrono::milliseconds kStill(100);
    for (uint64_t before = ~uint64_t{0}; slow && name.ends_with(".sst") && before != steps;) {
      before = steps;
      std::this_thread::sleep_for(kStill);
    }
    return FileSystemWrapper::NewWritableFile(name, options, file, debug);
  }
};

Case LargeCase(uint64_t sequence) {
  Random r(sequence);
  Case c;
  c.id = {0, sequence};
  c.key = "k" + std::to_string(sequence);
  for (int i = 0; i < 40; ++i) c.notes.push_back({FromUnixMillis(1), "note", "ada", r.Text(1000)});
  return c;
}

// A step that takes one large case in; `log` grows by its changelog records, one offset each.
Status TakeStep(PartitionStore& store, uint64_t step, std::vector<StateRecord>* log) {
  store.Insert(LargeCase(step + 1));
  auto staged = store.StagedRecords();
  if (!staged) return staged.error();
  log->insert(log->end(), staged->begin(), staged->end());
  return store.Commit(static_cast<int64_t>(log->size()) - 1);
}

TEST_CASE("store: a full disk stops commits with a passing error; the changelog's tail repairs") {
  TempDirectory temp;
  auto disk = std::make_shared<FullDisk>();
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(disk);
  StoreOptions options;
  options.memory_budget_bytes = 1024 * 1024;  // the smallest write buffers: they are full soon
  auto resources = std::make_shared<RocksResources>(options, env.get());
  std::vector<StateRecord> log;
  {
    auto store = PartitionStore::Open(resources, 0, temp / "0");
    REQUIRE(store.ok());
    REQUIRE((*store)->FinishRestore().ok());
    uint64_t step = 0;
    for (; step < 50; ++step) REQUIRE(TakeStep(**store, step, &log).ok());
    REQUIRE((*store)->Flush().ok());
    disk->full = true;
    Status flushed;
    Status status;
    for (; status.ok() && step < 2000; ++step) {
      status = TakeStep(**store, step, &log);
      if (step == 60) flushed = (*store)->Flush();
    }
    REQUIRE_FALSE(flushed.ok());
    CHECK(flushed.error().kind == ErrorClass::kEnvironment);
    CHECK_FALSE(PartitionStore::IsCorruption(flushed.error()));
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().kind == ErrorClass::kEnvironment);
    CHECK_FALSE(PartitionStore::IsCorruption(status.error()));
    CHECK(status.error().message.find("space") != std::string::npos);
    CHECK((*store)->Stats().background_errors > 0);
  }
  auto refused = PartitionStore::Open(resources, 0, temp / "0");
  if (!refused) CHECK_FALSE(PartitionStore::IsCorruption(refused.error()));
  if (refused) std::move(refused).value().reset();

  disk->full = false;
  auto store = PartitionStore::Open(resources, 0, temp / "0");
  REQUIRE_MESSAGE(store.ok(), (store.ok() ? "" : store.error().message));
  CHECK((*store)->position() >= 149);  // the 50 flushed steps: a case, its key index and progress each
  CHECK((*store)->position() < static_cast<int64_t>(log.size()) - 1);
  const std::vector<StateRecord> tail(log.begin() + static_cast<ptrdiff_t>((*store)->position() + 1), log.end());
  REQUIRE((*store)->ApplyChangelog(tail, static_cast<int64_t>(log.size()) - 1).ok());
  REQUIRE((*store)->FinishRestore().ok());
  std::map<std::string, std::string> expected;
  for (const auto& record : log) expected[record.key] = *record.value;
  auto dump = (*store)->Dump();
  REQUIRE(dump.ok());
  REQUIRE(dump->size() == expected.size());
  for (const auto& record : *dump) REQUIRE(expected[record.key] == record.value);
}

TEST_CASE("store: a disk that is too slow is told as stalls, and ends as none") {
  TempDirectory temp;
  auto disk = std::make_shared<SlowDisk>();
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(disk);
  StoreOptions options;
  options.memory_budget_bytes = 1024 * 1024;
  auto store = PartitionStore::Open(std::make_shared<RocksResources>(options, env.get()), 0, temp / "0");
  REQUIRE(store.ok());
  REQUIRE((*store)->FinishRestore().ok());
  std::vector<StateRecord> log;
  CHECK((*store)->Stats().stalls == 0);
  disk->slow = true;
  for (; disk->steps < 2000 && (*store)->Stats().stalls == 0; ++disk->steps) {
    REQUIRE(TakeStep(**store, disk->steps, &log).ok());
  }
  CHECK((*store)->Stats().stalls > 0);
  disk->slow = false;
  REQUIRE((*store)->Flush().ok());
  CHECK_FALSE((*store)->Stats().stalled);
  CHECK((*store)->CheckRoom().ok());
}

}  // namespace
}  // namespace triaged
