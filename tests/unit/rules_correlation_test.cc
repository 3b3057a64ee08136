// Correlations: each type of the specification, the window's edges and bounds, and a plain recount on random streams.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "pipeline/rules/correlation.h"

namespace triaged::rules {
namespace {

constexpr int64_t kOne = 1'000'000;

Observation At(int64_t second, uint32_t rule = 0, std::string value = {}) {
  return {FromUnixMillis(second * 1000), rule, std::move(value)};
}

CorrelationSpec Spec(CorrelationType type, uint32_t rules = 1, int64_t seconds = 60) {
  CorrelationSpec spec;
  spec.type = type;
  spec.rules = rules;
  spec.timespan = std::chrono::seconds(seconds);
  return spec;
}

// Which of the observations make it fire.
std::vector<size_t> Fires(const CorrelationSpec& spec, const std::vector<Observation>& stream) {
  CorrelationWindow window;
  std::vector<size_t> fired;
  for (size_t i = 0; i < stream.size(); ++i) {
    if (window.Observe(spec, stream[i]).value_or(false)) fired.push_back(i);
  }
  return fired;
}

using Fired = std::vector<size_t>;

}  // namespace

TEST_CASE("correlation: event_count fires once per burst, within the timespan only") {
  CorrelationSpec spec = Spec(CorrelationType::kEventCount);
  spec.condition.gte = 3 * kOne;
  CHECK(Fires(spec, {At(0), At(20), At(40), At(50)}) == Fired{2});
  CHECK(Fires(spec, {At(0), At(30), At(60)}).empty());  // the first is a whole timespan old
  CHECK(Fires(spec, {At(0), At(30), At(59)}) == Fired{2});
  CHECK(Fires(spec, {At(0), At(1), At(2), At(200), At(201), At(202)}) == Fired{2, 5});
  spec.condition.lte = 3 * kOne;  // a range: it leaves it with the fourth, and comes back later
  CHECK(Fires(spec, {At(0), At(1), At(2), At(3), At(61), At(62)}) == Fired{2, 4});
}

TEST_CASE("correlation: order of arrival does not matter, lateness by a timespan does") {
  CorrelationSpec spec = Spec(CorrelationType::kEventCount);
  spec.condition.gte = 3 * kOne;
  CHECK(Fires(spec, {At(40), At(0), At(20)}) == Fired{2});
  CHECK(Fires(spec, {At(60), At(0), At(20), At(30)}) == Fired{3});
}

TEST_CASE("correlation: value_count, sum, average, percentile") {
  CorrelationSpec spec = Spec(CorrelationType::kValueCount);
  spec.condition.gte = 2 * kOne;
  CHECK(Fires(spec, {At(0, 0, "ann"), At(1, 0, "ann"), At(2, 0, ""), At(3, 0, "bob")}) == Fired{3});

  spec = Spec(CorrelationType::kValueSum);
  spec.condition.gt = 1000 * kOne;
  CHECK(Fires(spec, {At(0, 0, "600"), At(1, 0, "400"), At(2, 0, "many"), At(3, 0, "0.5")}) == Fired{3});

  spec = Spec(CorrelationType::kValueAverage);
  spec.condition.eq = kOne / 2;
  CHECK(Fires(spec, {At(0, 0, "1"), At(1, 0, "0"), At(2, 0, "1")}) == Fired{1});

  spec = Spec(CorrelationType::kValuePercentile);
  spec.condition.lte = 25 * kOne;
  CHECK(Fires(spec, {At(0, 0, "a"), At(1, 0, "a"), At(2, 0, "b"), At(3, 0, "a"), At(4, 0, "c")}) == Fired{4});
}

TEST_CASE("correlation: temporal and temporal_ordered") {
  CHECK(Fires(Spec(CorrelationType::kTemporal, 3), {At(0, 2), At(1, 0), At(2, 2), At(3, 1)}) == Fired{3});
  CHECK(Fires(Spec(CorrelationType::kTemporal, 2), {At(0, 0), At(60, 1)}).empty());
  const CorrelationSpec ordered = Spec(CorrelationType::kTemporalOrdered, 2);
  CHECK(Fires(ordered, {At(0, 1), At(1, 0)}).empty());
  CHECK(Fires(ordered, {At(0, 1), At(1, 0), At(2, 1)}) == Fired{2});
  CHECK(Fires(ordered, {At(2, 1), At(1, 0)}) == Fired{1});  // late, yet earlier
  CorrelationSpec some = Spec(CorrelationType::kTemporal, 3);
  some.condition.gte = 2 * kOne;
  CHECK(Fires(some, {At(0, 0), At(1, 0), At(2, 2)}) == Fired{2});
}

TEST_CASE("correlation: the window is bounded, and its size known") {
  CorrelationSpec spec = Spec(CorrelationType::kEventCount);
  spec.condition.gte = static_cast<int64_t>(kMaxObservations) * kOne;
  CorrelationWindow window;
  int fired = 0;
  for (size_t i = 0; i < kMaxObservations + 10; ++i) fired += *window.Observe(spec, At(5, 0, "dropped")) ? 1 : 0;
  CHECK(fired == 1);
  CHECK(window.observations().size() == kMaxObservations);
  CHECK(window.observations().front().value.empty());
}

TEST_CASE("correlation: decimals are exact") {
  CHECK(ParseMillionths("12") == 12 * kOne);
  CHECK(ParseMillionths("-0.000001") == -1);
  CHECK(ParseMillionths("1.25") == 1'250'000);
  for (const char* text : {"", "-", ".5", "1.", "1.0000001", "1e3", "9000000000001", "0x1", "1 "}) {
    CHECK_FALSE(ParseMillionths(text).has_value());
  }
}

TEST_CASE("correlation: random streams against a recount from scratch") {
  const char* given = std::getenv("TRIAGED_SEED");
  const uint32_t seed = given ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  INFO("TRIAGED_SEED=" << seed);
  std::mt19937 random(seed);
  const auto below = [&](uint32_t n) { return random() % n; };
  for (int round = 0; round < 2000; ++round) {
    CorrelationSpec spec = Spec(static_cast<CorrelationType>(below(7)), 3, 10);
    const int64_t bound = static_cast<int64_t>(1 + below(4)) * kOne;
    spec.condition.gte = bound;
    CorrelationWindow window;
    std::vector<Observation> all;
    bool held = false;
    int64_t newest = -1000;
    for (int i = 0; i < 30; ++i) {
      const Observation now = At(static_cast<int64_t>(below(40)), below(3), std::to_string(below(4)));
      const int64_t second = now.at.time_since_epoch().count() / 1000;
      const bool fired = window.Observe(spec, now).value_or(false);
      if (second <= newest - 10) {
        REQUIRE_FALSE(fired);
        continue;
      }
      if (second - newest >= 10) held = false;  // nothing was left in between
      newest = std::max(newest, second);
      all.push_back(now);
      std::map<int64_t, std::vector<Observation>> by_time;
      for (const Observation& one : all) {
        const int64_t at = one.at.time_since_epoch().count() / 1000;
        if (at > newest - 10) by_time[at].push_back(one);
      }
      int64_t count = 0, sum = 0, same = 0;
      uint32_t next = 0;
      std::set<std::string> values;
      std::set<uint32_t> rules;
      for (const auto& [at, list] : by_time) {
        for (const Observation& one : list) {
          ++count;
          sum += std::stoll(one.value);
          same += one.value == now.value;
          values.insert(one.value);
          rules.insert(one.rule);
          if (one.rule == next) ++next;
        }
      }
      const int64_t wanted = bound / kOne;
      const bool holds = spec.type == CorrelationType::kEventCount        ? count >= wanted
                         : spec.type == CorrelationType::kValueCount      ? static_cast<int64_t>(values.size()) >= wanted
                         : spec.type == CorrelationType::kTemporal        ? static_cast<int64_t>(rules.size()) >= wanted
                         : spec.type == CorrelationType::kTemporalOrdered ? static_cast<int64_t>(next) >= wanted
                         : spec.type == CorrelationType::kValueSum        ? sum >= wanted
                         : spec.type == CorrelationType::kValueAverage    ? sum >= wanted * count
                                                                          : same * 100 >= wanted * count;
      REQUIRE(fired == (holds && !held));
      held = holds;
    }
  }
}

}  // namespace triaged::rules
