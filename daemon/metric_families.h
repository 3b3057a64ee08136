// MetricFamilies: the families of metrics that the daemon serves, each with its name and help, and nothing else of them.
// All are registered when it is made. Thread-safety: as prometheus-cpp's families.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace triaged {

class MetricFamilies {
  using Counters = prometheus::Family<prometheus::Counter>;
  using Gauges = prometheus::Family<prometheus::Gauge>;
  using Histograms = prometheus::Family<prometheus::Histogram>;

  prometheus::Registry& registry_;  // first: the families are made of it
  Counters& MakeCounter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry_);
  }
  Gauges& MakeGauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry_);
  }
  Histograms& MakeHistogram(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_);
  }

 public:
  // `registry` must outlive this.
  explicit MetricFamilies(prometheus::Registry* registry) : registry_(*registry) {}

  Counters& consumed = MakeCounter("triaged_alerts_consumed_total", "Alert records taken, by stage.");
  Counters& alerts =
      MakeCounter("triaged_alerts_total",
                  "Alert records by stage and outcome; per stage they sum to what was consumed.");
  Counters& commands = MakeCounter("triaged_commands_total", "Commands by outcome.");
  Counters& commands_consumed = MakeCounter("triaged_commands_consumed_total", "Command records taken.");
  Counters& dead_letters =
      MakeCounter("triaged_dead_letters_total", "Records sent to the dead-letter topic, by reason.");
  Counters& events = MakeCounter("triaged_case_events_total", "Case events published, by type.");
  Counters& escalations = MakeCounter("triaged_escalations_total", "Escalations by policy, level reached and reason.");
  Counters& breaches = MakeCounter("triaged_sla_breaches_total", "Breached clocks.");
  Counters& renotifications =
      MakeCounter("triaged_renotifications_total", "Reminders of escalations that nobody acknowledged.");
  Counters& nobody =
      MakeCounter("triaged_nobody_on_shift_total", "Escalations that found nobody on shift in the level's team.");
  Counters& rule_hits = MakeCounter("triaged_rule_hits_total", "Alerts matched, by rule.");
  Counters& over_budget =
      MakeCounter("triaged_alerts_over_rule_budget_total",
                  "Alerts on which rules were given up, because all together they cost too much.");
  Counters& timers = MakeCounter("triaged_timers_fired_total", "Deadlines fired.");
  Counters& purged = MakeCounter("triaged_cases_purged_total", "Closed cases that left after their retention.");
  Counters& transactions = MakeCounter("triaged_transactions_total", "Kafka transactions by outcome.");
  Counters& troubles = MakeCounter("triaged_troubles_total", "Troubles of the loop, by kind; each is a log line.");
  Counters& restored =
      MakeCounter("triaged_restored_records_total", "Changelog records replayed to take partitions over.");
  Histograms& step = MakeHistogram("triaged_step_duration_seconds", "Deciding and encoding one partition's step.");
  Histograms& commit = MakeHistogram("triaged_commit_duration_seconds", "One Kafka transaction, begin to commit.");
  Histograms& overdue =
      MakeHistogram("triaged_timer_overdue_seconds",
                    "How late deadlines fired, by the logical clock: one for each event that was late.");
  Histograms& to_escalate = MakeHistogram("triaged_time_to_escalate_seconds", "From opening to an escalation.");
  Histograms& to_acknowledge =
      MakeHistogram("triaged_time_to_acknowledge_seconds", "From opening to an acknowledgement.");
  Histograms& to_resolve = MakeHistogram("triaged_time_to_resolve_seconds", "From opening to a resolution.");
  Gauges& partitions = MakeGauge("triaged_partitions", "State partitions of this process, by state.");
  Gauges& restore = MakeGauge("triaged_restore_remaining_records", "Changelog records still to be replayed.");
  Gauges& standbys =
      MakeGauge("triaged_standby_partitions", "Partitions of other processes whose changelog is followed.");
  Gauges& standby_behind =
      MakeGauge("triaged_standby_remaining_records",
                "Changelog records that the followed partitions have yet to read.");
  Gauges& clock_lag =
      MakeGauge("triaged_clock_lag_seconds", "How far the slowest partition's logical clock is behind broker time.");
  Gauges& skew = MakeGauge("triaged_wall_clock_skew_seconds", "Wall clock of this machine minus broker time.");
  Gauges& store_bytes = MakeGauge("triaged_store_disk_bytes", "Size of the partition stores on disk.");
  Gauges& store_resident = MakeGauge("triaged_store_resident_bytes", "Estimated memory of the partition stores.");
  Gauges& store_cases = MakeGauge("triaged_store_cases", "Cases kept.");
  Gauges& cases = MakeGauge("triaged_cases", "Cases kept, by standing.");
  Gauges& consumer_lag =
      MakeGauge("triaged_consumer_lag_records",
                "Records in this process's partitions of a topic that were not taken yet.");
  Gauges& dedup_entries = MakeGauge("triaged_dedup_entries", "Alert and command ids remembered.");
  Gauges& dedup_shrunk =
      MakeGauge("triaged_dedup_shrunk_entries", "Ids forgotten before their window ended, because memory was full.");
  Gauges& baseline_entries =
      MakeGauge("triaged_baseline_entries",
                "Rules, hosts, accounts and addresses remembered by the baselines, and pairs of them.");
  Gauges& baseline_evicted =
      MakeGauge("triaged_baseline_evicted_entries",
                "Baseline entries dropped for want of room since the stores were opened.");
  Gauges& baseline_bytes = MakeGauge("triaged_baseline_resident_bytes", "Memory of the baselines.");
  Gauges& store_errors = MakeGauge("triaged_store_background_errors", "Background errors of the stores since start.");
  Gauges& compactions = MakeGauge("triaged_store_running_compactions", "Compactions of the stores that run now.");
  Gauges& compaction_bytes =
      MakeGauge("triaged_store_compaction_pending_bytes", "Estimate of what compactions have yet to rewrite.");
  Gauges& stalled =
      MakeGauge("triaged_store_stalled",
                "Stores that RocksDB writes to slower now, or not at all, because compactions do not keep up.");
  Gauges& stalls = MakeGauge("triaged_store_write_stalls", "How often it came to that since start.");
  Gauges& windows = MakeGauge("triaged_correlation_windows", "Windows that correlations count in.");
  Gauges& window_bytes = MakeGauge("triaged_correlation_window_bytes", "Memory of these windows, about.");
  Gauges& windows_dropped =
      MakeGauge("triaged_correlation_dropped_windows", "Windows forgotten before their time, because memory was full.");
  Gauges& feed_heard =
      MakeGauge("triaged_feed_last_heard_timestamp_seconds",
                "When a feed's last alert was taken; 0: none yet, or another process watches it.");
  Gauges& feed_silent =
      MakeGauge("triaged_feed_silent", "1 while a feed has sent nothing for longer than its policy allows.");
  Gauges& policy_info = MakeGauge("triaged_policy_info", "1 for the formats, rules and policies in use.");
  Gauges& reload_ok = MakeGauge("triaged_config_last_reload_successful", "Whether the last reload was applied.");
  Gauges& reload_time =
      MakeGauge("triaged_config_last_reload_success_timestamp_seconds",
                "When formats, rules and policies were last applied.");
  Gauges& build_info = MakeGauge("triaged_build_info", "1, labelled with the version.");
};

}  // namespace triaged
