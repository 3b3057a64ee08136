// PartitionStore: steps, restore, crash and damage.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "storage/codec.h"
#include "storage/keys.h"
#include "storage/partition_store.h"
#include "tests/unit/storage_random.h"

namespace triaged {
namespace {

using testing::Random;
using testing::TempDirectory;

Timestamp At(int64_t ms) { return FromUnixMillis(ms); }

std::shared_ptr<SharedStoreResources> Memory(StoreOptions options = {}) {
  options.in_memory = true;
  return SharedStoreResources::Make(options);
}

std::unique_ptr<PartitionStore> OpenStore(const std::shared_ptr<SharedStoreResources>& resources,
                                          const std::string& directory, int32_t partition = 0) {
  auto store = PartitionStore::Open(resources, partition, directory);
  REQUIRE_MESSAGE(store.ok(), (store.ok() ? "" : store.error().message));
  REQUIRE((*store)->FinishRestore().ok());
  return std::move(store).value();
}

Case MakeCase(uint64_t sequence, std::string key, int64_t due_ms = 0) {
  Case c;
  c.id = {0, sequence};
  c.key = std::move(key);
  c.next_due = At(due_ms);
  return c;
}

Case* MustFind(PartitionStore& store, uint64_t sequence) {
  auto found = store.Find({0, sequence});
  REQUIRE(found.ok());
  return *found;
}

Case* MustFindKey(PartitionStore& store, std::string_view key) {
  auto found = store.FindByKey(key);
  REQUIRE(found.ok());
  return *found;
}

std::vector<StateRecord> Dump(PartitionStore& store) {
  auto dump = store.Dump();
  REQUIRE(dump.ok());
  return std::move(dump).value();
}

// A changelog as the broker would keep it, uncompacted: what each step staged, one offset a record.
struct Changelog {
  std::vector<StateRecord> records;

