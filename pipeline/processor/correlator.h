// Correlator: matches of rules, counted where their group's partition is.
//
// A correlation whose group holds all fields that the case's key is made of is counted beside the case, in the same
// partition, and its match is one more rule that matches the alert. Any other goes as a signal to the partition of its
// own key (correlation and group values); when it fires there, an alert is derived and sent to the partition of its
// case, where it is taken like an alert from outside. Both travel in the signals topic, inside the step's transaction.
// Which way a correlation goes depends on rules and policies alone, never on the number of partitions.
//
// Deterministic. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "pipeline/model/alert.h"
#include "pipeline/policy/engine.h"
#include "pipeline/processor/case_store.h"
#include "pipeline/rules/correlation_set.h"

namespace triaged {

class Correlator {
 public:
  void SetEngine(const Engine& engine);

  bool empty() const { return set_->empty(); }

  // Counts what `alert` matched at the logical clock `now`: appends the correlations that fire, and takes the rules
  // that only serve correlations away. `matched` stays ascending. `again`: the alert was seen before, nothing counts.
  void Take(const Alert& alert, bool again, Timestamp now, CaseStore* store, std::vector<uint32_t>* matched);

 private:
  void Feed(const Alert& alert, uint32_t rule, Timestamp now, CaseStore* store, std::vector<uint32_t>* matched);

  const rules::CorrelationSet* set_ = nullptr;
};

}  // namespace triaged
