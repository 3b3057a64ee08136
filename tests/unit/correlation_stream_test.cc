// Correlations in the stream: alerts through the real pipeline in virtual time, state through restores and discards.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/replay.h"
#include "pipeline/rules/correlation_table.h"
#include "storage/codec.h"
#include "storage/keys.h"
#include "storage/partition_store.h"

namespace triaged {
namespace {

using Json = nlohmann::json;
using rules::CorrelationTable;
using rules::CorrelationWindow;
using rules::Observation;

constexpr int64_t kStart = 1'772'438'400'000;  // 2026-03-02T08:00:00Z

constexpr const char* kRules =
    "title: Failed login\nid: failed\nname: failed\ndetection: {s: {event.action: failed}, condition: s}\n"
    "triage: {tags: [never]}\n---\n"
    "title: Login\nid: worked\nname: worked\ndetection: {s: {event.action: worked}, condition: s}\n---\n"
    "title: Many failed logins\nid: many\nname: many\ncorrelation:\n  type: event_count\n  rules: [failed]\n"
    "  group-by: [host.name]\n  timespan: 10m\n  condition: {gte: 3}\n"
    "triage: {tags: [brute_force]}\n---\n"
    "title: Guessed\nid: guessed\ncorrelation:\n  type: temporal_ordered\n  rules: [many, worked]\n"
    "  group-by: [host.name]\n  timespan: 1h\n  generate: true\n"
    "triage: {verdict: true_positive, confidence: 90, tags: [guessed]}\n";

std::shared_ptr<const Engine> EngineOf(const std::string& rules) {
  Diagnostics diagnostics;
  EngineSources sources;
  sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
  sources.policies = ReadSources({TRIAGED_SOURCE_DIR "/configs/policies/soc-tiered.yaml"}, &diagnostics);
  sources.rules = {{"rules.yaml", rules}};
  auto engine = CompileEngine(sources, NormaliseLimits{}, &diagnostics);
  INFO(diagnostics.Render());
  REQUIRE(engine != nullptr);
  return engine;
}

class Stream {
 public:
  explicit Stream(const std::shared_ptr<const Engine>& engine, int32_t partitions = 1)
      : replay_(engine, "test", partitions) {
    REQUIRE(replay_.Open().ok());
  }

  void Alert(int64_t second, const std::string& action, const std::string& host, const std::string& user = {},
             std::string id = {}, const std::string& module = {}) {
    if (id.empty()) id = "a" + std::to_string(++alerts_);
    const Timestamp at = FromUnixMillis(kStart + second * 1000);
    Json alert = {{"ecs.version", "8.11.0"}, {"event.kind", "alert"}, {"event.id", id}, {"event.action", action},
                  {"rule.name", "login"},    {"@timestamp", FormatTimestamp(at)}};
    if (!host.empty()) alert["host.name"] = host;
    if (!user.empty()) alert["user.name"] = user;
    if (!module.empty()) alert["event.module"] = module;
    REQUIRE(replay_.TakeAlert(alert.dump(), at).ok());
  }

  // The data of every case, by its grouping values.
  std::vector<Json> Cases() {
    std::vector<Json> cases;
    auto documents = replay_.CaseDocuments();
    REQUIRE(documents.ok());
    for (const std::string& text : *documents) cases.push_back(Json::parse(text).at("data"));
    return cases;
  }

  Replay& replay() { return replay_; }