  int64_t Append(PartitionStore& store) {
    auto staged = store.StagedRecords();
    REQUIRE(staged.ok());
    for (auto& record : *staged) records.push_back(std::move(record));
    return static_cast<int64_t>(records.size()) - 1;
  }
  // Everything after `position`, in slices.
  void Replay(PartitionStore& store, size_t slice) const {
    for (auto next = static_cast<size_t>(store.position() + 1); next < records.size(); next += slice) {
      const size_t end = std::min(records.size(), next + slice);
      const std::vector<StateRecord> part(records.begin() + static_cast<ptrdiff_t>(next),
                                          records.begin() + static_cast<ptrdiff_t>(end));
      REQUIRE(store.ApplyChangelog(part, static_cast<int64_t>(end) - 1).ok());
    }
    REQUIRE(store.FinishRestore().ok());
  }
};

// One random step: new cases, changes, evidence, dedup. `clock` advances a little; after a quiet step, by so much that
// all ids are forgotten.
void RandomStep(Random& r, PartitionStore& store, int64_t* clock) {
  const bool quiet = r.OneIn(12);
  *clock += static_cast<int64_t>(quiet ? 50'000 : r.Below(1000));
  Progress progress = store.progress();
  for (uint64_t n = quiet ? 0 : r.Below(6); n > 0; --n) {
    const std::string key = "policy|host" + std::to_string(r.Below(40));
    Case* c = MustFindKey(store, key);
    if (c == nullptr || r.OneIn(5)) {
      Case fresh = testing::RandomCase(r, {0, progress.next_case++});
      fresh.key = key;
      c = store.Insert(std::move(fresh));
    }
    ++c->alert_count;
    c->next_due = r.OneIn(3) ? Timestamp{} : At(*clock + static_cast<int64_t>(r.Below(5000)));
    store.MarkChanged(c);
    if (r.OneIn(3)) store.PutEvidenceRaw(c->id, static_cast<uint8_t>(r.Below(3)), r.Text(300));
    if (r.OneIn(6)) REQUIRE(store.Erase(c).ok());
  }
  for (uint64_t n = quiet ? 0 : r.Below(r.OneIn(10) ? 200 : 20); n > 0; --n) {
    *clock += static_cast<int64_t>(r.Below(50));  // so that a block expires in parts
    store.Remember({r.Below(500), At(*clock), n, static_cast<int16_t>(n % 100), 7});
  }
  store.ForgetSeenBefore(At(*clock - 4'000));
  ++progress.steps;
  progress.clock = At(*clock);
  store.SetProgress(std::move(progress));
}

std::vector<std::pair<int64_t, uint64_t>> DueOrder(PartitionStore& store) {
  // Drains the due index in a step that is dropped.
  std::vector<std::pair<int64_t, uint64_t>> order;
  while (auto due = store.NextDue()) {
    order.emplace_back(ToUnixMillis(due->at), due->id.sequence);
    Case* c = MustFind(store, due->id.sequence);
    REQUIRE(c != nullptr);
    REQUIRE(c->next_due == due->at);
    c->next_due = {};
    store.MarkChanged(c);
  }
  store.Discard();
  return order;
}

std::vector<bool> SeenAnswers(PartitionStore& store) {
  std::vector<bool> seen;
  for (uint64_t hash = 0; hash < 500; ++hash) seen.push_back(store.FindSeen(hash) != nullptr);
  return seen;
}

TEST_CASE("store: staged changes are visible at once, durable after the commit") {
  auto store = OpenStore(Memory(), "/state/0");
  CHECK(store->position() == -1);
  CHECK(MustFind(*store, 1) == nullptr);
  Case* c = store->Insert(MakeCase(1, "k1"));
  CHECK(MustFind(*store, 1) == c);
  CHECK(MustFindKey(*store, "k1") == c);
  store->PutEvidenceRaw({0, 1}, 2, "raw bytes");
  store->Remember({99, At(5), 1, 50, 3});
  CHECK(Dump(*store).empty());

  auto staged = store->StagedRecords();
  REQUIRE(staged.ok());
  REQUIRE(staged->size() == 5);
  CHECK((*staged)[0].key == CaseKey(1));
  CHECK((*staged)[1].key == SeenBlockKey(1));
  CHECK((*staged)[2].key == EvidenceKey(1, 2));
  CHECK((*staged)[3].key == KeyIndexKey("k1"));
  CHECK((*staged)[4].key == kProgressKey);
  REQUIRE(store->Commit(41).ok());
  CHECK(store->position() == 41);
  CHECK(Dump(*store) == *staged);
  CHECK(store->Stats().cases == 1);
  auto raw = store->GetEvidenceRaw({0, 1}, 2);
  REQUIRE(raw.ok());
  CHECK(*raw == "raw bytes");
  auto none = store->GetEvidenceRaw({0, 1}, 3);
  REQUIRE(none.ok());
  CHECK_FALSE(none->has_value());
}

TEST_CASE("store: an idle step stages nothing") {
  auto store = OpenStore(Memory(), "/state/0");
  store->ForgetSeenBefore(At(1000));
  auto staged = store->StagedRecords();
  REQUIRE(staged.ok());
  CHECK(staged->empty());
  REQUIRE(store->Commit(-1).ok());
  CHECK(store->position() == -1);
}

TEST_CASE("store: discard restores cases, due times, dedup, evidence and progress") {
  auto store = OpenStore(Memory(), "/state/0");
  store->Insert(MakeCase(1, "k1", 500));
  store->Remember({7, At(10), 1, 50, 0});
  Progress progress;
  progress.steps = 1;
  store->SetProgress(progress);
  REQUIRE(store->Commit(0).ok());
  const auto before = Dump(*store);

  Case* c = MustFind(*store, 1);
  c->alert_count = 77;  // without MarkChanged, as an error in mid-step leaves it
  Case* changed = MustFindKey(*store, "k1");
  changed->next_due = At(100);
  store->MarkChanged(changed);
  store->Insert(MakeCase(2, "k1", 50));
  CHECK(MustFindKey(*store, "k1")->id.sequence == 2);
  store->PutEvidenceRaw({0, 1}, 0, "dropped");
  store->Remember({7, At(20), 2, 90, 0});
  store->Remember({8, At(20), 2, 90, 0});
  store->ForgetSeenBefore(At(15));
  progress.steps = 2;
  store->SetProgress(progress);
  CHECK(store->NextDue()->id.sequence == 2);
  REQUIRE(store->StagedRecords().ok());
  store->Discard();

  CHECK(store->NextDue()->at == At(500));
  CHECK(MustFind(*store, 1)->alert_count == 0);
  CHECK(MustFind(*store, 2) == nullptr);
  CHECK(MustFindKey(*store, "k1")->id.sequence == 1);
  REQUIRE(store->FindSeen(7) != nullptr);
  CHECK(*store->FindSeen(7) == SeenEntry{7, At(10), 1, 50, 0});
  CHECK(store->FindSeen(8) == nullptr);
  CHECK(store->progress().steps == 1);
  CHECK_FALSE(store->GetEvidenceRaw({0, 1}, 0)->has_value());
  auto staged = store->StagedRecords();
  REQUIRE(staged.ok());
  CHECK(staged->empty());
  CHECK(Dump(*store) == before);
}

TEST_CASE("store: a case changed many times in a step is staged once, key index only on insert") {
  auto store = OpenStore(Memory(), "/state/0");
  Case* c = store->Insert(MakeCase(1, "k1"));
  for (int i = 0; i < 1000; ++i) {
    ++c->alert_count;
    store->MarkChanged(c);
  }
  REQUIRE(store->Commit(0).ok());
  c = MustFind(*store, 1);
  ++c->alert_count;
  store->MarkChanged(c);
  auto staged = store->StagedRecords();
  REQUIRE(staged.ok());
  REQUIRE(staged->size() == 2);
  CHECK((*staged)[0].key == CaseKey(1));
  CHECK(DecodeCase(*(*staged)[0].value)->alert_count == 1001);
  CHECK((*staged)[1].key == kProgressKey);
}

TEST_CASE("store: changes after StagedRecords are not lost") {
  auto store = OpenStore(Memory(), "/state/0");
  store->Insert(MakeCase(1, "k1"));
  REQUIRE(store->StagedRecords().ok());
  store->Insert(MakeCase(2, "k2"));
  REQUIRE(store->Commit(0).ok());
  CHECK(Dump(*store).size() == 5);
}

TEST_CASE("store: the newest case of a key wins, also when the older one is met by id") {
  StoreOptions options;
  options.case_cache_entries = 0;  // everything is read again in each step
  auto store = OpenStore(Memory(options), "/state/0");
  store->Insert(MakeCase(1, "k1"));
  REQUIRE(store->Commit(0).ok());
  store->Insert(MakeCase(2, "k1"));
  REQUIRE(store->Commit(1).ok());
  CHECK(MustFind(*store, 1)->id.sequence == 1);
  CHECK(MustFindKey(*store, "k1")->id.sequence == 2);
  REQUIRE(store->Commit(-1).ok());
  CHECK(store->position() == 1);
  CHECK(MustFindKey(*store, "k1")->id.sequence == 2);
  CHECK(MustFindKey(*store, "k") == nullptr);
  CHECK(MustFindKey(*store, "") == nullptr);
}

TEST_CASE("store: dedup blocks are deleted when all their ids have expired") {
  auto store = OpenStore(Memory(), "/state/0");
  for (uint64_t step = 1; step <= 3; ++step) {
    store->Remember({step, At(static_cast<int64_t>(step * 1000)), 0, -1, 0});
    REQUIRE(store->Commit(static_cast<int64_t>(step)).ok());
  }
  store->ForgetSeenBefore(At(2500));
  auto staged = store->StagedRecords();
  REQUIRE(staged.ok());
  REQUIRE(staged->size() == 3);
  CHECK((*staged)[0] == StateRecord{SeenBlockKey(1), std::nullopt});
  CHECK((*staged)[1] == StateRecord{SeenBlockKey(2), std::nullopt});
  CHECK((*staged)[2].key == kProgressKey);
  REQUIRE(store->Commit(10).ok());
  REQUIRE(Dump(*store).size() == 2);
  CHECK(Dump(*store)[0].key == SeenBlockKey(3));
  CHECK(store->Stats().dedup_entries == 1);

  // The limit deletes blocks too, and is counted.
  StoreOptions options;
  options.dedup_max_entries = 2;
  auto small = OpenStore(Memory(options), "/state/0");
  for (uint64_t step = 1; step <= 5; ++step) {
    small->Remember({step, At(1000), 0, -1, 0});
    REQUIRE(small->Commit(static_cast<int64_t>(step)).ok());
  }
  CHECK(small->FindSeen(3) == nullptr);
  CHECK(small->FindSeen(4) != nullptr);
  CHECK(small->Stats().dedup_entries == 2);
  CHECK(small->Stats().dedup_shrunk == 3);
}

TEST_CASE("store: deadlines come in the order of time, then case") {
  Random r(11);
  auto resources = Memory();
  auto store = OpenStore(resources, "/state/0");
  std::vector<std::pair<int64_t, uint64_t>> expected;
  for (uint64_t id = 1; id <= 3000; ++id) {
    const auto due = static_cast<int64_t>(r.Below(400));  // 0: none
    store->Insert(MakeCase(id, "k" + std::to_string(id), due));
    if (due != 0) expected.emplace_back(due, id);
  }
  std::sort(expected.begin(), expected.end());
  REQUIRE(store->Commit(0).ok());
  CHECK(DueOrder(*store) == expected);
  CHECK(DueOrder(*store) == expected);  // the drain was discarded
  REQUIRE(store->FinishRestore().ok());
  CHECK(DueOrder(*store) == expected);
}

TEST_CASE("store: every case is visited once, in id order, staged ones included") {
  StoreOptions options;
  options.case_cache_entries = 3;
  auto store = OpenStore(Memory(options), "/state/0");
  for (uint64_t id : {2, 4, 6, 8, 10}) store->Insert(MakeCase(id, "k" + std::to_string(id)));
  REQUIRE(store->Commit(0).ok());
  store->Insert(MakeCase(1, "k1"));
  store->Insert(MakeCase(12, "k12"));
  Case* changed = MustFind(*store, 6);
  changed->alert_count = 5;
  store->MarkChanged(changed);

  struct Collect : CaseStore::Visitor {
    size_t limit = 100;
    std::vector<std::pair<uint64_t, uint64_t>> got;
    bool Visit(const Case& c) override {
      got.emplace_back(c.id.sequence, c.alert_count);
      return got.size() < limit;
    }
  };
  Collect all;
  REQUIRE(store->ForEachCase(&all).ok());
  using Pairs = std::vector<std::pair<uint64_t, uint64_t>>;
  CHECK(all.got == Pairs{{1, 0}, {2, 0}, {4, 0}, {6, 5}, {8, 0}, {10, 0}, {12, 0}});
  Collect some;
  some.limit = 2;
  REQUIRE(store->ForEachCase(&some).ok());
  CHECK(some.got == Pairs{{1, 0}, {2, 0}});
}

TEST_CASE("store: restoring from the changelog gives the same bytes and the same behaviour") {
  const uint64_t seed = std::random_device()();
  CAPTURE(seed);
  Random r(seed);
  StoreOptions options;
  options.case_cache_entries = 10;
  options.dedup_max_entries = 150;
  auto resources = Memory(options);
  auto live = OpenStore(resources, "/live/0");
  Changelog log;
  int64_t clock = 1'000'000;
  // The store restored last takes every further step as well, and must not tell itself from the one that never stopped.
  auto shadow = OpenStore(resources, "/shadow/0");
  for (int step = 0; step < 300; ++step) {
    Random same = r;
    int64_t same_clock = clock;
    RandomStep(r, *live, &clock);
    RandomStep(same, *shadow, &same_clock);
    if (r.OneIn(5)) {
      live->Discard();
      shadow->Discard();
      continue;
    }
    auto staged = shadow->StagedRecords();
    REQUIRE(staged.ok());
    const size_t before = log.records.size();
    const int64_t position = log.Append(*live);
    REQUIRE(std::equal(staged->begin(), staged->end(), log.records.begin() + static_cast<ptrdiff_t>(before),
                       log.records.end()));
    REQUIRE(live->Commit(position).ok());
    REQUIRE(shadow->Commit(position).ok());
    if (!r.OneIn(4)) continue;
    auto restored = OpenStore(resources, "/restored/" + std::to_string(step));
    log.Replay(*restored, 1 + r.Below(50));
    REQUIRE(restored->position() == live->position());
    REQUIRE(Dump(*restored) == Dump(*live));
    REQUIRE(restored->progress() == live->progress());
    REQUIRE(DueOrder(*restored) == DueOrder(*live));
    REQUIRE(SeenAnswers(*restored) == SeenAnswers(*live));
    REQUIRE(restored->Stats().cases == live->Stats().cases);
    REQUIRE(restored->Stats().standings == live->Stats().standings);
    shadow = std::move(restored);
  }
}

TEST_CASE("store: a crash loses a suffix, and the changelog's tail brings it back") {
  const uint64_t seed = std::random_device()();
  CAPTURE(seed);
  Random r(seed);
  TempDirectory temp;
  auto resources = SharedStoreResources::Make({});
  auto live = OpenStore(resources, temp / "live");
  Changelog log;
  int64_t clock = 1'000'000;
  int64_t flushed = -1;
  for (int step = 0; step < 60; ++step) {
    RandomStep(r, *live, &clock);
    REQUIRE(live->Commit(log.Append(*live)).ok());
    if (step == 40) {
      REQUIRE(live->Flush().ok());
      flushed = live->position();
    }
  }
  // The files as a killed process leaves them: what stood only in memory is missing.
  std::filesystem::copy(temp / "live", temp / "crashed", std::filesystem::copy_options::recursive);
  auto crashed = OpenStore(resources, temp / "crashed");
  CHECK(crashed->position() == flushed);
  std::map<std::string, std::string> prefix;  // the changelog up to there, compacted
  for (int64_t i = 0; i <= flushed; ++i) {
    const StateRecord& record = log.records[static_cast<size_t>(i)];
    if (record.value) {
      prefix[record.key] = *record.value;
    } else {
      prefix.erase(record.key);
    }
  }
  std::vector<StateRecord> expected;
  for (const auto& [key, value] : prefix) expected.push_back({key, value});
  CHECK(Dump(*crashed) == expected);
  log.Replay(*crashed, 7);
  CHECK(Dump(*crashed) == Dump(*live));
  CHECK(DueOrder(*crashed) == DueOrder(*live));

  // An orderly close keeps everything.
  const auto before = Dump(*live);
  const int64_t position = live->position();
  live.reset();
  auto reopened = OpenStore(resources, temp / "live");
  CHECK(reopened->position() == position);
  CHECK(Dump(*reopened) == before);
}

TEST_CASE("store: the directory is private, locked while open, and goes when destroyed") {
  TempDirectory temp;
  auto resources = SharedStoreResources::Make({});
  const std::string directory = temp / "a/b/0";
  {
    auto store = OpenStore(resources, directory);
    struct stat info {};
    REQUIRE(stat(directory.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0700);
    auto second = PartitionStore::Open(resources, 0, directory);
    REQUIRE_FALSE(second.ok());
    CHECK_FALSE(PartitionStore::IsCorruption(second.error()));
    CHECK(second.error().kind == ErrorClass::kEnvironment);
    CHECK(PartitionStore::IsHeld(second.error()));
  }
  auto stranger = PartitionStore::Open(resources, 1, directory);
  REQUIRE_FALSE(stranger.ok());
  CHECK_FALSE(PartitionStore::IsCorruption(stranger.error()));
  CHECK_FALSE(PartitionStore::IsHeld(stranger.error()));
  REQUIRE(PartitionStore::Destroy(resources, directory).ok());
  CHECK_FALSE(std::filesystem::exists(directory));
}

// A closed store with some cases in SST files.
void FillStore(const std::shared_ptr<SharedStoreResources>& resources, const std::string& directory) {
  auto store = OpenStore(resources, directory);
  Random r(3);
  int64_t clock = 1'000'000;
  for (int step = 0; step < 200; ++step) {
    RandomStep(r, *store, &clock);
    REQUIRE(store->Commit(step).ok());
  }
  REQUIRE(store->Flush().ok());
}

std::vector<std::filesystem::path> FilesLike(const std::string& directory, std::string_view part) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().filename().string().find(part) != std::string::npos) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// What opening and reading everything says; empty when nothing is wrong.
std::string FirstError(const std::shared_ptr<SharedStoreResources>& resources, const std::string& directory,
                       bool* corruption) {
  auto store = PartitionStore::Open(resources, 0, directory);
  std::string message;
  if (!store) {
    *corruption = PartitionStore::IsCorruption(store.error());
    return store.error().message;
  }
  if (Status status = (*store)->FinishRestore(); !status) {
    *corruption = PartitionStore::IsCorruption(status.error());
    return status.error().message;
  }
  auto dump = (*store)->Dump();
  if (dump) return "";
  *corruption = PartitionStore::IsCorruption(dump.error());
  return dump.error().message;
}

TEST_CASE("store: damage to its files is reported as corruption, never silent") {
  TempDirectory temp;
  auto resources = SharedStoreResources::Make({});
  const std::string directory = temp / "0";
  FillStore(resources, directory);
  bool corruption = false;
  REQUIRE(FirstError(resources, directory, &corruption) == "");

  const auto file = [&](std::string_view part) {
    auto files = FilesLike(directory, part);
    REQUIRE_FALSE(files.empty());
    return files.back();
  };
  SUBCASE("bytes flipped in an SST file") {
    std::fstream sst(file(".sst"), std::ios::in | std::ios::out | std::ios::binary);
    for (int at = 100; at < 4000; at += 500) {
      sst.seekg(at);
      const char byte = static_cast<char>(sst.get() ^ 0x55);
      sst.seekp(at);
      sst.put(byte);
    }
  }
  SUBCASE("an SST file is missing") { std::filesystem::remove(file(".sst")); }
  SUBCASE("an SST file is cut") { std::filesystem::resize_file(file(".sst"), 1000); }
  SUBCASE("CURRENT is missing") { std::filesystem::remove(file("CURRENT")); }
  SUBCASE("only SST files are left") {
    for (const std::string part : {"CURRENT", "MANIFEST-", ".log"}) {
      for (const auto& path : FilesLike(directory, part)) std::filesystem::remove(path);
    }
  }
  SUBCASE("CURRENT is garbage") { std::ofstream(file("CURRENT")) << "garbage"; }
  SUBCASE("CURRENT is empty") { std::filesystem::resize_file(file("CURRENT"), 0); }
  SUBCASE("MANIFEST is missing") { std::filesystem::remove(file("MANIFEST-")); }
  SUBCASE("MANIFEST is empty") { std::filesystem::resize_file(file("MANIFEST-"), 0); }
  SUBCASE("MANIFEST is garbage") { std::ofstream(file("MANIFEST-")) << std::string(500, 'x'); }
  // Fresh resources: the shared block cache still holds the sound blocks.
  const std::string message = FirstError(SharedStoreResources::Make({}), directory, &corruption);
  CHECK(message != "");
  CHECK_MESSAGE(corruption, message);
}

TEST_CASE("store: a record damaged inside a sound file is corruption too; a newer one is not") {
  auto resources = Memory();
  auto store = OpenStore(resources, "/state/0");
  // Frames are checked on the way in, so a case is made to disagree with its key instead.
  const std::string frame = EncodeCase(MakeCase(5, "k5"));
  REQUIRE(store->ApplyChangelog({{CaseKey(4), frame}}, 0).ok());
  auto found = store->Find({0, 4});
  REQUIRE_FALSE(found.ok());
  CHECK(PartitionStore::IsCorruption(found.error()));
  Status status = store->FinishRestore();
  REQUIRE_FALSE(status.ok());
  CHECK(PartitionStore::IsCorruption(status.error()));
}

TEST_CASE("store: changelog records that are damaged, newer or strange are refused") {
  auto store = OpenStore(Memory(), "/state/0");
  std::string damaged = EncodeKeyIndex(5), newer = EncodeKeyIndex(5);
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  newer[0] = static_cast<char>(kCodecVersion + 1);
  const auto refuse = [&](const StateRecord& record) {
    Status status = store->ApplyChangelog({record}, 1);
    REQUIRE_FALSE(status.ok());
    CHECK_FALSE(PartitionStore::IsCorruption(status.error()));  // the store is sound
    CHECK(IsNewerFormat(status.error()) == (record.value == newer));  // which stops the daemon; the others are tried again
    return status.error().message;
  };
  CHECK(refuse({"k/x", damaged}).find("checksum") != std::string::npos);
  CHECK(refuse({"k/x", newer}).find("upgrade") != std::string::npos);
  CHECK(refuse({CaseKey(1), EncodeKeyIndex(5)}).find("kind") != std::string::npos);
  refuse({std::string(kPositionKey), EncodeNumber(RecordKind::kPosition, 99)});
  refuse({"", std::nullopt});
  CHECK(store->position() == -1);
  CHECK(Dump(*store).empty());
}

TEST_CASE("store: background errors are counted, none at rest") {
  auto store = OpenStore(Memory(), "/state/0");
  CHECK(store->Stats().background_errors == 0);
}

}  // namespace
}  // namespace triaged
