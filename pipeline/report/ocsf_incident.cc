// A case's event as OCSF's Incident Finding.
#include <algorithm>

#include "pipeline/report/case_parts.h"
#include "pipeline/report/ocsf.h"

namespace triaged {
namespace {

struct Word {
  int id;
  std::string_view caption;
};

Word ActivityOf(CaseEventType type) {
  if (type == CaseEventType::kOpened) return {1, "Create"};
  if (type == CaseEventType::kClosed) return {3, "Close"};
  return {2, "Update"};
}

Word StatusOf(CaseStatus status) {
  switch (status) {
    case CaseStatus::kOpen: return {1, "New"};
    case CaseStatus::kInProgress:
    case CaseStatus::kEscalated: return {2, "In Progress"};
    case CaseStatus::kWaitingForInfo:
    case CaseStatus::kOnHold: return {3, "On Hold"};
    case CaseStatus::kResolved: return {4, "Resolved"};
    case CaseStatus::kClosed: return {5, "Closed"};
  }
  return {0, "Unknown"};
}

Word VerdictWord(Verdict verdict) {
  switch (verdict) {
    case Verdict::kFalsePositive: return {1, "False Positive"};
    case Verdict::kTruePositive: return {2, "True Positive"};
    case Verdict::kNeedsReview: return {4, "Suspicious"};
    case Verdict::kBenignTruePositive: return {5, "Benign"};
    case Verdict::kNone: break;
  }
  return {0, "Unknown"};
}

// A pack's severities have names of their own: OCSF's is told by the scores that reach it.
Word SeverityOf(const ReportContext& context, uint8_t severity) {
  if (!context.policy || severity >= context.policy->severities.size()) return {0, "Unknown"};
  const int score = context.policy->severities[severity].min_score;
  if (score >= 74) return {5, "Critical"};
  if (score >= 48) return {4, "High"};
  return score >= 22 ? Word{3, "Medium"} : Word{2, "Low"};
}

void WriteFinding(std::string_view uid, std::string_view title, Timestamp created, DocumentWriter* out) {
  out->Object({}, [&] {
    out->Text("uid", uid);
    if (!title.empty()) out->Text("title", title);
    if (created != Timestamp{}) out->Int("created_time", ToUnixMillis(created));
  });
}

// Required by the class, so at least one stands here whatever else is cut.
void WriteFindings(const Case& c, DocumentWriter* out) {
  out->Array("finding_info_list", [&] {
    if (c.evidence.empty()) return WriteFinding(ToString(c.id), "", c.opened_at, out);
    const size_t shown = std::max<size_t>(1, out->Take(c.evidence.size(), out->budget().evidence, "evidence"));
    for (size_t i = 0; i < shown; ++i) {
      const Evidence& evidence = c.evidence[i];
      WriteFinding(evidence.alert_id, evidence.rule_name.empty() ? evidence.message : evidence.rule_name,
                   evidence.event_time, out);
    }
  });
}

void WriteAttacks(const Case& c, DocumentWriter* out) {
  if (c.techniques.empty() && c.tactics.empty()) return;
  const auto entry = [&](std::string_view kind, std::string_view key, const std::string& text) {
    out->Object({}, [&] { out->Object(kind, [&] { out->Text(key, text); }); });
  };
  out->Array("attacks", [&] {
    size_t shown = out->Take(c.techniques.size(), out->budget().list, "attacks");
    for (size_t i = 0; i < shown; ++i) {
      const bool sub = c.techniques[i].find('.') != std::string::npos;
      entry(sub ? "sub_technique" : "technique", "uid", c.techniques[i]);
    }
    shown = out->Take(c.tactics.size(), out->budget().list, "attacks");
    for (size_t i = 0; i < shown; ++i) entry("tactic", c.tactics[i].starts_with("TA0") ? "uid" : "name", c.tactics[i]);
  });
}

void WriteMetadata(const CaseEvent& event, const Case& c, DocumentWriter* out) {
  out->Object("metadata", [&] {
    out->String("version", kOcsfVersion);
    out->Object("product", [&] {
      out->String("name", "triaged");
      out->String("vendor_name", "triaged");
      out->String("version", TRIAGED_VERSION);
    });
    out->String("uid", ToString(c.id) + "/" + TwentyDigits(event.sequence));
    out->String("correlation_uid", ToString(c.id));
  });
}

}  // namespace

void WriteOcsfIncidentFinding(std::string_view key, const CaseEvent& event, const Case& c, const ReportContext& context,
                              DocumentWriter* out) {
  const Word activity = ActivityOf(event.type);
  const Word severity = SeverityOf(context, c.severity);
  const Word status = StatusOf(c.status);
  out->Object(key, [&] {
    out->Int("activity_id", activity.id);
    out->String("activity_name", activity.caption);
    out->Int("category_uid", 2);
    out->String("category_name", "Findings");
    out->Int("class_uid", 2005);
    out->String("class_name", "Incident Finding");
    out->Int("type_uid", 200500 + activity.id);
    out->String("type_name", "Incident Finding: " + std::string(activity.caption));
    out->Int("time", ToUnixMillis(event.at));
    out->Int("severity_id", severity.id);
    out->String("severity", severity.caption);
    out->Int("priority_id", 99);
    out->Text("priority", SeverityName(context, c.severity));
    out->Int("status_id", status.id);
    out->String("status", status.caption);
    if (c.verdict != Verdict::kNone) {
      const Word verdict = VerdictWord(c.verdict);
      out->Int("verdict_id", verdict.id);
      out->String("verdict", verdict.caption);
      out->Unsigned("confidence_score", c.verdict_confidence);
    }
    out->Text("message", Summary(c, context));
    if (!event.reason.empty()) out->Text("comment", event.reason);
    if (c.first_seen != Timestamp{}) out->Int("start_time", ToUnixMillis(c.first_seen));
    if (c.last_seen != Timestamp{}) out->Int("end_time", ToUnixMillis(c.last_seen));
    // One of the two is required: without a person it is the level's team that has it.
    if (!c.assignee.empty()) out->Object("assignee", [&] { out->Text("name", c.assignee); });
    out->Object("assignee_group", [&] { out->Text("name", c.team.empty() ? LevelName(context, c.level) : c.team); });
    WriteFindings(c, out);
    WriteAttacks(c, out);
    WriteMetadata(event, c, out);
  });
}

}  // namespace triaged
