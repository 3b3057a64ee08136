// Reloads under open cases: a case outlives the pack it was opened under, whatever the next one lacks.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemon/config.h"
#include "pipeline/decide/fit.h"
#include "pipeline/policy/engine.h"
#include "pipeline/processor/processor.h"
#include "storage/partition_store.h"
#include "tests/unit/policy_pack.h"

namespace triaged {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

const Timestamp kStart = *ParseTimestamp("2026-03-02T08:00:00Z");

// A pack of that many of three severities and levels; nothing but people and repeats leads up within a month.
std::string Pack(const std::string& name, size_t severities, size_t levels, bool repeat) {
  const std::vector<std::string> severity = {"high", "normal", "low"};
  const auto times = [&](const std::string& days) {
    std::string row;
    for (size_t i = 0; i < severities; ++i) row += (i ? ", " : "") + severity[i] + ": " + days;
    return "{" + row + "}\n";
  };
  std::string text = "policy: " + name + "\ntitle: T\nseverities:\n";
  for (size_t i = 0; i < severities; ++i) {
    text += "  - {name: " + severity[i] + ", min_score: " + (i + 1 == severities ? "0" : i ? "40" : "70") + "}\n";
  }
  text += "default_severity: high\nlevels:\n";
  std::string matrix = "matrix:\n";
  for (size_t i = 1; i <= levels; ++i) {
    const std::string number = std::to_string(i);
    text += "  - {name: L" + number + ", role: R, team: t}\n";
    if (i > 1) matrix += "  L" + number + ": " + times("3" + number + "d");
  }
  text += matrix + (repeat ? "repeat: {interval: 20m, max: 2}\n" : "");
  return text + R"(grouping:
  - {name: host, by: [host.name], idle: 4h, max: 24h}
  - {name: alone, by: [event.id]}
roles: {all: all}
people: {ada: {name: Ada, contact: ada@example.org}}
teams: {t: {members: [ada]}}
)";
}

// One partition that takes alerts and commands, and reloads.
class World {
 public:
  explicit World(const std::vector<std::string>& packs) {
    StoreOptions options;
    options.in_memory = true;
    options.case_cache_entries = 0;  // so that each step begins with what was stored
    auto store = PartitionStore::Open(SharedStoreResources::Make(options), 0, "/reload");
    REQUIRE(store.ok());
    store_ = std::move(*store);
    REQUIRE(store_->FinishRestore().ok());
    processor_ = std::make_unique<Processor>(ProcessorOptions{}, Compile(packs), store_.get());
  }

  void Reload(const std::vector<std::string>& packs) { processor_->SetEngine(Compile(packs)); }

  void Alert(const std::string& id, const std::string& host, int severity, Duration at) {
    const Json alert = {{"ecs.version", "8.11.0"},   {"event.kind", "alert"}, {"event.id", id},
                        {"host.name", host},         {"rule.name", "x"},      {"event.severity", severity},
                        {"@timestamp", FormatTimestamp(kStart + at)}};
    Take(InputClass::kAlert, "alerts", alert.dump(), at);
  }

  void Command(const std::string& action, const std::string& id, const Json& arguments, Duration at) {
    const Json command = {{"id", "c" + std::to_string(offset_)}, {"case_id", id}, {"actor", "ada"}, {"role", "all"},
                          {"action", action}, {"arguments", arguments}};
    Take(InputClass::kCommand, "commands", command.dump(), at);
  }

  // The events up to then, since the last call: "renotified 0-1, …".
  std::string EventsUntil(Duration at) {
    Step({}, at);
    return std::exchange(events_, {});
  }

  Case Find(uint64_t sequence) {
    auto found = store_->Find({0, sequence});
    REQUIRE(found.ok());
    REQUIRE(*found != nullptr);
    return **found;
  }

