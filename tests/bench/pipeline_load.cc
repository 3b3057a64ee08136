#include "tests/bench/pipeline_load.h"

#include <algorithm>
#include <cstdio>

#include "daemon/config.h"
#include "pipeline/processor/processor.h"
#include "storage/partition_store.h"
#include "tests/bench/thread_clock.h"

namespace triaged {
namespace {

constexpr Timestamp kStart = FromUnixMillis(1'772'438'400'000);

// 100 rules of the shipped kind, none of which matches.
SourceFile HundredRules() {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    const std::string n = std::to_string(i);
    text += (i ? "---\n" : "") + ("title: Rule " + n) + "\nid: 00000000-0000-4000-8000-0000000" + std::to_string(10000 + i) +
            "\nlogsource: {category: alert}\ndetection:\n  name:\n    rule.name|contains: [needle" + n + ", pin" + n +
            "]\n  tool:\n    process.name: tool" + n + ".exe\n    process.command_line|contains: ' -x" + n +
            " '\n  condition: name or tool\ntriage: {verdict: true_positive, confidence: 60}\n";
  }
  return {"hundred.yaml", text};
}

}  // namespace

std::vector<std::string> MakeAlerts(size_t count) {
  std::vector<std::string> alerts;
  for (size_t i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    const std::string host = std::to_string(i * 7919 % 200);
    alerts.push_back(
        R"({"@timestamp":"2026-03-02T08:00:00.123Z","ecs":{"version":"8.11.0"},"event":{"kind":"alert","id":"0f1e2d3c-)" + n +
        R"(","severity":47,"category":["process"],"type":["start"],"action":"exec","outcome":"success","module":"endpoint",)"
        R"("dataset":"endpoint.alerts"},"rule":{"id":"5b2c8b9a","name":"Unusual parent of a shell"},"message":"A shell was )"
        R"(started by a program that seldom does so","host":{"name":"ws-)" + host + R"(","ip":["10.1.2.)" + host +
        R"("],"os":{"name":"Windows"}},"user":{"name":"user)" + std::to_string(i % 50) +
        R"(","domain":"CORP"},"source":{"ip":"10.1.2.3","port":51234},"destination":{"ip":"203.0.113.9","port":443},)"
        R"("process":{"name":"cmd.exe","pid":4711,"executable":"C:\\Windows\\System32\\cmd.exe","command_line":"cmd.exe /c whoami )"
        R"(/all & ipconfig","parent":{"name":"winword.exe","executable":"C:\\Program Files\\Office\\winword.exe"}},)"
        R"("file":{"path":"C:\\Users\\u\\AppData\\Local\\Temp\\a.tmp","hash":{"sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}},)"
        R"("observer":{"vendor":"Example","product":"Example EDR"},"threat":{"technique":{"id":"T1059"}}})");
  }
  return alerts;
}

std::shared_ptr<const Engine> MakeEngine() {
  Diagnostics diagnostics;
  EngineSources sources;
  const std::string configs = TRIAGED_SOURCE_DIR "/configs/";
  sources.formats = ReadSources({configs + "formats"}, &diagnostics);
  sources.rules = {HundredRules()};
  sources.policies = ReadSources({configs + "policies/soc-tiered.yaml"}, &diagnostics);
  auto engine = CompileEngine(sources, NormaliseLimits{}, &diagnostics);
  std::fputs(diagnostics.Render().c_str(), stderr);
  return engine;
}

std::optional<PipelineRun> RunPipeline(std::span<const std::optional<std::string_view>> records,
                                       const std::shared_ptr<const Engine>& engine) {
  StoreOptions store_options;
  store_options.in_memory = true;
  auto store = PartitionStore::Open(SharedStoreResources::Make(store_options), 0, "/bench/0");
  if (!store || !(*store)->FinishRestore()) return std::nullopt;
  Processor processor({}, engine, store->get());
  constexpr size_t kStep = 10'000;
  PipelineRun run;
  int64_t position = -1;
  const double begin = Now();
  for (size_t at = 0; at < records.size(); at += kStep) {
    std::vector<InputRecord> inputs;
    const size_t end = std::min(records.size(), at + kStep);
    for (size_t i = at; i < end; ++i) {
      InputRecord input;
      input.topic = "alerts";
      input.offset = static_cast<int64_t>(i);
      input.timestamp = kStart + Duration(i / 100);
      input.value = records[i];
      inputs.push_back(std::move(input));
    }
    auto stepped = processor.Step(inputs, {kStart + std::chrono::hours(1), false});
    if (!stepped || stepped->taken != inputs.size()) return std::nullopt;
    run.dead_letters += stepped->facts.dead_letters.size();
    const auto staged = (*store)->StagedRecords();
    if (!staged) return std::nullopt;
    run.staged += staged->size();
    position += static_cast<int64_t>(staged->size());
    if (!(*store)->Commit(position)) return std::nullopt;
  }
  run.seconds = Now() - begin;
  return run;
}

}  // namespace triaged
