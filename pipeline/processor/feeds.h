// Feeds: when each configured feed was last heard, and what its silence sets off (DOMAIN.md, Alert → Case).
//
// A feed's alerts go to many partitions; one of them, by the hash of its name, watches it. The others tell that one
// what they heard, at most every quarter of the feed's time, so its deadline is exact while messages take less than
// the rest. Silence opens a case, which is escalated as any other, and is said as io.triaged.feed.silent.v1; the next
// alert resolves it. A feed that is new counts from the first step under the configuration that names it.
//
// Not thread-safe: one partition, one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/decide/surroundings.h"
#include "pipeline/policy/engine.h"

namespace triaged {

class Feeds {
 public:
  Feeds(std::shared_ptr<const Engine> engine, int32_t partition, int32_t partitions);

  // A step begins: what one that was dropped had heard is forgotten.
  void Begin();
  // An alert was taken.
  void Hear(std::string_view topic, std::string_view product);
  // Whether a feed is not watched yet that this partition is to watch.
  bool MustArm(const WatchTable& watches) const;
  // What the step heard, and feeds that are new.
  Status Finish(Timestamp now, Surroundings* around);
  // A feed's watch is due.
  Status Fire(const Watch& watch, Timestamp now, Surroundings* around);
  // Another partition heard the feed.
  Status Told(const Message& message, Timestamp now, Surroundings* around);

 private:
  struct Feed {
    const Policy* policy = nullptr;
    const FeedSpec* spec = nullptr;
    std::string id;
    int32_t owner = 0;
    bool heard = false;  // in this step
  };
  const Feed* FindFeed(std::string_view id) const;
  Status HeardAt(const Feed& feed, Timestamp at, Timestamp now, Surroundings* around);
  void TellOwner(const Feed& feed, Watch watch, Timestamp now, Surroundings* around);
  Status Silent(const Feed& feed, const Watch& watch, Timestamp now, Surroundings* around);
  Status SpeaksAgain(const Feed& feed, Timestamp now, Surroundings* around);

  const std::shared_ptr<const Engine> engine_;
  const int32_t partition_;
  std::vector<Feed> feeds_;
};

}  // namespace triaged
