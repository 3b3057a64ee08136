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

void AddStanding(const Case& c, const ReportContext& context, Cutter* cut, Json* data) {
  Json& d = *data;
  d["severity"] = cut->Text(SeverityName(context, c.severity));
  d["status"] = Name(c.status);
  d["level"] = LevelJson(context, c.level, cut);
  d["assignee"] = cut->TextOrNull(c.assignee);
  d["team"] = cut->TextOrNull(c.team);
  d["drill"] = c.drill;
  d["acknowledged"] = c.acknowledged;
  d["acknowledged_by"] = cut->TextOrNull(c.acknowledged_by);
  d["acknowledged_at"] = TimeOrNull(c.acknowledged_at);
  d["verdict"] = VerdictJson(c, cut);
  d["classification"] = cut->TextOrNull(c.classification);
  d["incident"] = cut->TextOrNull(c.incident);
  d["requested"] = cut->Texts(c.requests, "requested");
  d["tags"] = cut->Texts(c.tags, "tags");
}

void AddContents(const Case& c, const ReportContext& context, Cutter* cut, Json* data) {
  Json& d = *data;
  d["counts"] = CountsJson(c);
  d["first_seen"] = TimeOrNull(c.first_seen);
  d["last_seen"] = TimeOrNull(c.last_seen);
  d["first_ingested"] = TimeOrNull(c.first_ingested);
  d["max_score"] = c.max_score < 0 ? Json() : Json(c.max_score);
  d["sources"] = cut->Texts(c.sources, "sources");
  d["techniques"] = cut->Texts(c.techniques, "techniques");
  d["tactics"] = cut->Texts(c.tactics, "tactics");
  d["five_ws"] = FiveWsJson(c, context, cut);
  d["evidence"] = EvidenceJson(c, cut);
}

void AddLife(const Case& c, Cutter* cut, Json* data) {
  Json& d = *data;
  d["opened_at"] = TimeOrNull(c.opened_at);
  d["episode_at"] = TimeOrNull(c.episode_at);
  d["level_at"] = TimeOrNull(c.level_at);
  d["updated_at"] = TimeOrNull(c.updated_at);
  d["last_action_at"] = TimeOrNull(c.last_action_at);
  d["resolved_at"] = TimeOrNull(c.resolved_at);
  d["closed_at"] = TimeOrNull(c.closed_at);
  d["episode"] = c.episode;
  d["reopen_count"] = c.reopen_count;
  d["resolution"] = cut->TextOrNull(c.resolution);
  d["close_rule"] = cut->TextOrNull(c.close_rule);
  d["previous_case"] = cut->TextOrNull(c.previous_case);
  d["pause"]["reason"] = cut->TextOrNull(c.paused_status_reason);
  d["pause"]["started"] = TimeOrNull(c.pause_started);
  d["pause"]["total_ms"] = c.pause_total.count();
}

void AddDeadlines(const Case& c, const ReportContext& context, Cutter* cut, Json* data) {
  Json& d = *data;
  d["clocks"] = ClocksJson(c);
  d["repeats"] = c.repeats;
  d["next_repeat"] = TimeOrNull(c.next_repeat);
  d["next_due"] = TimeOrNull(c.next_due);
  Json matrix = Json::array();
  for (size_t level = 0; level < kMaxCaseLevels; ++level) {
    if (c.level_due[level] == Timestamp{}) continue;
    Json entry;
    entry["level"] = LevelJson(context, static_cast<uint8_t>(level), cut);
    entry["due"] = FormatTimestamp(c.level_due[level]);
    matrix.push_back(std::move(entry));
  }
  d["level_due"] = std::move(matrix);
  d["criteria_fired"] = cut->Texts(c.criteria_fired, "criteria_fired");
}

void AddHistory(const Case& c, const ReportContext& context, Cutter* cut, Json* data) {
  Json& d = *data;
  d["escalation_count"] = c.escalation_count;
  Json escalations = Json::array();
  const size_t count = cut->Take(c.escalations.size(), cut->budget().list, "escalations");
  for (size_t i = c.escalations.size() - count; i < c.escalations.size(); ++i) {
    escalations.push_back(EscalationJson(c.escalations[i], context, cut));
  }
  d["escalations"] = std::move(escalations);
  d["timeline"] = EntriesJson(c.timeline, "timeline", cut);
  d["timeline_dropped"] = c.timeline_dropped;
  d["notes"] = EntriesJson(c.notes, "notes", cut);
}

Rendered RenderDocument(const Case& c, Timestamp at, const ReportContext& context) {
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
  return BuildWithin(kMaxDocumentBytes, [&](Cutter* cut) {
    Json json = EnvelopeJson(envelope, context.application_id);
    Json d;
    d["case_id"] = envelope.subject;
    d["key"] = cut->Text(c.key);
    d["policy"] = cut->Text(c.policy);
    d["policy_fingerprint"] = context.fingerprint;
    d["dedup_key"] = DedupKey(c, context.application_id);
    d["version"] = c.version;
    d["next_event"] = c.next_event;
    AddStanding(c, context, cut, &d);
    AddContents(c, context, cut, &d);
    AddLife(c, cut, &d);
    AddDeadlines(c, context, cut, &d);
    AddHistory(c, context, cut, &d);
    d["truncated"] = cut->Truncated();
    json["data"] = std::move(d);
    return json;
  });
}

}  // namespace

std::string CaseDocumentJson(const Case& c, Timestamp at, const ReportContext& context) {
  return RenderDocument(c, at, context).text;
}

OutputRecord CaseDocumentRecord(const Case& c, Timestamp at, const ReportContext& context) {
  Rendered document = RenderDocument(c, at, context);
  OutputRecord record;
  record.topic = OutputTopic::kCases;
  record.key = ToString(c.id);
  record.headers = EnvelopeHeaders(document.json);
  record.value = std::move(document.text);
  return record;
}

}  // namespace triaged
