#include "tests/sim/sim_world.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemon/config.h"
#include "pipeline/base/check.h"
#include "pipeline/base/hash.h"
#include "pipeline/model/command.h"

namespace triaged::sim {
namespace {

constexpr uint64_t kSettleRounds = 20'000;  // at most, and some for each alert

std::string_view HeaderOf(const Entry& entry, std::string_view name) {
  for (const Header& header : entry.headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

}  // namespace

namespace {

// Counted beside the case, through the signals topic, and in a chain of both.
constexpr const char* kCorrelations =
    "title: Any\nid: any\nname: any\ndetection: {s: {rule.name|exists: true}, condition: s}\n---\n"
    "title: Busy host\nid: busy\nname: busy\ncorrelation: {type: event_count, rules: [any], group-by: [host.name],"
    " timespan: 2m, condition: {gte: 3}, generate: true}\n---\n"
    "title: Busy user\nid: wide\nname: wide\ncorrelation: {type: value_count, rules: [any], group-by: [user.name],"
    " timespan: 5m, condition: {field: host.name, gte: 2}, generate: true}\n---\n"
    "title: Both\nid: both\ncorrelation: {type: temporal, rules: [busy, wide], group-by: [user.name], timespan: 10m,"
    " generate: true}\n---\n"
    "title: New here\nid: new-here\ndetection: {s: {baseline.rule.first_seen_on_host: true}, condition: s}\n"
    "triage: {tags: [new_here]}\n";

std::shared_ptr<const Engine> Compile(bool other) {
  const std::string configs = std::string(TRIAGED_SOURCE_DIR) + "/configs/";
  Diagnostics diagnostics;
  EngineSources sources;
  sources.formats = ReadSources({configs + "formats"}, &diagnostics);
  sources.rules = ReadSources({configs + "rules"}, &diagnostics);
  sources.rules.push_back({"correlations.yaml", kCorrelations});
  sources.policies = ReadSources({configs + "policies/soc-tiered.yaml"}, &diagnostics);
  std::string& policy = sources.policies.front().text;
  policy += "\nstorm: {escalations: 2, window: 10m}\nfeeds:\n  - {name: all, product: ecs, silent_after: 4m, severity: high}\n";
  TopicSettings topic;  // the other alert topic has one alert a record
  topic.topic = "alerts-0";
  topic.split.values = true;
  sources.topics = {topic};
  // So few keys that some are evicted, and times that pass within a run.
  sources.baseline = {40, std::chrono::hours(1), std::chrono::minutes(2), std::chrono::hours(2)};
  if (other) {
    const size_t at = policy.find("critical: 10m");
    TRIAGED_CHECK(at != std::string::npos);
    policy.replace(at, 13, "critical: 12m");
  }
  auto compiled = CompileEngine(sources, {}, &diagnostics);
  TRIAGED_CHECK(compiled != nullptr);
  return compiled;
}

}  // namespace

std::shared_ptr<const Engine> ShippedEngine() {
  static const std::shared_ptr<const Engine> engine = Compile(false);
  return engine;
}

std::shared_ptr<const Engine> OtherEngine() {
  static const std::shared_ptr<const Engine> engine = Compile(true);
  return engine;
}

World::World(const WorldOptions& the_options) : options(the_options), random(the_options.seed), weather(~the_options.seed) {
  engine = ShippedEngine();
  partitions = static_cast<int32_t>(random.Between(1, 4));
  direct = random.Below(4) == 0;
  partitions = options.partitions.value_or(partitions);
  direct = options.direct.value_or(direct);
  standby = options.standby.value_or(options.seed % 3 == 0);
  const auto topics = static_cast<int>(random.Between(1, 2));
  for (int i = 0; i < topics; ++i) {
    alert_topics.push_back("alerts-" + std::to_string(i));
    broker.CreateTopic(alert_topics.back(), direct ? partitions : static_cast<int32_t>(random.Between(1, 3)));
  }
  for (const std::string& topic : {names.intake, names.commands, names.signals, names.state, names.steps}) {
    broker.CreateTopic(topic, partitions);
  }
  for (const std::string& topic : {names.escalations, names.cases, names.dead_letter, names.archive}) broker.CreateTopic(topic, 2);
  broker.set_background([this] {
    for (const auto& process : processes_) {
      if (!process->worker || process->paused || !process->worker->client()) continue;
      broker.Heartbeat(static_cast<const SimClient*>(process->worker->client())->member());
    }
  });
  const auto count = random.Between(options.least_processes, options.most_processes);
  for (int64_t i = 0; i < count; ++i) {
    // Now and then two workers share a process.
    const Process* sibling = i > 0 && random.Below(4) == 0 ? processes_.front().get() : nullptr;
    processes_.push_back(std::make_unique<Process>(this, "i" + std::to_string(i), sibling));
    processes_.back()->Start();
  }
}

void World::Violation(std::string what) {
  if (failed()) return;
  result.violation = "seed " + std::to_string(options.seed) + ": " + std::move(what);
}

// ---- what happens -----------------------------------------------------------------------------------------------

void World::ProduceAlert(const std::string& host, const std::string& rule, int severity, const std::string& message) {
  // Some ids come twice.
  const uint64_t id = next_alert_ > 5 && random.Below(10) == 0 ? next_alert_ - 1 - random.Below(4) : next_alert_++;
  const char* kind = random.Below(20) == 0 && !rule.empty() && message == "m" ? "event" : "alert";
  Entry entry;
  entry.key = host;
  entry.value = R"({"ecs":{"version":"8.11"},"event":{"kind":")" + std::string(kind) + R"(","id":"a)" +
                std::to_string(id) + R"(","severity":)" + std::to_string(severity) + R"(},"@timestamp":")" +
                FormatTimestamp(broker.now()) + R"(","host":{"name":")" + host + R"("},"user":{"name":"u)" + std::to_string(id % 5) + R"("},"rule":{"name":")" + rule +
                R"("},"message":")" + message + R"("})";
  if (message == "m" && random.Below(25) == 0) entry.value = "{not json";
  if (message == "m" && random.Below(60) == 0) entry.value.reset();
  const std::string& topic = alert_topics[random.Below(alert_topics.size())];
  const int32_t count_there = broker.Partitions(topic);
  const int32_t where = direct ? PartitionForKey(host, count_there)
                               : static_cast<int32_t>(random.Below(static_cast<uint64_t>(count_there)));
  if (!broker.Led({topic, where})) return;  // the producer comes back with it some time
  if (message == "m" && topic == "alerts-0" && entry.value && random.Below(6) == 0) {
    // The second is the first with another id, or broken.
    const std::string first = *entry.value;
    const std::string before = "\"id\":\"a";
    const size_t at = first.find(before);
    entry.value = first + (at == std::string::npos || random.Below(3) == 0
                               ? "\n{broken"
                               : "\n" + first.substr(0, at) + before + "second-" + first.substr(at + before.size()));
    if (at != std::string::npos) ++result.alerts;  // broken text takes all that follows it
  }
  broker.Append({topic, where}, std::move(entry), ProducersStamp());
  ++result.alerts;
}

