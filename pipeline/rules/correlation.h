// CorrelationWindow: what one correlation remembers about one group, and when its condition comes true.
//
// Pure and bounded: observations of the last `timespan` by event time, at most kMaxObservations; the oldest are dropped
// first. Where only the latest of its kind counts (distinct values, rules in any order) no other is kept. Observations
// may arrive in any order; one that lies a whole timespan behind the newest is ignored. A correlation fires when its
// condition turns true, and again only after it was false in between.
// Source: Sigma correlation rules specification 2.1. No floating point: decimals are counted in millionths.
// Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "pipeline/base/time.h"

namespace triaged::rules {

inline constexpr size_t kMaxObservations = 10'000;
inline constexpr size_t kMaxCorrelatedRules = 64;
inline constexpr size_t kMaxCorrelationValueBytes = 256;  // longer values are told apart by their beginning only

enum class CorrelationType : uint8_t {
  kEventCount,       // how many observations
  kValueCount,       // how many distinct values
  kTemporal,         // how many of the rules were seen; all of them without a condition
  kTemporalOrdered,  // as above, in the order of the rules
  kValueSum,
  kValueAverage,
  kValuePercentile,  // percentage of observations that have the value of the one just taken
};

// Decimal text ("12", "-0.5") in millionths; nullopt when it is none, has more than six decimals or exceeds 9 * 10^12.
std::optional<int64_t> ParseMillionths(std::string_view text);

// All bounds that are set must hold.
struct CorrelationCondition {
  std::optional<int64_t> gt, gte, lt, lte, eq, neq;  // millionths
};

struct CorrelationSpec {
  CorrelationType type = CorrelationType::kEventCount;
  uint32_t rules = 1;  // how many are correlated, at most kMaxCorrelatedRules
  Duration timespan{};
  CorrelationCondition condition;  // empty: all rules (temporal types)
};

struct Observation {
  Timestamp at;
  uint32_t rule = 0;  // index into the correlation's rules
  std::string value;  // of the condition's field; empty where the type needs none

  bool operator==(const Observation&) const = default;
};

class CorrelationWindow {
 public:
  __extension__ using Wide = __int128;  // sums of kMaxObservations values need more than 64 bits

  CorrelationWindow() = default;
  // As it was stored; the observations ascend by time.
  CorrelationWindow(std::deque<Observation> observations, bool held, Timestamp keep_until);

  // Takes one match. nullopt when it does not count: too late, or without the value that the type needs (a number for
  // sums and averages). Else whether the correlation fires.
  std::optional<bool> Observe(const CorrelationSpec& spec, Observation observation);

  // Ascending by time; those of one time in order of arrival.
  const std::deque<Observation>& observations() const { return observations_; }
  bool held() const { return held_; }  // the condition held after the last observation
  // From then on, by the logical clock, the window counts as gone.
  Timestamp keep_until() const { return keep_until_; }
  void KeepUntil(Timestamp at) { keep_until_ = std::max(keep_until_, at); }
  size_t bytes() const;  // an estimate that depends on the contents alone

 private:
  void Count(const Observation& observation);
  void Add(Observation observation);
  void Remove(std::deque<Observation>::iterator at);
  bool Holds(const CorrelationSpec& spec, const std::string& latest) const;

  std::deque<Observation> observations_;
  bool held_ = false;
  Timestamp keep_until_{};
  // Derived from the observations.
  std::map<std::string, uint32_t, std::less<>> values_;  // how often each was seen
  std::map<uint32_t, uint32_t> rules_;
  size_t value_bytes_ = 0;
  Wide sum_ = 0;  // millionths
};

}  // namespace triaged::rules
