// What a policy pack and its rules make of labelled alerts: `triagectl quality`. The alerts go through the pipeline in
// virtual time (daemon/replay.h), sorted by event time, while nobody acts; what the escalations name as evidence is held
// against the labels. With `first_level_closes` somebody does: whatever is still at the first level that long after it was
// opened or reopened is acknowledged and closed as a false positive, always. Real people are slower and look closer; it shows
// what cases cost when they end, and whether an attack that comes after a closure is still told.
//
// A *step* is one value of one label column: an attack step as somebody labelled it. It has reached the next level once an
// escalation names one of its own rows; an escalation about something else that happens nearby is no detection. An
// escalation is *benign* when no alert it names has any label; one that a correlation derived counts as the alerts of the
// instant at which it fired. Escalations that come only because nobody acted in time
// (the matrix, repeats, the hard limit) are counted apart: they say nothing about rules.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/labelled_rows.h"
#include "daemon/replay.h"
#include "pipeline/policy/engine.h"

namespace triaged {

struct QualityStep {
  std::string column, name;
  uint64_t rows = 0;
  uint64_t auto_closed = 0;
  Timestamp first{}, last{};
  std::optional<Duration> after;  // from its first row to the escalation that names one of its rows
  std::string reason;             // of that escalation: a criterion's name, or what time did
  std::string rule;               // title of the rule behind it, or ""
  bool by_time = false;           // nothing but inaction brought it there
};

struct QualityReport {
  uint64_t alerts = 0, dead_letters = 0, duplicates = 0, auto_closed = 0;
  uint64_t labelled_auto_closed = 0;                    // rows with a label in the first column
  Timestamp begin{}, end{};
  uint64_t hosts = 0;                                   // different host.name
  uint64_t cases = 0;                                   // opened; those of auto-closed alerts are not among them
  uint64_t escalations = 0, escalations_by_time = 0;    // the latter are among the former
  uint64_t l2_cases = 0;                                // that rules brought beyond the first level
  uint64_t benign = 0, benign_by_time = 0;
  std::map<std::string, std::map<std::string, uint64_t>> benign_by_rule;  // by rules: title → day (UTC) → escalations
  uint64_t benign_worst_day = 0;
  uint64_t l1_busiest_shift = 0, l2_busiest_shift = 0;  // cases
  uint64_t shifts = 0;
  uint64_t closed_by_first_level = 0, reopened = 0;
  double seconds = 0;                                   // processor time of the triage alone; in no report, which are repeatable
  Duration longest_window{0};
  std::string longest_case;
  std::vector<std::string> notes;                       // what the data lacks, in sentences
  std::vector<QualityStep> steps;                       // by column, then by first row

  double Days() const { return std::max(1.0, std::chrono::duration<double, std::ratio<86400>>(end - begin).count()); }
  // What the goal allows: one case in a thousand alerts, or two per host and day.
  uint64_t CaseGoal() const;
};

struct QualityOptions {
  Duration shift{8 * 3'600'000};
  std::optional<Timestamp> from, to;  // only alerts of [from, to)
  std::optional<Duration> first_level_closes;
};

// `set` is sorted by time; what the normaliser cannot read keeps its place after the alert before it.
Result<QualityReport> MeasureQuality(std::shared_ptr<const Engine> engine, const QualityOptions& options, LabelledSet* set);

// `within`: how soon a step is to be at the next level; later is shown as missed.
std::string QualityText(const QualityReport& report, Duration within);
std::string QualityJson(const QualityReport& report, Duration within);

}  // namespace triaged