void World::ProduceAlerts() {
  static constexpr const char* kRules[] = {"Credential dumping",   "Trojan found",    "Port scan",
                                           "Ransomware behaviour", "Malware blocked", "Odd login"};
  static constexpr int kSeverities[] = {99, 99, 73, 47, 21};
  const auto count = random.Between(1, 6);
  for (int64_t i = 0; i < count; ++i) {
    const std::string host = "h" + std::to_string(random.Below(12));
    const int severity = kSeverities[random.Below(5)];
    ProduceAlert(host, kRules[random.Below(6)], severity, "m");
  }
}

void World::ProduceCommand(const Command& command) {
  Entry entry;
  entry.key = ToString(command.case_id);
  entry.value = CommandJson(command);
  broker.Append({names.commands, command.case_id.partition}, std::move(entry));
  ++result.commands;
}

void World::ProduceSomeCommand() {
  Command command;
  const uint64_t id = next_command_ > 2 && random.Below(8) == 0 ? next_command_ - 1 : next_command_++;
  command.id = "c" + std::to_string(id);
  command.case_id = {static_cast<int32_t>(random.Below(static_cast<uint64_t>(partitions))), 1 + random.Below(3)};
  if (!cases_.empty()) command.case_id = *ParseCaseId(cases_[random.Below(cases_.size())]);
  command.actor = "ada";
  command.role = random.Below(2) == 0 ? "l1" : "l2";
  static constexpr CommandAction kActions[] = {CommandAction::kAck,     CommandAction::kNote,  CommandAction::kEscalate,
                                               CommandAction::kResolve, CommandAction::kClose, CommandAction::kHold,
                                               CommandAction::kResume,  CommandAction::kReopen, CommandAction::kMerge,
                                               CommandAction::kUndo};
  command.action = kActions[random.Below(10)];
  if (command.action == CommandAction::kMerge) {
    const CaseId made_up{static_cast<int32_t>(random.Below(static_cast<uint64_t>(partitions))), 1 + random.Below(3)};
    command.into = cases_.empty() ? ToString(made_up) : cases_[random.Below(cases_.size())];
  }
  if (command.action == CommandAction::kNote) command.text = "looked at it";
  if (command.action != CommandAction::kAck && command.action != CommandAction::kNote &&
      command.action != CommandAction::kResume) {
    command.reason = "as seen";
  }
  Entry entry;
  entry.key = ToString(command.case_id);
  entry.value = CommandJson(command);
  if (random.Below(20) == 0) entry.value = "[]";
  int32_t where = command.case_id.partition;
  if (random.Below(10) == 0) where = static_cast<int32_t>(random.Below(static_cast<uint64_t>(partitions)));
  broker.Append({names.commands, where}, std::move(entry));
  ++result.commands;
}

