// BaselineTable: how rules, hosts, accounts and source addresses used to behave in one partition.
//
// Bounded by a number of keys: the one whose last hour lies longest ago goes first (in the order they were touched, so
// every run evicts the same). Time is the alert's, never later than the logical clock; an entry's own time never goes
// back, late alerts count in its latest hour. Integers only: same alerts in the same order, same answers, whether or not
// the table was restored in between and however inputs are put into steps.
//
// The table remembers what the step in hand has changed; its owner stores that and ends the step, or discards it.
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/baseline/decay.h"
#include "pipeline/baseline/entry.h"
#include "pipeline/baseline/settings.h"

namespace triaged {

// Who and what one alert is about, as hashes; 0 where it does not say.
struct BaselineSubject {
  uint64_t rule = 0, host = 0, user = 0, source = 0;
};

// How often something was counted within the last hour, and what is usual.
struct BaselineRate {
  uint64_t last_hour = 0;           // this clock hour's and, of the one before, the share that is less than an hour ago
  std::optional<uint64_t> percent;  // of the mean hour; nullopt before the first full hour, or when the mean is nothing
};

// What the baseline says about one alert. Where the alert has no such part, the value is nullopt.
struct BaselineView {
  bool ready = false;               // the baseline is older than the time to learn
  uint64_t age = 0;                 // minutes since the first alert of all
  // Not seen before this alert. False while the baseline is not ready.
  std::optional<bool> new_rule, new_rule_on_host, new_rule_of_user, new_host, new_user, new_source, new_user_on_host,
      new_source_on_host;
  // Minutes since it was first seen.
  std::optional<uint64_t> rule_age, rule_on_host_age, host_age;
  std::optional<uint64_t> hosts_of_rule;   // on which it was seen, this one included
  std::optional<uint64_t> rules_of_host;   // within the last day, this one included
  std::optional<BaselineRate> rule_rate;   // on its host; of an alert without one: in the partition
  std::optional<BaselineRate> host_rate;
};

inline constexpr uint64_t kMaxRatePercent = 1'000'000;

class BaselineTable {
 public:
  // Learns from one alert, and says what was known before it. `decay` is that of the settings' half-life.
  BaselineView Observe(const BaselineSettings& settings, const HourlyDecay& decay, const BaselineSubject& subject,
                       Timestamp at);
  // What Observe would say, learning nothing: an alert that was counted already.
  BaselineView Look(const BaselineSettings& settings, const HourlyDecay& decay, const BaselineSubject& subject,
                    Timestamp at) const;

  size_t size() const { return live_; }
  size_t bytes() const;
  uint64_t evicted() const { return evicted_; }  // for want of room, since the start
  const BaselineMarks& marks() const { return marks_; }

  // ---- the step in hand, for the store ----------------------------------------------------------------------------
  using Slot = uint32_t;
  // Slots whose entry changed: written, new, or gone (live() is false).
  const std::vector<Slot>& changed() const { return changed_; }
  bool live(Slot slot) const { return slots_[slot].live; }
  const BaselineEntry& entry(Slot slot) const { return slots_[slot].entry; }
  size_t slots() const { return slots_.size(); }
  void EndStep();
  void Discard();

  // ---- restore ----------------------------------------------------------------------------------------------------
  // Clear, then Restore in the order of writing (a later entry of one key replaces an earlier one), then FinishRestore.
  void Clear();
  Slot Restore(const BaselineEntry& entry);
  void FinishRestore(const BaselineMarks& marks);

 private:
  static constexpr Slot kNone = 0xffff'ffff;

  struct Place {
    BaselineEntry entry;
    uint64_t step = 0;                  // the step that changed it last
    Slot older = kNone, newer = kNone;  // the order of `touched`
    bool live = false;
  };
  // One alert while it is taken: the slot and what is new of each kind it has.
  struct Taken;
  void Touch(const BaselineKey& key, Taken* taken);
  void Renew(Slot slot, const Taken& taken);
  void Count(Slot slot);
  void NotePair(Slot pair, Slot owner, const Taken& taken);
  void MakeRoom(const BaselineSettings& settings);
  void ForgetBefore(uint32_t hour);
  void Remove(Slot slot);
  void NoteOldest();
  BaselineView Read(const BaselineSettings& settings, const Taken& taken) const;
  BaselineRate RateOf(Slot slot, const Taken& taken) const;

  // The order of touching.
  void Unlink(Slot slot);
  void LinkNewest(Slot slot);
  void Change(Slot slot);  // before an entry is changed
  Slot Take();             // a free slot
  void Rebuild();          // all that is derived from the entries

  // The index: open addressing, linear probing.
  size_t Home(const BaselineKey& key) const;
  Slot Find(const BaselineKey& key) const;
  void Enter(Slot slot);
  void Leave(Slot slot);
  void Grow();

  std::vector<Place> slots_;
  std::vector<Slot> free_;
  std::vector<Slot> index_;  // kNone: empty
  size_t live_ = 0;
  Slot oldest_ = kNone, newest_ = kNone;
  BaselineMarks marks_;
  uint64_t evicted_ = 0;

  uint64_t step_ = 1;
  std::vector<Slot> changed_;
  std::vector<std::optional<BaselineEntry>> before_;  // of changed_, as it was before the step
  BaselineMarks marks_before_;
  uint64_t evicted_before_ = 0;
};

}  // namespace triaged
