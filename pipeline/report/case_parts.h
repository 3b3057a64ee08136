// CaseParts: the pieces of a case that several documents show alike. Pure; every list and text goes through a Cutter.
#pragma once

#include <string>
#include <string_view>

#include "pipeline/model/case.h"
#include "pipeline/report/document.h"

namespace triaged {

// The team's IANA zone; UTC without a policy.
std::string ReportZone(const ReportContext& context);

Json CountsJson(const Case& c);
// Name (null while there is none), OCSF id, confidence, who said it, the reasons and the rules that spoke.
Json VerdictJson(const Case& c, Cutter* cut);
Json ClocksJson(const Case& c);
Json EvidenceJson(const Case& c, Cutter* cut);
Json LevelJson(const ReportContext& context, uint8_t level, Cutter* cut);
Json EscalationJson(const EscalationRecord& record, const ReportContext& context, Cutter* cut);
// Newest `cut->budget().notes` entries, oldest first; `what` names the list when it is cut.
Json EntriesJson(const std::vector<TimelineEntry>& entries, std::string_view what, Cutter* cut);

// The W3C traceparent of the first alert that carried a valid one, or "" (Trace Context, version 00).
std::string Traceparent(const Case& c);
// Names one episode of one case to receivers that join repeats; at most 255 bytes (PagerDuty's limit).
std::string DedupKey(const Case& c, std::string_view application_id);

// One line: severity, case, counts, span, and the detection that tells most.
std::string Summary(const Case& c, const ReportContext& context);
// What the receiver should know at once, in words: deadlines broken, nobody on shift, unanswered Ws, spread.
std::vector<std::string> Concerns(const Case& c, const ReportContext& context, Timestamp now);
// The hand-off package (DOMAIN.md, What an escalation does, 1).
Json HandoffJson(const Case& c, const EscalationRecord* record, const ReportContext& context, Timestamp now,
                 Cutter* cut);

}  // namespace triaged
