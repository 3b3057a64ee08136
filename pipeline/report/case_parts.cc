#include "pipeline/report/case_parts.h"

#include <algorithm>

#include "pipeline/base/hash.h"
#include "pipeline/base/utf8.h"
#include "pipeline/report/five_ws.h"

namespace triaged {
namespace {

constexpr size_t kMaxDedupKeyBytes = 255;

std::string Plural(uint64_t count, std::string_view noun) {
  std::string text = std::to_string(count) + " " + std::string(noun);
  if (count != 1) text += noun.ends_with('s') ? "es" : "s";
  return text;
}

Json DistinctJson(const DistinctSketch& sketch) {
  Json json;
  json["count"] = sketch.Count();
  json["exact"] = sketch.exact();
  return json;
}

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char ch) { return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f'); });
}

bool IsTraceparent(std::string_view text) {
  if (text.size() != 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const std::string_view trace = text.substr(3, 32), parent = text.substr(36, 16);
  const bool zero = trace.find_first_not_of('0') == trace.npos || parent.find_first_not_of('0') == parent.npos;
  return text.starts_with("00") && IsHex(trace) && IsHex(parent) && IsHex(text.substr(53)) && !zero;
}

// Distinct, in the order of weight: the case's own reason, then each rule's.
std::vector<std::string> VerdictReasons(const Case& c) {
  std::vector<std::string> reasons;
  if (!c.verdict_reason.empty()) reasons.push_back(c.verdict_reason);
  for (const RuleVote& vote : c.votes) {
    const bool speaks = vote.verdict == c.verdict && !vote.reason.empty();
    if (speaks && std::find(reasons.begin(), reasons.end(), vote.reason) == reasons.end())
      reasons.push_back(vote.reason);
  }
  return reasons;
}

// The detection that tells most: the rule that voted surest for the verdict, else what the sources call it.
std::string Headline(const Case& c) {
  const RuleVote* best = nullptr;
  for (const RuleVote& vote : c.votes) {
    if (vote.verdict != c.verdict || vote.title.empty()) continue;
    if (!best || vote.confidence > best->confidence) best = &vote;
  }
  if (best) return best->title;
  for (FieldId id : {field::kRuleName, field::kMessage, field::kEventAction}) {
    for (const Observed& seen : c.observed) {
      if (seen.field == id && !seen.value.empty()) return seen.value;
    }
  }
  return "unnamed detection";
}

}  // namespace

std::string ReportZone(const ReportContext& context) {
  return context.policy && !context.policy->report_zone.empty() ? context.policy->report_zone : "UTC";
}

Json CountsJson(const Case& c) {
  Json json;
  json["alerts"] = c.alert_count;
  json["suppressed"] = c.suppressed_count;
  json["hosts"] = DistinctJson(c.hosts);
  json["users"] = DistinctJson(c.users);
  json["source_addresses"] = DistinctJson(c.source_addresses);
  json["techniques"] = DistinctJson(c.techniques_seen);
  json["observed_dropped"] = c.observed_dropped;
  json["evidence_dropped"] = c.evidence_dropped;
  return json;
}

Json VerdictJson(const Case& c, Cutter* cut) {
  Json json;
  json["name"] = c.verdict == Verdict::kNone ? Json() : Json(std::string(Name(c.verdict)));
  json["ocsf_verdict_id"] = OcsfVerdictId(c.verdict);
  json["confidence"] = c.verdict_confidence;
  json["by"] = cut->TextOrNull(c.verdict_by);
  json["reason"] = cut->TextOrNull(c.verdict_reason);
  json["reasons"] = cut->Texts(VerdictReasons(c), "reasons");
  Json rules = Json::array();
  const size_t count = cut->Take(c.votes.size(), cut->budget().rules, "rules");
  for (size_t i = 0; i < count; ++i) {
    const RuleVote& vote = c.votes[i];
    Json rule;
    rule["id"] = cut->Text(vote.rule_id);
    rule["title"] = cut->Text(vote.title);
    rule["verdict"] = vote.verdict == Verdict::kNone ? Json() : Json(std::string(Name(vote.verdict)));
    rule["confidence"] = vote.confidence;
    rule["reason"] = cut->TextOrNull(vote.reason);
    rule["hits"] = vote.hits;
    rules.push_back(std::move(rule));
  }
  json["rules"] = std::move(rules);
  return json;
}

Json ClocksJson(const Case& c) {
  Json json = Json::object();
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const Clock& clock = c.clocks[i];
    Json& entry = json[std::string(Name(static_cast<ClockKind>(i)))];
    entry["state"] = Name(clock.state);
    entry["started"] = TimeOrNull(clock.started);
    const bool has_due = clock.state == ClockState::kRunning || clock.state == ClockState::kPaused;
    entry["due"] = has_due ? TimeOrNull(clock.due) : Json();
    entry["paused_at"] = clock.state == ClockState::kPaused ? TimeOrNull(clock.paused_at) : Json();
    entry["paused_total_ms"] = clock.paused_total.count();
    entry["ended"] = TimeOrNull(clock.ended);
    entry["at_risk"] = clock.at_risk_fired;
    entry["breached"] = clock.breached;
  }
  return json;
}