 private:
  Replay replay_;
  int alerts_ = 0;
};

bool Tagged(const Json& data, const std::string& tag) {
  const std::string text = data.dump();
  return text.find("\"" + tag + "\"") != std::string::npos;
}

std::string Describe(const CorrelationTable& table) {
  std::string text = std::to_string(table.size()) + " " + std::to_string(table.bytes());
  return text;
}

}  // namespace

TEST_CASE("correlation stream: counted beside the case, and its triage block counts there") {
  Stream stream(EngineOf(kRules));
  stream.Alert(0, "failed", "db7");
  stream.Alert(60, "failed", "db7");
  stream.Alert(90, "failed", "web1");
  auto cases = stream.Cases();
  REQUIRE(cases.size() == 2);
  CHECK_FALSE(Tagged(cases[0], "brute_force"));
  stream.Alert(120, "failed", "DB7");  // hosts are compared without case, as in grouping
  cases = stream.Cases();
  REQUIRE(cases.size() == 2);
  CHECK(Tagged(cases[0], "brute_force"));
  CHECK_FALSE(Tagged(cases[1], "brute_force"));
  CHECK_FALSE(Tagged(cases[0], "never"));  // the counted rule says nothing by itself
  CHECK_FALSE(Tagged(cases[0], "guessed"));
  stream.Alert(180, "worked", "db7");
  cases = stream.Cases();
  CHECK(Tagged(cases[0], "guessed"));
  CHECK_FALSE(Tagged(cases[1], "guessed"));
}

TEST_CASE("correlation stream: duplicates do not count, nor does what is too far apart") {
  Stream stream(EngineOf(kRules));
  stream.Alert(0, "failed", "db7", "", "same");
  stream.Alert(1, "failed", "db7", "", "same");
  stream.Alert(2, "failed", "db7", "", "same");
  CHECK_FALSE(Tagged(stream.Cases()[0], "brute_force"));
  stream.Alert(300, "failed", "db7");
  stream.Alert(601, "failed", "db7");
  CHECK_FALSE(Tagged(stream.Cases()[0], "brute_force"));
  stream.Alert(602, "failed", "db7");
  CHECK(Tagged(stream.Cases()[0], "brute_force"));
}

TEST_CASE("correlation stream: a duplicate of an alert that was sent on does not count") {
  Stream stream(EngineOf(kRules), 2);
  // Two hosts whose cases are in different partitions.
  std::string here, there, here_id, there_id;
  for (int i = 0; here.empty() || there.empty(); ++i) {
    const std::string host = "h" + std::to_string(i);
    stream.Alert(0, "other", host);
    for (const Json& data : stream.Cases()) {
      if (data.at("key").get<std::string>().find("/" + host) == std::string::npos) continue;
      const std::string id = data.at("case_id");
      if (id.starts_with("0-") && here.empty()) here = host, here_id = id;
      if (id.starts_with("1-") && there.empty()) there = host, there_id = id;
    }
  }
  const Json merge = {{"id", "m1"}, {"case_id", here_id}, {"actor", "ada"}, {"role", "lead"}, {"action", "merge"},
                      {"arguments", {{"into", there_id}, {"reason", "same"}}}};
  REQUIRE(stream.replay().TakeCommand(merge.dump(), FromUnixMillis(kStart + 1000)).ok());
  for (int i = 0; i < 5; ++i) stream.Alert(10 + i, "failed", here, "", "same");
  stream.Alert(20, "failed", here);
  const auto tagged = [&](const std::string& id) {
    for (const Json& data : stream.Cases()) {
      if (data.at("case_id") == id) return Tagged(data, "brute_force");
    }
    return false;
  };
  CHECK_FALSE(tagged(there_id));
  stream.Alert(30, "failed", here);
  CHECK(tagged(there_id));
  CHECK(stream.replay().balance().Adds());
}

// One user's failures over several hosts: the cases are by host, so these are counted elsewhere.
constexpr const char* kByUser =
    "title: Failed login\nid: failed\nname: failed\ndetection: {s: {event.action: failed}, condition: s}\n---\n"
    "title: Spray\nid: spray\nname: spray\nlevel: high\ncorrelation:\n  type: value_count\n  rules: [failed]\n"
    "  group-by: [user.name]\n  timespan: 10m\n  condition: {field: host.name, gte: 3}\n  generate: true\n"
    "triage: {tags: [spray]}\n---\n"
    "title: Sprays\nid: sprays\ncorrelation:\n  type: value_count\n  rules: [spray]\n  group-by: [event.module]\n"
    "  timespan: 1h\n  condition: {field: user.name, gte: 2}\n  generate: true\ntriage: {tags: [sprays]}\n";

TEST_CASE("correlation stream: keyed otherwise than the case, it comes back as a derived alert") {
  const auto engine = EngineOf(kByUser);
  for (const int32_t partitions : {1, 5}) {
    Stream stream(engine, partitions);
    for (const char* user : {"ann", "bob"}) {
      stream.Alert(0, "failed", "db7", user);
      stream.Alert(1, "failed", "web1", user);
      stream.Alert(2, "failed", "web1", user);
    }
    CHECK(stream.Cases().size() == 2);
    stream.Alert(3, "failed", "web2", "ann");
    stream.Alert(4, "failed", "web3", "ann");  // it holds already
    size_t sprayed = 0;
    for (const Json& data : stream.Cases()) {
      if (!Tagged(data, "spray")) continue;
      ++sprayed;
      CHECK(data.at("key").get<std::string>().find("/user/ann") != std::string::npos);
      CHECK(Tagged(data, "Spray"));
    }
    CHECK(sprayed == 1);
    CHECK(stream.replay().balance().Adds());
    CHECK(stream.replay().balance().consumed == 8);  // the derived alert is none of the users'
  }
}

TEST_CASE("correlation stream: a chain of derived alerts carries what its last member counts") {
  const std::string rules = std::string(kByUser);
  Stream stream(EngineOf(rules), 4);
  for (const char* user : {"ann", "bob"}) {
    for (const char* host : {"db7", "web1", "web2"}) stream.Alert(1, "failed", host, user, "", "vpn");
  }
  size_t chained = 0;
  for (const Json& data : stream.Cases()) chained += Tagged(data, "sprays");
  CHECK(chained == 1);
}

TEST_CASE("correlation stream: without a group, it belongs to the case of the alert that made it fire") {
  const auto engine = EngineOf(
      "title: Failed login\nid: failed\nname: failed\ndetection: {s: {event.action: failed}, condition: s}\n---\n"
      "title: Login\nid: worked\nname: worked\ndetection: {s: {event.action: worked}, condition: s}\n---\n"
      "title: Anywhere\nid: anywhere\ncorrelation:\n  type: temporal_ordered\n  rules: [failed, worked]\n  timespan: 1h\n"
      "  generate: true\ntriage: {tags: [anywhere]}\n");
  for (const int32_t partitions : {1, 5}) {
    Stream stream(engine, partitions);
    stream.Alert(0, "worked", "mail");
    stream.Alert(1, "failed", "db7");
    stream.Alert(2, "worked", "web1");
    const auto cases = stream.Cases();
    CHECK(cases.size() == 3);
    for (const Json& data : cases) {
      const bool of_web1 = data.at("key").get<std::string>().find("/host/web1") != std::string::npos;
      CHECK(Tagged(data, "anywhere") == of_web1);
    }
  }
}

TEST_CASE("correlation table: bounded, and what would be gone first is dropped first") {
  rules::CorrelationSpec spec;
  spec.timespan = std::chrono::minutes(1);
  spec.condition.gte = 100'000'000;
  CorrelationTable table(10'000);
  for (int64_t i = 0; i < 1000; ++i) {
    table.Observe(spec, "key" + std::to_string(i), {FromUnixMillis(i), 0, {}}, FromUnixMillis(i));
    REQUIRE(table.bytes() <= 10'000);
  }
  CHECK(table.size() > 10);
  CHECK(table.dropped() == 1000 - table.size());
  CHECK(table.Find("key999"));
  CHECK_FALSE(table.Find("key0"));
  table.Expire(FromUnixMillis(999 + 60'000));
  CHECK(table.size() == 0);
  CHECK(table.bytes() == 0);
}

TEST_CASE("correlation table: a discarded step leaves nothing behind") {
  std::random_device device;
  const uint32_t seed = device();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  rules::CorrelationSpec spec;
  spec.rules = 3;
  spec.timespan = std::chrono::seconds(30);
  spec.condition.gte = 3'000'000;
  CorrelationTable table(20'000), steady(20'000);
  int64_t now = 0;
  for (int step = 0; step < 300; ++step) {
    const bool keep = random() % 2 == 0;
    const int64_t begin = now;
    for (int i = 0; i < 5; ++i) {
      now += random() % 9000;
      const std::string key = "k" + std::to_string(random() % 40);
      const Observation seen{FromUnixMillis(now), static_cast<uint32_t>(random() % 3), {}};
      const bool fired = table.Observe(spec, key, seen, FromUnixMillis(now));
      if (keep) REQUIRE(fired == steady.Observe(spec, key, seen, FromUnixMillis(now)));
    }
    if (keep) {
      table.EndStep();
      steady.EndStep();
    } else {
      table.Discard();
      now = begin;
    }
    REQUIRE(Describe(table) == Describe(steady));
  }
}

TEST_CASE("correlation windows: stored, restored, and damage is told") {
  std::random_device device;
  const uint32_t seed = device();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    rules::CorrelationSpec spec;
    spec.type = static_cast<rules::CorrelationType>(random() % 7);
    spec.rules = 4;
    spec.timespan = std::chrono::seconds(40);
    spec.condition.gte = 2'000'000;
    CorrelationWindow window;
    const int count = static_cast<int>(random() % 20);
    for (int i = 0; i < count; ++i) {
      window.Observe(spec, {FromUnixMillis(random() % 60'000), static_cast<uint32_t>(random() % 4),
                            std::to_string(random() % 5)});
    }
    window.KeepUntil(FromUnixMillis(random()));
    const std::string frame = EncodeCorrelation(window);
    auto back = DecodeCorrelation(frame);
    REQUIRE(back.ok());
    CHECK(back->observations() == window.observations());
    CHECK(back->held() == window.held());
    CHECK(back->keep_until() == window.keep_until());
    CHECK(back->bytes() == window.bytes());
    CHECK(EncodeCorrelation(*back) == frame);
    std::string damaged = frame;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    const auto read = DecodeCorrelation(damaged);
    // A format version that was there before this one is no damage that a reader could tell.
    CHECK((!read.ok() || EncodeCorrelation(*read).substr(1) == damaged.substr(1)));
    CHECK_FALSE(DecodeCorrelation(std::string_view(frame).substr(0, random() % frame.size())).ok());
  }
}

TEST_CASE("correlation state: a store keeps to its bound, and says what it dropped") {
  StoreOptions options;
  options.in_memory = true;
  options.correlation_bytes = 100'000;
  auto store = PartitionStore::Open(SharedStoreResources::Make(options), 0, "/bounded");
  REQUIRE(store.ok());
  REQUIRE((*store)->FinishRestore().ok());
  rules::CorrelationSpec spec;
  spec.timespan = std::chrono::hours(1);
  spec.condition.gte = 9'000'000;
  constexpr int64_t kWindows = 5000;
  for (int64_t i = 0; i < kWindows; ++i) {
    const Timestamp at = FromUnixMillis(i * 1000);
    (*store)->correlations().Observe(spec, "key" + std::to_string(i), {at, 0, {}}, FromUnixMillis(0));
    if (i % 100 != 99) continue;
    REQUIRE((*store)->StagedRecords().ok());
    REQUIRE((*store)->Commit(i + 1).ok());
  }
  const StoreStats stats = (*store)->Stats();
  CHECK(stats.correlation_bytes <= options.correlation_bytes);
  CHECK(stats.correlation_bytes > options.correlation_bytes / 2);
  CHECK(stats.correlation_dropped == kWindows - stats.correlation_windows);
  CHECK((*store)->correlations().Find("key4999") != nullptr);
  CHECK((*store)->correlations().Find("key0") == nullptr);
}

TEST_CASE("correlation state: committed with the step, gone when it expires, restored from the changelog") {
  StoreOptions options;
  options.in_memory = true;
  const auto resources = SharedStoreResources::Make(options);
  const auto open = [&](const std::string& directory) {
    auto store = PartitionStore::Open(resources, 0, directory);
    REQUIRE(store.ok());
    REQUIRE((*store)->FinishRestore().ok());
    return std::move(*store);
  };
  rules::CorrelationSpec spec;
  spec.timespan = std::chrono::seconds(60);
  spec.condition.gte = 3'000'000;
  auto store = open("/first");
  std::vector<StateRecord> changelog;
  const auto observe = [&](int64_t second, bool commit) {
    const Timestamp at = FromUnixMillis(second * 1000);
    const bool fired = store->correlations().Observe(spec, "c/1/host", {at, 0, {}}, at);
    if (!commit) {
      store->Discard();
      return fired;
    }
    auto staged = store->StagedRecords();
    REQUIRE(staged.ok());
    changelog.insert(changelog.end(), staged->begin(), staged->end());
    REQUIRE(store->Commit(static_cast<int64_t>(changelog.size())).ok());
    return fired;
  };
  CHECK_FALSE(observe(1, true));
  CHECK_FALSE(observe(2, true));
  CHECK(observe(3, false));
  CHECK(observe(3, false));  // the same again: nothing of the discarded step is left

  auto other = open("/second");
  REQUIRE(other->ApplyChangelog(changelog, 10).ok());
  REQUIRE(other->FinishRestore().ok());
  std::swap(store, other);
  CHECK(observe(3, true));
  CHECK_FALSE(observe(4, true));  // held: fires once
  CHECK_FALSE(observe(200, true));
  const auto dump = store->Dump();
  REQUIRE(dump.ok());
  size_t windows = 0;
  for (const StateRecord& record : *dump) windows += record.key.starts_with(kCorrelationPrefix);
  CHECK(windows == 1);
  store->correlations().Expire(FromUnixMillis(260'000));
  REQUIRE(store->Commit(100).ok());
  const auto after = store->Dump();
  REQUIRE(after.ok());
  for (const StateRecord& record : *after) CHECK_FALSE(record.key.starts_with(kCorrelationPrefix));
}

}  // namespace triaged
