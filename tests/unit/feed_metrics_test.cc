// What the metrics say of watched feeds: one partition watches, the others tell it, and only the first is shown.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/metrics.h"
#include "daemon/replay.h"

namespace triaged {
namespace {

constexpr int64_t kStart = 1'772'438'400'000;  // 2026-03-02T08:00:00Z
constexpr int32_t kPartitions = 3;

std::shared_ptr<const Engine> WatchedEngine() {
  Diagnostics diagnostics;
  EngineSources sources;
  sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
  sources.policies = ReadSources({TRIAGED_SOURCE_DIR "/tests/scenario/watched/pack.yaml"}, &diagnostics);
  auto engine = CompileEngine(sources, NormaliseLimits{}, &diagnostics);
  REQUIRE_MESSAGE(engine != nullptr, diagnostics.Render());
  return engine;
}

Timestamp Minute(int64_t minute) { return FromUnixMillis(kStart + minute * 60'000); }

void Send(Replay* replay, int64_t minute) {
  for (int host = 0; host < 20; ++host) {
    const nlohmann::json alert = {{"ecs.version", "8.11.0"}, {"event.kind", "alert"}, {"observer.product", "edr"},
                                  {"event.id", std::to_string(minute) + "-" + std::to_string(host)},
                                  {"rule.name", "r"}, {"host.name", "h" + std::to_string(host)},
                                  {"@timestamp", FormatTimestamp(Minute(minute))}};
    REQUIRE(replay->TakeAlert(alert.dump(), Minute(minute)).ok());
  }
}

// The value of the only series of a family.
std::string Only(const Metrics& metrics, const std::string& family) {
  const std::string text = metrics.Text();
  const size_t at = text.find("\n" + family + "{");
  REQUIRE(at != std::string::npos);
  CHECK(text.find("\n" + family + "{", at + 1) == std::string::npos);
  const size_t end = text.find('\n', at + 1);
  return text.substr(text.rfind(' ', end) + 1, end - text.rfind(' ', end) - 1);
}

TEST_CASE("metrics: when a feed was last heard, and whether it is silent") {
  InitLog("error", LogFormat::kLogfmt);
  const auto engine = WatchedEngine();
  Metrics metrics(*engine, 1, kPartitions);
  CHECK(Only(metrics, "triaged_feed_silent") == "0");
  CHECK(Only(metrics, "triaged_feed_last_heard_timestamp_seconds") == "0");
  Replay replay(engine, "test", kPartitions);
  REQUIRE(replay.Open().ok());
  const auto show = [&] {
    size_t watching = 0;
    for (int32_t partition = 0; partition < kPartitions; ++partition) {
      const StoreStats stats = dynamic_cast<PartitionStore&>(replay.store(partition)).Stats();
      watching += stats.feeds.size();
      metrics.OnPartitionState(0, partition, PartitionState::kRunning);
      metrics.OnStoreStats(partition, stats);
    }
    CHECK(watching == 1);
  };
  Send(&replay, 0);
  Send(&replay, 20);
  show();
  CHECK(Only(metrics, "triaged_feed_silent") == "0");
  CHECK(std::stod(Only(metrics, "triaged_feed_last_heard_timestamp_seconds")) * 1000 == kStart + 20 * 60'000);
  REQUIRE(replay.AdvanceTo(Minute(100)).ok());
  show();
  CHECK(Only(metrics, "triaged_feed_silent") == "1");
  Send(&replay, 101);
  show();
  CHECK(Only(metrics, "triaged_feed_silent") == "0");
  REQUIRE(replay.AdvanceTo(Minute(200)).ok());
  show();
  CHECK(Only(metrics, "triaged_feed_silent") == "1");
  for (int32_t partition = 0; partition < kPartitions; ++partition) {
    metrics.OnPartitionState(0, partition, PartitionState::kClosed);
  }
  CHECK(Only(metrics, "triaged_feed_silent") == "0");  // another process watches it now
}

}  // namespace
}  // namespace triaged
