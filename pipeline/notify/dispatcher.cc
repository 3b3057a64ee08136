#include "pipeline/notify/dispatcher.h"

#include <algorithm>
#include <utility>

#include "pipeline/base/hash.h"

namespace triaged {
namespace {

constexpr int64_t kMinute = 60'000;
constexpr int kMaxDoublings = 20;

int64_t Capacity(const Destination& d) { return 1000 * (1 + d.per_minute / 10); }
int64_t BytesOf(const NotifyEvent& event) { return static_cast<int64_t>(event.raw.size()) + 1024; }

}  // namespace

Dispatcher::Dispatcher(const NotifyConfig& config, NotifyMemory* memory, uint64_t seed)
    : config_(config), memory_(memory), jitter_(seed) {
  for (const auto& [name, destination] : config_.destinations) {
    lanes_[name].config = &destination;
    lanes_[name].tokens = Capacity(destination);
  }
}

void Dispatcher::Enqueue(Lane* lane, Waiting waiting) {
  const NotifyEvent& event = *waiting.item.event;
  ++lane->ids[event.id];
  ++offsets_[waiting.partition].open[waiting.offset];
  const auto under_way = std::find_if(lane->sent.begin(), lane->sent.end(), [&](const Waiting& sent) {
    return sent.lost && sent.item.event->id == event.id;
  });
  if (under_way != lane->sent.end()) {
    // Its partition went away and came back: the request that is out is the one.
    under_way->partition = waiting.partition;
    under_way->offset = waiting.offset;
    under_way->lost = false;
    return;
  }
  const bool trigger = waiting.item.action == NotifyAction::kTrigger;
  const bool first = trigger && !lane->keys.contains(event.dedup_key) &&
                     memory_->Told(lane->config->name, event.dedup_key).empty();
  if (trigger) ++lane->keys[event.dedup_key];
  queued_bytes_ += BytesOf(event);
  (first ? lane->first : lane->later).push_back(std::move(waiting));
}

void Dispatcher::Offer(std::shared_ptr<const NotifyEvent> event, int32_t partition, int64_t offset, NotifyTime now) {
  offsets_[partition].next = offset + 1;
  if (!event) return;
  Waiting waiting{{event, event->action, {}, {}, {}}, partition, offset, now.steady};
  if (event->action != NotifyAction::kTrigger) {
    if (memory_->Answered(event->dedup_key) < event->sequence) {
      memory_->SetAnswered(event->dedup_key, event->sequence, now.wall);
    }
    Withdraw(*event);
    for (auto& [name, lane] : lanes_) {
      const bool told = lane.keys.contains(event->dedup_key) || !memory_->Told(name, event->dedup_key).empty();
      if (told && !memory_->Delivered(name, event->id)) Enqueue(&lane, waiting);
    }
    return;
  }
  const std::vector<std::string> names = RouteEvent(config_, *event, now.wall);
  if (!names.empty() && now.wall - event->time > config_.max_age) {
    ++stale_;
    return;
  }
  for (const std::string& name : names) {
    Lane& lane = lanes_.at(name);
    if (memory_->Delivered(name, event->id)) {
      ++lane.stats.already_delivered;
    } else if (!MayGo(lane, waiting)) {
      ++lane.stats.withdrawn;
    } else {
      Enqueue(&lane, waiting);
    }
  }
}

// What waits for the case leaves every queue; what is under way is not retried (MayGo).
void Dispatcher::Withdraw(const NotifyEvent& answer) {
  for (auto& [name, lane] : lanes_) {
    if (!lane.keys.contains(answer.dedup_key)) continue;
    for (auto* queue : {&lane.first, &lane.later}) {
      for (auto it = queue->begin(); it != queue->end();) {
        const bool ours = it->item.action == NotifyAction::kTrigger && it->item.event->dedup_key == answer.dedup_key &&
                          it->item.event->sequence < answer.sequence;
        if (!ours) {
          ++it;
          continue;
        }
        const Waiting gone = *it;
        it = queue->erase(it);
        ++lane.stats.withdrawn;
        Settle(&lane, gone);
      }
    }
  }
}

void Dispatcher::Settle(Lane* lane, const Waiting& waiting) {
  if (waiting.item.action == NotifyAction::kTrigger) {
    const auto key = lane->keys.find(waiting.item.event->dedup_key);
    if (key != lane->keys.end() && --key->second == 0) lane->keys.erase(key);
  }
  queued_bytes_ -= BytesOf(*waiting.item.event);
  if (waiting.lost) return;
  const auto id = lane->ids.find(waiting.item.event->id);
  if (id != lane->ids.end() && --id->second == 0) lane->ids.erase(id);
  const auto offsets = offsets_.find(waiting.partition);
  if (offsets == offsets_.end()) return;
  const auto open = offsets->second.open.find(waiting.offset);
  if (open != offsets->second.open.end() && --open->second == 0) offsets->second.open.erase(open);
}

// A trigger whose case was answered later pages nobody; an answer goes where something was told.
bool Dispatcher::MayGo(const Lane& lane, const Waiting& waiting) const {
  const NotifyEvent& event = *waiting.item.event;
  if (waiting.item.action == NotifyAction::kTrigger) return memory_->Answered(event.dedup_key) < event.sequence;
  return !memory_->Told(lane.config->name, event.dedup_key).empty();
}

void Dispatcher::Refill(Lane* lane, Duration steady) {
  const int64_t passed = std::min<int64_t>((steady - lane->filled.value_or(steady)).count(), kMinute);
  const int64_t gained = passed * lane->config->per_minute * 1000 / kMinute;
  if (gained == 0 && lane->filled) return;  // too little to count: keep the start
  lane->tokens = std::min(Capacity(*lane->config), lane->tokens + gained);
  lane->filled = steady;
}

std::optional<NotifyJob> Dispatcher::Next(const std::string& destination, Duration steady) {
  Lane& lane = lanes_.at(destination);
  Refill(&lane, steady);
  if (!lane.sent.empty() || steady < lane.not_before || lane.tokens < 1000) return std::nullopt;
  const int64_t waiting = static_cast<int64_t>(lane.first.size() + lane.later.size());
  const int64_t limit = waiting > lane.tokens / 1000 && lane.failures == 0 ? lane.config->bundle : 1;
  NotifyJob job{destination, {}};
  for (auto* queue : {&lane.first, &lane.later}) {
    while (!queue->empty() && static_cast<int64_t>(job.items.size()) < limit) {
      Waiting& next = queue->front();
      // Requests of PagerDuty acknowledge or resolve the incidents of one case.
      const bool single = next.alone || (lane.config->kind == DestinationKind::kPagerDuty &&
                                         next.item.action != NotifyAction::kTrigger);
      if (single && !job.items.empty()) break;
      Waiting taken = std::move(next);
      queue->pop_front();
      if (!MayGo(lane, taken)) {
        lane.stats.withdrawn += taken.item.action == NotifyAction::kTrigger;
        Settle(&lane, taken);
        continue;
      }
      taken.item.told = memory_->Told(destination, taken.item.event->dedup_key);
      job.items.push_back(taken.item);
      lane.sent.push_back(std::move(taken));
      if (single) break;
    }
    if (!job.items.empty() && lane.sent.back().alone) break;
  }
  if (job.items.empty()) return std::nullopt;
  const auto requests = static_cast<int64_t>(RequestsOf(*lane.config, job.items));
  lane.tokens -= 1000 * requests;  // may owe some: the next job waits for them
  lane.stats.requests += static_cast<uint64_t>(requests);
  return job;
}

void Dispatcher::Completed(const std::string& destination, const SendOutcome& outcome, NotifyTime now) {
  Lane& lane = lanes_.at(destination);
  if (outcome.result == SendResult::kRetry) return Retry(&lane, outcome, now.steady);
  lane.failures = 0;
  lane.stats.breaker_open = false;
  if (outcome.result == SendResult::kDelivered) {
    const std::vector<Waiting> sent = std::exchange(lane.sent, {});
    std::vector<NotifyItem> items;
    for (const Waiting& waiting : sent) items.push_back(waiting.item);
    memory_->SetDelivered(destination, items, now.wall);
    lane.stats.delivered += items.size();
    for (const Waiting& waiting : sent) Settle(&lane, waiting);
    return;
  }
  const bool bundle = lane.sent.size() > 1;
  std::vector<Waiting> failed = TakeFailed(&lane);
  for (auto it = failed.rbegin(); it != failed.rend(); ++it) {
    if (!bundle) {
      GiveUp(&lane, std::move(*it), outcome.what, now.steady);
      continue;
    }
    it->alone = true;  // one bad event must not take the others with it
    lane.first.push_front(std::move(*it));
  }
}

// What was under way and failed. What was lost meanwhile is left to the new owner of its partition.
std::vector<Dispatcher::Waiting> Dispatcher::TakeFailed(Lane* lane) {
  std::vector<Waiting> failed;
  for (Waiting& waiting : std::exchange(lane->sent, {})) {
    if (waiting.lost) {
      Settle(lane, waiting);
    } else {
      failed.push_back(std::move(waiting));
    }
  }
  return failed;
}

void Dispatcher::Retry(Lane* lane, const SendOutcome& outcome, Duration steady) {
  const Destination& d = *lane->config;
  ++lane->stats.retries;
  ++lane->failures;
  const int64_t factor = int64_t{1} << std::min<int64_t>(lane->failures - 1, kMaxDoublings);
  const int64_t ceiling = std::min(d.retry_max.count(), d.retry_min.count() * factor);
  const int64_t wait = ceiling / 2 + static_cast<int64_t>(jitter_() % static_cast<uint64_t>(ceiling / 2 + 1));
  lane->not_before = steady + std::max(Duration(wait), outcome.retry_after);
  lane->stats.breaker_open = lane->failures >= d.breaker_failures;
  if (lane->stats.breaker_open) lane->not_before = std::max(lane->not_before, steady + d.breaker_pause);
  std::vector<Waiting> failed = TakeFailed(lane);
  for (auto it = failed.rbegin(); it != failed.rend(); ++it) {
    if (steady - it->since >= d.deadline) {
      GiveUp(lane, std::move(*it), "deadline passed: " + outcome.what, steady);
    } else if (!MayGo(*lane, *it)) {
      lane->stats.withdrawn += it->item.action == NotifyAction::kTrigger;
      Settle(lane, *it);
    } else {
      lane->first.push_front(std::move(*it));
    }
  }
}

void Dispatcher::GiveUp(Lane* lane, Waiting waiting, std::string reason, Duration steady) {
  ++lane->stats.failed;
  dead_.push_back({lane->config->name, std::move(reason), waiting.item.event});
  const bool trigger = waiting.item.action == NotifyAction::kTrigger;
  if (trigger && !lane->config->fallback.empty() && MayGo(*lane, waiting)) {
    Lane& fallback = lanes_.at(lane->config->fallback);
    // Several destinations may fall back to the same one; it tells of an event once.
    const std::string& id = waiting.item.event->id;
    if (!fallback.ids.contains(id) && !memory_->Delivered(fallback.config->name, id)) {
      Waiting again = waiting;
      again.since = steady;
      again.alone = false;
      ++lane->stats.fallbacks;
      Enqueue(&fallback, std::move(again));
    }
  }
  Settle(lane, waiting);
}

void Dispatcher::Expire(Duration steady) {
  for (auto& [name, lane] : lanes_) {
    for (auto* queue : {&lane.first, &lane.later}) {
      while (!queue->empty() && steady - queue->front().since >= lane.config->deadline) {
        Waiting late = std::move(queue->front());
        queue->pop_front();
        GiveUp(&lane, std::move(late), "deadline passed while it waited", steady);
      }
    }
  }
}

void Dispatcher::Drop(int32_t partition) {
  for (auto& [name, lane] : lanes_) {
    for (auto* queue : {&lane.first, &lane.later}) {
      for (auto it = queue->begin(); it != queue->end();) {
        if (it->partition != partition) {
          ++it;
          continue;
        }
        const Waiting gone = std::move(*it);
        it = queue->erase(it);
        Settle(&lane, gone);
      }
    }
    for (Waiting& sent : lane.sent) {
      if (sent.lost || sent.partition != partition) continue;
      const auto id = lane.ids.find(sent.item.event->id);
      if (--id->second == 0) lane.ids.erase(id);
      sent.lost = true;
    }
  }
  offsets_.erase(partition);
}

std::map<int32_t, int64_t> Dispatcher::Committable() const {
  std::map<int32_t, int64_t> out;
  for (const auto& [partition, offsets] : offsets_) {
    out[partition] = offsets.open.empty() ? offsets.next : offsets.open.begin()->first;
  }
  return out;
}

std::vector<NotifyDeadLetter> Dispatcher::TakeDeadLetters() { return std::exchange(dead_, {}); }

bool Dispatcher::idle() const {
  return std::all_of(lanes_.begin(), lanes_.end(), [](const auto& entry) {
    return entry.second.first.empty() && entry.second.later.empty() && entry.second.sent.empty();
  });
}

DestinationStats Dispatcher::Stats(const std::string& destination, Duration steady) const {
  const Lane& lane = lanes_.at(destination);
  DestinationStats stats = lane.stats;
  stats.queued = lane.first.size() + lane.later.size() + lane.sent.size();
  const auto age = [&](const auto& queue) { return queue.empty() ? Duration{0} : steady - queue.front().since; };
  stats.oldest = std::max({age(lane.first), age(lane.later), age(lane.sent)});
  return stats;
}

}  // namespace triaged
