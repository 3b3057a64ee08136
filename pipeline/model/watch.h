// Watches: what a partition remembers beside its cases: when a feed was last heard, and which escalations of one rule
// came lately (DOMAIN.md, Alert → Case: storm guard, silent feeds). Plain values, not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/base/time.h"

namespace triaged {

inline constexpr size_t kMaxWatches = 4096;        // of one partition; beyond, the rule that is quiet longest is forgotten
inline constexpr size_t kMaxWatchTimes = 1000;     // escalations of one rule that a storm window may allow
inline constexpr std::string_view kFeedWatch = "feed/";    // + policy + '/' + name of the feed
inline constexpr std::string_view kStormWatch = "storm/";  // + policy + '/' + rule

struct Watch {
  std::string id;
  std::vector<Timestamp> times;  // storm: the latest escalations, oldest first
  Timestamp heard{};             // feed: when its last alert was taken, as far as is known here
  Timestamp told{};              // feed: what of this its own partition was told
  Timestamp due{};               // when it is looked at next; zero: never
  bool operator==(const Watch&) const = default;
};

class WatchTable {
 public:
  const std::map<std::string, Watch, std::less<>>& watches() const { return watches_; }
  const Watch* Find(std::string_view id) const;
  void Put(Watch watch);  // adds or replaces
  void Erase(std::string_view id);
  // The earliest due one, by time and then id; nullptr: none is due ever.
  const Watch* Next() const;

 private:
  std::map<std::string, Watch, std::less<>> watches_;
  std::set<std::pair<Timestamp, std::string>> due_;
};

}  // namespace triaged
