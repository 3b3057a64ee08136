// Alerts per second on one core through parse + normalise + 100 rules + decide + stage, next to simdjson reading 13
// fields of the same alerts in the same run. Prints the ratio; fails below the floor the first runs set.
//
//   pipeline_bench [--quick] [--alerts N]
#include <simdjson.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "tests/bench/pipeline_load.h"
#include "tests/bench/thread_clock.h"

namespace triaged {
namespace {

// The goal is 0.5. The floor is what was reached less a fifth.
constexpr double kFloor = 0.2;
constexpr int kRounds = 3;  // the best of them was disturbed least

// The limit: the parser alone, reading thirteen fields and touching the rest only as validation demands.
double ParseOnly(const std::vector<std::string>& alerts) {
  simdjson::ondemand::parser parser;
  std::string buffer;
  size_t read = 0;
  const double begin = Now();
  for (const std::string& alert : alerts) {
    buffer.assign(alert);
    buffer.reserve(alert.size() + simdjson::SIMDJSON_PADDING);
    auto document = parser.iterate(buffer.data(), alert.size(), buffer.capacity());
    const auto text = [&](auto value) {
      std::string_view view;
      if (!value.get_string().get(view)) read += view.size();
    };
    text(document["@timestamp"]);
    text(document["event"]["id"]);
    text(document["event"]["action"]);
    text(document["rule"]["id"]);
    text(document["rule"]["name"]);
    text(document["message"]);
    text(document["host"]["name"]);
    text(document["user"]["name"]);
    text(document["source"]["ip"]);
    text(document["destination"]["ip"]);
    text(document["process"]["name"]);
    text(document["process"]["command_line"]);
    text(document["file"]["hash"]["sha256"]);
  }
  const double seconds = Now() - begin;
  if (read == 0) return 0;
  return static_cast<double>(alerts.size()) / seconds;
}

int Main(int argc, char** argv) {
  size_t count = 1'000'000;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--quick")) count = 200'000;
    if (!std::strcmp(argv[i], "--alerts") && i + 1 < argc) count = std::stoul(argv[i + 1]);
  }
  const auto engine = MakeEngine();
  if (!engine) return 1;
  const std::vector<std::string> alerts = MakeAlerts(count);
  const std::vector<std::optional<std::string_view>> records(alerts.begin(), alerts.end());
  double best_parse = 0;
  double best_pipeline = 0;
  uint64_t staged = 0;
  for (int round = 0; round < kRounds; ++round) {
    best_parse = std::max(best_parse, ParseOnly(alerts));
    const auto run = RunPipeline(records, engine);
    if (!run) return 1;
    best_pipeline = std::max(best_pipeline, static_cast<double>(count) / run->seconds);
    staged = run->staged;
  }
  const double ratio = best_parse > 0 ? best_pipeline / best_parse : 0;
  std::printf("%zu alerts of %zu bytes: simdjson alone %.0f/s, whole pipeline %.0f/s, ratio %.3f (goal 0.5, "
              "floor %.2f); %.4f state records an alert\n",
              count, alerts.front().size(), best_parse, best_pipeline, ratio, kFloor,
              static_cast<double>(staged) / static_cast<double>(count));
  return ratio >= kFloor ? 0 : 1;
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
