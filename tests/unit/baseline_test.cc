// The baseline: decay against real arithmetic, bounds, the order of eviction, and that a restore changes nothing.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "pipeline/baseline/decay.h"
#include "pipeline/baseline/table.h"
#include "tests/sim/sim_random.h"

namespace triaged {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr Timestamp kStart = FromUnixMillis(1'772'438'400'000);  // a full hour

struct Watcher {
  BaselineSettings settings;
  HourlyDecay decay{168};
  BaselineTable table;
  BaselineView See(const BaselineSubject& subject, Duration after) {
    BaselineView view = table.Observe(settings, decay, subject, kStart + after);
    table.EndStep();
    return view;
  }
  BaselineView Ask(const BaselineSubject& subject, Duration after) const {
    return table.Look(settings, decay, subject, kStart + after);
  }
};

}  // namespace

TEST_CASE("decay halves after each half-life, and follows the exponential between") {
  for (const uint64_t half_life : {1, 2, 7, 24, 168, 720, 8760}) {
    const HourlyDecay decay(half_life);
    CHECK(decay.Left(0) == HourlyDecay::kOne);
    for (uint64_t n = 1; n <= 5; ++n) CHECK(decay.Left(n * half_life) == HourlyDecay::kOne >> n);
    for (uint64_t h = 0; h < 6 * half_life; h += 1 + half_life / 50) {
      const double wanted = std::exp2(-static_cast<double>(h) / static_cast<double>(half_life));
      const double got = static_cast<double>(decay.Left(h)) / static_cast<double>(HourlyDecay::kOne);
      INFO("half-life ", half_life, " h, after ", h, " h");
      CHECK(std::abs(got - wanted) < 1e-5);
      CHECK(decay.Left(h + 1) <= decay.Left(h));
    }
    CHECK(decay.Left(UINT64_MAX) == 0);
  }
}

TEST_CASE("nothing is first seen before the baseline has learnt, and once after") {
  Watcher w;
  CHECK_FALSE(*w.See({1, 2, 3, 4}, hours(0)).new_rule);
  const BaselineView learning = w.See({5, 2, 3, 4}, hours(23));
  CHECK_FALSE(learning.ready);
  CHECK_FALSE(*learning.new_rule_on_host);
  const BaselineView known = w.See({5, 2, 3, 4}, hours(25));
  CHECK(known.ready);
  CHECK(known.age == 25 * 60);
  CHECK_FALSE(*known.new_rule_on_host);
  const BaselineView fresh = w.See({6, 2, 9, 4}, hours(25) + minutes(1));
  CHECK(*fresh.new_rule);
  CHECK(*fresh.new_rule_on_host);
  CHECK(*fresh.new_rule_of_user);
  CHECK(*fresh.new_user);
  CHECK(*fresh.new_user_on_host);
  CHECK_FALSE(*fresh.new_host);
  CHECK_FALSE(*fresh.new_source);
  CHECK_FALSE(*fresh.new_source_on_host);
  const BaselineView again = w.See({6, 2, 9, 4}, hours(25) + minutes(2));
  CHECK_FALSE(*again.new_rule);
  CHECK_FALSE(*again.new_rule_on_host);
  CHECK(*again.rule_on_host_age == 1);
  CHECK(*again.rule_age == 1);
  CHECK(*again.host_age == 25 * 60 + 2);
}

TEST_CASE("an alert without a host, account or address has no such values") {
  Watcher w;
  const BaselineView view = w.See({1, 0, 0, 0}, hours(0));
  CHECK(view.new_rule);
  CHECK_FALSE(view.new_rule_on_host);
  CHECK_FALSE(view.new_rule_of_user);
  CHECK_FALSE(view.new_host);
  CHECK_FALSE(view.host_rate);
  CHECK_FALSE(view.rules_of_host);
  CHECK(view.rule_rate->last_hour == 1);
  CHECK(w.See({1, 0, 0, 0}, minutes(1)).rule_rate->last_hour == 2);
  CHECK_FALSE(w.See({0, 7, 0, 0}, minutes(1)).rule_rate);
}

TEST_CASE("the hosts of a rule and the rules of a host are counted once each") {
  Watcher w;
  for (uint64_t host = 1; host <= 5; ++host) {
    CHECK(*w.See({1, host, 0, 0}, minutes(host)).hosts_of_rule == host);
    CHECK(*w.See({1, host, 0, 0}, minutes(host)).hosts_of_rule == host);
  }
  for (uint64_t rule = 2; rule <= 9; ++rule) CHECK(*w.See({rule, 1, 0, 0}, hours(3)).rules_of_host == rule);
  CHECK(*w.See({3, 1, 0, 0}, hours(12)).rules_of_host == 9);
  // A day later only what came again counts.
  CHECK(*w.See({4, 1, 0, 0}, hours(27)).rules_of_host == 2);
  CHECK(*w.See({5, 1, 0, 0}, hours(60)).rules_of_host == 1);
}

