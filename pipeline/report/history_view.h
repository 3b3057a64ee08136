// HistoryView: single cases as a list, by status, severity and the time they opened (`triagectl report --cases`). Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/report/template_text.h"

namespace triaged {

struct HistoryOptions {
  Timestamp from{}, to{};            // [from, to) holds the time of opening
  std::string status, severity;      // only these; empty: all
  std::string zone = "UTC";
  Language language = Language::kEnglish;
};

// Newest first; drills say that they are.
nlohmann::ordered_json HistoryView(const std::vector<nlohmann::ordered_json>& documents, const HistoryOptions& options);

}  // namespace triaged
