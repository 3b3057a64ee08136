#include "daemon/metrics.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <utility>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/metric_families.h"
#include "pipeline/model/ids.h"

namespace triaged {
namespace {

// Since the last commit of a worker that is ready. An idle one commits its tick every ten seconds
// (WorkerOptions::tick_interval); a step and its commit take some more.
constexpr Duration kLongestUncommitted{20'000};

using Buckets = prometheus::Histogram::BucketBoundaries;

double Seconds(Duration d) { return static_cast<double>(d.count()) / 1000.0; }

const Buckets kShort = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
constexpr std::string_view kManual = "manual";  // a person's own words are no label
constexpr size_t kRulesLogged = 5;                    // of those given up in a step
constexpr int kDeadLettersLogged = 20;                // a second
constexpr std::string_view kDeadLetterReasons[] = {
    "empty_value", "too_large", "invalid_utf8", "invalid_json", "not_an_object", "too_deep", "too_many_alerts",
    "no_policy", "foreign_record", "invalid_command", "unknown_case", "stale_version", "not_permitted",
    "illegal_transition", "unknown_level", "unknown_severity", "unknown_person", "nothing_to_change",
    "repeated_failure", "invalid_message", "too_many", "unknown_alert", "unknown_field", "unknown_role", "other"};

// Bucket limits exactly at each target of the policies, so that "within its time" can be read off.
Buckets TargetBuckets(const Engine& engine) {
  std::set<double> limits = {60, 300, 900, 3600, 14400, 86400};
  for (const auto& policy : engine.policies) {
    for (const ClockSpec& clock : policy->clocks) {
      for (const auto& duration : clock.duration) {
        if (duration) limits.insert(Seconds(*duration));
      }
    }
    for (const LevelSpec& level : policy->levels) {
      for (const auto& after : level.reached_after) {
        if (after) limits.insert(Seconds(*after));
      }
    }
  }
  return {limits.begin(), limits.end()};
}

}  // namespace

Metrics::Metrics(const Engine& engine, int workers, int partitions)
    : registry_(std::make_unique<prometheus::Registry>()),
      families_(std::make_unique<MetricFamilies>(registry_.get())),
      targets_(TargetBuckets(engine)),
      connected_(static_cast<size_t>(workers), false),
      assignments_(static_cast<size_t>(workers)),
      last_turns_(static_cast<size_t>(workers), MonotonicTime()),
      phases_(static_cast<size_t>(workers), WorkerPhase::kTurn),
      last_commits_(last_turns_),
      engines_begun_(last_turns_) {
  MetricFamilies& s = *families_;
  for (const char* stage : {"intake", "decide"}) {
    s.consumed.Add({{"stage", stage}});
    for (size_t i = 0; i < kAlertOutcomeCount; ++i) {
      s.alerts.Add({{"stage", stage}, {"outcome", std::string(Name(static_cast<AlertOutcome>(i)))}});
    }
  }
  s.commands_consumed.Add({});
  for (const char* outcome : {"applied", "refused", "duplicate", "forwarded"}) s.commands.Add({{"outcome", outcome}});
  for (std::string_view reason : kDeadLetterReasons) s.dead_letters.Add({{"reason", std::string(reason)}});
  for (size_t i = 0; i < kCaseEventTypeCount; ++i) {
    s.events.Add({{"type", std::string(Name(static_cast<CaseEventType>(i)))}});
  }
  for (size_t i = 0; i < kClockKindCount; ++i) {
    s.breaches.Add({{"clock", std::string(Name(static_cast<ClockKind>(i)))}});
  }
  for (auto* family : {&s.renotifications, &s.nobody, &s.over_budget, &s.timers, &s.purged, &s.restored}) {
    family->Add({});
  }
  for (const char* outcome : {"committed", "aborted", "unknown"}) s.transactions.Add({{"outcome", outcome}});
  for (size_t i = 0; i < 5; ++i) s.troubles.Add({{"kind", std::string(Name(static_cast<Trouble>(i)))}});
  for (auto* family : {&s.step, &s.commit, &s.overdue}) family->Add({}, kShort);
  for (auto* family : {&s.to_escalate, &s.to_acknowledge, &s.to_resolve}) family->Add({}, targets_);
  for (size_t i = 0; i < 5; ++i) s.partitions.Add({{"state", std::string(Name(static_cast<PartitionState>(i)))}});
  for (int i = 0; i < partitions; ++i) s.restore.Add({{"partition", std::to_string(i)}});
  for (auto* family : {&s.standbys, &s.standby_behind, &s.clock_lag, &s.skew, &s.store_bytes, &s.store_resident,
                       &s.store_cases, &s.dedup_entries, &s.dedup_shrunk, &s.baseline_entries,
                       &s.baseline_evicted, &s.baseline_bytes, &s.store_errors, &s.compactions,
                       &s.compaction_bytes, &s.stalled, &s.stalls, &s.windows, &s.window_bytes,
                       &s.windows_dropped, &s.reload_ok, &s.reload_time}) {
    family->Add({});
  }
  s.build_info.Add({{"version", TRIAGED_VERSION}}).Set(1);
  AddEngine(engine);
  OnReload(&engine, WallTime());
}

Metrics::~Metrics() = default;

// Series for what an engine can say. Nothing is ever removed: a rule that is gone keeps its last count.
void Metrics::AddEngine(const Engine& engine) {
  const std::lock_guard lock(mutex_);
  MetricFamilies& s = *families_;
  rules_.clear();
  for (const auto& [_, feed] : feeds_) s.feed_silent.Add({{"policy", feed.first}, {"feed", feed.second}}).Set(0);
  feeds_.clear();
  for (const Rule& rule : engine.rules->rules()) {
    rules_.push_back(rule.id);
    s.rule_hits.Add({{"rule", rule.id}});
  }
  for (const auto& policy : engine.policies) {
    for (const FeedSpec& feed : policy->feeds) feeds_[policy->name + "/" + feed.name] = {policy->name, feed.name};
    auto& levels = levels_[policy->name];
    levels.clear();
    for (const LevelSpec& level : policy->levels) levels.push_back(level.name);
    auto& severities = severities_[policy->name];
    severities.clear();
    for (const SeveritySpec& severity : policy->severities) severities.push_back(severity.name);
    std::set<std::string> reasons = policy->Reasons();
    reasons.insert(std::string(kManual));
    for (size_t level = 1; level < levels.size(); ++level) {
      for (const std::string& reason : reasons) {
        s.escalations.Add({{"policy", policy->name}, {"level", levels[level]}, {"reason", reason}});
      }
    }
    reasons_.insert(reasons.begin(), reasons.end());
  }
  ShowStandings();
  ShowFeeds();
}

std::string Metrics::Text() const { return prometheus::TextSerializer().Serialize(registry_->Collect()); }

std::pair<bool, std::string> Metrics::Ready() const {
  const std::lock_guard lock(mutex_);
  if (stopping_) return {false, "stopping"};
  for (size_t i = 0; i < connected_.size(); ++i) {
    const std::string worker = "worker " + std::to_string(i);
    if (!connected_[i]) return {false, worker + " has no Kafka client yet"};
    const auto& [assigned, unknown] = assignments_[i];
    if (!assigned) return {false, worker + " has no assignment of the group yet"};
    if (unknown > 0) {
      return {false, worker + " does not know yet where " + std::to_string(unknown) + " alert partitions were read to"};
    }
    // Transactions that fail one after the other look the same from here as a call that hangs.
    const Duration uncommitted = MonotonicTime() - last_commits_[i];
    if (uncommitted <= kLongestUncommitted) continue;
    return {false, worker + " has committed nothing for " + FormatDuration(uncommitted) +
                       ": is Kafka there? The log tells why"};
  }
  for (const auto& [key, state] : states_) {
    if (state == PartitionState::kRunning || state == PartitionState::kClosed) continue;
    return {false, "partition " + std::to_string(key.second) + " is " + std::string(Name(state))};
  }
  if (standbys_.empty()) return {true, "ready"};
  int64_t behind = 0;
  for (const auto& [_, standby] : standbys_) behind += standby.behind;
  return {true, "ready; standby of " + std::to_string(standbys_.size()) + " partitions, " + std::to_string(behind) +
                    " records behind"};
}

void Metrics::OnReload(const Engine* engine, Timestamp now) {
  families_->reload_ok.Add({}).Set(engine ? 1 : 0);
  if (!engine) return;
  AddEngine(*engine);
  {
    const std::lock_guard lock(mutex_);
    if (!fingerprint_.empty()) families_->policy_info.Add({{"fingerprint", fingerprint_}}).Set(0);
    fingerprint_ = engine->fingerprint;
    families_->policy_info.Add({{"fingerprint", fingerprint_}}).Set(1);
  }
  families_->reload_time.Add({}).Set(static_cast<double>(ToUnixMillis(now)) / 1000.0);
}

Duration Metrics::LastTurn(int worker) const {
  const std::lock_guard lock(mutex_);
  return last_turns_[static_cast<size_t>(worker)];
}

void Metrics::SetStopping() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
}

WorkerPhase Metrics::Phase(int worker) const {
  const std::lock_guard lock(mutex_);
  return phases_[static_cast<size_t>(worker)];
}

void Metrics::OnPhase(int worker, WorkerPhase phase) {
  const std::lock_guard lock(mutex_);
  phases_[static_cast<size_t>(worker)] = phase;
  if (phase == WorkerPhase::kTurn) last_turns_[static_cast<size_t>(worker)] = MonotonicTime();
}

void Metrics::OnEngineTaken(int worker, bool done) {
  Duration begun;
  {
    const std::lock_guard lock(mutex_);
    Duration& last = engines_begun_[static_cast<size_t>(worker)];
    begun = last;
    if (!done) last = MonotonicTime();
  }
  if (!done) return;
  LogInfo("rules taken over", {{"worker", std::to_string(worker)},
                               {"pause_ms", std::to_string((MonotonicTime() - begun).count())}});
}

void Metrics::OnAssignment(int worker, bool assigned, size_t alert_partitions_unknown) {
  bool was_assigned = false;
  {
    const std::lock_guard lock(mutex_);
    const std::pair now(assigned, alert_partitions_unknown);
    was_assigned = std::exchange(assignments_[static_cast<size_t>(worker)], now).first;
  }
  if (assigned && !was_assigned) LogInfo("joined the group", {{"worker", std::to_string(worker)}});
}

void Metrics::OnConnected(int worker, bool connected) {
  {
    const std::lock_guard lock(mutex_);
    connected_[static_cast<size_t>(worker)] = connected;
    last_commits_[static_cast<size_t>(worker)] = MonotonicTime();
    // Who joins anew may get other partitions than it lost: what it does not get again is not ours to wait for.
    if (connected) {
      std::erase_if(states_, [&](const auto& entry) {
        return entry.first.first == worker && entry.second == PartitionState::kLost;
      });
      ShowPartitions();
    }
  }
  if (!connected) OnLags(worker, {});
  LogInfo(connected ? "Kafka client started" : "Kafka client given up", {{"worker", std::to_string(worker)}});
}

void Metrics::OnPartitionState(int worker, int32_t partition, PartitionState state) {
  {
    const std::lock_guard lock(mutex_);
    states_[{worker, partition}] = state;
    ShowPartitions();
    // What is told of a partition holds while it runs here; a moved one is counted where it is now.
    if (state != PartitionState::kRunning) {
      lags_.erase(partition);
      stores_.erase(partition);
      ShowClockLag();
      ShowStores();
    }
    if (state != PartitionState::kRestoring) families_->restore.Add({{"partition", std::to_string(partition)}}).Set(0);
  }
  LogInfo("partition", {{"worker", std::to_string(worker)}, {"partition", std::to_string(partition)},
                        {"state", Name(state)}});
}

void Metrics::ShowPartitions() {
  for (size_t i = 0; i < 5; ++i) {
    const auto count = std::count_if(states_.begin(), states_.end(),
                                     [&](const auto& entry) { return entry.second == static_cast<PartitionState>(i); });
    families_->partitions.Add({{"state", std::string(Name(static_cast<PartitionState>(i)))}})
        .Set(static_cast<double>(count));
  }
}

void Metrics::ShowClockLag() {
  Duration worst{0};
  for (const auto& [_, lag] : lags_) worst = std::max(worst, lag);
  families_->clock_lag.Add({}).Set(Seconds(worst));
}

void Metrics::OnRestoreProgress(int32_t partition, int64_t position, int64_t end) {
  families_->restore.Add({{"partition", std::to_string(partition)}})
      .Set(static_cast<double>(std::max<int64_t>(0, end - position)));
}

void Metrics::OnRestored(int32_t partition, uint64_t records, int64_t from, int64_t end) {
  families_->restored.Add({}).Increment(static_cast<double>(records));
  LogInfo("restored", {{"partition", std::to_string(partition)}, {"records", std::to_string(records)},
                       {"from", std::to_string(from)}, {"end", std::to_string(end)}});
}

void Metrics::OnStandby(int32_t partition, std::optional<int64_t> behind) {
  std::string_view news;
  {
    const std::lock_guard lock(mutex_);
    if (!behind) {
      if (standbys_.erase(partition)) news = "ended";
    } else {
      const auto [at, fresh] = standbys_.try_emplace(partition);
      at->second.behind = *behind;
      if (fresh) news = "following";
      if (*behind == 0 && !std::exchange(at->second.warm, true)) news = "warm";
    }
    ShowStandbys();
  }
  if (news.empty()) return;
  LogInfo("standby", {{"partition", std::to_string(partition)}, {"state", news},
                      {"behind", std::to_string(behind.value_or(0))}});
}

void Metrics::ShowStandbys() {
  int64_t behind = 0;
  for (const auto& [_, standby] : standbys_) behind += standby.behind;
  families_->standbys.Add({}).Set(static_cast<double>(standbys_.size()));
  families_->standby_behind.Add({}).Set(static_cast<double>(behind));
}

std::string Metrics::LevelName(const std::string& policy, uint8_t level) const {
  const std::lock_guard lock(mutex_);
  const auto found = levels_.find(policy);
  return found != levels_.end() && level < found->second.size() ? found->second[level] : "unknown";
}

// A person's own words are no label: they would make a series each.
std::string Metrics::ReasonLabel(const std::string& reason) const {
  const std::lock_guard lock(mutex_);
  return reasons_.contains(reason) ? reason : std::string(kManual);
}

void Metrics::CountEvent(const StepFacts::Event& event) {
  MetricFamilies& s = *families_;
  s.events.Add({{"type", std::string(Name(event.type))}}).Increment();
  if (event.overdue > Duration{0}) s.overdue.Add({}, kShort).Observe(Seconds(event.overdue));
  switch (event.type) {
    case CaseEventType::kEscalated: {
      const std::string level = LevelName(event.policy, event.level_to);
      const std::string reason = ReasonLabel(event.reason);
      s.escalations.Add({{"policy", event.policy}, {"level", level}, {"reason", reason}}).Increment();
      s.to_escalate.Add({}, targets_).Observe(Seconds(event.since_opened));
      if (event.nobody_on_shift) s.nobody.Add({}).Increment();
      LogInfo("escalated", {{"case", ToString(event.case_id)}, {"policy", event.policy}, {"level", level},
                            {"reason", event.reason}});
      return;
    }
    case CaseEventType::kAcknowledged:
      return s.to_acknowledge.Add({}, targets_).Observe(Seconds(event.since_opened));
    case CaseEventType::kResolved: return s.to_resolve.Add({}, targets_).Observe(Seconds(event.since_opened));
    case CaseEventType::kSlaBreached:
      s.breaches.Add({{"clock", std::string(Name(event.clock))}}).Increment();
      LogInfo("sla breached", {{"case", ToString(event.case_id)}, {"clock", Name(event.clock)}});
      return;
    case CaseEventType::kRenotified: return s.renotifications.Add({}).Increment();
    default: return;
  }
}

// A flood of bad records must not become a flood of lines: the counter and the dead-letter topic have them all.
bool Metrics::MayLogDeadLetter(uint64_t* suppressed) {
  const Duration now = MonotonicTime();
  const std::lock_guard lock(mutex_);
  if (now - letters_second_ >= std::chrono::seconds(1)) {
    letters_second_ = now;
    letters_logged_ = 0;
  }
  if (letters_logged_ >= kDeadLettersLogged) {
    ++letters_suppressed_;
    return false;
  }
  ++letters_logged_;
  *suppressed = std::exchange(letters_suppressed_, 0);
  return true;
}

void Metrics::CountDeadLetters(const StepFacts& facts) {
  for (const auto& letter : facts.dead_letters) {
    const bool known = std::find(std::begin(kDeadLetterReasons), std::end(kDeadLetterReasons), letter.reason) !=
                       std::end(kDeadLetterReasons);
    families_->dead_letters.Add({{"reason", known ? letter.reason : "other"}}).Increment();
    uint64_t suppressed = 0;
    if (!MayLogDeadLetter(&suppressed)) continue;
    LogWarn("dead letter", {{"reason", letter.reason}, {"topic", letter.topic},
                            {"partition", std::to_string(letter.partition)}, {"offset", std::to_string(letter.offset)},
                            {"why", letter.message}, {"not_logged_before", std::to_string(suppressed)}});
  }
}

void Metrics::CountRuleHits(const StepFacts& facts) {
  std::map<uint32_t, double> hits;
  for (uint32_t index : facts.rule_hits) ++hits[index];
  const std::lock_guard lock(mutex_);
  for (const auto& [index, count] : hits) {
    if (index < rules_.size()) families_->rule_hits.Add({{"rule", rules_[index]}}).Increment(count);
  }
  if (facts.over_rule_budget == 0) return;
  families_->over_budget.Add({}).Increment(static_cast<double>(facts.over_rule_budget));
  std::set<std::string> given_up;
  for (uint32_t index : facts.rules_given_up) {
    if (index < rules_.size() && given_up.size() < kRulesLogged) given_up.insert(rules_[index]);
  }
  std::string names;
  for (const std::string& rule : given_up) names += (names.empty() ? "" : ",") + rule;
  LogWarn("rules given up", {{"alerts", std::to_string(facts.over_rule_budget)}, {"rules", names}});
}

void Metrics::OnStep(int, const StepReport& report) {
  MetricFamilies& s = *families_;
  const Balance& b = report.facts.balance;
  const std::string stage = report.partition < 0 ? "intake" : "decide";
  if (b.consumed) s.consumed.Add({{"stage", stage}}).Increment(static_cast<double>(b.consumed));
  for (size_t i = 0; i < kAlertOutcomeCount; ++i) {
    if (b.outcomes[i] == 0) continue;
    s.alerts.Add({{"stage", stage}, {"outcome", std::string(Name(static_cast<AlertOutcome>(i)))}})
        .Increment(static_cast<double>(b.outcomes[i]));
  }
  s.commands_consumed.Add({}).Increment(static_cast<double>(b.commands_consumed));
  for (const auto& [outcome, count] : {std::pair("applied", b.commands_applied), {"refused", b.commands_refused},
                                       {"duplicate", b.commands_duplicate}, {"forwarded", b.commands_forwarded}}) {
    if (count) s.commands.Add({{"outcome", outcome}}).Increment(static_cast<double>(count));
  }
  CountDeadLetters(report.facts);
  CountRuleHits(report.facts);
  s.timers.Add({}).Increment(static_cast<double>(report.facts.timers_fired));
  s.purged.Add({}).Increment(static_cast<double>(report.facts.purged));
  for (const auto& event : report.facts.events) CountEvent(event);
  s.step.Add({}, kShort).Observe(Seconds(report.decide));
}

void Metrics::OnClock(int32_t partition, Timestamp clock, Timestamp broker_time) {
  const std::lock_guard lock(mutex_);
  lags_[partition] = std::max(Duration(0), broker_time - clock);
  ShowClockLag();
  families_->skew.Add({}).Set(Seconds(WallTime() - broker_time));
}

void Metrics::OnStoreStats(int32_t partition, const StoreStats& stats) {
  const std::lock_guard lock(mutex_);
  stores_[partition] = stats;
  ShowStores();
}

void Metrics::ShowStores() {
  StoreStats sum;
  int stalled = 0;
  for (const auto& [_, one] : stores_) {
    sum.cases += one.cases;
    sum.dedup_entries += one.dedup_entries;
    sum.dedup_shrunk += one.dedup_shrunk;
    sum.baseline_entries += one.baseline_entries;
    sum.baseline_evicted += one.baseline_evicted;
    sum.baseline_bytes += one.baseline_bytes;
    sum.disk_bytes += one.disk_bytes;
    sum.resident_bytes += one.resident_bytes;
    store_errors_ = std::max(store_errors_, one.background_errors);
    sum.compactions += one.compactions;
    sum.compaction_pending_bytes += one.compaction_pending_bytes;
    store_stalls_ = std::max(store_stalls_, one.stalls);
    stalled += one.stalled ? 1 : 0;
    sum.correlation_windows += one.correlation_windows;
    sum.correlation_bytes += one.correlation_bytes;
    sum.correlation_dropped += one.correlation_dropped;
  }
  MetricFamilies& s = *families_;
  s.store_cases.Add({}).Set(static_cast<double>(sum.cases));
  s.dedup_entries.Add({}).Set(static_cast<double>(sum.dedup_entries));
  s.dedup_shrunk.Add({}).Set(static_cast<double>(sum.dedup_shrunk));
  s.baseline_entries.Add({}).Set(static_cast<double>(sum.baseline_entries));
  s.baseline_evicted.Add({}).Set(static_cast<double>(sum.baseline_evicted));
  s.baseline_bytes.Add({}).Set(static_cast<double>(sum.baseline_bytes));
  s.store_bytes.Add({}).Set(static_cast<double>(sum.disk_bytes));
  s.store_resident.Add({}).Set(static_cast<double>(sum.resident_bytes));
  s.store_errors.Add({}).Set(static_cast<double>(store_errors_));
  s.compactions.Add({}).Set(static_cast<double>(sum.compactions));
  s.compaction_bytes.Add({}).Set(static_cast<double>(sum.compaction_pending_bytes));
  s.stalled.Add({}).Set(stalled);
  s.stalls.Add({}).Set(static_cast<double>(store_stalls_));
  s.windows.Add({}).Set(static_cast<double>(sum.correlation_windows));
  s.window_bytes.Add({}).Set(static_cast<double>(sum.correlation_bytes));
  s.windows_dropped.Add({}).Set(static_cast<double>(sum.correlation_dropped));
  ShowStandings();
  ShowFeeds();
}

// Every feed that a policy in use names, also those that are watched elsewhere.
void Metrics::ShowFeeds() {
  for (const auto& [id, feed] : feeds_) {
    FeedStanding standing;
    for (const auto& [_, store] : stores_) {
      for (const FeedStanding& one : store.feeds) {
        if (one.feed == id) standing = one;
      }
    }
    const prometheus::Labels labels = {{"policy", feed.first}, {"feed", feed.second}};
    families_->feed_heard.Add(labels).Set(static_cast<double>(ToUnixMillis(standing.heard)) / 1000.0);
    families_->feed_silent.Add(labels).Set(standing.silent ? 1 : 0);
  }
}

// Every standing that a policy in use can have, the empty ones too; and those of cases whose policy is gone.
void Metrics::ShowStandings() {
  std::map<CaseStanding, uint64_t> sum;
  for (const auto& [policy, levels] : levels_) {
    for (size_t level = 0; level < levels.size(); ++level) {
      for (size_t status = 0; status < kCaseStatusCount; ++status) {
        for (size_t severity = 0; severity < severities_[policy].size(); ++severity) {
          sum[{policy, static_cast<uint8_t>(level), static_cast<CaseStatus>(status), static_cast<uint8_t>(severity)}];
        }
      }
    }
  }
  for (const auto& [_, store] : stores_) {
    for (const auto& [standing, count] : store.standings) sum[standing] += count;
  }
  std::map<std::map<std::string, std::string>, uint64_t> by_labels;
  for (const auto& [standing, count] : sum) {
    const auto name = [&policy = standing.policy](const auto& lists, size_t index) {
      const auto list = lists.find(policy);
      return list != lists.end() && index < list->second.size() ? list->second[index] : std::string("unknown");
    };
    by_labels[{{"policy", standing.policy},
               {"level", name(levels_, standing.level)},
               {"status", std::string(Name(standing.status))},
               {"severity", name(severities_, standing.severity)}}] += count;
  }
  for (const auto& [labels, count] : by_labels) families_->cases.Add(labels).Set(static_cast<double>(count));
}

void Metrics::OnLags(int worker, const std::vector<std::pair<TopicPartition, int64_t>>& lags) {
  const std::lock_guard lock(mutex_);
  auto& own = topic_lags_[worker];
  for (auto& [_, lag] : own) lag = 0;  // a topic that went elsewhere is nobody's lag here
  for (const auto& [where, lag] : lags) own[where.topic] += lag;
  std::map<std::string, int64_t> sum;
  for (const auto& [_, topics] : topic_lags_) {
    for (const auto& [topic, lag] : topics) sum[topic] += lag;
  }
  for (const auto& [topic, lag] : sum) families_->consumer_lag.Add({{"topic", topic}}).Set(static_cast<double>(lag));
}

void Metrics::OnTransaction(int worker, CommitOutcome outcome, Duration took) {
  const char* name = outcome == CommitOutcome::kCommitted ? "committed"
                     : outcome == CommitOutcome::kAborted ? "aborted"
                                                          : "unknown";
  families_->transactions.Add({{"outcome", name}}).Increment();
  if (outcome != CommitOutcome::kCommitted) return;
  families_->commit.Add({}, kShort).Observe(Seconds(took));
  const std::lock_guard lock(mutex_);
  last_commits_[static_cast<size_t>(worker)] = MonotonicTime();
}

void Metrics::OnTrouble(int worker, int32_t partition, Trouble kind, const std::string& message) {
  families_->troubles.Add({{"kind", std::string(Name(kind))}}).Increment();
  const LogFields fields = {{"worker", std::to_string(worker)}, {"partition", std::to_string(partition)},
                            {"kind", Name(kind)}, {"why", message}};
  if (kind == Trouble::kStop) return LogError("the worker must stop", fields);
  LogWarn("trouble", fields);
}

}  // namespace triaged