TEST_CASE("the last hour slides, and its ratio is to the decayed mean hour") {
  Watcher w;
  const BaselineSubject subject{1, 2, 0, 0};
  // 10 alerts in each of 48 hours: the mean hour has 10.
  for (int h = 0; h < 48; ++h) {
    for (int i = 0; i < 10; ++i) w.See(subject, hours(h) + minutes(6 * i));
  }
  BaselineView view = w.See(subject, hours(48));
  CHECK(view.rule_rate->last_hour == 11);  // this one, and all of the hour before
  CHECK(*view.rule_rate->percent >= 108);
  CHECK(*view.rule_rate->percent <= 111);
  for (int i = 0; i < 99; ++i) view = w.See(subject, hours(48) + minutes(30));
  CHECK(view.rule_rate->last_hour == 105);
  CHECK(*view.rule_rate->percent >= 1040);
  CHECK(*view.rule_rate->percent <= 1055);
  CHECK(view.host_rate->last_hour == 105);
  // A week without any halves it.
  view = w.Ask(subject, hours(48 + 24 * 7));
  CHECK(view.rule_rate->last_hour == 0);
  view = w.See(subject, hours(48 + 24 * 7));
  CHECK(*view.rule_rate->percent > 10);
  // In its first hour a rule has no mean.
  CHECK_FALSE(w.See({77, 2, 0, 0}, hours(300)).rule_rate->percent);
}

TEST_CASE("the mean follows the sum of decayed hours") {
  Watcher w;
  w.decay = HourlyDecay(5);
  sim::Random random(20261121);
  std::map<int, int> counts;
  for (int h = 0; h < 60; ++h) {
    counts[h] = random.PerMillion(400'000) ? 0 : static_cast<int>(random.Below(40));
    if (h == 0) counts[h] = 3;
    for (int i = 0; i < counts[h]; ++i) w.See({1, 2, 0, 0}, hours(h) + minutes(59));
    double sum = 0, weight = 0;
    for (int past = 0; past < h; ++past) {
      const double part = std::exp2(-(h - 1 - past) / 5.0) * (1 - std::exp2(-1 / 5.0));
      sum += part * counts[past];
      weight += part;
    }
    if (counts[h] == 0 || sum == 0) continue;
    const BaselineView view = w.Ask({1, 2, 0, 0}, hours(h) + minutes(59));
    const double wanted = 100.0 * static_cast<double>(view.rule_rate->last_hour) / (sum / weight);
    INFO("hour ", h);
    CHECK(std::abs(static_cast<double>(*view.rule_rate->percent) - wanted) <= 1 + wanted / 1000);
  }
}

TEST_CASE("at most so many keys, and those not seen longest go first") {
  Watcher w;
  w.settings.keys = 1000;
  w.settings.learn = Duration(0);
  w.See({0, 1, 0, 0}, hours(0));
  for (uint64_t host = 2; host <= 900; ++host) w.See({0, host, 0, 0}, minutes(1));
  CHECK_FALSE(*w.See({0, 1, 0, 0}, hours(2)).new_host);  // the oldest is seen again
  for (uint64_t host = 2000; host < 2300; ++host) {
    w.See({0, host, 0, 0}, hours(2));
    CHECK(w.table.size() <= 1000);
  }
  CHECK(w.table.evicted() == 900 + 300 - 993);
  CHECK_FALSE(*w.Ask({0, 1, 0, 0}, hours(2)).new_host);
  for (uint64_t host = 2; host <= 900; ++host) CHECK(*w.Ask({0, host, 0, 0}, hours(2)).new_host == (host < 2 + 207));
}

TEST_CASE("what was not seen for long is first seen again") {
  Watcher w;
  w.settings.forget = hours(48);
  w.See({1, 2, 0, 0}, hours(0));
  CHECK_FALSE(*w.See({1, 2, 0, 0}, hours(48)).new_rule_on_host);
  w.See({3, 4, 0, 0}, hours(97));
  CHECK(w.table.size() == 3);  // the first rule, its host and the pair are gone
  const BaselineView view = w.See({1, 2, 0, 0}, hours(98));
  CHECK(*view.new_rule_on_host);
  CHECK(*view.hosts_of_rule == 1);
}

TEST_CASE("a late alert counts in the latest hour and moves nothing back") {
  Watcher w;
  w.See({1, 2, 0, 0}, hours(30));
  const BaselineView late = w.See({1, 2, 0, 0}, hours(2));
  CHECK(late.rule_rate->last_hour == 2);
  CHECK(*late.rule_age == 0);
  CHECK(w.Ask({1, 2, 0, 0}, hours(30)).rule_rate->last_hour == 2);
}

}  // namespace triaged
