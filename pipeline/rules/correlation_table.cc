#include "pipeline/rules/correlation_table.h"

namespace triaged::rules {

void CorrelationTable::Enter(Windows::const_iterator at) {
  by_end_.emplace(at->second.keep_until(), at->first);
  bytes_ += at->second.bytes() + 2 * at->first.size();
}

void CorrelationTable::Leave(Windows::const_iterator at) {
  by_end_.erase({at->second.keep_until(), at->first});
  bytes_ -= at->second.bytes() + 2 * at->first.size();
}

void CorrelationTable::Drop(std::string key) {
  const auto at = windows_.find(key);
  Leave(at);
  before_.try_emplace(std::move(key), std::move(at->second));
  windows_.erase(at);
}

void CorrelationTable::Expire(Timestamp now) {
  while (!by_end_.empty() && by_end_.begin()->first <= now) Drop(by_end_.begin()->second);
}

bool CorrelationTable::Observe(const CorrelationSpec& spec, std::string_view key, Observation observation,
                               Timestamp now) {
  Expire(now);
  auto at = windows_.find(key);
  const bool known = at != windows_.end();
  if (known) {
    if (!before_.contains(key)) before_.emplace(std::string(key), at->second);
    Leave(at);
  } else {
    at = windows_.emplace(std::string(key), CorrelationWindow{}).first;
  }
  const std::optional<bool> fires = at->second.Observe(spec, std::move(observation));
  if (fires) {
    at->second.KeepUntil(std::max(now, at->second.observations().back().at) + spec.timespan);
    if (!known) before_.try_emplace(std::string(key), std::nullopt);
  } else if (!known) {
    windows_.erase(at);
    return false;
  }
  Enter(at);
  while (bytes_ > max_bytes_ && by_end_.size() > 1) {
    auto first = by_end_.begin();
    if (first->second == key) ++first;
    Drop(first->second);
    ++dropped_;
  }
  return fires.value_or(false);
}

void CorrelationTable::Discard() {
  for (auto& [key, window] : before_) Restore(key, std::move(window));
  before_.clear();
  dropped_ = dropped_before_;
}

const CorrelationWindow* CorrelationTable::Find(std::string_view key) const {
  const auto at = windows_.find(key);
  return at == windows_.end() ? nullptr : &at->second;
}

void CorrelationTable::Restore(const std::string& key, std::optional<CorrelationWindow> window) {
  if (const auto at = windows_.find(key); at != windows_.end()) {
    Leave(at);
    windows_.erase(at);
  }
  if (window) Enter(windows_.emplace(key, std::move(*window)).first);
}

}  // namespace triaged::rules