Process* World::Pick() {
  std::vector<Process*> able;
  for (const auto& process : processes_) {
    if (process->worker && !process->paused && process->not_before <= broker.now()) able.push_back(process.get());
  }
  return able.empty() ? nullptr : able[random.Below(able.size())];
}

// The process stands still in the middle of a call while the world goes on; sometimes long enough to be given up, and
// sometimes its supervisor starts another under its name.
void World::Pause(Process* process) {
  ++result.pauses;
  nested = true;
  std::vector<Process*> stopped;
  for (const auto& other : processes_) {
    if (other->disk == process->disk) stopped.push_back(other.get());
  }
  for (Process* other : stopped) other->paused = true;
  const bool taken_over = !options.pause_point.empty() || random.Below(2) == 0;
  const Timestamp until = broker.now() + Duration(random.Between(taken_over ? 50 : 1, 90) * 1000);
  if (random.Below(4) == 0) {
    auto twin = std::make_unique<Process>(this, process->instance, nullptr);
    process->doomed = twin->doomed = true;
    twin->Start();
    processes_.push_back(std::move(twin));
  }
  const auto go_on = [&](int events, bool until_then) {
    for (int i = 0; i < events && !failed() && (!until_then || broker.now() < until); ++i) {
      Event();
      Check();
    }
  };
  go_on(400, true);
  if (broker.now() < until) broker.Advance(until - broker.now());
  if (taken_over) go_on(static_cast<int>(random.Between(20, 200)), false);
  nested = false;
  for (Process* other : stopped) other->paused = false;
}

