#include "pipeline/processor/feeds.h"

#include <algorithm>

#include "pipeline/base/hash.h"
#include "pipeline/decide/beside.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/decide/escalation.h"

namespace triaged {
namespace {

// No grouping rule's name has a '!', so no alert is ever grouped under such a key.
std::string FeedKey(const Policy& policy, const FeedSpec& feed) { return policy.name + "/!feed/" + feed.name; }

std::string InWords(const FeedSpec& feed, const Watch& watch) {
  std::string words = "no alert";
  if (!feed.product.empty()) words += " of " + feed.product;
  if (!feed.topic.empty()) words += " from topic " + feed.topic;
  words += " for " + FormatDuration(feed.silent_after);
  return words + (watch.heard == Timestamp{} ? ", none since it is watched" : "; the last at " + FormatTimestamp(watch.heard));
}

}  // namespace

Feeds::Feeds(std::shared_ptr<const Engine> engine, int32_t partition, int32_t partitions)
    : engine_(std::move(engine)), partition_(partition) {
  for (const auto& policy : engine_->policies) {
    for (const FeedSpec& spec : policy->feeds) {
      Feed feed{policy.get(), &spec, std::string(kFeedWatch) + policy->name + "/" + spec.name, 0, false};
      feed.owner = PartitionForKey(feed.id, partitions);
      feeds_.push_back(std::move(feed));
    }
  }
}

void Feeds::Begin() {
  for (Feed& feed : feeds_) feed.heard = false;
}

void Feeds::Hear(std::string_view topic, std::string_view product) {
  for (Feed& feed : feeds_) {
    if (feed.heard) continue;
    feed.heard = (feed.spec->topic.empty() || feed.spec->topic == topic) &&
                 (feed.spec->product.empty() || feed.spec->product == product);
  }
}

bool Feeds::MustArm(const WatchTable& watches) const {
  return std::any_of(feeds_.begin(), feeds_.end(),
                     [&](const Feed& feed) { return feed.owner == partition_ && !watches.Find(feed.id); });
}

const Feeds::Feed* Feeds::FindFeed(std::string_view id) const {
  const auto at = std::find_if(feeds_.begin(), feeds_.end(), [&](const Feed& feed) { return feed.id == id; });
  return at == feeds_.end() ? nullptr : &*at;
}

Status Feeds::Finish(Timestamp now, Surroundings* around) {
  for (Feed& feed : feeds_) {
    const Watch* known = around->store->watches().Find(feed.id);
    if (std::exchange(feed.heard, false)) {
      if (feed.owner == partition_) {
        if (Status heard = HeardAt(feed, now, now, around); !heard) return heard;
        continue;
      }
      Watch watch = known ? *known : Watch{feed.id, {}, {}, {}, {}};
      watch.heard = now;
      const Timestamp tell_at = watch.told + feed.spec->silent_after / 4;
      if (watch.told == Timestamp{} || tell_at <= now) {
        TellOwner(feed, std::move(watch), now, around);
      } else {
        watch.due = tell_at;
        around->store->PutWatch(std::move(watch));
      }
    } else if (feed.owner == partition_ && !known) {
      around->store->PutWatch({feed.id, {}, {}, {}, now + feed.spec->silent_after});
    }
  }
  return {};
}

void Feeds::TellOwner(const Feed& feed, Watch watch, Timestamp now, Surroundings* around) {
  Message message;
  message.kind = MessageKind::kFeedHeard;
  message.partition = feed.owner;
  message.text = feed.id;
  message.number = ToUnixMillis(watch.heard);
  around->messages.push_back(std::move(message));
  watch.told = now;
  watch.due = Timestamp{};
  around->store->PutWatch(std::move(watch));
}

Status Feeds::HeardAt(const Feed& feed, Timestamp at, Timestamp now, Surroundings* around) {
  const Watch* known = around->store->watches().Find(feed.id);
  Watch watch = known ? *known : Watch{feed.id, {}, {}, {}, {}};
  if (known && at <= watch.heard) return {};
  const bool silent = known && watch.due == Timestamp{};
  watch.heard = at;
  watch.due = std::max(at + feed.spec->silent_after, now);  // told too late: it is silent already
  around->store->PutWatch(std::move(watch));
  return silent ? SpeaksAgain(feed, now, around) : Status();
}

Status Feeds::Told(const Message& message, Timestamp now, Surroundings* around) {
  const Feed* feed = FindFeed(message.text);
  if (!feed || feed->owner != partition_) return {};  // configured no longer, or not yet here
  return HeardAt(*feed, FromUnixMillis(message.number), now, around);
}

Status Feeds::Fire(const Watch& watch, Timestamp now, Surroundings* around) {
  const Feed* feed = FindFeed(watch.id);
  if (!feed) {
    around->store->EraseWatch(watch.id);
    return {};
  }
  if (feed->owner != partition_) {
    TellOwner(*feed, watch, now, around);
    return {};
  }
  Watch silent = watch;
  silent.due = Timestamp{};
  around->store->PutWatch(silent);
  return Silent(*feed, silent, now, around);
}

Status Feeds::Silent(const Feed& feed, const Watch& watch, Timestamp now, Surroundings* around) {
  const Policy& policy = *feed.policy;
  const std::string key = FeedKey(policy, *feed.spec);
  auto found = around->FindByKey(key);
  if (!found) return found.error();
  const Case* previous = *found;
  const std::string words = InWords(*feed.spec, watch);
  Case* c = *found;
  ChangedCase changed;
  if (!c || !IsActive(*c)) {
    Case fresh;
    fresh.id = {partition_, (*around->next_case)++};
    fresh.key = key;
    fresh.policy = policy.name;
    fresh.severity = feed.spec->severity;
    fresh.team = policy.levels.front().team;
    fresh.opened_at = now;
    fresh.first_seen = fresh.last_seen = watch.heard;
    if (previous) fresh.previous_case = ToString(previous->id);
    c = around->store->Insert(std::move(fresh));
    CaseContext ctx{policy, *c, now, changed.events};
    StartEpisode(ctx);
    AddToTimeline(ctx, "opened", "", "feed " + feed.spec->name + " is silent: " + words);
    Emit(ctx, CaseEventType::kOpened, "feed_silent").detail = words;
    AddFollowUps(ctx, FollowUpOn::kOpened);
  }
  CaseContext ctx{policy, *c, now, changed.events};
  Emit(ctx, CaseEventType::kFeedSilent, feed.spec->name).detail = words;
  StandingChanged(ctx);
  changed.c = c;
  around->others.push_back(std::move(changed));
  return {};
}

// Resolved, not closed: a person may still say that it has issues.
Status Feeds::SpeaksAgain(const Feed& feed, Timestamp now, Surroundings* around) {
  auto found = around->FindByKey(FeedKey(*feed.policy, *feed.spec));
  if (!found) return found.error();
  if (!*found || !IsActive(**found)) return {};
  ChangedCase changed{*found, {}};
  CaseContext ctx{*feed.policy, **found, now, changed.events};
  StopAllDeadlines(ctx);
  ctx.c.status = CaseStatus::kResolved;
  ctx.c.resolved_at = now;
  ctx.c.resolution = "feed_speaks_again";
  AddToTimeline(ctx, "resolved", "", "the feed speaks again");
  StandingChanged(ctx);
  Emit(ctx, CaseEventType::kResolved, "feed_speaks_again");
  around->others.push_back(std::move(changed));
  return {};
}

}  // namespace triaged
