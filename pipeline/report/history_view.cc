#include "pipeline/report/history_view.h"

#include <algorithm>

#include "pipeline/report/json_reading.h"
#include "pipeline/report/words.h"

namespace triaged {

using Json = nlohmann::ordered_json;

Json HistoryView(const std::vector<Json>& documents, const HistoryOptions& options) {
  const auto shown = [&](const Json& data, std::string_view key) {
    const auto at = Time(data, key);
    return at ? ShownTime(*at, options.zone, options.language) : "-";
  };
  std::vector<std::pair<Timestamp, Json>> rows;
  for (const Json& document : documents) {
    const Json& data = At(document, "data");
    const auto opened = Time(data, "opened_at");
    if (!opened || *opened < options.from || *opened >= options.to) continue;
    if (!options.status.empty() && Text(data, "status") != options.status) continue;
    if (!options.severity.empty() && Text(data, "severity") != options.severity) continue;
    const Json& detections = At(At(At(data, "five_ws"), "what"), "detections");
    const bool named = detections.is_array() && !detections.empty();
    rows.emplace_back(*opened, Json{{"case_id", Text(data, "case_id")},
                                    {"opened", shown(data, "opened_at")},
                                    {"severity", Text(data, "severity")},
                                    {"status", Worded(Text(data, "status"), options.language)},
                                    {"title", named ? Text(detections.front(), "value") : Text(data, "key")},
                                    {"resolved", shown(data, "resolved_at")},
                                    {"closed", shown(data, "closed_at")},
                                    {"resolution", Text(data, "resolution")},
                                    {"drill", At(data, "drill") == true}});
  }
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  Json view;
  view["from"] = ShownTime(options.from, options.zone, options.language);
  view["to"] = ShownTime(options.to, options.zone, options.language);
  view["count"] = rows.size();
  view["cases"] = Json::array();
  for (auto& [opened, row] : rows) view["cases"].push_back(std::move(row));
  return view;
}

}  // namespace triaged
