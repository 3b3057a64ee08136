#include "pipeline/rules/correlation.h"

#include <algorithm>
#include <utility>

#include "pipeline/base/check.h"
#include "pipeline/base/utf8.h"

namespace triaged::rules {
namespace {

using Wide = CorrelationWindow::Wide;

constexpr int64_t kUnit = 1'000'000;
constexpr int64_t kMaxWhole = 9'000'000'000'000;

bool NeedsValue(CorrelationType type) {
  return type == CorrelationType::kValueCount || type == CorrelationType::kValueSum ||
         type == CorrelationType::kValueAverage || type == CorrelationType::kValuePercentile;
}

bool NeedsNumber(CorrelationType type) {
  return type == CorrelationType::kValueSum || type == CorrelationType::kValueAverage;
}

// Whether measured / count stands to every bound as it should; in products, so that nothing is rounded.
bool Satisfies(const CorrelationCondition& condition, Wide measured, Wide count) {
  const auto order = [&](int64_t bound) {
    const Wide limit = static_cast<Wide>(bound) * count;
    return measured < limit ? -1 : measured > limit ? 1 : 0;
  };
  return (!condition.gt || order(*condition.gt) > 0) && (!condition.gte || order(*condition.gte) >= 0) &&
         (!condition.lt || order(*condition.lt) < 0) && (!condition.lte || order(*condition.lte) <= 0) &&
         (!condition.eq || order(*condition.eq) == 0) && (!condition.neq || order(*condition.neq) != 0);
}

bool IsEmpty(const CorrelationCondition& condition) {
  return !condition.gt && !condition.gte && !condition.lt && !condition.lte && !condition.eq && !condition.neq;
}

// Only the latest of its value, or of its rule, can make a difference.
bool IsSuperseded(CorrelationType type, const Observation& old, const Observation& fresh) {
  return (type == CorrelationType::kValueCount && old.value == fresh.value) ||
         (type == CorrelationType::kTemporal && old.rule == fresh.rule);
}

// How many of the newest observations can make a difference: where events are only to be at least so many, older ones
// say nothing more, and a flood is not remembered alert by alert.
size_t NeededObservations(const CorrelationSpec& spec) {
  const CorrelationCondition& condition = spec.condition;
  const bool at_least = (condition.gt || condition.gte) && !condition.lt && !condition.lte && !condition.eq && !condition.neq;
  if (spec.type != CorrelationType::kEventCount || !at_least) return kMaxObservations;
  const int64_t needed = std::max(condition.gt.value_or(0) / kUnit + 1, (condition.gte.value_or(0) + kUnit - 1) / kUnit);
  return static_cast<size_t>(std::clamp<int64_t>(needed, 1, kMaxObservations));
}

// How many of the first rules were seen one after the other. Taking each as early as possible leaves most for the rest.
size_t RulesInOrder(const std::deque<Observation>& observations) {
  uint32_t next = 0;
  for (const Observation& one : observations) next += one.rule == next ? 1 : 0;
  return next;
}

void CountDown(auto& counts, const auto& key) {
  const auto at = counts.find(key);
  if (--at->second == 0) counts.erase(at);
}

}  // namespace

bool CorrelationWindow::Holds(const CorrelationSpec& spec, const std::string& latest) const {
  const auto count = [&](size_t found) {
    return Satisfies(spec.condition, static_cast<Wide>(found) * kUnit, 1);
  };
  const auto all_or = [&](size_t found) { return IsEmpty(spec.condition) ? found == spec.rules : count(found); };
  const auto total = static_cast<Wide>(observations_.size());
  switch (spec.type) {
    case CorrelationType::kEventCount:
      return count(observations_.size());
    case CorrelationType::kValueCount:
      return count(values_.size());
    case CorrelationType::kTemporal:
      return all_or(rules_.size());
    case CorrelationType::kTemporalOrdered:
      return all_or(RulesInOrder(observations_));
    case CorrelationType::kValueSum:
    case CorrelationType::kValueAverage:
      return Satisfies(spec.condition, sum_, spec.type == CorrelationType::kValueSum ? 1 : total);
    case CorrelationType::kValuePercentile:
      return Satisfies(spec.condition, static_cast<Wide>(values_.find(latest)->second) * 100 * kUnit, total);
  }
  return false;
}

std::optional<int64_t> ParseMillionths(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  int64_t whole = 0;
  size_t at = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    whole = whole * 10 + (text[at] - '0');
    if (whole > kMaxWhole) return std::nullopt;
  }
  if (at == 0) return std::nullopt;
  int64_t part = 0;
  if (at < text.size()) {
    if (text[at] != '.' || at + 1 == text.size() || text.size() - at > 7) return std::nullopt;
    int64_t weight = kUnit;
    for (++at; at < text.size(); ++at) {
      if (text[at] < '0' || text[at] > '9') return std::nullopt;
      weight /= 10;
      part += (text[at] - '0') * weight;
    }
  }
  const int64_t millionths = whole * kUnit + part;
  return negative ? -millionths : millionths;
}

