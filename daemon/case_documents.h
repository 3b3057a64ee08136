// Case documents as triagectl reads them: from a file, or from the compacted case topic. Blocking; errors name the file or
// topic. Single-threaded.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "pipeline/base/result.h"
#include "pipeline/model/ids.h"

namespace triaged {

// The newest document of each case, by partition and sequence.
using CaseDocuments = std::map<CaseId, nlohmann::ordered_json>;

// From `from_file` (NDJSON; "-": standard input), or when that is empty from the case topic of the configuration.
Result<CaseDocuments> ReadDocuments(const std::string& config_path, const std::string& from_file);

}  // namespace triaged
