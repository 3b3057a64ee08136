// Retention: a closed case that rested long enough leaves store, changelog and indexes, once, archived in the same
// step.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemon/config.h"
#include "daemon/replay.h"
#include "pipeline/report/base64.h"
#include "storage/keys.h"
#include "storage/partition_store.h"
#include "tests/unit/storage_random.h"

namespace triaged {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

std::unique_ptr<PartitionStore> OpenStore(const std::shared_ptr<SharedStoreResources>& resources) {
  auto store = PartitionStore::Open(resources, 0, "/state/0");
  REQUIRE(store.ok());
  REQUIRE((*store)->FinishRestore().ok());
  return std::move(*store);
}

std::shared_ptr<SharedStoreResources> Memory() {
  StoreOptions options;
  options.in_memory = true;
  return SharedStoreResources::Make(options);
}

Case Closed(uint64_t sequence, const std::string& key, int64_t closed_at) {
  Case c;
  c.id = {0, sequence};
  c.key = key;
  c.policy = "p";
  c.status = CaseStatus::kClosed;
  c.closed_at = FromUnixMillis(closed_at);
  return c;
}

std::vector<std::string> Tombstones(const std::vector<StateRecord>& records) {
  std::vector<std::string> keys;
  for (const StateRecord& record : records) {
    if (!record.value) keys.push_back(record.key);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

TEST_CASE(
    "retention: an erased case is gone with its evidence and key, in the changelog as well; discard brings it back") {
  const auto resources = Memory();
  auto store = OpenStore(resources);
  store->Insert(Closed(1, "a", 10));
  store->Insert(Closed(2, "b", 5));
  store->PutEvidenceRaw({0, 1}, 0, "one");
  store->PutEvidenceRaw({0, 1}, 7, "two");
  store->PutEvidenceRaw({0, 2}, 0, "other");
  REQUIRE(store->Commit(1).ok());
  for (const bool keep : {false, true}) {
    REQUIRE(store->NextResting().has_value());
    CHECK(store->NextResting()->id.sequence == 2);  // it rests longer
    Case* c = *store->Find({0, 1});
    REQUIRE(c != nullptr);
    REQUIRE(store->Erase(c).ok());
    CHECK(*store->Find({0, 1}) == nullptr);
    CHECK(*store->FindByKey("a") == nullptr);
    const auto staged = store->StagedRecords();
    REQUIRE(staged.ok());
    CHECK(Tombstones(*staged) ==
          std::vector<std::string>{CaseKey(1), EvidenceKey(1, 0), EvidenceKey(1, 7), KeyIndexKey("a")});
    if (!keep) {
      store->Discard();
      CHECK((*store->Find({0, 1}))->key == "a");
      CHECK((*store->FindByKey("a"))->id.sequence == 1);
      store->Discard();
      continue;
    }
    REQUIRE(store->Commit(2).ok());
  }
  CHECK(store->Stats().cases == 1);
  store.reset();
  store = OpenStore(resources);
  CHECK(store->Stats().cases == 1);
  CHECK(*store->Find({0, 1}) == nullptr);
  CHECK(*store->FindByKey("a") == nullptr);
  CHECK(store->NextResting()->at == FromUnixMillis(5));
  const auto dump = store->Dump();
  for (const StateRecord& record : *dump) CHECK(record.key.find(EvidenceKey(1, 0).substr(0, 10)) != 0);
}

TEST_CASE("retention: a key that leads to a newer case stays; one that is opened again in the same step is right") {
  auto store = OpenStore(Memory());
  store->Insert(Closed(1, "a", 1));
  REQUIRE(store->Commit(1).ok());
  store->Insert(Closed(2, "a", 2));
  REQUIRE(store->Commit(2).ok());
  REQUIRE(store->Erase(*store->Find({0, 1})).ok());
  REQUIRE(store->Commit(3).ok());
  CHECK((*store->FindByKey("a"))->id.sequence == 2);
  REQUIRE(store->Erase(*store->Find({0, 2})).ok());
  store->Insert(Closed(3, "a", 3));
  CHECK((*store->FindByKey("a"))->id.sequence == 3);
  REQUIRE(store->Commit(4).ok());
  CHECK((*store->FindByKey("a"))->id.sequence == 3);
  CHECK(store->NextResting()->id.sequence == 3);
}

TEST_CASE("retention: only a closed case with nothing armed rests, since the last that happened to it") {
  Case c = Closed(1, "a", 10);
  CHECK(RestsSince(c) == FromUnixMillis(10));
  c.updated_at = FromUnixMillis(30);
  CHECK(RestsSince(c) == FromUnixMillis(30));
  c.next_due = FromUnixMillis(40);
  CHECK(RestsSince(c) == Timestamp{});
  c.next_due = {};
  c.status = CaseStatus::kResolved;
  CHECK(RestsSince(c) == Timestamp{});
}

std::shared_ptr<const Engine> SocEngine() {
  Config config;
  config.formats = {TRIAGED_SOURCE_DIR "/configs/formats"};
  config.rules = {TRIAGED_SOURCE_DIR "/configs/rules"};
  config.policies = {TRIAGED_SOURCE_DIR "/configs/policies/soc-tiered.yaml"};
  Diagnostics diagnostics;
  auto engine = LoadEngine(config, &diagnostics);
  REQUIRE_MESSAGE(engine != nullptr, diagnostics.Render());
  return engine;
}

std::string Alert(const std::string& host, const std::string& id) {
  return R"({"ecs":{"version":"8.11"},"event":{"kind":"alert","severity":47,"id":")" + id + R"("},"host":{"name":")" +
         host + R"("},"rule":{"name":"Odd login"}})";
}

