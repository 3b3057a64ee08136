#include "daemon/notify/memory.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/notify_test_util.h"
#include "tests/unit/storage_random.h"

namespace triaged {
namespace {

using testing::TempDirectory;

const Timestamp kNow = FromUnixMillis(1'772'438'400'000);

using std::chrono::hours;

std::unique_ptr<RocksNotifyMemory> Open(const std::string& path, const NotifyConfig& config = {},
                                        Timestamp now = kNow) {
  auto memory = RocksNotifyMemory::Open(path, KeepOf(config), now);
  REQUIRE_MESSAGE(memory, (memory ? "" : memory.error().message));
  return std::move(*memory);
}

NotifyItem Item(int number, NotifyAction action = NotifyAction::kTrigger) {
  NotifyEvent event = *MakeEvent(number, 1, "escalated", kNow);
  return {std::make_shared<const NotifyEvent>(std::move(event)), action, {}, {}, {}};
}

// Every table file of the store holds other bytes from now on.
void Damage(const std::filesystem::path& folder) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".sst") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file << std::string(64, 'x');
    ++files;
  }
  REQUIRE(files > 0);
}

TEST_CASE("notify memory: what was delivered, told and answered outlives the process") {
  const TempDirectory folder;
  {
    const auto memory = Open(folder / "m");
    memory->SetDelivered("a", {Item(1), Item(2)}, kNow);
    memory->SetAnswered("triaged:0-1:1", "7", kNow);
    memory->SetDelivered("a", {Item(2, NotifyAction::kResolve)}, kNow);
  }
  const auto memory = Open(folder / "m");
  CHECK(memory->Delivered("a", Item(1).event->id));
  CHECK_FALSE(memory->Delivered("b", Item(1).event->id));
  CHECK(memory->Told("a", "triaged:0-1:1") == RememberAs(*Item(1).event, ""));
  CHECK(memory->Told("a", "triaged:0-2:1").empty());
  CHECK(memory->Answered("triaged:0-1:1") == "7");
  CHECK(memory->Answered("triaged:0-9:1").empty());
  CHECK_FALSE(memory->failed());  // that nothing is there is no failure
}

TEST_CASE("notify memory: every level that was told is known until the case is resolved") {
  const auto at = [](int number, const std::string& level) {
    NotifyItem item = Item(number);
    NotifyEvent event = *item.event;
    event.level = level;
    event.id += level;
    item.event = std::make_shared<const NotifyEvent>(std::move(event));
    return item;
  };
  const TempDirectory folder;
  const auto memory = Open(folder / "m");
  memory->SetDelivered("a", {at(1, "L1"), at(2, "L1")}, kNow);
  memory->SetDelivered("a", {at(1, "L2"), at(1, "L3")}, kNow);
  CHECK(memory->Told("a", "triaged:0-1:1") == "high\nL3\nl2\nL2\nL1");
  CHECK(memory->Told("a", "triaged:0-2:1") == "high\nL1\nl2");
  memory->SetDelivered("a", {Item(1, NotifyAction::kResolve), at(1, "L1")}, kNow);
  CHECK(memory->Told("a", "triaged:0-1:1") == "high\nL1\nl2");
}

TEST_CASE("notify memory: an answer is kept while links live, what was told until the case is resolved") {
  NotifyConfig config;
  config.max_age = hours(24);
  config.acknowledge.emplace();
  config.acknowledge->lifetime = hours(24 * 30);
  const TempDirectory folder;
  {
    const auto memory = Open(folder / "m", config);
    memory->SetDelivered("a", {Item(1)}, kNow);
    memory->SetAnswered("triaged:0-1:1", "7", kNow);
    REQUIRE(memory->Forget(kNow + hours(47)));
    CHECK(memory->Delivered("a", Item(1).event->id));
    REQUIRE(memory->Forget(kNow + hours(49)));
    CHECK_FALSE(memory->Delivered("a", Item(1).event->id));
    CHECK(memory->Answered("triaged:0-1:1") == "7");
    CHECK_FALSE(memory->Told("a", "triaged:0-1:1").empty());
    REQUIRE(memory->Forget(kNow + config.acknowledge->lifetime));
    CHECK(memory->Answered("triaged:0-1:1") == "7");
    REQUIRE(memory->Forget(kNow + hours(24 * 32)));
    CHECK(memory->Answered("triaged:0-1:1").empty());
  }
  CHECK_FALSE(Open(folder / "m", config, kNow + hours(24 * 89))->Told("a", "triaged:0-1:1").empty());
  CHECK(Open(folder / "m", config, kNow + hours(24 * 91))->Told("a", "triaged:0-1:1").empty());  // the bound
}

TEST_CASE("notify memory: what cannot be read is a failure, and not the same as nothing") {
  for (const int question : {0, 1, 2}) {
    const TempDirectory folder;
    {
      const auto memory = Open(folder / "m");
      memory->SetDelivered("a", {Item(1)}, kNow);
      memory->SetAnswered("triaged:0-1:1", "7", kNow);
    }
    const auto memory = Open(folder / "m");  // writes the log out as a table
    Damage(folder / "m");
    if (question == 0) (void)memory->Delivered("a", Item(1).event->id);
    if (question == 1) (void)memory->Told("a", "triaged:0-1:1");
    if (question == 2) (void)memory->Answered("triaged:0-1:1");
    CHECK_MESSAGE(memory->failed(), question);
  }
}

}  // namespace
}  // namespace triaged
