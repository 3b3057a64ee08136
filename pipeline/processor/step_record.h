// StepTrace: which inputs a step took, at which clock, under which engine: the `triaged.steps` record that lets an
// exact replay repeat what a daemon did (ARCHITECTURE, Time).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "pipeline/model/records.h"
#include "pipeline/processor/processor.h"

namespace triaged {

class StepTrace {
 public:
  void Clear() { taken_.clear(); }
  void Taken(const std::string& source, int64_t offset);

  // JSON: {"step","partition","broker_time","caught_up","clock","more_due","taken":{"topic/partition":[first,next]},
  // "fingerprint"}. `more_due`: deadlines up to `clock` were left for the next step, before any further input.
  OutputRecord Record(int32_t partition, const Progress& progress, StepTime time, bool more_due) const;

 private:
  struct Range {
    int64_t first = 0;
    int64_t next = 0;
  };
  std::map<std::string, Range> taken_;
};

}  // namespace triaged
