// Review: figures of a period from case documents, for `triagectl report`. Pure, deterministic: integers only, every list
// in a fixed order (greatest first, then by name).
//
// A case belongs to the slice in which it opened; drills are counted apart and in nothing else. Goals are those of the
// packs (`goals`).
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/report/template_text.h"

namespace triaged {

struct Policy;

enum class ReviewPeriod { kWhole, kMonth, kQuarter };

struct ReviewOptions {
  Timestamp from{}, to{};   // [from, to)
  ReviewPeriod period = ReviewPeriod::kWhole;
  std::string zone = "UTC";  // of days, shifts and the borders of months
  Language language = Language::kEnglish;
  std::map<std::string, const Policy*, std::less<>> policies;  // whose goals and rosters are known
};

// [from, to) cut at the wall clock's first of each month, or of January, April, July and October.
std::vector<std::pair<Timestamp, Timestamp>> ReviewSlices(const ReviewOptions& options);

nlohmann::ordered_json ReviewView(const std::vector<nlohmann::ordered_json>& documents, const ReviewOptions& options);

// Adds "svg" to each slice: plots of its lists, as inline SVG without scripts.
void AddPlots(nlohmann::ordered_json* view, Language language);

}  // namespace triaged
