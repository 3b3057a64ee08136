// Runs every timeline under tests/scenario against the shipped formats, rules and packs.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/timeline.h"

namespace triaged {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<const Engine> LoadedEngine(const std::vector<std::string>& rules, const std::string& pack) {
  Config config;
  config.formats = {TRIAGED_SOURCE_DIR "/configs/formats"};
  config.rules = rules;
  config.policies = {pack};
  Diagnostics diagnostics;
  auto engine = LoadEngine(config, &diagnostics);
  INFO(diagnostics.Render());
  REQUIRE(engine != nullptr);
  return engine;
}

const std::string kConfigs = TRIAGED_SOURCE_DIR "/configs/";

std::shared_ptr<const Engine> ShippedEngine(const std::string& pack, const std::vector<std::string>& rules = {"rules"}) {
  std::vector<std::string> folders;
  for (const std::string& folder : rules) folders.push_back(kConfigs + folder);
  return LoadedEngine(folders, kConfigs + "policies/" + pack + ".yaml");
}

std::vector<std::string> Timelines(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(TRIAGED_SOURCE_DIR "/tests/scenario/" + folder)) {
    if (entry.path().extension() == ".timeline") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

void RunAll(const std::string& folder, size_t at_least, const std::shared_ptr<const Engine>& engine) {
  const auto paths = Timelines(folder);
  REQUIRE(paths.size() >= at_least);
  for (const std::string& path : paths) {
    const auto file = ReadSourceFile(path);
    REQUIRE(file.ok());
    const auto result = RunTimeline(*file, engine);
    CAPTURE(path);
    if (!result) {
      FAIL_CHECK(result.error().message);
      continue;
    }
    for (const std::string& failure : result->failures) FAIL_CHECK(failure);
    CHECK(result->lines > 0);
  }
}

TEST_CASE("every timeline of the SOC pack goes as written") { RunAll("soc", 15, ShippedEngine("soc-tiered")); }

TEST_CASE("every timeline of the platform pack goes as written") {
  RunAll("platform", 10, ShippedEngine("platform", {"rules", "rules-operations"}));
}

TEST_CASE("every timeline of the help desk pack goes as written") {
  RunAll("helpdesk", 9, ShippedEngine("helpdesk", {"rules", "rules-operations"}));
}

TEST_CASE("every timeline of the ticket support pack goes as written") {
  RunAll("kb005", 12, ShippedEngine("kb005", {"rules-operations"}));
}

TEST_CASE("every timeline of the support framework pack goes as written") {
  RunAll("support", 7, ShippedEngine("support-framework", {"rules-operations"}));
}

TEST_CASE("every timeline of the engine's mechanisms goes as written") {
  const std::string folder = TRIAGED_SOURCE_DIR "/tests/scenario/engine/";
  RunAll("engine", 26, LoadedEngine({folder + "rules.yaml"}, folder + "pack.yaml"));
}

TEST_CASE("every timeline of time in level goes as written") {
  const std::string folder = TRIAGED_SOURCE_DIR "/tests/scenario/";
  RunAll("entered", 2, LoadedEngine({folder + "engine/rules.yaml"}, folder + "entered/pack.yaml"));
}

TEST_CASE("every timeline of the baseline goes as written") {
  const std::string folder = TRIAGED_SOURCE_DIR "/tests/scenario/baseline/";
  RunAll("baseline", 4, LoadedEngine({folder + "rules.yaml"}, folder + "pack.yaml"));
}

TEST_CASE("every timeline of storms, feeds and partitions goes as written") {
  const std::string folder = TRIAGED_SOURCE_DIR "/tests/scenario/";
  RunAll("watched", 8, LoadedEngine({folder + "engine/rules.yaml"}, folder + "watched/pack.yaml"));
}

TEST_CASE("a timeline can fail") {
  const auto engine = ShippedEngine("soc-tiered");
  const SourceFile wrong{"wrong.timeline", "00:00 alert host=a rule=r severity=low → nothing\n"};
  const auto result = RunTimeline(wrong, engine);
  REQUIRE(result.ok());
  CHECK(result->failures.size() == 1);

  const SourceFile unannounced{"quiet.timeline", "00:00 alert host=a rule=r severity=low → opens 0-1\n23:00 → nothing\n"};
  const auto quiet = RunTimeline(unannounced, engine);
  REQUIRE(quiet.ok());
  CHECK_FALSE(quiet->failures.empty());

  const SourceFile empty{"empty.timeline", "# nothing is expected\n"};
  CHECK_FALSE(RunTimeline(empty, engine).ok());
}

}  // namespace
}  // namespace triaged
