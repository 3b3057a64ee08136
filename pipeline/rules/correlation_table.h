// CorrelationTable: the windows of all correlations that one partition counts, by key, and their bounds.
//
// A window is gone once the logical clock has passed its time, whether or not it was taken out already, so what is
// decided does not depend on how inputs are put into steps. All windows together take at most `max_bytes`; beyond it
// those that would be gone first are dropped, and counted. The table remembers what the step in hand has changed: its
// owner stores that and ends the step, or discards it. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "pipeline/rules/correlation.h"

namespace triaged::rules {

class CorrelationTable {
 public:
  // `max_bytes` is compared with the sum of CorrelationWindow::bytes and the keys.
  explicit CorrelationTable(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Takes one match at the logical clock `now`, which never goes back; true when the correlation fires.
  bool Observe(const CorrelationSpec& spec, std::string_view key, Observation observation, Timestamp now);
  // Takes out what is gone by then.
  void Expire(Timestamp now);

  const CorrelationWindow* Find(std::string_view key) const;
  size_t size() const { return windows_.size(); }
  size_t bytes() const { return bytes_; }
  uint64_t dropped() const { return dropped_; }  // for want of room, since the start

  // Each key that the step has changed, with what stood there before.
  using Before = std::map<std::string, std::optional<CorrelationWindow>, std::less<>>;
  const Before& changed() const { return before_; }
  void EndStep() {
    before_.clear();
    dropped_before_ = dropped_;
  }
  void Discard();

  // Puts in place what is stored under `key` (nullopt: nothing); counts as no change.
  void Restore(const std::string& key, std::optional<CorrelationWindow> window);

 private:
  using Windows = std::map<std::string, CorrelationWindow, std::less<>>;
  void Enter(Windows::const_iterator at);
  void Leave(Windows::const_iterator at);
  void Drop(std::string key);

  size_t max_bytes_;
  Windows windows_;
  std::set<std::pair<Timestamp, std::string>> by_end_;  // keep_until → key
  Before before_;
  size_t bytes_ = 0;
  uint64_t dropped_ = 0;
  uint64_t dropped_before_ = 0;  // the step in hand
};

}  // namespace triaged::rules