Json EvidenceJson(const Case& c, Cutter* cut) {
  // The first are the oldest and, after them, the most telling (decide/ keeps them so): the end goes first.
  Json list = Json::array();
  const size_t count = cut->Take(c.evidence.size(), cut->budget().evidence, "evidence");
  for (size_t i = 0; i < count; ++i) {
    const Evidence& evidence = c.evidence[i];
    Json entry;
    entry["topic"] = cut->Text(evidence.topic);
    entry["partition"] = evidence.partition;
    entry["offset"] = evidence.offset;
    entry["alert_id"] = cut->Text(evidence.alert_id);
    entry["event_time"] = TimeOrNull(evidence.event_time);
    entry["rule"] = cut->TextOrNull(evidence.rule_name);
    entry["message"] = cut->TextOrNull(evidence.message);
    entry["score"] = evidence.score < 0 ? Json() : Json(evidence.score);
    entry["verdict"] = evidence.verdict == Verdict::kNone ? Json() : Json(std::string(Name(evidence.verdict)));
    const size_t limit = cut->budget().excerpt_bytes;
    if (evidence.excerpt.size() > limit) cut->Mark("evidence.excerpt");
    entry["excerpt"] = limit == 0 ? Json() : Json(std::string(CutAtCodePoint(evidence.excerpt, limit)));
    entry["raw_kept"] = evidence.raw_slot.has_value();
    list.push_back(std::move(entry));
  }
  return list;
}

Json LevelJson(const ReportContext& context, uint8_t level, Cutter* cut) {
  Json json;
  json["index"] = level;
  json["name"] = cut->Text(LevelName(context, level));
  return json;
}

Json EscalationJson(const EscalationRecord& record, const ReportContext& context, Cutter* cut) {
  Json json;
  json["at"] = FormatTimestamp(record.at);
  json["from"] = LevelJson(context, record.from_level, cut);
  json["to"] = LevelJson(context, record.to_level, cut);
  json["passed"] = Json::array();
  for (uint8_t level : record.passed) json["passed"].push_back(LevelJson(context, level, cut));
  json["kind"] = Name(record.kind);
  json["reason"] = cut->Text(record.reason);
  json["requested"] = cut->TextOrNull(record.requested);
  json["from_assignee"] = cut->TextOrNull(record.from_assignee);
  json["to_assignee"] = cut->TextOrNull(record.to_assignee);
  json["to_team"] = cut->TextOrNull(record.to_team);
  json["nobody_on_shift"] = record.nobody_on_shift;
  json["rule_id"] = cut->TextOrNull(record.rule_id);
  return json;
}

Json EntriesJson(const std::vector<TimelineEntry>& entries, std::string_view what, Cutter* cut) {
  Json list = Json::array();
  const size_t count = cut->Take(entries.size(), cut->budget().notes, what);
  for (size_t i = entries.size() - count; i < entries.size(); ++i) {
    Json entry;
    entry["at"] = FormatTimestamp(entries[i].at);
    entry["what"] = cut->Text(entries[i].what);
    entry["by"] = entries[i].actor.empty() ? Json("triaged") : cut->Text(entries[i].actor);
    entry["text"] = cut->TextOrNull(entries[i].text);
    list.push_back(std::move(entry));
  }
  return list;
}

std::string Traceparent(const Case& c) {
  for (const Observed& seen : c.observed) {
    if (seen.field == field::kTraceparent && IsTraceparent(seen.value)) return seen.value;
  }
  return {};
}

