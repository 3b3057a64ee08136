// The store's in-memory parts: due index, dedup table, case cache. Each against a simple model.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "pipeline/base/hash.h"
#include "storage/case_cache.h"
#include "storage/codec.h"
#include "storage/due_index.h"
#include "storage/seen_table.h"
#include "tests/unit/storage_random.h"

namespace triaged {
namespace {

using testing::Random;

Timestamp At(int64_t ms) { return FromUnixMillis(ms); }

uint64_t Seed() {
  static const uint64_t seed = std::random_device()();
  return seed;
}

TEST_CASE("due index: agrees with an ordered set over random inserts and erases") {
  CAPTURE(Seed());
  Random r(Seed());
  for (int round = 0; round < 4; ++round) {
    DueIndex index;
    std::set<DueIndex::Item> model;
    std::vector<DueIndex::Item> start;
    for (uint64_t i = r.Below(3000); i > 0; --i) {
      const DueIndex::Item item{At(static_cast<int64_t>(r.Below(1000))), i};
      start.push_back(item);
      model.insert(item);
    }
    index.Rebuild(start);
    for (int i = 0; i < 20'000; ++i) {
      const bool grow = i < 10'000 ? !r.OneIn(3) : r.OneIn(3);
      if (grow) {
        const DueIndex::Item item{At(static_cast<int64_t>(r.Below(1000))), r.Below(1'000'000)};
        if (model.insert(item).second) index.Insert(item);
      } else if (!model.empty()) {
        auto victim = r.OneIn(2) ? model.begin() : model.lower_bound({At(static_cast<int64_t>(r.Below(1000))), 0});
        if (victim == model.end()) victim = std::prev(victim);
        index.Erase(*victim);
        model.erase(victim);
      }
      REQUIRE(index.size() == model.size());
      REQUIRE(index.First().has_value() == !model.empty());
      if (!model.empty()) REQUIRE(*index.First() == *model.begin());
    }
    while (!model.empty()) {
      REQUIRE(*index.First() == *model.begin());
      index.Erase(*model.begin());
      model.erase(model.begin());
    }
    REQUIRE_FALSE(index.First().has_value());
  }
}

TEST_CASE("due index: a million deadlines take at most 32 bytes each") {
  DueIndex index;
  for (uint64_t i = 0; i < 1'000'000; ++i) index.Insert({At(static_cast<int64_t>(i * 7919 % 1'000'003)), i});
  CHECK(index.bytes() <= 32'000'000);
}

// The dedup table as the contract says it, slowly: the ring, and the newest entry per hash that is still in it.
struct SeenModel {
  size_t limit;
  std::deque<SeenEntry> ring;
  Timestamp horizon{};