 private:
  static std::shared_ptr<const Engine> Compile(const std::vector<std::string>& packs) {
    Diagnostics diagnostics;
    EngineSources sources;
    sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
    for (const std::string& pack : packs) sources.policies.push_back({"pack.yaml", pack});
    auto engine = CompileEngine(sources, {}, &diagnostics);
    REQUIRE_MESSAGE(engine != nullptr, diagnostics.Render());
    return engine;
  }

  void Take(InputClass input_class, std::string_view topic, const std::string& value, Duration at) {
    InputRecord input;
    input.input_class = input_class;
    input.topic = topic;
    input.offset = offset_++;
    input.timestamp = kStart + at;
    input.value = value;
    Step({&input, 1}, at);
  }

  void Step(std::span<const InputRecord> inputs, Duration at) {
    const auto stepped = processor_->Step(inputs, {kStart + at, /*caught_up=*/true});
    REQUIRE(stepped.ok());
    REQUIRE_FALSE(stepped->more_due);
    for (const StepFacts::DeadLetter& refused : stepped->facts.dead_letters) FAIL_CHECK(refused.message);
    for (const StepFacts::Event& event : stepped->facts.events) {
      events_ += (events_.empty() ? "" : ", ") + std::string(Name(event.type)) + " " + ToString(event.case_id);
    }
    const auto staged = store_->StagedRecords();
    REQUIRE(staged.ok());
    REQUIRE(store_->Commit(store_->position() + static_cast<int64_t>(staged->size())).ok());
  }

  std::unique_ptr<PartitionStore> store_;
  std::unique_ptr<Processor> processor_;
  std::string events_;
  int64_t offset_ = 0;
};

TEST_CASE("reload: repeats that are switched off neither page nor escalate, at the top of the ladder or below") {
  for (const std::string top : {"L2", "L3"}) {
    CAPTURE(top);
    World world({Pack("p", 3, 3, true)});
    world.Alert("a1", "a", 10, 0min);
    world.Command("escalate", "0-1", {{"to", top}, {"reason", "help"}}, 1min);
    CHECK(world.EventsUntil(22min) == "opened 0-1, escalated 0-1, renotified 0-1");
    world.Reload({Pack("p", 3, 3, false)});
    CHECK(world.EventsUntil(24h).empty());
    world.Reload({Pack("p", 3, 3, true)});
    CHECK(world.EventsUntil(48h).empty());
    CHECK(world.Find(1).level == (top == "L2" ? 1 : 2));
  }
}

TEST_CASE("reload: a case whose policy is gone is answered by the first one, which may not repeat") {
  World world({Pack("p", 3, 3, true)});
  world.Alert("a1", "a", 10, 0min);
  world.Command("escalate", "0-1", {{"to", "L3"}, {"reason", "help"}}, 1min);
  CHECK(world.EventsUntil(22min) == "opened 0-1, escalated 0-1, renotified 0-1");
  world.Reload({Pack("other", 2, 2, false)});
  CHECK(world.EventsUntil(24h).empty());
  CHECK(world.Find(1).level == 1);
  CHECK(world.Find(1).severity == 1);
}

TEST_CASE("reload: repeats that are switched off do not come back by undo") {
  World world({Pack("p", 3, 3, true)});
  world.Alert("a1", "a", 10, 0min);
  world.Command("escalate", "0-1", {{"to", "L3"}, {"reason", "help"}}, 1min);
  world.Command("resolve", "0-1", {{"reason", "done"}}, 2min);
  world.Reload({Pack("p", 3, 3, false)});
  world.Command("undo", "0-1", {{"reason", "oops"}}, 3min);
  CHECK(world.EventsUntil(24h) == "opened 0-1, escalated 0-1, resolved 0-1, undone 0-1");
}

