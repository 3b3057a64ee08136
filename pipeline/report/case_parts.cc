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

void WriteDistinct(std::string_view key, const DistinctSketch& sketch, DocumentWriter* out) {
  out->Object(key, [&] {
    out->Unsigned("count", sketch.Count());
    out->Bool("exact", sketch.exact());
  });
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

void WriteCounts(std::string_view key, const Case& c, DocumentWriter* out) {
  out->Object(key, [&] {
    out->Unsigned("alerts", c.alert_count);
    out->Unsigned("suppressed", c.suppressed_count);
    WriteDistinct("hosts", c.hosts, out);
    WriteDistinct("users", c.users, out);
    WriteDistinct("source_addresses", c.source_addresses, out);
    WriteDistinct("techniques", c.techniques_seen, out);
    out->Unsigned("observed_dropped", c.observed_dropped);
    out->Unsigned("evidence_dropped", c.evidence_dropped);
  });
}

void WriteVerdict(std::string_view key, const Case& c, DocumentWriter* out) {
  out->Object(key, [&] {
    out->VerdictOrNull("name", c.verdict);
    out->Int("ocsf_verdict_id", OcsfVerdictId(c.verdict));
    out->Unsigned("confidence", c.verdict_confidence);
    out->TextOrNull("by", c.verdict_by);
    out->TextOrNull("reason", c.verdict_reason);
    out->Texts("reasons", VerdictReasons(c));
    out->Array("rules", [&] {
      const size_t count = out->Take(c.votes.size(), out->budget().rules, "rules");
      for (size_t i = 0; i < count; ++i) {
        const RuleVote& vote = c.votes[i];
        out->Object({}, [&] {
          out->Text("id", vote.rule_id);
          out->Text("title", vote.title);
          out->VerdictOrNull("verdict", vote.verdict);
          out->Unsigned("confidence", vote.confidence);
          out->TextOrNull("reason", vote.reason);
          out->Unsigned("hits", vote.hits);
        });
      }
    });
  });
}

void WriteClocks(std::string_view key, const Case& c, DocumentWriter* out) {
  out->Object(key, [&] {
    for (size_t i = 0; i < kClockKindCount; ++i) {
      const Clock& clock = c.clocks[i];
      // Acknowledge and resolve are always told; of the others those that the policy times.
      const bool always = i <= static_cast<size_t>(ClockKind::kResolve);
      if (!always && clock.state == ClockState::kIdle) continue;
      const bool paused = clock.state == ClockState::kPaused;
      const bool has_due = paused || clock.state == ClockState::kRunning;
      out->Object(Name(static_cast<ClockKind>(i)), [&] {
        out->String("state", Name(clock.state));
        out->TimeOrNull("started", clock.started);
        out->TimeOrNull("due", has_due ? clock.due : Timestamp{});
        out->TimeOrNull("paused_at", paused ? clock.paused_at : Timestamp{});
        out->Int("paused_total_ms", clock.paused_total.count());
        out->TimeOrNull("ended", clock.ended);
        out->Bool("at_risk", clock.at_risk_fired);
        out->Bool("breached", clock.breached);
      });
    }
  });
}

void WriteRoles(std::string_view key, const Case& c, DocumentWriter* out) {
  out->Array(key, [&] {
    for (const EngagedRole& role : c.roles) {
      out->Object({}, [&] {
        out->Text("name", role.name);
        out->TextOrNull("reason", role.reason);
        out->TextOrNull("person", role.person);
        out->TextOrNull("team", role.team);
        out->TimeOrNull("since", role.since);
        out->TextOrNull("handoff_to", role.handoff_person);
        out->TimeOrNull("handoff_due", role.handoff_due);
      });
    }
  });
}

void WriteFollowUps(std::string_view key, const Case& c, DocumentWriter* out) {
  out->Array(key, [&] {
    for (const FollowUp& follow_up : c.follow_ups) {
      out->Object({}, [&] {
        out->Text("name", follow_up.name);
        out->TextOrNull("text", follow_up.text);
        out->TimeOrNull("due", follow_up.due);
        out->TimeOrNull("done", follow_up.done);
        out->TextOrNull("done_by", follow_up.done_by);
        out->Bool("overdue", follow_up.overdue_fired);
      });
    }
  });
}

void WriteHolds(const Case& c, DocumentWriter* out) {
  out->Object("held", [&] {
    out->TextOrNull("by", c.held_by);
    out->TimeOrNull("since", c.held_since);
    out->TimeOrNull("until", c.held_until);
  });
  out->Object("silenced", [&] {
    out->TextOrNull("by", c.silenced_by);
    out->TimeOrNull("until", c.silenced_until);
  });
}

void WriteEvidence(std::string_view key, const Case& c, DocumentWriter* out) {
  // The first are the oldest and, after them, the most telling (decide/ keeps them so): the end goes first.
  out->Array(key, [&] {
    const size_t limit = out->budget().excerpt_bytes;
    const size_t count = out->Take(c.evidence.size(), out->budget().evidence, "evidence");
    for (size_t i = 0; i < count; ++i) {
      const Evidence& evidence = c.evidence[i];
      out->Object({}, [&] {
        out->Text("topic", evidence.topic);
        out->Int("partition", evidence.partition);
        out->Int("offset", evidence.offset);
        out->Text("alert_id", evidence.alert_id);
        out->TimeOrNull("event_time", evidence.event_time);
        out->TextOrNull("rule", evidence.rule_name);
        out->TextOrNull("message", evidence.message);
        out->ScoreOrNull("score", evidence.score);
        out->VerdictOrNull("verdict", evidence.verdict);
        if (evidence.excerpt.size() > limit) out->Mark("evidence.excerpt");
        out->TextOrNull("excerpt", CutAtCodePoint(evidence.excerpt, limit));
        out->Bool("raw_kept", evidence.raw_slot.has_value());
      });
    }
  });
}

void WriteLevel(std::string_view key, const ReportContext& context, uint8_t level, DocumentWriter* out) {
  out->Object(key, [&] {
    out->Unsigned("index", level);
    out->Text("name", LevelName(context, level));
  });
}

void WriteEscalation(std::string_view key, const EscalationRecord& record, const ReportContext& context,
                     DocumentWriter* out) {
  out->Object(key, [&] {
    out->Time("at", record.at);
    WriteLevel("from", context, record.from_level, out);
    WriteLevel("to", context, record.to_level, out);
    out->Array("passed", [&] {
      for (uint8_t level : record.passed) WriteLevel({}, context, level, out);
    });
    out->String("kind", Name(record.kind));
    out->Text("reason", record.reason);
    out->TextOrNull("requested", record.requested);
    out->TextOrNull("from_assignee", record.from_assignee);
    out->TextOrNull("to_assignee", record.to_assignee);
    out->TextOrNull("to_team", record.to_team);
    out->Bool("nobody_on_shift", record.nobody_on_shift);
    out->TextOrNull("rule_id", record.rule_id);
  });
}

void WriteEntries(std::string_view key, const std::vector<TimelineEntry>& entries, std::string_view what,
                  DocumentWriter* out) {
  out->Array(key, [&] {
    const size_t count = out->Take(entries.size(), out->budget().notes, what);
    for (size_t i = entries.size() - count; i < entries.size(); ++i) {
      const TimelineEntry& entry = entries[i];
      out->Object({}, [&] {
        out->Time("at", entry.at);
        out->Text("what", entry.what);
        out->Text("by", entry.actor.empty() ? "triaged" : std::string_view(entry.actor));
        out->TextOrNull("text", entry.text);
      });
    }
  });
}

std::string Traceparent(const Case& c) {
  for (const Observed& seen : c.observed) {
    if (seen.field == field::kTraceparent && IsTraceparent(seen.value)) return seen.value;
  }
  return {};
}

std::string JoinedKey(std::string_view head, std::string_view tail) {
  std::string key(head);
  if (head.size() + tail.size() > kMaxDedupKeyBytes) {
    const std::string hash = std::to_string(StableHash64(head));
    key = std::string(CutAtCodePoint(head, kMaxDedupKeyBytes - tail.size() - hash.size() - 1)) + "~" + hash;
  }
  return key.append(tail);
}

std::string DedupKey(const Case& c, std::string_view application_id) {
  return JoinedKey(application_id, ":" + ToString(c.id) + ":" + std::to_string(c.episode));
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

void WriteHandoff(std::string_view key, const Case& c, const EscalationRecord* record, const ReportContext& context,
                  Timestamp now, DocumentWriter* out) {
  out->Object(key, [&] {
    out->Text("summary", Summary(c, context));
    out->String("status", Name(c.status));
    out->Object("verdict", [&] {
      out->VerdictOrNull("name", c.verdict);
      out->Unsigned("confidence", c.verdict_confidence);
      out->TextOrNull("by", c.verdict_by);
      out->TextOrNull("why", c.verdict_reason);
    });
    WriteEntries("actions_taken", c.timeline, "handoff.actions_taken", out);
    out->Unsigned("actions_dropped", c.timeline_dropped);
    WriteEntries("notes", c.notes, "handoff.notes", out);
    out->Object("impact", [&] {
      out->Unsigned("hosts", c.hosts.Count());
      out->Unsigned("users", c.users.Count());
      out->Unsigned("source_addresses", c.source_addresses.Count());
      out->Unsigned("techniques", c.techniques_seen.Count());
      out->TextOrNull("incident", c.incident);
      out->TextOrNull("classification", c.classification);
    });
    out->Texts("immediate_concerns", Concerns(c, context, now));
    out->TextOrNull("requested", record ? std::string_view(record->requested) : std::string_view());
  });
}

}  // namespace triaged
