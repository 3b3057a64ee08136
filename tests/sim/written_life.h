// What written lives are made of: a world without accidents, and steps that assert that it is unharmed. For the test
// program's own thread.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "tests/sim/sim_world.h"

namespace triaged::sim {

inline WorldOptions Calm(int32_t partitions = 2, int64_t processes = 1) {
  WorldOptions options;
  options.network_faults = options.crashes = options.pauses = false;
  options.disk_faults = options.outages = options.clock_jumps = false;
  options.partitions = partitions;
  options.direct = false;
  options.least_processes = options.most_processes = processes;
  return options;
}

inline void Settle(World& world) {
  world.Settle();
  REQUIRE_MESSAGE(!world.failed(), world.result.violation.value_or(""));
}

inline void CheckEnd(World& world) {
  world.CheckEnd();
  CHECK_MESSAGE(!world.failed(), world.result.violation.value_or(""));
}

inline void Alerts(World& world, int times) {
  for (int i = 0; i < times; ++i) world.ProduceAlerts();
}

// Some alerts are taken, then the first process is stopped: what comes now happens while it is away.
inline Process* TakeAndStop(World& world, int alerts) {
  Alerts(world, alerts);
  Settle(world);
  Process* process = world.processes()[0].get();
  process->StopCleanly();
  return process;
}

// Turns until its worker stopped by itself; the reason.
inline std::string ReasonToStop(World& world, Process* process) {
  process->may_stop = true;
  for (int i = 0; i < 2000 && !process->stopped; ++i) {
    world.Turn();
    world.broker.Advance(Duration(50));
  }
  REQUIRE(process->stopped);
  CHECK(process->stopped->kind == ErrorClass::kInvariant);
  return process->stopped->message;
}

// A process whose topics have changed while it was away, as far as Ready(), or the reason why it stopped.
inline std::string StartAgain(World& world, Process* process, bool ready) {
  process->Start();
  if (!ready) return ReasonToStop(world, process);
  for (int i = 0; i < 500 && !process->worker->Ready(); ++i) {
    world.Turn();
    world.broker.Advance(Duration(20));
  }
  CHECK(process->worker->Ready());
  return {};
}

// An L1 acknowledges the first case of partition 0.
inline Command Acknowledgement(const std::string& id) {
  Command ack;
  ack.id = id;
  ack.case_id = {0, 1};
  ack.actor = "ada";
  ack.role = "l1";
  ack.action = CommandAction::kAck;
  return ack;
}

}  // namespace triaged::sim
