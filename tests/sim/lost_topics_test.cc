// Written lives: topics and offsets that retention, an operator or a disaster took away while nobody was looking. What
// was taken before is no loss; anything else stops the daemon, unless data loss is accepted.
#include <doctest/doctest.h>

#include <string>

#include "tests/sim/written_life.h"

namespace triaged::sim {
namespace {

TEST_CASE("transaction markers that retention removed are no lost alerts") {
  World world(Calm(1));
  const TopicPartition source{world.alert_topics.front(), 0};
  Alerts(world, 10);
  Settle(world);
  // Another application's transactions: one alert and its marker, then one that is aborted.
  for (const bool commit : {true, false}) {
    const ProducerHandle other = world.broker.InitProducer("other");
    Entry entry;
    entry.key = "db7";
    entry.value = R"({"ecs":{"version":"8.11"},"event":{"kind":"alert","id":"own","severity":21},"host":{"name":"db7"}})";
    REQUIRE(world.broker.Produce(other, source, entry).ok());
    REQUIRE(world.broker.EndTransaction(other, commit));
    while (world.broker.WriteMarker(0)) continue;
  }
  ++world.result.alerts;
  Settle(world);
  const int64_t end = world.broker.LogOf(source).high();
  for (int i = 0; i < 1000; ++i) {
    const auto committed = world.broker.Committed({source});
    if (committed && committed->at(source).offset == end) break;
    world.Turn();
    world.broker.Advance(Duration(20));
  }
  world.processes()[0]->StopCleanly();
  world.broker.LogOf(source).low = end;
  Alerts(world, 5);
  Settle(world);
  CheckEnd(world);
}

TEST_CASE("inputs that were removed before they were taken stop the daemon, unless data loss is accepted") {
  for (const bool accepted : {false, true}) {
    for (const bool direct : {false, true}) {
      WorldOptions options = Calm(1);
      options.direct = direct;
      options.accept_data_loss = accepted;
      World world(options);
      Process* process = TakeAndStop(world, 10);
      const WorldResult before = world.result;
      direct ? Alerts(world, 5) : world.ProduceCommand(Acknowledgement("unseen"));
      const TopicPartition source{direct ? world.alert_topics.front() : world.names.commands, 0};
      world.broker.LogOf(source).low = world.broker.LogOf(source).high();
      const std::string why = StartAgain(world, process, accepted);
      if (!accepted) CHECK(why.find("were removed before they were taken") != std::string::npos);
      if (!accepted) continue;
      world.result.alerts = before.alerts;  // nobody will see the others
      world.result.commands = before.commands;
      // Once is enough, also when only deadlines came since.
      Alerts(world, 5);
      Settle(world);
      process->StopCleanly();
      world.broker.Advance(Duration(20 * 60'000));
      StartAgain(world, process, true);
    }
  }
}

TEST_CASE("an input that was made anew stops the daemon, unless data loss is accepted") {
  for (const bool accepted : {false, true}) {
    for (const bool direct : {false, true}) {
      WorldOptions options = Calm(1);
      options.direct = direct;
      options.accept_data_loss = accepted;
      World world(options);
      Alerts(world, 10);
      Settle(world);
      world.ProduceCommand(Acknowledgement("first"));
      Settle(world);
      Process* process = world.processes()[0].get();
      process->StopCleanly();
      const std::string topic = direct ? world.alert_topics.front() : world.names.commands;
      world.broker.Recreate(topic);
      const std::string why = StartAgain(world, process, accepted);
      if (!accepted) CHECK(why.find("made anew, or truncated") != std::string::npos);
      if (!accepted) continue;
      const Progress& progress = world.processes()[0]->worker->partitions().at(0)->store()->progress();
      const uint64_t before = progress.balance.commands_consumed + progress.balance.consumed;
      world.ProduceCommand(Acknowledgement("second"));
      world.ProduceAlert("db7", "Port scan", 47, "behind the new beginning");
      Settle(world);
      CHECK(progress.balance.commands_consumed + progress.balance.consumed == before + 2);
      process->StopCleanly();
      StartAgain(world, process, true);  // and what was accepted stands
    }
  }
}

TEST_CASE("retention that removes what was taken, and the markers behind it, loses nothing") {
  for (const bool direct : {false, true}) {
    WorldOptions options = Calm(1);
    options.direct = direct;
    World world(options);
    Alerts(world, 10);
    world.ProduceCommand(Acknowledgement("one"));
    Settle(world);
    for (int i = 0; i < 400; ++i) {  // past a heartbeat
      world.Turn();
      world.broker.Advance(Duration(1'000));
    }
    world.processes()[0]->StopCleanly();
    for (const std::string& topic : {world.alert_topics.front(), world.names.intake, world.names.commands, world.names.signals}) {
      world.broker.LogOf({topic, 0}).low = world.broker.LogOf({topic, 0}).high();
    }
    StartAgain(world, world.processes()[0].get(), true);
    Alerts(world, 5);
    Settle(world);
    CheckEnd(world);
  }
}

TEST_CASE("a lost state topic stops the daemon, unless data loss is accepted") {
  for (const bool accepted : {false, true}) {
    WorldOptions options = Calm(1);
    options.accept_data_loss = accepted;
    World world(options);
    Process* process = TakeAndStop(world, 10);
    world.broker.Recreate(world.names.state);
    process->Start();
    if (accepted) {
      // Alerts that stage two had taken stay taken; what comes from now on is decided on an empty state.
      for (int i = 0; i < 500 && !process->worker->Ready(); ++i) world.Turn();
      CHECK(process->worker->Ready());
      CHECK(world.result.stores_moved == 1);
    } else {
      CHECK(ReasonToStop(world, process).find("records of the state topic are lost") != std::string::npos);
    }
  }
}

TEST_CASE("a store made from another changelog is wiped and restored") {
  World world(Calm(1));
  Process* first = TakeAndStop(world, 5);
  // A new cluster under the old names: everything starts over, on another machine.
  for (const std::string& topic : {world.names.state, world.names.intake, world.names.commands, world.names.steps,
                                   world.names.escalations, world.names.cases, world.names.dead_letter,
                                   world.names.signals, world.names.archive}) {
    world.broker.Recreate(topic);
  }
  world.broker.DropGroupOffsets();
  world.ForgetPublished();
  world.broker.Advance(Duration(60'000));
  Process* second = world.AddProcess("elsewhere");
  second->Start();
  const int64_t length = 200;
  for (int i = 0; i < 3000 && world.broker.LogOf({world.names.state, 0}).high() < length; ++i) {
    if (i % 10 == 0) world.ProduceAlerts();
    world.Turn();
    world.broker.Advance(Duration(20));
  }
  second->StopCleanly();
  world.broker.Advance(Duration(60'000));
  first->Start();  // its old disk's position is inside the new changelog
  for (int i = 0; i < 500 && !first->worker->Ready(); ++i) {
    world.Turn();
    world.broker.Advance(Duration(20));
  }
  CHECK(first->worker->Ready());
  CHECK(world.result.stores_moved == 1);
  Settle(world);
  CheckEnd(world);
}

TEST_CASE("expired group offsets stop the daemon, unless data loss is accepted") {
  for (const bool accepted : {false, true}) {
    WorldOptions options = Calm(2);
    options.accept_data_loss = accepted;
    World world(options);
    Process* process = TakeAndStop(world, 10);
    world.broker.DropGroupOffsets();
    process->Start();
    if (accepted) {
      for (int i = 0; i < 500 && !process->worker->Ready(); ++i) world.Turn();
      CHECK(process->worker->Ready());
    } else {
      CHECK(ReasonToStop(world, process).find("not one committed offset") != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace triaged::sim