TEST_CASE("retention: what leaves is archived with its evidence, its document ends, and its key opens a new case") {
  Replay replay(SocEngine(), "test", 1);
  replay.KeepClosed(48h);
  REQUIRE(replay.Open().ok());
  const Timestamp start = FromUnixMillis(1'772'438'400'000);
  REQUIRE(replay.TakeAlert(Alert("a", "1"), start).ok());
  REQUIRE(replay
              .TakeCommand(R"({"id":"c1","case_id":"0-1","actor":"ada","role":"l1","action":"verdict",)"
                           R"("arguments":{"verdict":"false_positive","reason":"a drill of ours"}})",
                           start + 1min)
              .ok());
  REQUIRE(replay
              .TakeCommand(R"({"id":"c2","case_id":"0-1","actor":"ada","role":"l1","action":"close",)"
                           R"("arguments":{"reason":"false positive"}})",
                           start + 2min)
              .ok());
  REQUIRE(replay.AdvanceTo(start + 48h).ok());
  (void)replay.TakeOutputs();
  REQUIRE((*replay.store(0).Find({0, 1})) != nullptr);
  REQUIRE(replay.AdvanceTo(start + 48h + 5min).ok());
  std::vector<std::string> archived, ended;
  for (const OutputRecord& record : replay.TakeOutputs()) {
    if (record.topic == OutputTopic::kArchive) archived.push_back(*record.value);
    if (record.topic == OutputTopic::kCases && !record.value) ended.push_back(*record.key);
    CHECK(record.topic != OutputTopic::kEscalations);
  }
  CHECK(ended == std::vector<std::string>{"0-1"});
  REQUIRE(archived.size() == 2);
  const Json document = Json::parse(archived[0]), evidence = Json::parse(archived[1]);
  CHECK(document.at("subject") == "0-1");
  CHECK(document.at("data").at("counts").at("alerts") == 1);
  CHECK(evidence.at("subject") == "0-1");
  CHECK(evidence.at("data_base64") == Base64(Alert("a", "1")));
  for (const std::string& line : archived) CHECK(line.find('\n') == std::string::npos);
  CHECK(*replay.store(0).Find({0, 1}) == nullptr);
  REQUIRE(replay.TakeAlert(Alert("a", "2"), start + 49h).ok());
  const auto documents = replay.CaseDocuments();
  REQUIRE(documents->size() == 1);
  CHECK(Json::parse(documents->front()).at("subject") == "0-2");
}

TEST_CASE("retention: one that is shorter than a window that looks back is refused, and says which") {
  const std::string text =
      "application_id: t\nkafka: {embedded_broker: true, alert_topics: [alerts]}\nstorage: {path: s}\n"
      "formats: [configs/formats]\nrules: [configs/rules]\npolicies: [configs/policies/helpdesk.yaml]\n";
  const SourceFile file{TRIAGED_SOURCE_DIR "/t.yaml", text + "retention: {closed_cases: 1h, archive: true}\n"};
  Diagnostics diagnostics;
  const auto config = ParseConfig(file, &diagnostics);
  REQUIRE_MESSAGE(config, diagnostics.Render());
  CHECK(config->keep_closed == Duration(1h));
  CHECK(config->archive);
  CHECK(LoadEngine(*config, &diagnostics) == nullptr);
  CHECK(diagnostics.Render().find("1h is shorter than") != std::string::npos);
  Diagnostics wrong;
  CHECK_FALSE(ParseConfig({file.name, text + "retention: {archive: true}\n"}, &wrong));
  CHECK(wrong.Render().find("closed_cases") != std::string::npos);
}

}  // namespace
}  // namespace triaged
