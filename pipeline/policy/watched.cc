// What a partition watches beside its cases: storms of one rule, feeds that fall silent.
#include <set>

#include "pipeline/model/watch.h"
#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

constexpr size_t kMaxFeeds = 256;
constexpr Duration kLongestWindow = std::chrono::hours(24);
constexpr Duration kLongestSilence = std::chrono::hours(24 * 31);

void ReadStorm(const Reading& reading, MapReader* top) {
  const YamlNode* node = top->Node("storm");
  if (!node) return;
  MapReader map(reading.source, *node, "storm", reading.diagnostics);
  map.Node("escalations", true);
  StormSpec& storm = reading.policy->storm;
  storm.escalations = static_cast<uint32_t>(map.Int("escalations", 0, 1, static_cast<int64_t>(kMaxWatchTimes)));
  storm.window = map.Interval("window", std::chrono::minutes(10), std::chrono::seconds(10), kLongestWindow);
  map.Finish();
}

void ReadFeed(const Reading& reading, const YamlNode& node, std::set<std::string>* seen) {
  Policy& policy = *reading.policy;
  MapReader map(reading.source, node, "feed", reading.diagnostics);
  FeedSpec feed;
  feed.name = map.String("name", {}, true);
  if (const YamlNode* name = map.Node("name")) {
    CheckName(reading, *name, feed.name, "feed");
    if (!seen->insert(feed.name).second) ErrorAt(reading, *name, "feed '" + feed.name + "' is listed twice");
  }
  feed.topic = map.String("topic");
  feed.product = map.String("product");
  if (feed.topic.empty() && feed.product.empty()) {
    map.ErrorHere("a feed needs `topic`, `product` or both", "say which alerts are expected");
  }
  map.Node("silent_after", true);
  feed.silent_after = map.Interval("silent_after", std::chrono::hours(1), std::chrono::minutes(1), kLongestSilence);
  const std::string severity = map.String("severity", {}, true);
  if (const auto index = policy.SeverityIndex(severity)) {
    feed.severity = *index;
  } else if (const YamlNode* where = map.Node("severity")) {
    ErrorAt(reading, *where, "there is no severity '" + severity + "'", Suggest(severity, SeverityNames(policy)));
  }
  map.Finish();
  policy.feeds.push_back(std::move(feed));
}

}  // namespace

void ReadWatched(const Reading& reading, MapReader* top) {
  ReadStorm(reading, top);
  if (!top->Node("feeds")) return;
  std::set<std::string> seen;
  for (const YamlNode& node : ListOf(reading, top, "feeds", kMaxFeeds)) ReadFeed(reading, node, &seen);
}

}  // namespace triaged::pack
