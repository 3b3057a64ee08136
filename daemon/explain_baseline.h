// ExplainBaseline: what a partition's baseline knows about the alerts of a case, for `triagectl explain`.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "daemon/ctl_load.h"
#include "pipeline/base/result.h"
#include "pipeline/base/time.h"
#include "pipeline/model/case.h"

namespace triaged {

// Records of a partition's changelog that are not gone, by what follows their prefix: baseline blocks by number, the kept
// bytes of the case's alerts by slot.
struct BaselineRecords {
  std::map<uint64_t, std::string> blocks;
  std::map<uint8_t, std::string> alerts;
};

// A line for each value that is known, under the names rules use, per alert whose bytes are kept; rates are those of `at`. ""
// without a baseline. Errors: a block cannot be read.
Result<std::string> ExplainBaseline(const Loaded& loaded, const Case& c, const BaselineRecords& records, Timestamp at);

}  // namespace triaged