void World::Event() {
  Weather();
  const uint64_t dice = random.Below(1000);
  if (dice < 560) {
    if (Process* process = Pick()) {
      process->RunOnce();
    } else {
      broker.Advance(Duration(random.Between(1, 2000)));
    }
  } else if (dice < 850 && broker.down()) {
    broker.Advance(Duration(random.Between(0, 500)));
  } else if (dice < 640) {
    ProduceAlerts();
  } else if (dice < 670) {
    ProduceSomeCommand();
  } else if (dice < 850) {
    broker.WriteMarker(random.Next());
  } else if (dice < 940) {
    broker.Advance(Duration(random.Between(0, 500)));
  } else if (dice < 975) {
    broker.Advance(Duration(random.Between(1, 150) * 1000));
  } else {
    Mishap(dice);
  }
}

void World::Mishap(uint64_t dice) {
  Process* process = processes_[random.Below(processes_.size())].get();
  if (dice >= 990) {
    engine = random.Below(2) == 0 ? ShippedEngine() : OtherEngine();  // a reload
    return;
  }
  if (process->paused) return;
  if (!process->worker) {
    if (process->not_before <= broker.now()) process->Start();
  } else if (dice < 982) {
    if (options.crashes) process->Die();
  } else if (dice < 986) {
    process->StopCleanly();
  }
}

// ---- what must hold -----------------------------------------------------------------------------------------------

void World::Check() {
  CheckEscalations();
  CheckPositions();
}

void World::CheckEscalations() {
  for (int32_t i = 0; i < broker.Partitions(names.escalations); ++i) {
    const TopicPartition where{names.escalations, i};
    const Log& log = broker.LogOf(where);
    int64_t& next = scanned_[where];
    for (const int64_t stable = log.last_stable(); next < stable; ++next) {
      const Entry& entry = log.entries[static_cast<size_t>(next)];
      if (entry.control || entry.fate != Fate::kCommitted) continue;
      const std::string id(HeaderOf(entry, "ce_id"));
      if (id.empty()) Violation("an escalation event has no id");
      const auto time = ParseTimestamp(HeaderOf(entry, "ce_time"));
      if (!time || *time > broker.latest()) Violation("escalation event " + id + " is ahead of time");
      if (!event_ids_.insert(id).second) Violation("escalation event " + id + " appears twice");
      ++result.escalation_events;
      ++events_of_type_[std::string(HeaderOf(entry, "ce_type"))];
      if (id.starts_with("heartbeat/")) continue;
      const std::string subject(HeaderOf(entry, "ce_subject"));
      if (events_of_case_[subject]++ == 0) cases_.push_back(subject);
    }
  }
}

void World::CheckPositions() {
  for (const auto& process : processes_) {
    if (!process->worker) continue;
    for (const auto& [number, partition] : process->worker->partitions()) {
      if (!partition->store()) continue;
      const int64_t position = partition->store()->position();
      if (position < 0) continue;
      const Log& log = broker.LogOf({names.state, number});
      const Entry* entry = position < log.high() ? &log.entries[static_cast<size_t>(position)] : nullptr;
      const bool decided =
          entry && !entry->control &&
          (entry->fate == Fate::kCommitted || (entry->fate == Fate::kPending && broker.Decided(entry->producer)));
      if (!decided) {
        Violation("store " + process->instance + "/" + std::to_string(number) +
                  " is ahead of its changelog: position " + std::to_string(position));
      }
    }
  }
}

World::Sums World::Add() {
  Sums sums;
  if (!direct) {
    for (const std::string& topic : alert_topics) {
      for (int32_t i = 0; i < broker.Partitions(topic); ++i) {
        const auto committed = broker.Committed({{topic, i}});
        if (!committed) continue;
        const auto balance = DecodeBalance(committed->begin()->second.metadata);
        if (!balance) continue;
        sums.stage_one += balance->consumed;
        sums.forwarded += balance->outcomes[static_cast<size_t>(AlertOutcome::kForwarded)];
      }
    }
  }
  for (const auto& process : processes_) {
    if (!process->worker) continue;
    for (const auto& [number, partition] : process->worker->partitions()) {
      if (partition->state() != PartitionState::kRunning) continue;
      const Balance& balance = partition->store()->progress().balance;
      sums.stage_two += balance.consumed - balance.outcomes[static_cast<size_t>(AlertOutcome::kForwarded)];
      sums.commands += balance.commands_consumed;
      sums.commands_forwarded += balance.commands_forwarded;
    }
  }
  if (direct) sums.stage_one = sums.forwarded = sums.stage_two;
  return sums;
}

