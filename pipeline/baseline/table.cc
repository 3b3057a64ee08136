#include "pipeline/baseline/table.h"

#include <algorithm>

#include "pipeline/base/check.h"

namespace triaged {
namespace {

constexpr uint32_t kMinutes = 60;
constexpr uint64_t kMeanUnit = uint64_t{1} << 20;

uint32_t MinuteOf(Timestamp at) {
  const int64_t minute = ToUnixMillis(at) / 60'000;
  return static_cast<uint32_t>(std::clamp<int64_t>(minute, 0, UINT32_MAX));
}

uint32_t HoursOf(Duration d) { return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::hours>(d).count()); }

// Brings the entry to `hour`: the hours in between had no alert.
void Roll(const HourlyDecay& decay, uint32_t hour, BaselineEntry* entry) {
  const uint32_t gap = hour - entry->hour;
  if (entry->count > 0 || entry->mean > 0) {
    const uint64_t left = decay.Left(1);
    entry->mean = TakeFraction(entry->mean, left) + TakeFraction(entry->count * kMeanUnit, HourlyDecay::kOne - left);
    entry->mean = TakeFraction(entry->mean, decay.Left(gap - 1));
  }
  entry->previous = gap == 1 ? entry->count : 0;
  entry->count = 0;
  const uint32_t from = entry->hour / kPeriodHours, to = hour / kPeriodHours;
  if (to - from >= kPeriods) {
    entry->recent = {};
  } else {
    for (uint32_t period = from + 1; period <= to; ++period) entry->recent[period % kPeriods] = 0;
  }
  entry->hour = hour;
}

}  // namespace

struct BaselineTable::Taken {
  const HourlyDecay& decay;
  uint32_t forget_hours;
  uint32_t minute, hour;
  std::array<Slot, kBaselineKinds + 1> slot;
  std::array<bool, kBaselineKinds + 1> fresh{};
  std::array<uint32_t, kBaselineKinds + 1> last_hour{};  // before this alert, unless fresh

  Taken(const BaselineSettings& settings, const HourlyDecay& d, Timestamp at)
      : decay(d), forget_hours(HoursOf(settings.forget)), minute(MinuteOf(at)), hour(minute / kMinutes) {
    slot.fill(kNone);
  }
  Slot Of(BaselineKind kind) const { return slot[static_cast<size_t>(kind)]; }
};

namespace {

// Calls visit(key) for each key of the subject: what others are counted in comes before its pairs.
template <typename Visit>
void ForEachKey(const BaselineSubject& s, Visit visit) {
  if (s.rule) visit({BaselineKind::kRule, s.rule, 0});
  if (s.host) visit({BaselineKind::kHost, s.host, 0});
  if (s.user) visit({BaselineKind::kUser, s.user, 0});
  if (s.source) visit({BaselineKind::kSource, s.source, 0});
  if (s.rule && s.host) visit({BaselineKind::kRuleOnHost, s.rule, s.host});
  if (s.rule && s.user) visit({BaselineKind::kRuleOfUser, s.rule, s.user});
  if (s.user && s.host) visit({BaselineKind::kUserOnHost, s.user, s.host});
  if (s.source && s.host) visit({BaselineKind::kSourceOnHost, s.source, s.host});
}

}  // namespace

// ---- learning -------------------------------------------------------------------------------------------------------

BaselineView BaselineTable::Observe(const BaselineSettings& settings, const HourlyDecay& decay,
                                    const BaselineSubject& subject, Timestamp at) {
  Taken taken(settings, decay, at);
  MakeRoom(settings);
  ForEachKey(subject, [&](const BaselineKey& key) { Touch(key, &taken); });
  const Slot host = taken.Of(BaselineKind::kHost), rule = taken.Of(BaselineKind::kRule);
  const Slot pair = taken.Of(BaselineKind::kRuleOnHost);
  if (pair != kNone) {
    NotePair(pair, rule, taken);
    NotePair(pair, host, taken);
    if (taken.fresh[static_cast<size_t>(BaselineKind::kRuleOnHost)]) ++slots_[rule].entry.members;
  }
  if (host != kNone) Count(host);
  if (rule != kNone) Count(pair != kNone ? pair : rule);
  return Read(settings, taken);
}

