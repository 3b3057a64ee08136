// The case document: everything about a case, for readers of the compacted `triaged.cases`.
#include "pipeline/report/case_parts.h"
#include "pipeline/report/document.h"
#include "pipeline/report/five_ws.h"
#include "pipeline/report/report.h"

namespace triaged {
namespace {

// Half of Kafka's default message.max.bytes. Events are kept to 64 KiB because they are handed on to other systems;
// the document is the whole case and is read from Kafka.
constexpr size_t kMaxDocumentBytes = 512 * 1024;

void WriteStanding(const Case& c, const ReportContext& context, DocumentWriter* out) {
  out->Text("severity", SeverityName(context, c.severity));
  out->String("status", Name(c.status));
  WriteLevel("level", context, c.level, out);
  out->TextOrNull("assignee", c.assignee);
  out->TextOrNull("team", c.team);
  out->Bool("drill", c.drill);
  out->Bool("acknowledged", c.acknowledged);
  out->TextOrNull("acknowledged_by", c.acknowledged_by);
  out->TimeOrNull("acknowledged_at", c.acknowledged_at);
  WriteVerdict("verdict", c, out);
  out->TextOrNull("classification", c.classification);
  out->TextOrNull("incident", c.incident);
  out->Texts("requested", c.requests);
  out->Texts("tags", c.tags);
}

void WriteContents(const Case& c, const ReportContext& context, DocumentWriter* out) {
  WriteCounts("counts", c, out);
  out->TimeOrNull("first_seen", c.first_seen);
  out->TimeOrNull("last_seen", c.last_seen);
  out->TimeOrNull("first_ingested", c.first_ingested);
  out->ScoreOrNull("max_score", c.max_score);
  out->Texts("sources", c.sources);
  out->Texts("techniques", c.techniques);
  out->Texts("tactics", c.tactics);
  WriteFiveWs("five_ws", c, context, out);
  WriteEvidence("evidence", c, out);
}

void WriteLife(const Case& c, DocumentWriter* out) {
  out->TimeOrNull("opened_at", c.opened_at);
  out->TimeOrNull("episode_at", c.episode_at);
  out->TimeOrNull("level_at", c.level_at);
  out->TimeOrNull("updated_at", c.updated_at);
  out->TimeOrNull("last_action_at", c.last_action_at);
  out->TimeOrNull("resolved_at", c.resolved_at);
  out->TimeOrNull("closed_at", c.closed_at);
  out->Unsigned("episode", c.episode);
  out->Unsigned("reopen_count", c.reopen_count);
  out->TextOrNull("resolution", c.resolution);
  out->TextOrNull("close_rule", c.close_rule);
  out->TextOrNull("previous_case", c.previous_case);
  out->Object("pause", [&] {
    out->TextOrNull("reason", c.paused_status_reason);
    out->TimeOrNull("started", c.pause_started);
    out->Int("total_ms", c.pause_total.count());
  });
}

void WriteDeadlines(const Case& c, const ReportContext& context, DocumentWriter* out) {
  WriteClocks("clocks", c, out);
  out->Unsigned("repeats", c.repeats);
  out->TimeOrNull("next_repeat", c.next_repeat);
  out->TimeOrNull("next_due", c.next_due);
  out->Array("level_due", [&] {
    for (size_t level = 0; level < kMaxCaseLevels; ++level) {
      if (c.level_due[level] == Timestamp{}) continue;
      out->Object({}, [&] {
        WriteLevel("level", context, static_cast<uint8_t>(level), out);
        out->Time("due", c.level_due[level]);
      });
    }
  });
  out->Texts("criteria_fired", c.criteria_fired);
}

void WriteBeside(const Case& c, DocumentWriter* out) {
  WriteRoles("roles", c, out);
  WriteHolds(c, out);
  WriteFollowUps("follow_ups", c, out);
  out->TimeOrNull("hard_limit_due", c.hard_limit_due);
  out->Bool("contained", c.contained);
  out->TimeOrNull("last_update_at", c.last_update_at);
  uint64_t risk = 0;
  for (const RiskBucket& bucket : c.risk) risk += bucket.score;
  out->Unsigned("risk", risk);
  out->Unsigned("recurrence", c.recurrence);
  out->Unsigned("resolution_failures", c.resolution_failures);
  out->Bool("severity_raised", c.severity_raised);
  out->TextOrNull("merged_into", c.merged_into);
  out->Texts("merged_from", c.merged_from);
}

void WriteHistory(const Case& c, const ReportContext& context, DocumentWriter* out) {
  out->Unsigned("escalation_count", c.escalation_count);
  out->Array("escalations", [&] {
    const size_t count = out->Take(c.escalations.size(), out->budget().list, "escalations");
    for (size_t i = c.escalations.size() - count; i < c.escalations.size(); ++i) {
      WriteEscalation({}, c.escalations[i], context, out);
    }
  });
  WriteEntries("timeline", c.timeline, "timeline", out);
  out->Unsigned("timeline_dropped", c.timeline_dropped);
  WriteEntries("notes", c.notes, "notes", out);
}

void WriteData(const Case& c, const ReportContext& context, DocumentWriter* out) {
  out->String("case_id", ToString(c.id));
  out->Text("key", c.key);
  out->Text("policy", c.policy);
  out->Text("policy_fingerprint", context.fingerprint);
  out->String("dedup_key", DedupKey(c, context.application_id));
  out->Unsigned("version", c.version);
  out->Unsigned("next_event", c.next_event);
  WriteStanding(c, context, out);
  WriteContents(c, context, out);
  WriteLife(c, out);
  WriteDeadlines(c, context, out);
  WriteHistory(c, context, out);
  WriteBeside(c, out);
  out->Truncated("truncated");
}

Envelope EnvelopeOf(const Case& c, Timestamp at, const ReportContext& context) {
  Envelope envelope;
  envelope.subject = ToString(c.id);
  // Unlike an event, a document has no number of its own; time, version and alerts tell two documents of a case apart.
  envelope.id = envelope.subject + "/document/" + TwentyDigits(static_cast<uint64_t>(ToUnixMillis(at))) + "." +
                std::to_string(c.version) + "." + std::to_string(c.alert_count);
  envelope.type = "case.document";
  envelope.time = at;
  envelope.schema = "case-document.v1";
  envelope.partition_key = envelope.subject;
  envelope.severity_text = SeverityName(context, c.severity);
  envelope.traceparent = Traceparent(c);
  return envelope;
}

std::string Render(const Envelope& envelope, const Case& c, const ReportContext& context) {
  return EventText(envelope, context.application_id, kMaxDocumentBytes,
                   [&](DocumentWriter* out) { WriteData(c, context, out); });
}

}  // namespace

std::string CaseDocumentJson(const Case& c, Timestamp at, const ReportContext& context) {
  return Render(EnvelopeOf(c, at, context), c, context);
}

OutputRecord CaseDocumentRecord(const Case& c, Timestamp at, const ReportContext& context) {
  const Envelope envelope = EnvelopeOf(c, at, context);
  OutputRecord record;
  record.topic = OutputTopic::kCases;
  record.key = envelope.subject;
  record.value = Render(envelope, c, context);
  record.headers = EventHeaders(envelope, context.application_id);
  return record;
}

}  // namespace triaged
