#include "pipeline/notify/dispatcher.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/notify_test_util.h"

namespace triaged {
namespace {

const Timestamp kStart = FromUnixMillis(1'772'438'400'000);

// One destination "a", and where asked for a fallback "b"; a virtual clock.
struct World {
  explicit World(bool fallback = false) {
    Destination a;
    a.name = "a";
    a.per_minute = 60;
    a.bundle = 10;
    if (fallback) a.fallback = "b";
    config.destinations["a"] = a;
    Destination b;
    b.name = "b";
    config.destinations["b"] = b;
    Route route;
    route.events = {"escalated", "renotified"};
    route.to = {"a"};
    config.routes.push_back(route);
  }
  Destination& a() { return config.destinations["a"]; }
  Dispatcher& go() {
    if (!made) made = std::make_unique<Dispatcher>(config, &memory, seed);
    return *made;
  }
  // The wall clock may be wrong; what else passes does not follow it.
  NotifyTime time() const { return {now + wrong, now - kStart}; }
  Duration steady() const { return time().steady; }
  void Offer(int case_number, int sequence, const std::string& name = "escalated") {
    go().Offer(MakeEvent(case_number, sequence, name, time().wall), 0, offset++, time());
  }
  // The ids of the next request, or "".
  std::string Next(const std::string& to = "a") {
    const auto job = go().Next(to, steady());
    std::string out;
    if (job) {
      for (const NotifyItem& item : job->items) {
        out += (out.empty() ? "" : " ") + item.event->case_id + "/" + std::to_string(std::stoi(item.event->sequence));
      }
    }
    return out;
  }
  void Done(SendResult result = SendResult::kDelivered, Duration retry_after = Duration{0}, const std::string& to = "a") {
    go().Completed(to, {result, "status 500", retry_after}, time());
  }
  std::string Pass(Duration time) {
    now += time;
    return Next();
  }