  void Remember(const SeenEntry& entry) {
    ring.push_back(entry);
    while (ring.size() > limit) ring.pop_front();
  }
  void ForgetBefore(Timestamp t) {
    horizon = std::max(horizon, t);
    while (!ring.empty() && ring.front().at < horizon) ring.pop_front();
  }
  std::map<uint64_t, SeenEntry> Visible() const {
    std::map<uint64_t, SeenEntry> newest;
    for (const SeenEntry& entry : ring) newest[entry.id_hash] = entry;
    std::erase_if(newest, [&](const auto& item) { return item.second.at < horizon; });
    return newest;
  }
};

void RequireSame(SeenTable& table, const SeenModel& model, const std::vector<uint64_t>& hashes) {
  const auto visible = model.Visible();
  for (uint64_t hash : hashes) {
    const auto expected = visible.find(hash);
    const SeenEntry* found = table.Find(hash);
    const bool same =
        found == nullptr ? expected == visible.end() : expected != visible.end() && *found == expected->second;
    if (!same) FAIL_CHECK("hash " << hash << " differs");
  }
}

TEST_CASE("dedup: agrees with a model through commits, discards and restores") {
  CAPTURE(Seed());
  Random r(Seed());
  for (int round = 0; round < 12; ++round) {
    const size_t limit = round % 3 == 0 ? 20 : round % 3 == 1 ? 700 : 100'000;
    const uint64_t span = round % 2 == 0 ? 300 : 20'000;
    auto table = std::make_unique<SeenTable>(limit);
    SeenModel model{limit, {}, {}};
    std::map<uint64_t, std::vector<SeenEntry>> stored;
    // Many hashes share their low half, and so their place in the index.
    std::vector<uint64_t> hashes;
    for (uint64_t i = 0; i < span; ++i) hashes.push_back(r.OneIn(2) ? r.Bits() : r.Bits() << 32 | (i % 4));
    int64_t clock = 1'000'000;
    for (int step = 0; step < 150; ++step) {
      SeenModel staged = model;
      // Now and then the clock leaps beyond what a packed entry can hold.
      clock += static_cast<int64_t>(r.OneIn(40) ? uint64_t{1} << 33 : r.Below(500));
      if (r.OneIn(2)) {
        const Timestamp before = At(clock - static_cast<int64_t>(r.Below(20'000)));
        staged.ForgetBefore(before);
        table->ForgetBefore(before);
      }
      for (uint64_t n = r.Below(r.OneIn(10) ? 6000 : 40); n > 0; --n) {
        const SeenEntry entry{hashes[r.Below(span)], At(clock + static_cast<int64_t>(n % 3)), r.Number(),
                              static_cast<int16_t>(r.Signed()), static_cast<uint16_t>(r.Bits())};
        staged.Remember(entry);
        table->Remember(entry);
      }
      if (r.OneIn(10)) RequireSame(*table, staged, hashes);
      if (r.OneIn(4)) {
        table->Discard();
        if (r.OneIn(5)) RequireSame(*table, model, hashes);
        continue;
      }
      for (uint64_t block : table->ExpiredBlocks()) REQUIRE(stored.erase(block) == 1);
      uint64_t number = table->next_block();
      for (auto& block : table->StagedBlocks()) REQUIRE(stored.emplace(number++, std::move(block)).second);
      table->Commit(true);
      REQUIRE(table->next_block() == number);
      model = std::move(staged);
      if (r.OneIn(30)) {
        auto restored = std::make_unique<SeenTable>(limit);
        for (const auto& [block, entries] : stored) restored->RestoreBlock(block, entries);
        restored->FinishRestore(table->horizon(), table->next_block());
        REQUIRE(restored->size() == table->size());
        REQUIRE(restored->ExpiredBlocks() == table->ExpiredBlocks());
        table = std::move(restored);
        RequireSame(*table, model, hashes);
      }
    }
    RequireSame(*table, model, hashes);
  }
}

TEST_CASE("dedup: expiry forgets and deletes blocks; the limit forgets and counts") {
  SeenTable table(100);
  for (uint64_t step = 1; step <= 5; ++step) {
    for (uint64_t i = 0; i < 10; ++i) table.Remember({step * 100 + i, At(static_cast<int64_t>(step * 1000)), 0, -1, 0});
    CHECK(table.StagedBlocks().size() == 1);
    table.Commit(true);
  }
  CHECK(table.next_block() == 6);
  table.ForgetBefore(At(3000));
  CHECK(table.Find(209) == nullptr);
  CHECK(table.Find(300) != nullptr);
  CHECK(table.ExpiredBlocks() == std::vector<uint64_t>{1, 2});
  table.Commit(true);
  CHECK(table.ExpiredBlocks().empty());
  CHECK(table.size() == 30);
  CHECK(table.shrunk() == 0);

  for (uint64_t i = 0; i < 85; ++i) table.Remember({1000 + i, At(6000), 0, -1, 0});
  CHECK(table.size() == 100);
  CHECK(table.shrunk() == 15);
  CHECK(table.Find(309) == nullptr);
  CHECK(table.Find(404) == nullptr);
  CHECK(table.Find(405) != nullptr);
  table.Discard();
  CHECK(table.shrunk() == 0);
  CHECK(table.Find(300) != nullptr);
}

TEST_CASE("dedup: the horizon of a step that wrote no progress does not outlive it") {
  SeenTable table(100);
  table.Remember({1, At(5000), 0, -1, 0});
  table.Commit(true);
  table.ForgetBefore(At(4000));
  table.Commit(false);
  table.Remember({2, At(3000), 0, -1, 0});
  CHECK(table.Find(2) != nullptr);
  table.ForgetBefore(At(4000));
  CHECK(table.Find(2) == nullptr);
  table.Discard();
  CHECK(table.horizon() == Timestamp{});
}

TEST_CASE("dedup: a large step is cut into blocks that fit a record") {
  SeenTable table(1'000'000);
  for (uint64_t i = 0; i < 2 * kMaxSeenBlockEntries + 5; ++i) table.Remember({i + 1, At(5), i, -1, 0});
  const auto blocks = table.StagedBlocks();
  REQUIRE(blocks.size() == 3);
  CHECK(blocks[2].size() == 5);
  for (const auto& block : blocks) CHECK(EncodeSeenBlock(block).size() < 600 * 1024);
}

TEST_CASE("dedup: at most 48 bytes an entry at a million entries") {
  SeenTable table(1'000'000);
  Random r(5);
  for (int step = 0; step < 1000; ++step) {
    for (int i = 0; i < 1000; ++i) table.Remember({r.Bits(), At(step), 1, 50, 0});
    table.Commit(true);
  }
  CHECK(table.size() == 1'000'000);
  CHECK(table.bytes() <= 48'000'000);
}

TEST_CASE("case cache: what was touched is spared once") {
  CaseCache cache(2);
  for (uint64_t sequence : {1, 2, 3, 4}) {
    Case c;
    c.id.sequence = sequence;
    cache.Add(std::move(c), sequence)->referenced = sequence % 2 == 0;
  }
  cache.Trim();
  CHECK(cache.FindSequence(2) != nullptr);
  CHECK(cache.FindSequence(4) != nullptr);
  CHECK(cache.size() == 2);
}

TEST_CASE("case cache: finds by sequence and key, keeps addresses, stays within its capacity") {
  CAPTURE(Seed());
  Random r(Seed());
  CaseCache cache(100);
  std::map<uint64_t, CachedCase*> model;
  std::map<std::string, uint64_t> newest;
  uint64_t next = 1;
  for (int step = 0; step < 300; ++step) {
    for (uint64_t n = r.Below(20); n > 0; --n) {
      Case c;
      c.id.sequence = next++;
      c.key = "key" + std::to_string(r.Below(150));
      // Every key hashes to one of four values: only the comparison of the keys tells them apart.
      const uint64_t hash = StableHash64(c.key) % 4;
      CachedCase* added = cache.Add(std::move(c), hash);
      cache.SetNewest(added);
      model[added->id.sequence] = added;
      newest[added->key] = added->id.sequence;
    }
    if (!model.empty() && r.OneIn(3)) {
      auto victim = model.lower_bound(r.Below(next));
      if (victim == model.end()) victim = model.begin();
      const std::string key = victim->second->key;
      if (newest.count(key) != 0 && newest[key] == victim->first) newest.erase(key);
      cache.Drop(victim->second);
      model.erase(victim);
    }
    for (const auto& [sequence, c] : model) REQUIRE(cache.FindSequence(sequence) == c);
    for (const auto& [key, sequence] : newest) REQUIRE(cache.FindKey(StableHash64(key) % 4, key) == model[sequence]);
    for (auto& [sequence, c] : model) c->referenced = r.OneIn(2);
    const size_t before = cache.size();
    cache.Trim();
    REQUIRE(cache.size() == std::min<size_t>(before, 100));
    for (auto it = model.begin(); it != model.end();) {
      it = cache.FindSequence(it->first) == nullptr ? model.erase(it) : std::next(it);
    }
    for (auto it = newest.begin(); it != newest.end();) {
      it = model.count(it->second) == 0 ? newest.erase(it) : std::next(it);
    }
    for (int i = 0; i < 150; ++i) {
      const std::string key = "key" + std::to_string(i);
      REQUIRE((cache.FindKey(StableHash64(key) % 4, key) != nullptr) == (newest.count(key) == 1));
    }
  }
}

}  // namespace
}  // namespace triaged