TEST_CASE("reload: an alert finds its case at the mildest severity and the highest level that are left") {
  World world({Pack("p", 3, 3, true)});
  world.Alert("a1", "a", 10, 0min);
  world.Command("escalate", "0-1", {{"to", "L3"}, {"reason", "help"}}, 1min);
  world.Command("ack", "0-1", Json::object(), 2min);
  world.Reload({Pack("p", 2, 2, true)});
  world.Alert("a2", "a", 50, 3min);
  CHECK(world.Find(1).severity == 1);
  CHECK(world.Find(1).level == 1);
  world.Alert("a3", "a", 90, 4min);
  CHECK(world.EventsUntil(5min) == "opened 0-1, escalated 0-1, acknowledged 0-1, severity_changed 0-1");
  CHECK(world.Find(1).timeline.back().text == "normal to high: alert");
}

TEST_CASE("reload: the case that another one is merged into is fitted, too") {
  World world({Pack("p", 3, 2, true)});
  world.Alert("a1", "a", 90, 0min);
  world.Alert("b1", "b", 10, 0min);
  world.Reload({Pack("p", 2, 2, true)});
  world.Command("merge", "0-1", {{"into", "0-2"}, {"reason", "same"}}, 1min);
  const Case into = world.Find(2);
  CHECK(into.severity == 0);
  const auto raised = std::find_if(into.timeline.begin(), into.timeline.end(),
                                   [](const TimelineEntry& entry) { return entry.what == "severity_changed"; });
  REQUIRE(raised != into.timeline.end());
  CHECK(raised->text == "normal to high: merged");
}

TEST_CASE("reload: what was fitted is stored, also where nothing else of the case changes") {
  World world({Pack("p", 3, 2, true)});
  world.Alert("a1", "a", 10, 0min);
  world.Command("close", "0-1", {{"reason", "harmless"}}, 1min);
  world.Reload({Pack("p", 2, 2, true)});
  world.Alert("a2", "a", 90, 48h);
  CHECK(world.EventsUntil(48h) == "opened 0-1, closed 0-1, opened 0-2");
  CHECK(world.Find(2).previous_case == "0-1");
  CHECK(world.Find(1).severity == 1);
}

TEST_CASE("reload: worse news of an alert goes to the policy that owns it now; the case stays with its own") {
  World world({Pack("p", 3, 2, true)});
  world.Alert("a1", "a", 10, 0min);
  const std::string other = Replaced(Pack("q", 2, 2, true), "title: T\n", "title: T\nwhen: {host.name: a}\n");
  world.Reload({other, Pack("p", 3, 2, true)});
  world.Alert("a1", "a", 90, 1min);
  CHECK(world.EventsUntil(2min) == "opened 0-1, opened 0-2");
  CHECK(world.Find(1).severity == 2);
  CHECK(world.Find(2).policy == "q");
  CHECK(world.Find(2).severity == 0);
}

TEST_CASE("reload: all that a case says of severities, levels and repeats is fitted, once") {
  const Compiled less(Pack("p", 2, 2, false)), same(Pack("p", 3, 3, true));
  REQUIRE(less.policy);
  REQUIRE(same.policy);
  Case c;
  c.severity = c.verdict_severity = c.silenced_severity = c.undo.severity = c.undo.verdict_severity = 2;
  c.level = 2;
  for (auto* due : {&c.level_due, &c.undo.level_due}) (*due)[1] = (*due)[2] = kStart;
  c.next_repeat = c.undo.next_repeat = kStart;
  const Case before = c;
  CHECK_FALSE(FitToPolicy(*same.policy, &c));
  CHECK(c == before);
  CHECK(FitToPolicy(*less.policy, &c));
  for (const int severity : {c.severity, c.verdict_severity, c.silenced_severity, c.undo.severity,
                             c.undo.verdict_severity}) {
    CHECK(severity == 1);
  }
  CHECK(c.level == 1);
  for (const auto& due : {c.level_due, c.undo.level_due}) {
    CHECK(due[1] == kStart);
    CHECK(due[2] == Timestamp{});
  }
  CHECK(c.next_repeat == Timestamp{});
  CHECK(c.undo.next_repeat == Timestamp{});
  CHECK_FALSE(FitToPolicy(*less.policy, &c));
}

}  // namespace
}  // namespace triaged