  NotifyConfig config;
  TestMemory memory;
  Timestamp now = kStart;
  Duration wrong{0};
  int64_t offset = 0;
  uint64_t seed = 20261121;  // of the jitter
  std::unique_ptr<Dispatcher> made;
};

TEST_CASE("dispatcher: delivered once, committed only then; read again it is not sent again") {
  World world;
  world.Offer(1, 1);
  CHECK(world.go().Committable().at(0) == 0);
  CHECK(world.Next() == "0-1/1");
  CHECK(world.Next() == "");  // one request at a time
  CHECK(world.go().Committable().at(0) == 0);
  world.Done();
  CHECK(world.go().Committable().at(0) == 1);
  world.made.reset();  // a crash before the commit
  world.offset = 0;
  world.Offer(1, 1);
  CHECK(world.Next() == "");
  CHECK(world.go().Stats("a", world.steady()).already_delivered == 1);
  CHECK(world.go().Committable().at(0) == 1);
}

TEST_CASE("dispatcher: back-off doubles up to its ceiling, with jitter in its upper half; Retry-After counts") {
  World world;
  world.a().retry_min = Duration{1000};
  world.a().retry_max = Duration{8000};
  world.a().breaker_failures = 1000;
  world.a().per_minute = 1'000'000;
  world.Offer(1, 1);
  std::set<int64_t> rests;
  CHECK(world.Next() == "0-1/1");
  for (const int64_t ceiling : {1000, 2000, 4000, 8000, 8000, 8000, 8000}) {
    world.Done(SendResult::kRetry);
    int64_t waited = 0;
    while (world.Next().empty()) {
      world.now += Duration{1};
      REQUIRE(++waited <= ceiling);
    }
    CHECK(waited >= ceiling / 2);
    rests.insert(waited * 1000 / ceiling);
  }
  CHECK(rests.size() > 2);  // jitter
  world.Done(SendResult::kRetry, Duration{20'000});
  CHECK(world.Pass(Duration{19'999}) == "");
  CHECK(world.Pass(Duration{1}) == "0-1/1");
}

TEST_CASE("dispatcher: the breaker opens after failures in a row, lets one try through, and closes on success") {
  World world;
  world.a().retry_min = world.a().retry_max = Duration{10};
  world.a().breaker_failures = 3;
  world.a().breaker_pause = Duration{30'000};
  world.Offer(1, 1);
  world.Offer(2, 1);
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(world.go().Stats("a", world.steady()).breaker_open);
    CHECK(world.Pass(Duration{1000}) == "0-1/1");
    world.Done(SendResult::kRetry);
  }
  CHECK(world.go().Stats("a", world.steady()).breaker_open);
  CHECK(world.Pass(Duration{29'999}) == "");
  CHECK(world.Pass(Duration{1}) == "0-1/1");
  world.Done(SendResult::kRetry);
  CHECK(world.Pass(Duration{29'000}) == "");  // still bad: open again at once
  CHECK(world.Pass(Duration{1'000}) == "0-1/1");
  world.Done();
  CHECK_FALSE(world.go().Stats("a", world.steady()).breaker_open);
  CHECK(world.Next() == "0-2/1");
}

TEST_CASE("dispatcher: requests keep to the rate, with a burst of a tenth; what waits is bundled, no more than allowed") {
  World world;
  world.a().bundle = 4;
  for (int number = 1; number <= 250; ++number) world.Offer(number, 1);
  int requests = 0, events = 0;
  for (int second = 0; second < 60; ++second) {
    for (std::string ids = world.Next(); !ids.empty(); ids = world.Next()) {
      ++requests;
      const auto count = std::count(ids.begin(), ids.end(), ' ') + 1;
      CHECK(count <= 4);
      events += static_cast<int>(count);
      world.Done();
    }
    CHECK(requests <= 7 + second);
    world.now += Duration{1000};
  }
  CHECK(events == 250);
  world.Offer(301, 1);
  world.now += Duration{10'000};
  CHECK(world.Next() == "0-301/1");  // calm again: alone
}

TEST_CASE("dispatcher: a case's first event goes before the repeats of others") {
  World world;
  world.a().bundle = 1;
  world.Offer(1, 1);
  world.Offer(1, 2, "renotified");
  world.Offer(1, 3, "renotified");
  world.Offer(2, 1);
  std::string order;
  for (std::string ids = world.Next(); !ids.empty(); ids = world.Next()) {
    order += ids + ", ";
    world.Done();
  }
  CHECK(order == "0-1/1, 0-2/1, 0-1/2, 0-1/3, ");
}

TEST_CASE("dispatcher: an acknowledgement withdraws what is queued, and stops the retry of what is under way") {
  World world;
  world.a().retry_min = world.a().retry_max = Duration{10};
  world.a().bundle = 1;
  world.Offer(1, 1);
  world.Offer(2, 1);
  CHECK(world.Next() == "0-1/1");
  world.Offer(1, 2, "acknowledged");
  world.Offer(2, 2, "acknowledged");
  world.Done(SendResult::kRetry);
  CHECK(world.Pass(Duration{60'000}) == "");  // nobody was told: nobody hears of the acknowledgement
  CHECK(world.go().Stats("a", world.steady()).withdrawn == 2);
  CHECK(world.go().idle());
  CHECK(world.go().Committable().at(0) == 4);
  CHECK(world.go().queued_bytes() == 0);
  // It counts as unacknowledged again: a later event goes.
  world.Offer(1, 3, "renotified");
  CHECK(world.Next() == "0-1/3");
  world.Done();
  world.Offer(1, 4, "acknowledged");
  CHECK(world.Next() == "0-1/4");
  world.Done();
  world.Offer(1, 5, "resolved");
  CHECK(world.Next() == "0-1/5");
  world.Done();
  world.Offer(1, 6, "resolved");  // it was taken back already
  CHECK(world.Next() == "");
}

TEST_CASE("dispatcher: a final refusal goes to the dead letters and the fallback; in a bundle only the bad event does") {
  World world(/*fallback=*/true);
  world.a().bundle = 3;
  for (int number = 1; number <= 20; ++number) world.Offer(number, 1);
  CHECK(world.Next() == "0-1/1 0-2/1 0-3/1");
  world.Done(SendResult::kFinal);
  CHECK(world.go().TakeDeadLetters().empty());
  for (const char* wanted : {"0-1/1", "0-2/1", "0-3/1"}) {
    CHECK(world.Next() == wanted);
    world.Done(std::string(wanted) == "0-2/1" ? SendResult::kFinal : SendResult::kDelivered);
  }
  const auto dead = world.go().TakeDeadLetters();
  REQUIRE(dead.size() == 1);
  CHECK(dead[0].event->case_id == "0-2");
  CHECK(dead[0].destination == "a");
  CHECK(world.Next("b") == "0-2/1");
  CHECK(world.go().Committable().at(0) == 1);  // 0-2 is not settled before the fallback has it
  world.Done(SendResult::kDelivered, Duration{0}, "b");
  CHECK(world.go().Committable().at(0) == 3);
  CHECK(world.go().Stats("a", world.steady()).fallbacks == 1);
}

TEST_CASE("dispatcher: what two destinations give up reaches their common fallback once") {
  World world(/*fallback=*/true);
  Destination c = world.a();
  c.name = "c";
  world.config.destinations["c"] = c;
  world.config.routes[0].to = {"a", "c"};
  world.Offer(1, 1);
  for (const std::string name : {"a", "c"}) {
    CHECK(world.Next(name) == "0-1/1");
    world.Done(SendResult::kFinal, Duration{0}, name);
  }
  CHECK(world.Next("b") == "0-1/1");
  CHECK(world.go().Committable().at(0) == 0);
  world.Done(SendResult::kDelivered, Duration{0}, "b");
  CHECK(world.Next("b") == "");
  CHECK(world.go().Committable().at(0) == 1);
}

TEST_CASE("dispatcher: a deadline ends retries and waiting; too old an event pages nobody") {
  World world(/*fallback=*/true);
  world.a().deadline = Duration{60'000};
  world.a().retry_min = world.a().retry_max = Duration{50'000};
  world.a().bundle = 1;
  world.Offer(1, 1);
  world.Offer(2, 1);
  CHECK(world.Next() == "0-1/1");
  world.now += Duration{61'000};
  world.Done(SendResult::kRetry);
  CHECK(world.go().TakeDeadLetters().size() == 1);
  world.go().Expire(world.steady());
  CHECK(world.go().TakeDeadLetters().size() == 1);
  CHECK(world.Next("b") == "0-1/1");
  const Timestamp too_old = world.now - world.config.max_age - Duration{1};
  world.go().Offer(MakeEvent(3, 1, "escalated", too_old), 0, world.offset++, world.time());
  CHECK(world.go().stale() == 1);
}

TEST_CASE("dispatcher: at PagerDuty a case's end is a request for each level that was told, and the rate counts them") {
  World world;
  world.a().kind = DestinationKind::kPagerDuty;
  world.a().bundle = 1;
  world.now += Duration{60'000};
  int sequence = 0;
  for (const char* level : {"L1", "L2", "L3", "L4"}) {
    NotifyEvent event = *MakeEvent(1, ++sequence, "escalated", world.now);
    event.level = level;
    world.go().Offer(std::make_shared<const NotifyEvent>(std::move(event)), 0, world.offset++, world.time());
    CHECK(world.Next() == "0-1/" + std::to_string(sequence));
    world.Done();
  }
  world.now += Duration{60'000};  // the burst of seven is there again
  world.Offer(1, 5, "resolved");
  world.Offer(2, 1);
  for (int request = 0; request < 2; ++request) {
    CHECK_FALSE(world.Next().empty());
    world.Done();
  }
  CHECK(world.go().Stats("a", world.steady()).requests == 4 + 4 + 1);
  for (int number = 3; number <= 5; ++number) world.Offer(number, 1);
  CHECK(world.Next() == "0-3/1");
  world.Done();
  CHECK(world.Next() == "0-4/1");
  world.Done();
  CHECK(world.Next() == "");
  CHECK(world.Pass(Duration{1000}) == "0-5/1");
}

TEST_CASE("dispatcher: a wall clock that is set holds back no page, no retry, and no deadline") {
  for (const Duration step : {Duration{-3'600'000}, Duration{3'600'000}}) {
    World world(/*fallback=*/true);
    world.a().deadline = Duration{60'000};
    world.a().retry_min = world.a().retry_max = Duration{10'000};
    world.a().breaker_failures = 1000;
    world.a().bundle = 1;
    for (int number = 1; number <= 9; ++number) world.Offer(number, 1);
    for (int number = 1; number <= 7; ++number) {  // the burst
      CHECK(world.Next() == "0-" + std::to_string(number) + "/1");
      world.Done();
    }
    CHECK(world.Next() == "");
    world.wrong = step;
    CHECK(world.Pass(Duration{999}) == "");
    CHECK(world.Pass(Duration{1}) == "0-8/1");
    world.Done(SendResult::kRetry);
    world.wrong = Duration{0};
    CHECK(world.Pass(Duration{4'999}) == "");
    CHECK(world.Pass(Duration{5'001}) == "0-8/1");
    world.wrong = step;
    world.go().Expire(world.steady());
    CHECK(world.go().TakeDeadLetters().empty());
    world.now += Duration{50'000};
    world.Done(SendResult::kRetry);
    world.go().Expire(world.steady());
    CHECK(world.go().TakeDeadLetters().size() == 2);
    CHECK(world.Next("b") == "0-8/1");
  }
}

TEST_CASE("dispatcher: a partition that is taken away leaves nothing behind") {
  World world;
  world.Offer(1, 1);
  world.go().Offer(MakeEvent(2, 1, "escalated", world.now), 1, 7, world.time());
  CHECK(world.Next() == "0-1/1");
  world.go().Drop(0);
  world.Done(SendResult::kRetry);
  world.go().Drop(1);
  CHECK(world.go().Committable().empty());
}

TEST_CASE("dispatcher: a partition that comes back while its request is under way is not told twice") {
  for (const SendResult result : {SendResult::kDelivered, SendResult::kRetry}) {
    World world;
    world.Offer(1, 1);
    CHECK(world.Next() == "0-1/1");
    world.go().Drop(0);
    world.offset = 0;
    world.Offer(1, 1);
    CHECK(world.go().Committable().at(0) == 0);
    CHECK(world.go().Stats("a", world.steady()).queued == 1);
    world.Done(result);
    if (result == SendResult::kRetry) {
      CHECK(world.go().Committable().at(0) == 0);
      CHECK(world.Pass(Duration{60'000}) == "0-1/1");
      world.Done();
    }
    CHECK(world.go().Committable().at(0) == 1);
    CHECK(world.Pass(Duration{60'000}) == "");
    CHECK(world.go().idle());
    CHECK(world.go().queued_bytes() == 0);
  }
}

TEST_CASE("dispatcher: what fails after its partition was taken away is left to the new owner") {
  World world(/*fallback=*/true);
  for (const SendResult result : {SendResult::kRetry, SendResult::kFinal}) {
    world.Offer(1, 1);
    CHECK(world.Pass(Duration{60'000}) == "0-1/1");
    world.go().Drop(0);
    world.Done(result);
    CHECK(world.Pass(Duration{60'000}) == "");
    CHECK(world.Next("b") == "");
    CHECK(world.go().TakeDeadLetters().empty());
    CHECK(world.go().idle());
    CHECK(world.go().queued_bytes() == 0);
  }
}

// Random records, outcomes, crashes, rebalances and time; at the end everything is delivered or answered, and nothing
// is sent for a case after its acknowledgement was offered.
TEST_CASE("dispatcher: random runs keep the promises") {
  const char* given = std::getenv("TRIAGED_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  INFO("TRIAGED_SEED=", seed);
  std::mt19937_64 rng(seed);
  const auto below = [&](uint64_t n) { return static_cast<int>(rng() % n); };
  for (int run = 0; run < 200; ++run) {
    World world;
    world.a().per_minute = 1 + below(10'000);
    world.a().bundle = 1 + below(20);
    world.a().deadline = std::chrono::hours(20);
    std::vector<std::shared_ptr<const NotifyEvent>> log;
    std::map<std::string, std::string> acked;
    std::map<std::string, int> sent;
    size_t read = 0, committed = 0;
    int crashes = 0, next_sequence = 1;
    const auto offer = [&](const std::shared_ptr<const NotifyEvent>& event) {
      if (event->action != NotifyAction::kTrigger) {
        acked[event->dedup_key] = std::max(acked[event->dedup_key], event->sequence);
      }
      world.go().Offer(event, 0, static_cast<int64_t>(read), world.time());
    };
    const auto step = [&](bool healthy) {
      if (read < log.size()) {
        offer(log[read]);
        ++read;
      }
      if (const auto job = world.go().Next("a", world.steady())) {
        bool told = false;
        for (const NotifyItem& item : job->items) {
          if (item.action != NotifyAction::kTrigger) continue;
          REQUIRE(acked[item.event->dedup_key] < item.event->sequence);
        }
        const int dice = healthy ? 0 : below(4);
        told = dice <= 1;
        if (told) for (const NotifyItem& item : job->items) ++sent[item.event->id];
        if (dice == 1) {  // told, and killed before it is remembered
          ++crashes;
          world.made.reset();
          read = committed;
          return;
        }
        if (!healthy && below(5) == 0) {  // the partition goes and comes back while the request is under way
          world.go().Drop(0);
          const size_t known = read;
          for (read = committed; read < known && below(20) > 0; ++read) offer(log[read]);
        }
        world.Done(dice == 0 ? SendResult::kDelivered : SendResult::kRetry);
      }
      const auto offsets = world.go().Committable();
      if (below(3) == 0 && offsets.contains(0)) committed = static_cast<size_t>(offsets.at(0));
      world.now += Duration{below(3000)};
    };
    for (int i = 0; i < 150; ++i) {
      if (below(2)) {
        const char* kNames[] = {"escalated", "renotified", "acknowledged", "resolved"};
        log.push_back(MakeEvent(below(12), next_sequence++, kNames[below(8) < 6 ? below(2) : 2 + below(2)], world.now));
      }
      step(false);
    }
    for (int i = 0; i < 20'000 && (read < log.size() || !world.go().idle()); ++i) step(true);
    REQUIRE(world.go().idle());
    int repeats = 0;
    for (const auto& [id, count] : sent) repeats += count - 1;
    for (const auto& event : log) {
      if (event->action == NotifyAction::kTrigger && acked[event->dedup_key] < event->sequence) {
        REQUIRE_MESSAGE(sent[event->id] >= 1, event->id);
      }
    }
    REQUIRE(repeats <= crashes * static_cast<int>(world.a().bundle));
    REQUIRE(world.go().queued_bytes() == 0);
  }
}

TEST_CASE("dispatcher: the jitter of retries follows its seed, and stays between half of the pause and all of it") {
  const auto waits = [](uint64_t seed) {
    World world;
    world.seed = seed;
    world.a().retry_min = world.a().retry_max = Duration{10'000};
    world.a().breaker_failures = 100;
    world.Offer(1, 1);
    std::vector<int64_t> out;
    REQUIRE(world.Next() == "0-1/1");
    for (int i = 0; i < 8; ++i) {
      world.Done(SendResult::kRetry);
      int64_t waited = 0;
      while (world.Pass(Duration(50)).empty()) waited += 50;
      CHECK(waited >= 4'900);
      CHECK(waited <= 10'000);
      out.push_back(waited);
    }
    return out;
  };
  const auto one = waits(1);
  CHECK(one == waits(1));
  CHECK(one != waits(2));
  CHECK(std::set<int64_t>(one.begin(), one.end()).size() > 4);
}

}  // namespace
}  // namespace triaged
