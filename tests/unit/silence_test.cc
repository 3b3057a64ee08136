#include "pipeline/model/silence.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "storage/codec.h"
#include "storage/partition_store.h"

namespace triaged {
namespace {

Timestamp Minute(int64_t minute) { return FromUnixMillis(1'772'438'400'000 + minute * 60'000); }

SilenceRule Rule(const std::string& id, std::vector<std::pair<FieldId, std::string>> match) {
  SilenceRule rule;
  rule.id = id;
  rule.match = std::move(match);
  rule.owner = "ada";
  rule.reason = "pen test";
  rule.from = Minute(0);
  rule.until = Minute(60);
  return rule;
}

struct Fields {
  FieldTable table;
  explicit Fields(std::initializer_list<std::pair<FieldId, std::string_view>> values) {
    table.Reset(field::kAlertFieldCount);
    for (const auto& [id, value] : values) table.Add(id, Value(value));
  }
};

std::string Found(const SilenceTable& table, const Fields& fields, int64_t minute) {
  const SilenceRule* rule = table.Match(fields.table, Minute(minute));
  return rule ? rule->id : "";
}

TEST_CASE("silences: all fields must match, within the time, without case") {
  SilenceTable table;
  table.Put(Rule("both", {{field::kHostName, "DB7"}, {field::kRuleName, "x"}}));
  CHECK(Found(table, Fields{{field::kHostName, "db7"}, {field::kRuleName, "X"}}, 0) == "both");
  CHECK(Found(table, Fields{{field::kHostName, "db7"}, {field::kRuleName, "X"}}, 59) == "both");
  CHECK(Found(table, Fields{{field::kHostName, "db7"}, {field::kRuleName, "X"}}, 60).empty());
  CHECK(Found(table, Fields{{field::kHostName, "db7"}, {field::kRuleName, "X"}}, -1).empty());
  CHECK(Found(table, Fields{{field::kHostName, "db7"}}, 0).empty());
  CHECK(Found(table, Fields{{field::kHostName, "db8"}, {field::kRuleName, "x"}}, 0).empty());
  table.Put(Rule("a", {{field::kRuleName, "x"}}));
  CHECK(Found(table, Fields{{field::kHostName, "db7"}, {field::kRuleName, "x"}}, 0) == "a");  // the first by id
  table.Put(Rule("a", {{field::kRuleName, "y"}}));                                            // replaced
  CHECK(Found(table, Fields{{field::kHostName, "db7"}, {field::kRuleName, "x"}}, 0) == "both");
  table.Erase("both");
  table.Erase("unknown");
  CHECK(Found(table, Fields{{field::kHostName, "db7"}, {field::kRuleName, "x"}}, 0).empty());
  CHECK(table.rules().size() == 1);
}

TEST_CASE("silences: a full table answers as a plain look through it does") {
  const uint64_t seed = 5;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  SilenceTable table;
  for (size_t i = 0; i < kMaxSilences; ++i) {
    SilenceRule rule =
        Rule(std::to_string(i),
             {{random() % 2 ? field::kHostName : field::kUserName, "v" + std::to_string(random() % 5000)}});
    if (random() % 3 == 0) rule.match.emplace_back(field::kRuleName, "r" + std::to_string(random() % 3));
    table.Put(std::move(rule));
  }
  for (int i = 0; i < 300; ++i) {
    const std::string host = "v" + std::to_string(random() % 5000), user = "v" + std::to_string(random() % 5000);
    const std::string name = "r" + std::to_string(random() % 3);
    const Fields fields{{field::kHostName, host}, {field::kUserName, user}, {field::kRuleName, name}};
    std::string expected;
    for (const auto& [id, rule] : table.rules()) {
      bool all = true;
      for (const auto& [field, value] : rule.match) {
        all &= value == (field == field::kHostName ? host : field == field::kUserName ? user : name);
      }
      if (all) {
        expected = id;
        break;
      }
    }
    REQUIRE(Found(table, fields, 1) == expected);
  }
}

TEST_CASE("silences: stored, restored, and given back when a step is discarded") {
  StoreOptions options;
  options.in_memory = true;
  auto opened = PartitionStore::Open(SharedStoreResources::Make(options), 0, "/silences");
  REQUIRE(opened.ok());
  PartitionStore& store = **opened;
  REQUIRE(store.FinishRestore().ok());
  store.PutSilence(Rule("kept", {{field::kHostName, "a"}}));
  REQUIRE(store.Commit(0).ok());
  store.PutSilence(Rule("dropped", {{field::kHostName, "b"}}));
  store.EraseSilence("kept");
  CHECK(store.silences().rules().size() == 1);
  store.Discard();
  REQUIRE(store.silences().rules().size() == 1);
  CHECK(store.silences().Find("kept") != nullptr);

  const auto records = store.Dump();
  REQUIRE(records.ok());
  auto copied = PartitionStore::Open(SharedStoreResources::Make(options), 0, "/copy");
  REQUIRE(copied.ok());
  REQUIRE((*copied)->ApplyChangelog(*records, 3).ok());
  REQUIRE((*copied)->FinishRestore().ok());
  CHECK((*copied)->silences().rules() == store.silences().rules());
  store.EraseSilence("kept");
  const auto staged = store.StagedRecords();
  REQUIRE(staged.ok());
  CHECK_FALSE(staged->front().value.has_value());  // a tombstone
}

TEST_CASE("silences: one that names no field is damage") {
  SilenceRule rule = Rule("x", {{field::kHostName, "a"}});
  CHECK(*DecodeSilence(EncodeSilence(rule)) == rule);
  rule.match.clear();
  CHECK_FALSE(DecodeSilence(EncodeSilence(rule)).ok());
}

}  // namespace
}  // namespace triaged
