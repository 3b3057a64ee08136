// OCSF out: an alert as a Detection Finding (class 2004), a case's event as an Incident Finding (class 2005).
//
// Of schema version kOcsfVersion (schema.ocsf.io): the classes' required attributes are always there, what OCSF has no
// place for stands under `unmapped` with its ECS name. Times are epoch milliseconds. Pure, deterministic.
#pragma once

#include <string>
#include <string_view>

#include "pipeline/model/alert.h"
#include "pipeline/model/case.h"
#include "pipeline/model/case_event.h"
#include "pipeline/report/document.h"

namespace triaged {

inline constexpr std::string_view kOcsfVersion = "1.5.0";

// One line, no newline. What it prints reads back through the ocsf format table with the same id, time, rule, severity
// label, entities and techniques.
std::string OcsfDetectionFinding(const Alert& alert, const FieldCatalog& catalog);

// One member `key`: opened creates the incident, closed closes it, every other event updates it.
void WriteOcsfIncidentFinding(std::string_view key, const CaseEvent& event, const Case& c, const ReportContext& context,
                              DocumentWriter* out);

}  // namespace triaged
