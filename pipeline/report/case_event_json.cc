// Case events and heartbeats as CloudEvents.
#include "pipeline/report/case_parts.h"
#include "pipeline/report/document.h"
#include "pipeline/report/five_ws.h"
#include "pipeline/report/report.h"

namespace triaged {
namespace {

// The record that an `escalated` event is about. Several escalations of one step may have pushed old records out of
// the bounded list, so the index is checked against the event and the newest match stands in.
const EscalationRecord* RecordOf(const CaseEvent& event, const Case& c) {
  if (event.type != CaseEventType::kEscalated) return nullptr;
  auto matches = [&](const EscalationRecord& record) {
    return record.at == event.at && record.to_level == event.level_to;
  };
  if (event.escalation < c.escalations.size() && matches(c.escalations[event.escalation])) {
    return &c.escalations[event.escalation];
  }
  for (size_t i = c.escalations.size(); i-- > 0;) {
    if (matches(c.escalations[i])) return &c.escalations[i];
  }
  return nullptr;
}

bool IsSla(CaseEventType type) { return type == CaseEventType::kSlaAtRisk || type == CaseEventType::kSlaBreached; }

void AddStanding(const CaseEvent& event, const Case& c, const ReportContext& context, Cutter* cut, Json* data) {
  Json& d = *data;
  d["severity"] = cut->Text(SeverityName(context, c.severity));
  d["severity_from"] = cut->Text(SeverityName(context, event.severity_from));
  d["status"] = Name(c.status);
  d["level"]["from"] = LevelJson(context, event.level_from, cut);
  d["level"]["to"] = LevelJson(context, event.level_to, cut);
  d["assignee"] = cut->TextOrNull(c.assignee);
  d["team"] = cut->TextOrNull(c.team);
  d["acknowledged"] = c.acknowledged;
  d["acknowledged_by"] = cut->TextOrNull(c.acknowledged_by);
  d["drill"] = c.drill;
}

void AddReason(const CaseEvent& event, Cutter* cut, Json* data) {
  Json& d = *data;
  d["reason"] = cut->TextOrNull(event.reason);
  d["detail"] = cut->TextOrNull(event.detail);
  d["actor"] = cut->TextOrNull(event.actor);
  d["command_id"] = cut->TextOrNull(event.command_id);
  d["clock"] = IsSla(event.type) ? Json(std::string(Name(event.clock))) : Json();
}

// An escalation asks what its record says (which names the criterion's and the rules' requests); any other event what
// the rules ask.
Json Requested(const EscalationRecord* record, const Case& c, Cutter* cut) {
  if (record && !record->requested.empty()) return cut->Texts({record->requested}, "requested");
  return cut->Texts(c.requests, "requested");
}

Json Channels(uint8_t level, const ReportContext& context, Cutter* cut) {
  if (!context.policy || level >= context.policy->levels.size()) return Json::array();
  return cut->Texts(context.policy->levels[level].channels, "channels");
}

Json EventData(const CaseEvent& event, const Case& c, const ReportContext& context, Cutter* cut) {
  const EscalationRecord* record = RecordOf(event, c);
  Json d;
  d["case_id"] = ToString(c.id);
  d["event"] = Name(event.type);
  d["policy"] = cut->Text(c.policy);
  d["policy_fingerprint"] = context.fingerprint;
  d["dedup_key"] = DedupKey(c, context.application_id);
  d["episode"] = c.episode;
  d["version"] = c.version;
  AddStanding(event, c, context, cut, &d);
  AddReason(event, cut, &d);
  d["verdict"] = VerdictJson(c, cut);
  if (event.type == CaseEventType::kVerdictChanged) {
    d["verdict_from"] = event.verdict_from == Verdict::kNone ? Json() : Json(std::string(Name(event.verdict_from)));
  }
  d["classification"] = cut->TextOrNull(c.classification);
  d["incident"] = cut->TextOrNull(c.incident);
  d["opened_at"] = TimeOrNull(c.opened_at);
  d["counts"] = CountsJson(c);
  d["five_ws"] = FiveWsJson(c, context, cut);
  d["requested"] = Requested(record, c, cut);
  d["clocks"] = ClocksJson(c);
  d["evidence"] = EvidenceJson(c, cut);
  d["channels"] = Channels(event.level_to, context, cut);
  d["tags"] = cut->Texts(c.tags, "tags");
  d["previous_case"] = cut->TextOrNull(c.previous_case);
  d["resolution"] = cut->TextOrNull(c.resolution);
  if (record) d["escalation"] = EscalationJson(*record, context, cut);
  if (event.type == CaseEventType::kEscalated) d["handoff"] = HandoffJson(c, record, context, event.at, cut);
  return d;
}

Rendered RenderEvent(const CaseEvent& event, const Case& c, const ReportContext& context) {
  Envelope envelope;
  envelope.sequence = TwentyDigits(event.sequence);
  envelope.subject = ToString(c.id);
  envelope.id = envelope.subject + "/" + envelope.sequence;
  envelope.type = "case." + std::string(Name(event.type));
  envelope.time = event.at;
  envelope.schema = "case-event.v1";
  envelope.partition_key = envelope.subject;
  envelope.severity_text = SeverityName(context, c.severity);
  envelope.traceparent = Traceparent(c);
  return BuildWithin(kMaxEventBytes, [&](Cutter* cut) {
    Json json = EnvelopeJson(envelope, context.application_id);
    Json data = EventData(event, c, context, cut);
    data["truncated"] = cut->Truncated();
    json["data"] = std::move(data);
    return json;
  });
}

}  // namespace

std::string CaseEventJson(const CaseEvent& event, const Case& c, const ReportContext& context) {
  return RenderEvent(event, c, context).text;
}

OutputRecord CaseEventRecord(const CaseEvent& event, const Case& c, const ReportContext& context) {
  Rendered event_json = RenderEvent(event, c, context);
  OutputRecord record;
  record.topic = OutputTopic::kEscalations;
  record.key = ToString(c.id);
  record.headers = EnvelopeHeaders(event_json.json);
  record.value = std::move(event_json.text);
  return record;
}

OutputRecord HeartbeatRecord(int32_t partition, uint64_t sequence, Timestamp at, const ReportContext& context) {
  Envelope envelope;
  envelope.sequence = TwentyDigits(sequence);
  envelope.subject = "partition/" + std::to_string(partition);
  envelope.id = "heartbeat/" + std::to_string(partition) + "/" + envelope.sequence;
  envelope.type = "heartbeat";
  envelope.time = at;
  envelope.schema = "heartbeat.v1";
  envelope.partition_key = envelope.subject;
  Json json = EnvelopeJson(envelope, context.application_id);
  json["data"]["partition"] = partition;
  json["data"]["policy_fingerprint"] = context.fingerprint;
  OutputRecord record;
  record.topic = OutputTopic::kEscalations;
  record.key = envelope.subject;
  record.value = Dump(json);
  record.headers = EnvelopeHeaders(json);
  return record;
}

}  // namespace triaged