BaselineView BaselineTable::Look(const BaselineSettings& settings, const HourlyDecay& decay,
                                 const BaselineSubject& subject, Timestamp at) const {
  Taken taken(settings, decay, at);
  ForEachKey(subject, [&](const BaselineKey& key) {
    const auto kind = static_cast<size_t>(key.kind);
    const Slot slot = Find(key);
    const bool known = slot != kNone && slots_[slot].entry.hour + taken.forget_hours >= taken.hour;
    taken.fresh[kind] = !known;
    if (known) taken.slot[kind] = slot;
  });
  return Read(settings, taken);
}

// Most alerts find their entries touched within this hour already, and then nothing is to be done here.
void BaselineTable::Touch(const BaselineKey& key, Taken* taken) {
  const auto kind = static_cast<size_t>(key.kind);
  Slot slot = Find(key);
  if (slot != kNone && slots_[slot].entry.hour + taken->forget_hours < taken->hour) {
    Remove(slot);
    slot = kNone;
  }
  taken->fresh[kind] = slot == kNone;
  if (slot == kNone) {
    slot = Take();
    slots_[slot].entry = BaselineEntry{};
    slots_[slot].entry.key = key;
    slots_[slot].entry.first_minute = taken->minute;
    slots_[slot].entry.hour = taken->hour;
    Enter(slot);
    Renew(slot, *taken);
  } else {
    taken->last_hour[kind] = slots_[slot].entry.hour;
    if (slots_[slot].entry.hour < taken->hour) {
      Change(slot);
      Roll(taken->decay, taken->hour, &slots_[slot].entry);
      Unlink(slot);
      Renew(slot, *taken);
    }
  }
  taken->slot[kind] = slot;
}

// Makes it the one touched last. The table's clock moves with what is touched, so that it is stored with it.
void BaselineTable::Renew(Slot slot, const Taken& taken) {
  slots_[slot].entry.touched = marks_.next_touch++;
  LinkNewest(slot);
  if (marks_.since_minute == 0) marks_.since_minute = taken.minute;
  if (taken.hour > marks_.clock_hour) {
    marks_.clock_hour = taken.hour;
    if (taken.hour > taken.forget_hours) ForgetBefore(taken.hour - taken.forget_hours);
  }
  NoteOldest();
}

void BaselineTable::NoteOldest() {
  marks_.oldest_touch = oldest_ != kNone ? slots_[oldest_].entry.touched : marks_.next_touch;
}

void BaselineTable::Count(Slot slot) {
  Change(slot);
  uint32_t& count = slots_[slot].entry.count;
  if (count < UINT32_MAX) ++count;
}

// One more, or one that moved from an earlier period to this one, among those that `owner` has had lately.
void BaselineTable::NotePair(Slot pair, Slot owner, const Taken& taken) {
  const auto kind = static_cast<size_t>(slots_[pair].entry.key.kind);
  const bool fresh = taken.fresh[kind];
  const uint32_t period = slots_[pair].entry.hour / kPeriodHours;
  const uint32_t last = taken.last_hour[kind] / kPeriodHours;
  if (!fresh && last == period) return;
  Change(owner);
  BaselineEntry& entry = slots_[owner].entry;
  const uint32_t now = entry.hour / kPeriodHours;
  const auto in_window = [now](uint32_t p) { return p <= now && now - p < kPeriods; };
  if (!fresh && in_window(last) && entry.recent[last % kPeriods] > 0) --entry.recent[last % kPeriods];
  if (in_window(period) && entry.recent[period % kPeriods] < UINT16_MAX) ++entry.recent[period % kPeriods];
}

void BaselineTable::MakeRoom(const BaselineSettings& settings) {
  while (oldest_ != kNone && live_ + kBaselineKinds > settings.keys) {
    Remove(oldest_);
    ++evicted_;
  }
}

void BaselineTable::ForgetBefore(uint32_t hour) {
  while (oldest_ != kNone && slots_[oldest_].entry.hour < hour) Remove(oldest_);
}

void BaselineTable::Remove(Slot slot) {
  Change(slot);
  const BaselineKey key = slots_[slot].entry.key;
  if (key.kind == BaselineKind::kRuleOnHost) {
    const Slot rule = Find({BaselineKind::kRule, key.first, 0});
    if (rule != kNone && slots_[rule].entry.members > 0) {
      Change(rule);
      --slots_[rule].entry.members;
    }
  }
  Leave(slot);
  Unlink(slot);
  slots_[slot].live = false;
  free_.push_back(slot);
  --live_;
  NoteOldest();
}