// Alerts derived from correlations, each with an id of its own.
uint64_t World::DerivedAlerts() {
  uint64_t derived = 0;
  for (int32_t i = 0; i < partitions; ++i) {
    for (const Entry& entry : broker.LogOf({names.signals, i}).entries) {
      if (entry.control || entry.fate != Fate::kCommitted) continue;
      derived += entry.value->find("\"rule.id\"") != std::string::npos;
    }
  }
  return derived;
}

bool World::SignalsTaken(const Partition& partition) {
  const Log& log = broker.LogOf({names.signals, partition.number()});
  for (auto offset = static_cast<size_t>(partition.NextOffset(names.signals)); offset < log.entries.size(); ++offset) {
    const Entry& entry = log.entries[offset];
    if (!entry.control && entry.fate == Fate::kCommitted) return false;
  }
  return true;
}

bool World::Quiet() {
  int32_t running = 0;
  for (const auto& process : processes_) {
    if (!process->worker) continue;
    if (!process->worker->client() || !process->worker->Ready()) return false;
    for (const auto& [number, partition] : process->worker->partitions()) {
      if (!process->worker->CaughtUp(*partition) || !SignalsTaken(*partition)) return false;
      const auto due = partition->NextDeadline();
      if (due && *due <= std::max(broker.now(), partition->clock())) return false;
      ++running;
    }
  }
  if (running != partitions || broker.Rebalancing() || broker.MarkersOwed()) return false;
  const Sums sums = Add();
  return sums.stage_one >= result.alerts && sums.stage_two >= sums.forwarded &&
         sums.commands >= result.commands + sums.commands_forwarded;
}

Process* World::AddProcess(const std::string& instance) {
  processes_.push_back(std::make_unique<Process>(this, instance, nullptr));
  return processes_.back().get();
}

void World::Turn() {
  for (const auto& process : processes_) {
    if (process->worker && process->not_before <= broker.now() && !failed()) process->RunOnce();
    while (broker.WriteMarker(0)) continue;
    Check();
  }
}

void World::ForgetPublished() {
  scanned_.clear();
  event_ids_.clear();
  events_of_case_.clear();
  events_of_type_.clear();
}

uint64_t World::Published(std::string_view type) const {
  const auto at = events_of_type_.find("io.triaged.case." + std::string(type) + ".v1");
  return at == events_of_type_.end() ? 0 : at->second;
}

// No more faults: everything must come to rest.
void World::Settle() {
  faults_on = false;
  EndWeather();
  // Of two with one name only the newer may stay, as a person would see to.
  for (size_t i = 0; i < processes_.size(); ++i) {
    for (size_t j = i + 1; j < processes_.size(); ++j) {
      if (processes_[i]->instance != processes_[j]->instance) continue;
      if (processes_[i]->worker) processes_[i]->StopCleanly();
      break;
    }
  }
  std::erase_if(processes_, [](const auto& process) { return process->doomed && !process->worker; });
  if (processes_.empty()) processes_.push_back(std::make_unique<Process>(this, "last", nullptr));
  for (const auto& process : processes_) {
    if (!process->worker) process->Start();
  }
  int quiet = 0;
  for (uint64_t round = 0; quiet < 3; ++round) {
    if (failed()) return;
    if (round >= kSettleRounds + 4 * result.alerts) {
      const Sums sums = Add();
      return Violation("it does not come to rest: " + std::to_string(result.alerts) + " alerts, stage one took " +
                       std::to_string(sums.stage_one) + " and sent on " + std::to_string(sums.forwarded) +
                       ", stage two took " + std::to_string(sums.stage_two) + "; " + std::to_string(result.commands) +
                       " commands, taken " + std::to_string(sums.commands) + ", of these sent on " +
                       std::to_string(sums.commands_forwarded));
    }
    for (const auto& process : processes_) {
      if (!process->worker) process->Start();  // it had fought its twin until it stopped itself
    }
    Turn();
    broker.Advance(Duration(random.Between(0, 20)));
    quiet = Quiet() ? quiet + 1 : 0;
  }
}

