// CaseParts: the pieces of a case that several documents show alike. Pure. A Write… function writes one member `key`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/model/case.h"
#include "pipeline/report/document.h"

namespace triaged {

// The team's IANA zone; UTC without a policy.
std::string ReportZone(const ReportContext& context);

void WriteCounts(std::string_view key, const Case& c, DocumentWriter* out);
// Name (null while there is none), OCSF id, confidence, who said it, the reasons and the rules that spoke.
void WriteVerdict(std::string_view key, const Case& c, DocumentWriter* out);
// Acknowledge and resolve, and every other clock that has run.
void WriteClocks(std::string_view key, const Case& c, DocumentWriter* out);
void WriteEvidence(std::string_view key, const Case& c, DocumentWriter* out);
// Roles beside the ladder, what is owed, and what keeps an escalation back ("held" and "silenced").
void WriteRoles(std::string_view key, const Case& c, DocumentWriter* out);
void WriteFollowUps(std::string_view key, const Case& c, DocumentWriter* out);
void WriteHolds(const Case& c, DocumentWriter* out);
void WriteLevel(std::string_view key, const ReportContext& context, uint8_t level, DocumentWriter* out);
void WriteEscalation(std::string_view key, const EscalationRecord& record, const ReportContext& context,
                     DocumentWriter* out);
// The newest entries that the budget allows, oldest first; `what` names the list when it is cut.
void WriteEntries(std::string_view key, const std::vector<TimelineEntry>& entries, std::string_view what,
                  DocumentWriter* out);
// The hand-off package (DOMAIN.md, What an escalation does, 1). `record` may be null.
void WriteHandoff(std::string_view key, const Case& c, const EscalationRecord* record, const ReportContext& context,
                  Timestamp now, DocumentWriter* out);

// The W3C traceparent of the first alert that carried a valid one, or "" (Trace Context, version 00).
std::string Traceparent(const Case& c);
// `head` and `tail` as one key of at most 255 bytes (PagerDuty's limit); long heads that begin alike do not share it.
std::string JoinedKey(std::string_view head, std::string_view tail);
// Names one episode of one case to receivers that join repeats.
std::string DedupKey(const Case& c, std::string_view application_id);

// One line: severity, case, counts, span, and the detection that tells most.
std::string Summary(const Case& c, const ReportContext& context);
// What the receiver should know at once, in words: deadlines, nobody on shift, tactics, unanswered Ws.
std::vector<std::string> Concerns(const Case& c, const ReportContext& context, Timestamp now);

}  // namespace triaged