// ---- answering ------------------------------------------------------------------------------------------------------

BaselineRate BaselineTable::RateOf(Slot slot, const Taken& taken) const {
  __extension__ using Wide = unsigned __int128;
  BaselineEntry entry = slots_[slot].entry;
  if (entry.hour < taken.hour) Roll(taken.decay, taken.hour, &entry);
  const uint64_t left = entry.hour == taken.hour ? kMinutes - taken.minute % kMinutes : 0;
  BaselineRate rate;
  rate.last_hour = entry.count + entry.previous * left / kMinutes;
  // The mean began at nothing: it is short of what decay has left of that beginning.
  const uint64_t weight = HourlyDecay::kOne - taken.decay.Left(entry.hour - entry.first_minute / kMinutes);
  if (weight == 0 || entry.mean == 0) return rate;
  const Wide percent = Wide{100} * rate.last_hour * kMeanUnit * weight / (Wide{entry.mean} << 32);
  rate.percent = percent > kMaxRatePercent ? kMaxRatePercent : static_cast<uint64_t>(percent);
  return rate;
}

BaselineView BaselineTable::Read(const BaselineSettings& settings, const Taken& taken) const {
  BaselineView view;
  const auto since = [&taken](uint32_t minute) -> uint64_t { return taken.minute > minute ? taken.minute - minute : 0; };
  view.age = marks_.since_minute == 0 ? 0 : since(marks_.since_minute);
  view.ready = std::chrono::minutes(view.age) >= settings.learn;
  const auto is_new = [&](BaselineKind kind) -> std::optional<bool> {
    const auto k = static_cast<size_t>(kind);
    if (taken.slot[k] == kNone && !taken.fresh[k]) return std::nullopt;
    return taken.fresh[k] && view.ready;
  };
  view.new_rule = is_new(BaselineKind::kRule);
  view.new_rule_on_host = is_new(BaselineKind::kRuleOnHost);
  view.new_rule_of_user = is_new(BaselineKind::kRuleOfUser);
  view.new_host = is_new(BaselineKind::kHost);
  view.new_user = is_new(BaselineKind::kUser);
  view.new_source = is_new(BaselineKind::kSource);
  view.new_user_on_host = is_new(BaselineKind::kUserOnHost);
  view.new_source_on_host = is_new(BaselineKind::kSourceOnHost);
  const Slot rule = taken.Of(BaselineKind::kRule), pair = taken.Of(BaselineKind::kRuleOnHost);
  const Slot host = taken.Of(BaselineKind::kHost);
  if (rule != kNone) {
    view.rule_age = since(slots_[rule].entry.first_minute);
    view.hosts_of_rule = slots_[rule].entry.members;
    view.rule_rate = RateOf(pair != kNone ? pair : rule, taken);
  }
  if (pair != kNone) view.rule_on_host_age = since(slots_[pair].entry.first_minute);
  if (host == kNone) return view;
  view.host_age = since(slots_[host].entry.first_minute);
  view.host_rate = RateOf(host, taken);
  BaselineEntry day = slots_[host].entry;
  if (day.hour < taken.hour) Roll(taken.decay, taken.hour, &day);
  view.rules_of_host = 0;
  for (const uint16_t rules : day.recent) *view.rules_of_host += rules;
  return view;
}

// ---- steps and restore ----------------------------------------------------------------------------------------------

void BaselineTable::Change(Slot slot) {
  Place& place = slots_[slot];
  if (place.step == step_) return;
  if (changed_.empty()) {
    marks_before_ = marks_;
    evicted_before_ = evicted_;
  }
  place.step = step_;
  changed_.push_back(slot);
  before_.push_back(place.live ? std::optional(place.entry) : std::nullopt);
}

BaselineTable::Slot BaselineTable::Take() {
  if (free_.empty()) {
    free_.push_back(static_cast<Slot>(slots_.size()));
    slots_.emplace_back();
  }
  const Slot slot = free_.back();
  free_.pop_back();
  Change(slot);
  slots_[slot].live = true;
  ++live_;
  return slot;
}

void BaselineTable::EndStep() {
  changed_.clear();
  before_.clear();
  ++step_;
}

