// Correlator: matches of rules, counted where their group's partition is.
//
// A correlation whose group holds all fields that the case's key is made of is counted beside the case, in the same
// partition, and its match is one more rule that matches the alert. Any other goes as a signal to the partition of its
// own key (correlation and group values); when it fires there, an alert is derived and sent to the partition of its
// case, where it is taken like an alert from outside. That case is the one its group's values lead to; of a correlation
// without a group the case of the alert that made it fire. Both travel in the signals topic, inside the step's transaction.
// Which way a correlation goes depends on rules and policies alone, never on the number of partitions.
//
// Deterministic. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/model/alert.h"
#include "pipeline/model/records.h"
#include "pipeline/policy/engine.h"
#include "pipeline/processor/case_store.h"
#include "pipeline/processor/signals.h"
#include "pipeline/rules/correlation_set.h"

namespace triaged {

class Correlator {
 public:
  // `partitions`: of the signals topic. The engine must outlive its use here.
  void SetEngine(const Engine& engine, int32_t partitions);

  bool empty() const { return set_->empty(); }

  // Counts what `alert` matched at the logical clock `now`: appends the correlations that fire here and the signals for
  // the others, and takes the rules that only serve correlations away. `matched` stays ascending.
  void Take(const Alert& alert, Timestamp now, CaseStore* store, std::vector<uint32_t>* matched,
            std::vector<OutputRecord>* outputs);
  // The same for an alert that was seen before: nothing counts.
  void TakeAgain(std::vector<uint32_t>* matched) const;
  // As Take for an alert derived from a correlation: that counts, what else matched does not.
  void TakeDerived(const Alert& alert, uint32_t correlation, Timestamp now, CaseStore* store,
                   std::vector<uint32_t>* matched, std::vector<OutputRecord>* outputs);

  // Counts a match that came as a signal under its window's key. The correlation, when it fires; else nullptr (also
  // when the rules no longer have it).
  const rules::Correlation* TakeMatch(const SignalMatch& match, std::string_view key, Timestamp now, CaseStore* store);

 private:
  struct Way {
    bool beside_case = false;
    std::vector<std::vector<FieldId>> carried;  // for each of its rules: the fields that its signals take along
  };
  void Feed(const Alert& alert, uint32_t rule, Timestamp now, CaseStore* store, std::vector<uint32_t>* matched,
            std::vector<OutputRecord>* outputs);
  OutputRecord Signal(const Alert& alert, uint32_t correlation, uint32_t position, rules::Observation observation,
                      std::string key) const;

  const Engine* engine_ = nullptr;
  const rules::CorrelationSet* set_ = nullptr;
  int32_t partitions_ = 1;
  std::vector<Way> ways_;  // of each correlation
};

}  // namespace triaged