std::string DedupKey(const Case& c, std::string_view application_id) {
  const std::string tail = ":" + ToString(c.id) + ":" + std::to_string(c.episode);
  std::string head(application_id);
  if (head.size() + tail.size() > kMaxDedupKeyBytes) {
    // Two long ids that begin alike must not share a key.
    const std::string hash = std::to_string(StableHash64(head));
    head = std::string(CutAtCodePoint(head, kMaxDedupKeyBytes - tail.size() - hash.size() - 1)) + "~" + hash;
  }
  return head + tail;
}

std::string Summary(const Case& c, const ReportContext& context) {
  std::string text = c.drill ? "DRILL: " : "";
  text += SeverityName(context, c.severity) + " case " + ToString(c.id) + ": " + Headline(c) + " (" +
          Plural(c.alert_count, "alert");
  if (c.hosts.Count() > 0) text += ", " + Plural(c.hosts.Count(), "host");
  if (c.users.Count() > 0) text += ", " + Plural(c.users.Count(), "user");
  if (c.source_addresses.Count() > 0) text += ", " + Plural(c.source_addresses.Count(), "source address");
  if (c.first_seen != Timestamp{}) {
    text += "; " + FormatTimestamp(c.first_seen) + " to " + FormatTimestamp(c.last_seen);
  }
  return text + ")";
}

std::vector<std::string> Concerns(const Case& c, const ReportContext& context, Timestamp now) {
  std::vector<std::string> concerns;
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const Clock& clock = c.clocks[i];
    const std::string kind(Name(static_cast<ClockKind>(i)));
    if (clock.breached) {
      concerns.push_back("the " + kind + " deadline was missed");
    } else if (clock.state == ClockState::kRunning && clock.due != Timestamp{}) {
      const std::string due = FormatTimestamp(clock.due);
      concerns.push_back((clock.at_risk_fired ? "the " + kind + " deadline is at risk: due " : kind + " due ") + due);
    }
  }
  if (!c.acknowledged && !c.escalations.empty() && c.escalations.back().nobody_on_shift) {
    const EscalationRecord& record = c.escalations.back();
    concerns.push_back(
        "nobody was on shift at " + LevelName(context, record.to_level) +
        (record.to_assignee.empty() ? std::string(": the case has no owner") : ": fell back to " + record.to_assignee));
  }
  if (!c.tactics.empty()) {
    std::string tactics;
    for (const std::string& tactic : c.tactics) tactics += (tactics.empty() ? "" : ", ") + tactic;
    concerns.push_back("attack tactics seen: " + tactics);
  }
  if (c.last_seen != Timestamp{} && now >= c.last_seen) {
    concerns.push_back("last alert " + FormatDuration(now - c.last_seen) + " ago");
  }
  if (c.reopen_count > 0) concerns.push_back("reopened " + Plural(c.reopen_count, "time"));
  for (std::string_view missing : MissingWs(c)) {
    concerns.push_back("unanswered: " + std::string(missing));
  }
  return concerns;
}

Json HandoffJson(const Case& c, const EscalationRecord* record, const ReportContext& context, Timestamp now,
                 Cutter* cut) {
  Json json;
  json["summary"] = cut->Text(Summary(c, context));
  json["status"] = Name(c.status);
  Json& verdict = json["verdict"];
  verdict["name"] = c.verdict == Verdict::kNone ? Json() : Json(std::string(Name(c.verdict)));
  verdict["confidence"] = c.verdict_confidence;
  verdict["by"] = cut->TextOrNull(c.verdict_by);
  verdict["why"] = cut->TextOrNull(c.verdict_reason);
  json["actions_taken"] = EntriesJson(c.timeline, "handoff.actions_taken", cut);
  json["actions_dropped"] = c.timeline_dropped;
  json["notes"] = EntriesJson(c.notes, "handoff.notes", cut);
  Json& impact = json["impact"];
  impact["hosts"] = c.hosts.Count();
  impact["users"] = c.users.Count();
  impact["source_addresses"] = c.source_addresses.Count();
  impact["techniques"] = c.techniques_seen.Count();
  impact["incident"] = cut->TextOrNull(c.incident);
  impact["classification"] = cut->TextOrNull(c.classification);
  json["immediate_concerns"] = cut->Texts(Concerns(c, context, now), "handoff.immediate_concerns");
  json["requested"] = cut->TextOrNull(record ? record->requested : std::string());
  return json;
}

}  // namespace triaged
