// triagectl drill: timelines as exercises, in virtual time or against the running daemon.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/drill_live.h"
#include "daemon/timeline.h"
#include "daemon/timeline_text.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

std::string NewRun() {
  std::random_device device;
  char text[9];
  std::snprintf(text, sizeof text, "%08x", device());
  return text;
}

Json ReportOf(const std::string& path, const TimelineResult& result) {
  Json steps = Json::array();
  for (const TimelineStep& step : result.steps) {
    steps.push_back({{"at", step.at},
                     {"action", step.action},
                     {"expected", step.expected},
                     {"actual", step.actual},
                     {"reached", step.reached}});
  }
  return {{"drill", path}, {"as_expected", result.failures.empty()}, {"steps", steps}, {"failures", result.failures}};
}

void PrintReport(const Json& drill) {
  std::cout << (drill["as_expected"] == true ? "ok   " : "FAIL ") << drill["drill"].get<std::string>() << '\n';
  for (const Json& step : drill["steps"]) {
    const bool same = step["expected"] == step["actual"];
    std::cout << (same ? "       " : "  DIFF ") << step["at"].get<std::string>() << "  "
              << step["actual"].get<std::string>() << '\n';
    if (!same) std::cout << "       expected: " << step["expected"].get<std::string>() << '\n';
    if (step["reached"] != "") std::cout << "       reached: " << step["reached"].get<std::string>() << '\n';
  }
  for (const Json& failure : drill["failures"]) std::cout << "  " << failure.get<std::string>() << '\n';
}

// One drill, offline with `engine`, else live.
Result<TimelineResult> RunOne(const SourceFile& file, const Config& config, std::shared_ptr<const Engine> engine,
                              LiveDrill live) {
  if (engine) return RunTimeline(file, std::move(engine), /*drill=*/true);
  live.run = NewRun();
  std::fprintf(stderr, "triagectl: %s runs live as drill:%s\n", file.name.c_str(), live.run.c_str());
  return RunLive(file, config, live);
}

}  // namespace

int Drill(const std::string& config_path, const DrillOptions& options) {
  LiveDrill live;
  live.topic = options.topic;
  const auto tolerance = ParseDuration(options.tolerance);
  if (!options.until.empty()) live.until = ParseTimelineClock(options.until);
  if (!tolerance || (!options.until.empty() && !live.until)) {
    std::fprintf(stderr, "triagectl: --tolerance takes a duration (30s), --until a time of the drill (h:mm)\n");
    return kExitUsage;
  }
  live.tolerance = *tolerance;
  Diagnostics diagnostics;
  const auto config = LoadConfig(config_path, &diagnostics);
  const auto engine = config && !options.live ? LoadEngine(*config, &diagnostics) : nullptr;
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (!config || (!options.live && !engine)) return kExitFailed;
  bool differs = false;
  Json report = Json::array();
  for (const std::string& path : options.files) {
    const auto file = ReadSourceFile(path);
    const auto result = file ? RunOne(*file, *config, engine, live) : Result<TimelineResult>(file.error());
    if (!result) {
      std::fprintf(stderr, "triagectl: %s\n", result.error().message.c_str());
      return kExitFailed;
    }
    differs = differs || !result->failures.empty();
    report.push_back(ReportOf(path, *result));
  }
  if (options.format == "json") {
    std::cout << report.dump(2) << '\n';
  } else {
    for (const Json& drill : report) PrintReport(drill);
  }
  return differs ? kExitFailed : kExitOk;
}

}  // namespace triaged
