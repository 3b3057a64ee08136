// Stores across releases: one that an earlier release wrote opens and goes on; one of a newer release is refused before
// anything in it is changed. The earlier store is made by code, from what format version 1 was.
#include <doctest/doctest.h>
#include <rocksdb/db.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include "pipeline/base/hash.h"
#include "storage/codec.h"
#include "storage/frame.h"
#include "storage/keys.h"
#include "storage/rocks.h"
#include "tests/unit/storage_random.h"

namespace triaged {
namespace {

using testing::TempDirectory;

constexpr size_t kEmptyTail = 24;  // one zero byte for each part of a case that format version 2 added

// The record as format version 1 had it.
std::string AsVersion1(const StateRecord& record) {
  std::string frame = *record.value;
  if (record.key.starts_with(kCasePrefix)) {
    frame.resize(frame.size() - kEmptyTail);
    EndFrame(&frame);
  }
  frame[0] = 1;
  return frame;
}

std::unique_ptr<PartitionStore> Open(const std::string& directory) {
  auto store = PartitionStore::Open(SharedStoreResources::Make({}), 0, directory);
  REQUIRE_MESSAGE(store.ok(), store.error().message);
  const Status restored = (*store)->FinishRestore();
  REQUIRE_MESSAGE(restored.ok(), restored.error().message);
  return std::move(*store);
}

Case Plain(uint64_t sequence) {
  Case c;
  c.id = {0, sequence};
  c.key = "policy|host" + std::to_string(sequence);
  c.policy = "policy";
  c.status = sequence % 2 ? CaseStatus::kOpen : CaseStatus::kClosed;
  c.closed_at = FromUnixMillis(static_cast<int64_t>(sequence));
  c.next_due = sequence % 2 ? FromUnixMillis(1000) : Timestamp{};
  c.alert_count = sequence;
  return c;
}

TEST_CASE("store: what an earlier release wrote opens, is the same, and is written anew case by case") {
  TempDirectory folder;
  {
    auto store = Open(folder / "new");
    for (uint64_t n = 1; n <= 20; ++n) store->Insert(Plain(n));
    store->PutEvidenceRaw({0, 1}, 0, "raw");
    store->Remember({7, FromUnixMillis(5), 1, 3, 0});
    Progress progress;
    progress.lineage = "old";
    progress.next_case = 21;
    store->SetProgress(progress);
    REQUIRE(store->Commit(40).ok());
    std::vector<StateRecord> earlier;
    const auto dump = store->Dump();
    for (const StateRecord& record : *dump) earlier.push_back({record.key, AsVersion1(record)});
    auto old = Open(folder / "old");
    const Status applied = old->ApplyChangelog(earlier, 40);
    REQUIRE_MESSAGE(applied.ok(), applied.error().message);
  }
  auto store = Open(folder / "old");
  CHECK(store->position() == 40);
  CHECK(store->Stats().cases == 20);
  CHECK(store->progress().lineage == "old");
  CHECK(store->NextDue()->id.sequence == 1);
  CHECK(store->NextResting()->id.sequence == 2);
  CHECK(store->FindSeen(7) != nullptr);
  for (uint64_t n = 1; n <= 20; ++n) CHECK(**store->Find({0, n}) == Plain(n));
  Case* c = *store->FindByKey("policy|host3");
  c->held_by = "guard";  // a part that version 1 had not
  store->MarkChanged(c);
  REQUIRE(store->Commit(41).ok());
  store.reset();
  store = Open(folder / "old");
  CHECK((*store->Find({0, 3}))->held_by == "guard");
  std::map<char, int> versions;
  const auto dump = store->Dump();
  for (const StateRecord& record : *dump) {
    if (record.key.starts_with(kCasePrefix)) ++versions[record.value->front()];
  }
  CHECK(versions == std::map<char, int>{{1, 19}, {static_cast<char>(kCodecVersion), 1}});
}

TEST_CASE("store: one of a newer release is refused, and nothing in it is changed") {
  TempDirectory folder;
  const std::string directory = folder / "0";
  const auto contents = [&] {
    rocksdb::DB* db = nullptr;
    REQUIRE(rocksdb::DB::OpenForReadOnly(rocksdb::Options(), directory, &db).ok());
    const std::unique_ptr<rocksdb::DB> owned(db);
    std::map<std::string, std::string> all;
    const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator(rocksdb::ReadOptions()));
    for (it->SeekToFirst(); it->Valid(); it->Next()) all[it->key().ToString()] = it->value().ToString();
    return all;
  };
  {
    auto store = Open(directory);
    store->Insert(Plain(1));
    REQUIRE(store->Commit(1).ok());
  }
  {
    rocksdb::DB* db = nullptr;
    REQUIRE(rocksdb::DB::Open(rocksdb::Options(), directory, &db).ok());
    const std::unique_ptr<rocksdb::DB> owned(db);
    REQUIRE(db->Put(rocksdb::WriteOptions(), ToSlice(kFormatKey), EncodeNumber(RecordKind::kFormat, 99)).ok());
  }
  const auto before = contents();
  auto refused = PartitionStore::Open(SharedStoreResources::Make({}), 0, directory);
  REQUIRE_FALSE(refused.ok());
  CHECK_FALSE(PartitionStore::IsCorruption(refused.error()));  // it must not be set aside
  CHECK(refused.error().message.find("99 of a newer release") != std::string::npos);
  CHECK(contents() == before);
}

}  // namespace
}  // namespace triaged
