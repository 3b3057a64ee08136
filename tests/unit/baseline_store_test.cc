// The baseline in a partition's store: its codec, and that restores, crashes, discards and the size of steps change
// nothing of what it answers or writes.
#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "pipeline/baseline/table.h"
#include "storage/codec.h"
#include "storage/frame.h"
#include "storage/keys.h"
#include "storage/partition_store.h"
#include "tests/sim/sim_random.h"

namespace triaged {
namespace {

using sim::Random;

constexpr Timestamp kStart = FromUnixMillis(1'772'438'400'000);

std::shared_ptr<SharedStoreResources> Memory() {
  StoreOptions options;
  options.in_memory = true;
  return SharedStoreResources::Make(options);
}

std::unique_ptr<PartitionStore> Open(const std::shared_ptr<SharedStoreResources>& resources, const std::string& name) {
  auto store = PartitionStore::Open(resources, 0, name);
  REQUIRE(store.ok());
  REQUIRE((*store)->FinishRestore().ok());
  return std::move(*store);
}

struct Sighting {
  BaselineSubject subject;
  Timestamp at;
};

// Few busy entities and a long tail, times that mostly go on, now and then a week later.
std::vector<Sighting> MakeSightings(uint64_t seed, size_t count) {
  Random random(seed);
  std::vector<Sighting> sightings;
  Timestamp now = kStart;
  const auto pick = [&](uint64_t busy, uint64_t all) { return 1 + random.Below(random.PerMillion(700'000) ? busy : all); };
  for (size_t i = 0; i < count; ++i) {
    now += Duration(random.Below(120'000));
    if (random.PerMillion(300)) now += std::chrono::hours(24 * 8);
    Sighting one{{pick(20, 400), pick(30, 900), pick(10, 500), pick(10, 2000)}, now - Duration(random.Below(7'200'000))};
    if (random.PerMillion(100'000)) one.subject.host = 0;
    if (random.PerMillion(200'000)) one.subject.user = 0;
    sightings.push_back(one);
  }
  return sightings;
}

const BaselineSettings kSettings{2000, std::chrono::hours(24), std::chrono::hours(12), std::chrono::hours(24 * 7)};

std::string Text(const BaselineView& v) {
  std::string text = std::to_string(v.age) + (v.ready ? " ready" : "");
  for (const auto& flag : {v.new_rule, v.new_rule_on_host, v.new_rule_of_user, v.new_host, v.new_user, v.new_source,
                           v.new_user_on_host, v.new_source_on_host}) {
    text += flag ? (*flag ? " new" : " known") : " -";
  }
  for (const auto& number : {v.rule_age, v.rule_on_host_age, v.host_age, v.hosts_of_rule, v.rules_of_host}) {
    text += ' ' + (number ? std::to_string(*number) : "-");
  }
  for (const auto& rate : {v.rule_rate, v.host_rate}) {
    text += ' ' + (rate ? std::to_string(rate->last_hour) : "-");
    text += rate && rate->percent ? '/' + std::to_string(*rate->percent) : "/-";
  }
  return text;
}

// One step over the sightings [begin, end): what each was told, and the step's records, which are appended to `log`.
void Step(PartitionStore* store, const std::vector<Sighting>& sightings, size_t begin, size_t end,
          std::vector<std::string>* told, std::vector<StateRecord>* log) {
  const HourlyDecay decay(24);
  for (size_t i = begin; i < end; ++i) {
    told->push_back(Text(store->baseline().Observe(kSettings, decay, sightings[i].subject, sightings[i].at)));
  }
  auto staged = store->StagedRecords();
  REQUIRE(staged.ok());
  log->insert(log->end(), staged->begin(), staged->end());
  REQUIRE(store->Commit(static_cast<int64_t>(log->size()) - 1).ok());
}

std::vector<StateRecord> Dump(PartitionStore* store) {
  auto dump = store->Dump();
  REQUIRE(dump.ok());
  return std::move(*dump);
}

}  // namespace

TEST_CASE("a baseline block keeps what its entries have, and refuses what none can") {
  Random random(1);
  BaselineBlock block{{12345, 17, 29'540'640, 492'344}, {}};
  for (uint8_t kind = 1; kind <= kBaselineKinds; ++kind) {
    BaselineEntry entry;
    entry.key = {static_cast<BaselineKind>(kind), random.Next(), 0};
    entry.touched = 1 + random.Below(1'000'000);
    entry.first_minute = static_cast<uint32_t>(random.Next());
    entry.hour = static_cast<uint32_t>(random.Next());
    block.entries.push_back(entry);
  }
  for (size_t i : {1, 2, 6, 7}) block.entries[i].key.second = random.Next();
  for (size_t i : {0, 1, 3}) {
    block.entries[i].mean = random.Below(uint64_t{1} << 52);
    block.entries[i].count = UINT32_MAX;
    block.entries[i].previous = 7;
  }
  block.entries[0].members = 12;
  block.entries[0].recent = {1, 2, 3, 4, 5, 6, 7, UINT16_MAX};
  block.entries[3].recent = {0, 0, 9, 0, 0, 0, 0, 1};
  const std::string frame = EncodeBaselineBlock(block);
  const auto back = DecodeBaselineBlock(frame);
  REQUIRE(back.ok());
  CHECK(*back == block);
  for (size_t cut = 0; cut < frame.size(); ++cut) CHECK_FALSE(DecodeBaselineBlock(frame.substr(0, cut)).ok());
  for (size_t at = 0; at < frame.size(); ++at) {
    std::string damaged = frame;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    CHECK_FALSE(DecodeBaselineBlock(damaged).ok());
  }
  std::string wrong = BeginFrame(RecordKind::kBaseline, 16);
  wrong += std::string("\x01\x01\x00\x00\x01", 5) + '\x09' + std::string(20, '\0');  // an entry of kind 9
  EndFrame(&wrong);
  CHECK_FALSE(DecodeBaselineBlock(wrong).ok());
}

TEST_CASE("baseline: restores and crashes change neither the answers nor the bytes") {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    const auto sightings = MakeSightings(seed, 12'000);
    const auto resources = Memory();
    auto steady = Open(resources, "/steady");
    auto shaken = Open(resources, "/shaken");
    std::vector<std::string> told, told_shaken;
    std::vector<StateRecord> log, log_shaken;
    Random random(seed + 100);
    int restores = 0;
    for (size_t at = 0; at < sightings.size();) {
      const size_t end = std::min(sightings.size(), at + 1 + random.Below(400));
      Step(steady.get(), sightings, at, end, &told, &log);
      if (random.Below(6) == 0) {
        // A step that comes to nothing: what it changed is undone.
        std::vector<std::string> ignored;
        for (size_t i = at; i < end; ++i) {
          (void)shaken->baseline().Observe(kSettings, HourlyDecay(24), sightings[i].subject, sightings[i].at);
        }
        if (random.Below(2) == 0) REQUIRE(shaken->StagedRecords().ok());
        shaken->Discard();
      }
      if (random.Below(6) == 0) {
        const std::string name = "/shaken" + std::to_string(++restores);
        auto fresh = Open(resources, name);
        REQUIRE(fresh->ApplyChangelog(log_shaken, static_cast<int64_t>(log_shaken.size()) - 1).ok());
        REQUIRE(fresh->FinishRestore().ok());
        shaken = std::move(fresh);
      }
      Step(shaken.get(), sightings, at, end, &told_shaken, &log_shaken);
      at = end;
    }
    CHECK(restores > 3);
    CHECK(told == told_shaken);
    CHECK(log == log_shaken);
    CHECK(Dump(steady.get()) == Dump(shaken.get()));
    CHECK(steady->Stats().baseline_entries == shaken->Stats().baseline_entries);
    CHECK(steady->Stats().baseline_entries <= kSettings.keys);
    CHECK(steady->Stats().baseline_evicted > 0);
  }
}

TEST_CASE("baseline: the answers do not depend on how alerts are put into steps") {
  const auto sightings = MakeSightings(7, 6000);
  const auto resources = Memory();
  std::vector<std::vector<std::string>> told(2);
  size_t run = 0;
  for (const size_t step : {1, 997}) {
    auto store = Open(resources, "/steps" + std::to_string(step));
    std::vector<StateRecord> log;
    for (size_t at = 0; at < sightings.size(); at += step) {
      Step(store.get(), sightings, at, std::min(sightings.size(), at + step), &told[run], &log);
    }
    ++run;
  }
  CHECK(told[0] == told[1]);
}

TEST_CASE("baseline: one record a step, and what stands in the store is bounded") {
  const auto sightings = MakeSightings(8, 60'000);
  const auto resources = Memory();
  auto store = Open(resources, "/bounded");
  std::vector<std::string> told;
  std::vector<StateRecord> log;
  for (size_t at = 0; at < sightings.size(); at += 100) {
    const size_t before = log.size();
    Step(store.get(), sightings, at, at + 100, &told, &log);
    size_t written = 0;
    for (size_t i = before; i < log.size(); ++i) written += log[i].key.starts_with(kBaselinePrefix) && log[i].value;
    REQUIRE(written == 1);
    if (at % 5000 != 0) continue;
    size_t entries = 0;
    for (const StateRecord& record : Dump(store.get())) {
      if (!record.key.starts_with(kBaselinePrefix)) continue;
      const auto block = DecodeBaselineBlock(*record.value);
      REQUIRE(block.ok());
      entries += block->entries.size();
    }
    CHECK(entries <= 2 * store->Stats().baseline_entries + 4096 + 2 * 8 * 100);
  }
}

}  // namespace triaged
