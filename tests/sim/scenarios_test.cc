// Written lives: what the seeds do not reach, or what deserves a name.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string>

#include "daemon/input_place.h"
#include "tests/sim/written_life.h"

namespace triaged::sim {
namespace {

TEST_CASE("the life of a partition goes along the legal transitions only") {
  using S = PartitionState;
  const S states[] = {S::kAssigned, S::kRestoring, S::kRunning, S::kClosed, S::kLost};
  std::set<std::pair<S, S>> legal = {
      {S::kAssigned, S::kRestoring}, {S::kAssigned, S::kClosed},  {S::kAssigned, S::kLost},
      {S::kRestoring, S::kRunning},  {S::kRestoring, S::kClosed}, {S::kRestoring, S::kLost},
      {S::kRunning, S::kClosed},     {S::kRunning, S::kLost},     {S::kClosed, S::kAssigned},
      {S::kLost, S::kAssigned},      {S::kLost, S::kClosed}};
  for (S from : states) {
    for (S to : states) CHECK(MayMove(from, to) == legal.contains({from, to}));
  }
}

TEST_CASE("a partition that comes back restores only its tail") {
  World world(Calm(2, 1));
  Alerts(world, 50);
  Settle(world);
  const uint64_t before = world.result.restored_records;
  // Thrown out of the group and back: both partitions are revoked and given back, their stores still open.
  world.broker.Leave(static_cast<const SimClient*>(world.processes()[0]->worker->client())->member());
  Settle(world);
  CHECK(world.result.restored_records - before <= 2 * 3);  // the progress record at the position, and what came since
  CHECK(world.broker.LogOf({world.names.state, 0}).high() > 20);
  CheckEnd(world);
}

TEST_CASE("a standby takes a dead owner's partitions over with their tail only, and follows the others") {
  for (const bool standby : {true, false}) {
    WorldOptions options = Calm(4, 2);
    options.standby = standby;
    World world(options);
    Alerts(world, 100);
    Settle(world);
    Process* owner = world.processes()[0].get();
    Process* other = world.processes()[1].get();
    uint64_t taken = 0;  // records of the changelogs that are taken over
    for (const auto& [number, partition] : owner->worker->partitions()) {
      taken += static_cast<uint64_t>(world.broker.LogOf({world.names.state, number}).high());
    }
    REQUIRE(owner->worker->partitions().size() == 2);
    REQUIRE(taken > 60);
    const uint64_t before = world.result.restored_records;
    owner->Die();
    owner->not_before = world.broker.now() + Duration(1'000'000);
    for (int i = 0; i < 2000 && other->worker->partitions().size() < 4; ++i) {
      world.Turn();
      world.broker.Advance(Duration(100));
    }
    for (int i = 0; i < 2000 && !other->worker->Ready(); ++i) world.Turn();
    REQUIRE(other->worker->partitions().size() == 4);
    // The owner's two: a progress record each, and what came last. Its own two stay open: their last record once more.
    const uint64_t replayed = world.result.restored_records - before;
    CHECK((replayed < 20) == standby);
    CHECK((world.result.takeovers_warm >= 2) == standby);
    owner->not_before = world.broker.now();
    Alerts(world, 20);
    Settle(world);
    CheckEnd(world);
  }
}

TEST_CASE("a standby whose store missed tombstones for too long follows from the beginning") {
  WorldOptions options = Calm(2, 2);
  options.standby = true;
  World world(options);
  Alerts(world, 20);
  Settle(world);
  Process* follower = world.processes()[1].get();
  follower->StopCleanly();
  Alerts(world, 20);
  world.broker.Advance(Duration(25 * 60 * 60'000));  // its store misses tombstones that are no longer there
  follower->Start();
  Settle(world);
  CHECK(world.result.stores_moved >= 1);
  CheckEnd(world);
}

TEST_CASE("an empty disk is restored from the changelog") {
  World world(Calm());
  TakeAndStop(world, 30);
  world.processes()[0]->disk->Wipe();
  Alerts(world, 3);
  Settle(world);
  CHECK(world.result.restored_records > 20);
  CheckEnd(world);
}

TEST_CASE("after an outage of a day: an old store is wiped, and every deadline fires once") {
  World world(Calm(1));
  Alerts(world, 20);
  Settle(world);
  const uint64_t timers = world.result.timers;
  world.processes()[0]->StopCleanly();
  world.broker.Advance(Duration(25 * 60 * 60'000));
  Settle(world);
  CHECK(world.result.stores_moved == 1);
  CHECK(world.result.timers > timers);
  CHECK(world.Published("sla.breached") > 0);
  CheckEnd(world);
}

// TRIAGED_SIM_CASES=52000 is the long form: more than 100,000 deadlines.
TEST_CASE("an outage of a day with thousands of deadlines due: each fires once, none before") {
  const char* wanted = std::getenv("TRIAGED_SIM_CASES");
  const uint64_t cases = wanted && *wanted ? std::strtoull(wanted, nullptr, 10) : 1500;
  World world(Calm(4));
  for (uint64_t i = 0; i < cases; ++i) world.ProduceAlert("d" + std::to_string(i), "Port scan", 99, "one case each");
  const Timestamp begin = world.broker.now();
  Settle(world);
  const uint64_t opened = world.Published("opened");
  CHECK(opened >= cases * 8 / 10);  // some alerts come twice
  if (world.broker.now() - begin < std::chrono::minutes(5)) CHECK(world.Published("sla.breached") == 0);
  const uint64_t before = world.result.timers;
  world.processes()[0]->StopCleanly();
  world.broker.Advance(std::chrono::hours(24));
  Settle(world);
  CHECK(world.Published("sla.breached") >= opened);
  MESSAGE(opened << " cases, " << world.result.timers - before << " deadlines after the outage");
  CheckEnd(world);
}

// The night in which clocks in Berlin go from three back to two: a deadline knows nothing of it, nor does the daemon.
TEST_CASE("a deadline across the end of daylight saving time fires on time") {
  const char* zone = std::getenv("TZ");
  const std::optional<std::string> before = zone ? std::optional<std::string>(zone) : std::nullopt;
  setenv("TZ", "Europe/Berlin", 1);
  tzset();
  World world(Calm(1));
  world.broker.Advance(*ParseTimestamp("2026-10-25T00:57:00Z") - world.broker.now());
  world.ProduceAlert("db7", "Port scan", 99, "critical: acknowledge within 5 minutes");
  Settle(world);
  world.broker.Advance(*ParseTimestamp("2026-10-25T01:01:40Z") - world.broker.now());
  Settle(world);
  CHECK(world.Published("sla.breached") == 0);
  world.broker.Advance(std::chrono::minutes(1));
  Settle(world);
  CHECK(world.Published("sla.breached") == 1);
  CheckEnd(world);
  before ? setenv("TZ", before->c_str(), 1) : unsetenv("TZ");
  tzset();
}

// The partitions' leaders move to a broker whose clock is behind: their next records are stamped before the last ones.
TEST_CASE("records that are stamped before the ones in front of them are taken") {
  for (const bool direct : {false, true}) {
    WorldOptions options = Calm(2);
    options.direct = direct;
    World world(options);
    Alerts(world, 10);
    Settle(world);
    for (int i = 0; i < 40; ++i) {
      world.broker.SetSkew(static_cast<size_t>(i) % SimBroker::kBrokers, Duration(i % 2 ? -60'000 : 60'000));
      Alerts(world, 1);
      Command note;
      note.id = "note-" + std::to_string(i);
      note.case_id = {i / 2 % 2, 1};
      note.actor = "ada";
      note.role = "l1";
      note.action = CommandAction::kNote;
      note.text = "seen";
      world.ProduceCommand(note);
      if (i % 8 == 0) world.broker.MoveLeaders();
      if (i % 10 == 9) world.Turn();
    }
    Settle(world);
    CheckEnd(world);
  }
}

// What a restore reads (the cases, checked one by one) may be sound while an index that only steps read is not.
TEST_CASE("damage that only a step finds sets the store aside") {
  World world(Calm(1));
  for (int i = 0; i < 800; ++i) world.ProduceAlert("d" + std::to_string(i), "Port scan", 47, "one case each");
  Settle(world);
  Process* process = world.processes()[0].get();
  process->StopCleanly();
  struct Keys : CaseStore::Visitor {
    std::vector<std::string> keys;
    bool Visit(const Case& c) override {
      keys.push_back(c.key);
      return true;
    }
  } cases;
  // Whether the store opens; `found`: each case by its key.
  const auto open = [&](bool* found) {
    // With a block cache of its own.
    const auto fresh = std::make_shared<RocksResources>(process->disk->options(), process->disk->env());
    auto store = PartitionStore::Open(fresh, 0, "/store/0");
    if (!store || !(*store)->FinishRestore()) return false;
    if (cases.keys.empty()) REQUIRE((*store)->ForEachCase(&cases).ok());
    *found = std::all_of(cases.keys.begin(), cases.keys.end(),
                         [&](const std::string& key) { return (*store)->FindByKey(key).ok(); });
    return true;
  };
  bool found = false;
  bool opens = open(&found);
  REQUIRE((opens && found));
  const uint64_t size = process->disk->SizeOf("/store/0/", ".sst");
  for (uint64_t at = 0; at < size && (found || !opens); at += 1024) {
    const auto healthy = process->disk->Copy();
    process->disk->Flip("/store/0/", ".sst", at);
    opens = open(&found);
    process->disk->Quiesce();
    if (found || !opens) process->disk->Put(healthy);
  }
  REQUIRE((opens && !found));
  for (int i = 0; i < 800; ++i) world.ProduceAlert("d" + std::to_string(i), "Port scan", 47, "once more");
  Settle(world);
  CHECK(world.result.stores_moved == 1);
  CheckEnd(world);
}

// Without a broker's time nobody knows how old the store is.
TEST_CASE("an old store is wiped although the first transaction came to nothing") {
  World world(Calm(1));
  TakeAndStop(world, 20);
  world.broker.Advance(Duration(25 * 60 * 60'000));
  int refused = 0;
  world.too_large = [&](const OutputRecord& record) { return record.topic == OutputTopic::kSteps && refused++ < 4; };
  world.processes()[0]->Start();
  for (int i = 0; i < 200 && refused < 5; ++i) world.Turn();
  world.too_large = nullptr;
  Settle(world);
  CHECK(world.result.stores_moved == 1);
  CheckEnd(world);
}

TEST_CASE("a reload reaches running partitions, and the next step names it") {
  World world(Calm(1));
  Alerts(world, 5);
  Settle(world);
  const Partition& partition = *world.processes()[0]->worker->partitions().at(0);
  CHECK(partition.store()->progress().fingerprint == ShippedEngine()->fingerprint);
  world.engine = OtherEngine();
  Alerts(world, 5);
  Settle(world);
  CHECK(partition.store()->progress().fingerprint == OtherEngine()->fingerprint);
  CheckEnd(world);
}

TEST_CASE("two processes under one name: one of them stops") {
  World world(Calm(1));
  Alerts(world, 5);
  Settle(world);
  Process* first = world.processes()[0].get();
  Process* second = world.AddProcess(first->instance);
  second->Start();
  first->may_stop = second->may_stop = first->doomed = second->doomed = true;
  for (int i = 0; i < 2000 && !first->stopped && !second->stopped; ++i) {
    world.Turn();
    world.broker.Advance(Duration(20));
  }
  const auto& stopped = first->stopped ? first->stopped : second->stopped;
  REQUIRE(stopped);
  CHECK(stopped->message.find("give each process its own `instance`") != std::string::npos);
  Settle(world);
  CheckEnd(world);
}

TEST_CASE("another number of partitions than the state topic has stops the daemon") {
  World world(Calm(2));
  world.processes()[0]->worker.reset();
  world.partitions = 3;
  world.processes()[0]->Start();
  CHECK(ReasonToStop(world, world.processes()[0].get()).find("kafka.partitions says 3") != std::string::npos);
}

TEST_CASE("a correlation keyed by user comes back as derived alerts") {
  World world(Calm(3));
  Alerts(world, 20);
  Settle(world);
  uint64_t matches = 0, derived = 0;
  for (int32_t i = 0; i < 3; ++i) {
    for (const Entry& entry : world.broker.LogOf({world.names.signals, i}).entries) {
      if (entry.control || entry.fate != Fate::kCommitted) continue;
      ++(entry.value->find("\"rule.id\"") == std::string::npos ? matches : derived);
    }
  }
  CHECK(matches >= 20);
  CHECK(derived > 0);
  CheckEnd(world);
}

TEST_CASE("what Kafka refuses for its size becomes a dead letter, and nothing else suffers") {
  for (const OutputTopic refused : {OutputTopic::kIntake, OutputTopic::kEscalations}) {
    World world(Calm(2));
    world.too_large = [refused](const OutputRecord& record) {
      return record.topic == refused && record.value && record.value->find("monster") != std::string::npos;
    };
    for (int i = 0; i < 10; ++i) {
      world.ProduceAlert("h" + std::to_string(i), "Credential dumping", 99, "fine");
      if (i % 4 == 0) world.ProduceAlert("monster", "Credential dumping", 99, "not fine");
      world.ProduceAlert("h" + std::to_string(i + 1), "Port scan", 47, "fine");
    }
    Settle(world);
    uint64_t letters = 0;
    for (int32_t i = 0; i < 2; ++i) {
      for (const Entry& entry : world.broker.LogOf({world.names.dead_letter, i}).entries)
        letters += !entry.control && entry.fate == Fate::kCommitted;
    }
    CHECK(letters >= 1);
    CHECK(letters <= 3);
    CheckEnd(world);
  }
}

TEST_CASE("a broker too slow for whole polls gets smaller ones") {
  World world(Calm(2));
  Alerts(world, 20);
  Settle(world);
  world.most_records = 25;
  Alerts(world, 200);
  Settle(world);
  CHECK(world.result.alerts >= 220);
  CheckEnd(world);
}

TEST_CASE("an idle partition's end is committed, or retention would seem to have removed its transaction markers") {
  WorldOptions options = Calm(2);
  options.heartbeat_interval = Duration{0};
  World world(options);
  Alerts(world, 20);
  Settle(world);
  for (int i = 0; i < 50; ++i) {
    world.Turn();
    world.broker.Advance(Duration(200));
  }
  for (int32_t partition = 0; partition < 2; ++partition) {
    const TopicPartition intake{world.names.intake, partition};
    const auto committed = world.broker.Committed({intake});
    REQUIRE(committed);
    CHECK(DecodeEnd(committed->at(intake).metadata) == world.broker.LogOf(intake).high());
  }
  CheckEnd(world);
}

TEST_CASE("an input that begins late, and of which nothing came yet, does not look like lost state") {
  WorldOptions options = Calm(2);
  options.direct = true;
  options.heartbeat_interval = Duration{0};  // else the first heartbeat makes progress
  World world(options);
  Process* process = world.processes()[0].get();
  process->worker.reset();
  Alerts(world, 20);
  for (int32_t partition = 0; partition < 2; ++partition) {
    Log& log = world.broker.LogOf({world.alert_topics.front(), partition});
    log.low = log.high();
  }
  world.result.alerts = 0;
  process->Start();
  for (int i = 0; i < 100; ++i) {
    world.Turn();
    world.broker.Advance(Duration(200));
  }
  process->StopCleanly();
  process->Start();
  Alerts(world, 20);
  Settle(world);
  CHECK_FALSE(process->stopped);
  CheckEnd(world);
}

// A commands partition whose end is hidden behind somebody's open transaction: the acknowledgement in there must be
// taken before the deadline that has passed meanwhile.
uint64_t BreachesWithAcknowledgementBehindAnOpenTransaction(const Bugs& bugs) {
  WorldOptions options = Calm(1);
  options.bugs = bugs;
  World world(options);
  world.ProduceAlert("db7", "Port scan", 99, "critical: acknowledge within 5 minutes");
  Settle(world);
  Process* process = world.processes()[0].get();
  world.broker.Advance(Duration(4 * 60'000));
  Settle(world);
  REQUIRE(world.Published("sla.breached") == 0);
  process->StopCleanly();
  world.broker.Advance(Duration(50'000));  // 4:50
  const ProducerHandle other = world.broker.InitProducer("other");
  REQUIRE(world.broker.Produce(other, {world.names.commands, 0}, {}).ok());
  world.ProduceCommand(Acknowledgement("ack-1"));
  world.broker.Advance(Duration(9'000));  // 4:59
  process->Start();
  for (int i = 0; i < 60; ++i) {
    if (i == 30) world.broker.Advance(Duration(3'000));
    while (world.broker.Ongoing("other") && world.broker.WriteMarker(0)) continue;
    process->RunOnce();
  }
  world.ForgetPublished();
  Settle(world);
  return world.Published("sla.breached");
}

TEST_CASE("an acknowledgement behind an open transaction beats the deadline") {
  CHECK(BreachesWithAcknowledgementBehindAnOpenTransaction({}) == 0);
}
TEST_CASE("hole: the last stable offset passes for the end of a partition") {
  CHECK(BreachesWithAcknowledgementBehindAnOpenTransaction({.end_at_last_stable = true}) == 1);
}
TEST_CASE("hole: deadlines fire before the backlog is read") {
  CHECK(BreachesWithAcknowledgementBehindAnOpenTransaction({.end_at_once = true}) == 1);
}

}  // namespace
}  // namespace triaged::sim
