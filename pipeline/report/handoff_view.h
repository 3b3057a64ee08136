// HandoffView: case documents (CONTRACTS.md, triaged.cases) as the values that hand-off templates name. Pure.
//
// Texts are as they stand in the document; RenderTemplateText escapes them. configs/README.md lists the names.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/report/template_text.h"

namespace triaged {

struct ViewStyle {
  Language language = Language::kEnglish;
  std::string zone;  // IANA; empty: that of the case's policy
};

// One case, at the time of its document. `document` is a whole CloudEvent io.triaged.case.document.v1.
nlohmann::ordered_json HandoffView(const nlohmann::ordered_json& document, const ViewStyle& style);

// The shift [from, to): open cases by level (highest first), what is due within the same length after `to` (or overdue
// at it), and what happened within the shift. Drills are left out.
nlohmann::ordered_json ShiftView(const std::vector<nlohmann::ordered_json>& documents, Timestamp from, Timestamp to,
                                 const ViewStyle& style);

}  // namespace triaged