void World::CheckPartition(const Partition& partition) {
  const std::string name = "partition " + std::to_string(partition.number());
  std::map<std::string, std::string> replayed;
  for (const Entry& entry : broker.LogOf({names.state, partition.number()}).entries) {
    if (entry.control || entry.fate != Fate::kCommitted) continue;
    if (entry.value) {
      replayed[*entry.key] = *entry.value;
    } else {
      replayed.erase(*entry.key);
    }
  }
  const auto dump = partition.store()->Dump();
  if (!dump) return Violation(name + ": " + dump.error().message);
  std::map<std::string, std::string> stored;
  for (const StateRecord& record : *dump) stored[record.key] = *record.value;
  if (stored != replayed) Violation(name + ": the store is not the replay of its changelog");

  if (const auto wrong = ReplaySteps(partition); wrong && !too_large) Violation(name + ": " + *wrong);

  if (!partition.store()->progress().balance.Adds()) Violation(name + ": the balance does not add up");
  const auto due = partition.NextDeadline();
  if (due && *due <= partition.clock()) Violation(name + ": a deadline is overdue");

  struct Visitor : CaseStore::Visitor {
    World* world = nullptr;
    std::map<CaseStanding, uint64_t> standings;
    bool Visit(const Case& c) override {
      ++standings[{c.policy, c.level, c.status, c.severity}];
      const std::string id = ToString(c.id);
      if (world->events_of_case_[id] != c.next_event) {
        world->Violation("case " + id + " counted " + std::to_string(c.next_event) + " events, published are " +
                         std::to_string(world->events_of_case_[id]));
      }
      return true;
    }
  } visitor;
  visitor.world = this;
  if (Status visited = partition.store()->ForEachCase(&visitor); !visited) Violation(visited.error().message);
  if (visitor.standings != partition.store()->Stats().standings) Violation(name + ": cases are counted wrongly");
}

// What the archive holds of the cases that left, each once; their documents end in a tombstone.
std::map<std::string, World::Archived> World::ReadArchive() {
  std::map<std::string, bool> documents;
  for (int32_t i = 0; i < broker.Partitions(names.cases); ++i) {
    for (const Entry& entry : broker.LogOf({names.cases, i}).entries) {
      if (!entry.control && entry.fate == Fate::kCommitted) documents[*entry.key] = entry.value.has_value();
    }
  }
  std::map<std::string, Archived> archive;
  for (int32_t i = 0; i < broker.Partitions(names.archive); ++i) {
    for (const Entry& entry : broker.LogOf({names.archive, i}).entries) {
      if (entry.control || entry.fate != Fate::kCommitted) continue;
      const auto json = nlohmann::json::parse(*entry.value);
      if (json.at("type") != "io.triaged.case.document.v1") continue;
      Archived one;
      const auto& data = json.at("data");
      one.alerts = data.at("counts").at("alerts");
      if (data.at("merged_into").is_string()) one.merged_into = data["merged_into"];
      one.merged_from = data.at("merged_from");
      const auto [at, fresh] = archive.emplace(json.at("subject"), std::move(one));
      if (!fresh) Violation("case " + at->first + " is in the archive twice");
      if (documents[at->first]) Violation("case " + at->first + " left, but its document is still there");
    }
  }
  result.purged = archive.size();
  return archive;
}

