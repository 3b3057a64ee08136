// CorrelationStream: correlations over a list of events as they come, for people and tools; and why one fired or did not.
//
// One partition, no duplicates, no bound on memory: what the daemon counts beside that is left out. An event's time is its
// `@timestamp`, without one that of the event before. The rule set must outlive it. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/fields.h"
#include "pipeline/rules/correlation_set.h"
#include "pipeline/rules/correlation_table.h"
#include "pipeline/rules/rules.h"

namespace triaged {

class CorrelationStream {
 public:
  explicit CorrelationStream(const RuleSet& rules) : rules_(rules), set_(rules.correlations()), table_(SIZE_MAX) {}

  // Adds the correlations that fire to what matched, and takes the rules that only serve them away; ascending.
  void Take(const FieldTable& event, std::vector<uint32_t>* matched);

  // From now on Take remembers what it did to this correlation (its index into RuleSet::rules()).
  void Watch(uint32_t correlation) { watched_ = correlation; }
  // Of the last event: each match that counted or did not, the window it is in, and the condition. Lines end with a
  // newline; the first says whether the correlation fires.
  std::string Explain() const;

 private:
  void Feed(const FieldTable& event, uint32_t rule, std::vector<uint32_t>* matched);
  void Note(const FieldTable& event, const rules::Correlation& correlation, uint32_t position, bool fires, bool held);
  std::string InWindow(const rules::Correlation& correlation, const rules::CorrelationWindow& window) const;

  const RuleSet& rules_;
  const rules::CorrelationSet& set_;
  rules::CorrelationTable table_;
  Timestamp at_{};
  Timestamp now_{};
  uint32_t watched_ = UINT32_MAX;
  bool fired_ = false;
  std::string notes_;
};

}  // namespace triaged