CorrelationWindow::CorrelationWindow(std::deque<Observation> observations, bool held, Timestamp keep_until)
    : observations_(std::move(observations)), held_(held), keep_until_(keep_until) {
  for (const Observation& one : observations_) Count(one);
}

size_t CorrelationWindow::bytes() const {
  constexpr size_t kWindow = 256;      // the object and its place in a table
  constexpr size_t kObservation = 64;  // one in the queue, and its share of the counts
  return kWindow + observations_.size() * kObservation + 2 * value_bytes_;
}

void CorrelationWindow::Count(const Observation& observation) {
  ++values_[observation.value];
  ++rules_[observation.rule];
  value_bytes_ += observation.value.size();
  sum_ += ParseMillionths(observation.value).value_or(0);
}

void CorrelationWindow::Add(Observation observation) {
  Count(observation);
  const auto later = [](const Observation& a, const Observation& b) { return a.at < b.at; };
  observations_.insert(std::upper_bound(observations_.begin(), observations_.end(), observation, later),
                       std::move(observation));
}

void CorrelationWindow::Remove(std::deque<Observation>::iterator at) {
  CountDown(values_, at->value);
  CountDown(rules_, at->rule);
  value_bytes_ -= at->value.size();
  sum_ -= ParseMillionths(at->value).value_or(0);
  observations_.erase(at);
}

std::optional<bool> CorrelationWindow::Observe(const CorrelationSpec& spec, Observation observation) {
  TRIAGED_CHECK(observation.rule < spec.rules);
  if (NeedsNumber(spec.type) && !ParseMillionths(observation.value)) return std::nullopt;
  if (NeedsValue(spec.type) && observation.value.empty()) return std::nullopt;
  if (!NeedsValue(spec.type)) observation.value.clear();
  if (observation.value.size() > kMaxCorrelationValueBytes) {
    observation.value = std::string(CutAtCodePoint(observation.value, kMaxCorrelationValueBytes));
  }
  if (!observations_.empty() && observation.at <= observations_.back().at - spec.timespan) return std::nullopt;
  const std::string latest = observation.value;
  // Nothing was left of the window before this one came: the condition was false in between.
  if (!observations_.empty() && observations_.back().at <= observation.at - spec.timespan) held_ = false;
  if (values_.contains(latest)) {
    const auto old = std::find_if(observations_.begin(), observations_.end(),
                                  [&](const Observation& one) { return IsSuperseded(spec.type, one, observation); });
    if (old != observations_.end()) {
      observation.at = std::max(observation.at, old->at);
      Remove(old);
    }
  }
  Add(std::move(observation));
  const Timestamp begin = observations_.back().at - spec.timespan;  // the window is (begin, newest]
  const size_t needed = NeededObservations(spec);
  while (observations_.front().at <= begin || observations_.size() > needed) Remove(observations_.begin());
  const bool holds = Holds(spec, latest);
  return !std::exchange(held_, holds) && holds;
}

}  // namespace triaged::rules