// Every case that was merged away is held by its target, once; no alert is lost or counted in two cases.
void World::CheckCases() {
  struct Visitor : CaseStore::Visitor {
    std::map<std::string, Case> cases;
    bool Visit(const Case& c) override {
      cases.emplace(ToString(c.id), c);
      return true;
    }
  } visitor;
  uint64_t counted = 0, decided = 0;
  for (const auto& process : processes_) {
    if (!process->worker) continue;
    for (const auto& [number, partition] : process->worker->partitions()) {
      if (Status visited = partition->store()->ForEachCase(&visitor); !visited) Violation(visited.error().message);
      const auto& outcomes = partition->store()->progress().balance.outcomes;
      for (AlertOutcome outcome : {AlertOutcome::kOpened, AlertOutcome::kMerged, AlertOutcome::kReopened,
                                   AlertOutcome::kAutoClosed}) {
        decided += outcomes[static_cast<size_t>(outcome)];
      }
    }
  }
  std::map<std::string, Archived> all = ReadArchive();
  for (const auto& [id, c] : visitor.cases) {
    const Archived one{c.alert_count, c.merged_into, c.merged_from};
    if (!all.emplace(id, one).second) Violation("case " + id + " is in the archive and in the store");
  }
  for (const auto& [id, c] : all) {
    if (c.merged_into.empty()) {
      counted += c.alerts;
      continue;
    }
    const auto target = all.find(c.merged_into);
    const auto held = target == all.end()
                          ? 0
                          : std::count(target->second.merged_from.begin(), target->second.merged_from.end(), id);
    if (held != 1) Violation("case " + id + " went into " + c.merged_into + ", which holds it " + std::to_string(held) + " times");
  }
  decided += DerivedAlerts();  // which are in no balance
  if (counted != decided) {
    Violation(std::to_string(decided) + " alerts went into cases, which count " + std::to_string(counted));
  }
}

void World::CheckEnd() {
  const Sums sums = Add();
  if (sums.stage_one != result.alerts) {
    Violation("alerts produced: " + std::to_string(result.alerts) +
              ", accounted for: " + std::to_string(sums.stage_one));
  }
  if (sums.stage_two != sums.forwarded) {
    Violation("stage one sent on " + std::to_string(sums.forwarded) + ", stage two took " +
              std::to_string(sums.stage_two));
  }
  if (sums.commands != result.commands + sums.commands_forwarded) {
    Violation("commands produced: " + std::to_string(result.commands) + ", accounted for: " +
              std::to_string(sums.commands) + ", sent on: " + std::to_string(sums.commands_forwarded));
  }
  for (const auto& process : processes_) {
    if (!process->worker) continue;
    for (const auto& [number, partition] : process->worker->partitions()) CheckPartition(*partition);
  }
  CheckCases();
}

WorldResult World::Run() {
  for (int i = 0; i < options.events && !failed(); ++i) {
    Event();
    Check();
  }
  if (!failed()) Settle();
  if (!failed()) CheckEnd();
  result.rebalances = static_cast<uint64_t>(broker.generation());
  result.digest = broker.Digest();
  // Processes go before the broker they talk to.
  faults_on = false;
  processes_.clear();
  return result;
}

WorldResult RunWorld(const WorldOptions& options) {
  try {
    return World(options).Run();
  } catch (const BrokenInvariant& broken) {
    WorldResult result;
    result.violation = "seed " + std::to_string(options.seed) + ": " + broken.what;
    return result;
  }
}

}  // namespace triaged::sim

// In place of the one that aborts: a life that breaks an invariant is told like any other violation, with its seed.
void triaged::CheckFailed(const char* condition, const char* file, int line) {
  throw sim::BrokenInvariant{std::string("broken invariant: ") + condition + " (" + file + ":" +
                             std::to_string(line) + ")"};
}
