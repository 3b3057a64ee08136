// Case events and heartbeats as CloudEvents.
#include "pipeline/report/case_parts.h"
#include "pipeline/report/document.h"
#include "pipeline/report/five_ws.h"
#include "pipeline/report/ocsf.h"
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

void WriteStanding(const CaseEvent& event, const Case& c, const ReportContext& context, DocumentWriter* out) {
  out->Text("severity", SeverityName(context, c.severity));
  out->Text("severity_from", SeverityName(context, event.severity_from));
  out->String("status", Name(c.status));
  out->Object("level", [&] {
    WriteLevel("from", context, event.level_from, out);
    WriteLevel("to", context, event.level_to, out);
  });
  out->TextOrNull("assignee", c.assignee);
  out->TextOrNull("team", c.team);
  out->Bool("acknowledged", c.acknowledged);
  out->TextOrNull("acknowledged_by", c.acknowledged_by);
  out->Bool("drill", c.drill);
}

void WriteReason(const CaseEvent& event, DocumentWriter* out) {
  out->TextOrNull("reason", event.reason);
  out->TextOrNull("detail", event.detail);
  out->TextOrNull("actor", event.actor);
  out->TextOrNull("command_id", event.command_id);
  out->TextOrNull("clock", IsSla(event.type) ? Name(event.clock) : std::string_view());
}

// An escalation asks what its record says (which names the criterion's and the rules' requests); any other event what
// the rules ask.
void WriteRequested(const EscalationRecord* record, const Case& c, DocumentWriter* out) {
  if (record && !record->requested.empty()) return out->Texts("requested", {record->requested});
  out->Texts("requested", c.requests);
}

// A channel of the case's own: `YYYY-MM-DD` is the day it opened (UTC), `<name>` its id.
std::string ChannelOf(std::string channel, const Case& c) {
  const std::pair<std::string_view, std::string> parts[] = {{"YYYY-MM-DD", FormatTimestamp(c.opened_at).substr(0, 10)},
                                                            {"<name>", ToString(c.id)}};
  for (const auto& [part, value] : parts) {
    if (const size_t at = channel.find(part); at != std::string::npos) channel.replace(at, part.size(), value);
  }
  return channel;
}

void WriteChannels(uint8_t level, const Case& c, const ReportContext& context, DocumentWriter* out) {
  std::vector<std::string> channels;
  const bool known = context.policy && level < context.policy->levels.size();
  if (known) channels = context.policy->levels[level].channels;
  for (std::string& channel : channels) channel = ChannelOf(std::move(channel), c);
  out->Texts("channels", channels);
}

void WriteData(const CaseEvent& event, const Case& c, const ReportContext& context, DocumentWriter* out) {
  const EscalationRecord* record = RecordOf(event, c);
  out->String("case_id", ToString(c.id));
  out->String("event", Name(event.type));
  out->Text("policy", c.policy);
  out->Text("policy_fingerprint", context.fingerprint);
  out->String("dedup_key", DedupKey(c, context.application_id));
  out->Unsigned("episode", c.episode);
  out->Unsigned("version", c.version);
  WriteStanding(event, c, context, out);
  WriteReason(event, out);
  WriteVerdict("verdict", c, out);
  if (event.type == CaseEventType::kVerdictChanged) out->VerdictOrNull("verdict_from", event.verdict_from);
  out->TextOrNull("classification", c.classification);
  out->TextOrNull("incident", c.incident);
  out->TimeOrNull("opened_at", c.opened_at);
  WriteCounts("counts", c, out);
  WriteFiveWs("five_ws", c, context, out);
  WriteRequested(record, c, out);
  WriteClocks("clocks", c, out);
  WriteEvidence("evidence", c, out);
  WriteChannels(event.level_to, c, context, out);
  out->Texts("tags", c.tags);
  out->TextOrNull("previous_case", c.previous_case);
  out->TextOrNull("resolution", c.resolution);
  if (record) WriteEscalation("escalation", *record, context, out);
  if (event.type == CaseEventType::kEscalated) WriteHandoff("handoff", c, record, context, event.at, out);
  WriteRoles("roles", c, out);
  WriteHolds(c, out);
  WriteFollowUps("follow_ups", c, out);
  if (context.ocsf) WriteOcsfIncidentFinding("ocsf", event, c, context, out);
  out->Truncated("truncated");
}

Envelope EnvelopeOf(const CaseEvent& event, const Case& c, const ReportContext& context) {
  Envelope envelope;
  envelope.sequence = TwentyDigits(event.sequence);
  envelope.subject = ToString(c.id);
  envelope.id = envelope.subject + "/" + envelope.sequence;
  envelope.type = (IsOwnType(event.type) ? "" : "case.") + std::string(Name(event.type));
  envelope.time = event.at;
  envelope.schema = "case-event.v1";
  envelope.partition_key = envelope.subject;
  envelope.severity_text = SeverityName(context, c.severity);
  envelope.traceparent = Traceparent(c);
  return envelope;
}

std::string Render(const Envelope& envelope, const CaseEvent& event, const Case& c, const ReportContext& context) {
  return EventText(envelope, context.application_id, kMaxEventBytes,
                   [&](DocumentWriter* out) { WriteData(event, c, context, out); });
}

}  // namespace

std::string CaseEventJson(const CaseEvent& event, const Case& c, const ReportContext& context) {
  return Render(EnvelopeOf(event, c, context), event, c, context);
}

OutputRecord CaseEventRecord(const CaseEvent& event, const Case& c, const ReportContext& context) {
  const Envelope envelope = EnvelopeOf(event, c, context);
  OutputRecord record;
  record.topic = OutputTopic::kEscalations;
  record.key = envelope.subject;
  record.value = Render(envelope, event, c, context);
  record.headers = EventHeaders(envelope, context.application_id);
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
  OutputRecord record;
  record.topic = OutputTopic::kEscalations;
  record.key = envelope.subject;
  record.value = EventText(envelope, context.application_id, kMaxEventBytes, [&](DocumentWriter* out) {
    out->Int("partition", partition);
    out->Text("policy_fingerprint", context.fingerprint);
  });
  record.headers = EventHeaders(envelope, context.application_id);
  return record;
}

}  // namespace triaged