void BaselineTable::Discard() {
  if (!changed_.empty()) {
    for (size_t i = 0; i < changed_.size(); ++i) {
      Place& place = slots_[changed_[i]];
      place.live = before_[i].has_value();
      if (place.live) place.entry = *before_[i];
    }
    marks_ = marks_before_;
    evicted_ = evicted_before_;
    Rebuild();
  }
  EndStep();
}

void BaselineTable::Clear() { *this = BaselineTable(); }

BaselineTable::Slot BaselineTable::Restore(const BaselineEntry& entry) {
  Slot slot = Find(entry.key);
  if (slot == kNone) {
    slot = static_cast<Slot>(slots_.size());
    slots_.emplace_back();
    slots_[slot].live = true;
    slots_[slot].entry.key = entry.key;
    ++live_;
    Enter(slot);
  }
  slots_[slot].entry = entry;
  return slot;
}

void BaselineTable::FinishRestore(const BaselineMarks& marks) {
  marks_ = marks;
  for (Place& place : slots_) place.live = place.live && place.entry.touched >= marks.oldest_touch;
  Rebuild();
}

void BaselineTable::Rebuild() {
  std::vector<Slot> order;
  free_.clear();
  for (Slot slot = 0; slot < slots_.size(); ++slot) (slots_[slot].live ? order : free_).push_back(slot);
  std::sort(order.begin(), order.end(),
            [this](Slot a, Slot b) { return slots_[a].entry.touched < slots_[b].entry.touched; });
  oldest_ = newest_ = kNone;
  live_ = order.size();
  std::fill(index_.begin(), index_.end(), kNone);
  for (const Slot slot : order) {
    LinkNewest(slot);
    Enter(slot);
  }
}

size_t BaselineTable::bytes() const {
  return slots_.capacity() * sizeof(Place) + (free_.capacity() + index_.capacity()) * sizeof(Slot);
}

// ---- order and index ------------------------------------------------------------------------------------------------

void BaselineTable::Unlink(Slot slot) {
  const Place& place = slots_[slot];
  (place.older != kNone ? slots_[place.older].newer : oldest_) = place.newer;
  (place.newer != kNone ? slots_[place.newer].older : newest_) = place.older;
}

void BaselineTable::LinkNewest(Slot slot) {
  slots_[slot].older = newest_;
  slots_[slot].newer = kNone;
  (newest_ != kNone ? slots_[newest_].newer : oldest_) = slot;
  newest_ = slot;
}

// The parts are hashes already; the multiplication only brings their kinds and halves together.
size_t BaselineTable::Home(const BaselineKey& key) const {
  const uint64_t mixed = (key.first ^ (key.second << 23 | key.second >> 41)) + static_cast<uint64_t>(key.kind);
  return (mixed * 0x9E37'79B9'7F4A'7C15 >> 32) & (index_.size() - 1);
}

BaselineTable::Slot BaselineTable::Find(const BaselineKey& key) const {
  if (index_.empty()) return kNone;
  for (size_t at = Home(key);; at = (at + 1) & (index_.size() - 1)) {
    const Slot slot = index_[at];
    if (slot == kNone || slots_[slot].entry.key == key) return slot;
  }
}

// At most half of the places are taken, so a search ends.
void BaselineTable::Enter(Slot slot) {
  if (live_ * 2 > index_.size()) Grow();
  size_t at = Home(slots_[slot].entry.key);
  while (index_[at] != kNone) at = (at + 1) & (index_.size() - 1);
  index_[at] = slot;
}

void BaselineTable::Leave(Slot slot) {
  const size_t mask = index_.size() - 1;
  size_t hole = Home(slots_[slot].entry.key);
  while (index_[hole] != slot) hole = (hole + 1) & mask;
  // What was pushed past the hole moves back into it.
  for (size_t at = (hole + 1) & mask; index_[at] != kNone; at = (at + 1) & mask) {
    const size_t home = Home(slots_[index_[at]].entry.key);
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    index_[hole] = index_[at];
    hole = at;
  }
  index_[hole] = kNone;
}

void BaselineTable::Grow() {
  std::vector<Slot> old(std::max<size_t>(1024, index_.size() * 2), kNone);
  old.swap(index_);
  for (const Slot slot : old) {
    if (slot == kNone) continue;
    size_t at = Home(slots_[slot].entry.key);
    while (index_[at] != kNone) at = (at + 1) & (index_.size() - 1);
    index_[at] = slot;
  }
}

}  // namespace triaged
