// Backup and restore of a store: the same bytes and position, also of a store in use; damage is always noticed.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "storage/backup.h"
#include "tests/unit/storage_random.h"

namespace triaged {
namespace {

using testing::Random;
using testing::TempDirectory;

std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void Spill(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::unique_ptr<PartitionStore> Filled(const std::shared_ptr<SharedStoreResources>& resources, const std::string& path,
                                       uint64_t cases) {
  auto store = PartitionStore::Open(resources, 3, path);
  REQUIRE(store.ok());
  REQUIRE((*store)->FinishRestore().ok());
  Random r(11);
  for (uint64_t n = 1; n <= cases; ++n) {
    (*store)->Insert(testing::RandomCase(r, {3, n}));
    (*store)->PutEvidenceRaw({3, n}, 0, r.Text(200));
  }
  Progress progress;
  progress.lineage = "here";
  (*store)->SetProgress(progress);
  REQUIRE((*store)->Commit(4711).ok());
  return std::move(*store);
}

TEST_CASE("backup: a store in use is copied as of its last flush, and restored byte for byte") {
  const TempDirectory folder;
  const auto resources = SharedStoreResources::Make({});
  const auto store = Filled(resources, (folder / "3"), 60);
  REQUIRE(store->Flush().ok());
  const auto expected = store->Dump();
  store->Insert(testing::RandomCase(*std::make_unique<Random>(5), {3, 100}));
  REQUIRE(store->Commit(4800).ok());  // not flushed
  const std::string file = (folder / "3.backup");
  const auto written = BackUpStore(resources, (folder / "3"), file);
  REQUIRE_MESSAGE(written.ok(), written.error().message);
  CHECK(written->position == 4711);
  CHECK(written->partition == 3);
  CHECK(written->records == expected->size());
  CHECK((std::filesystem::status(file).permissions() & std::filesystem::perms::others_all) ==
        std::filesystem::perms::none);
  const std::string there = (folder / "restored");
  const auto restored = RestoreStore(resources, file, there);
  REQUIRE_MESSAGE(restored.ok(), restored.error().message);
  auto again = PartitionStore::Open(resources, 3, there);
  REQUIRE(again.ok());
  REQUIRE((*again)->FinishRestore().ok());
  CHECK((*again)->position() == 4711);
  CHECK(*(*again)->Dump() == *expected);
  CHECK((*again)->progress().lineage == "here");
  CHECK_FALSE(RestoreStore(resources, file, there).ok());  // something is there
  CHECK_FALSE(std::filesystem::exists(there + ".restoring"));
}

TEST_CASE("backup: every damaged byte, every cut and a newer format are noticed, and nothing is written") {
  const TempDirectory folder;
  const auto resources = SharedStoreResources::Make({});
  {
    const auto store = Filled(resources, (folder / "3"), 3);
    REQUIRE(store->Flush().ok());
  }
  const std::string file = (folder / "b"), there = (folder / "there");
  REQUIRE(BackUpStore(resources, (folder / "3"), file).ok());
  const std::string sound = Slurp(file);
  REQUIRE(VerifyBackup(file).ok());
  const size_t header = sound.find('\n') + 1;
  for (size_t at = header; at < sound.size(); at += 7) {
    std::string damaged = sound;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    Spill(file, damaged);
    CHECK_MESSAGE(!VerifyBackup(file).ok(), "byte ", at);
  }
  for (size_t size = 0; size < sound.size(); size += 31) {
    Spill(file, sound.substr(0, size));
    CHECK_MESSAGE(!VerifyBackup(file).ok(), "cut at ", size);
  }
  Spill(file, sound + "x");
  CHECK_FALSE(VerifyBackup(file).ok());
  Spill(file, "triaged-backup 9" + sound.substr(std::string("triaged-backup 1").size()));
  const auto newer = RestoreStore(resources, file, there);
  REQUIRE_FALSE(newer.ok());
  CHECK(newer.error().message.find("newer release") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(there));
}

TEST_CASE("backup: what is no store is told as it is") {
  const TempDirectory folder;
  const auto none = BackUpStore(SharedStoreResources::Make({}), (folder / "none"), (folder / "b"));
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().message.find("/none") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists((folder / "b")));
  CHECK_FALSE(std::filesystem::exists((folder / "none")));
}

}  // namespace
}  // namespace triaged
