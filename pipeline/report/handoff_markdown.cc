// The hand-off package as Markdown. Everything that came from outside is shown in code spans or escaped, on one line:
// a host called "\n# Closed" must not write headings, and no address in an alert may become a link to click.
#include <algorithm>

#include "pipeline/base/utf8.h"
#include "pipeline/report/case_parts.h"
#include "pipeline/report/five_ws.h"
#include "pipeline/report/report.h"

namespace triaged {
namespace {

// One line: line breaks and other control characters become spaces, and so do the marks that turn the direction of
// text round (U+202A-202E, U+2066-2069), with which a file name can show another ending than it has.
std::string OneLine(std::string_view raw) {
  const std::string text = SanitiseUtf8(raw);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0xE2 && i + 2 < text.size()) {
      const auto second = static_cast<unsigned char>(text[i + 1]), third = static_cast<unsigned char>(text[i + 2]);
      const bool line = second == 0x80 && (third == 0xA8 || third == 0xA9);
      const bool turns =
          (second == 0x80 && third >= 0xAA && third <= 0xAE) || (second == 0x81 && third >= 0xA6 && third <= 0xA9);
      if (line || turns) {
        out += ' ';
        i += 2;
        continue;
      }
    }
    out += byte < 0x20 || byte == 0x7F ? ' ' : text[i];
  }
  return out;
}

// A code span: the fence is one backtick longer than any run inside (CommonMark, 6.1).
std::string Code(std::string_view raw) {
  const std::string text = OneLine(raw);
  size_t longest = 0, run = 0;
  for (char ch : text) {
    run = ch == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  const std::string pad = text.empty() || text.front() == '`' || text.back() == '`' ? " " : "";
  return fence + pad + text + pad + fence;
}

// Plain text: whatever starts markup or a link is escaped. A colon in front of "//" is, so that no bare URL links.
std::string Plain(std::string_view raw) {
  const std::string text = OneLine(raw);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool scheme = text[i] == ':' && text.compare(i, 3, "://") == 0;
    if (scheme || std::string_view("\\`*_[]<>#|~&@!").find(text[i]) != std::string_view::npos) out += '\\';
    out += text[i];
  }
  return out;
}

std::string Or(std::string_view text, std::string_view fallback) {
  return text.empty() ? std::string(fallback) : Plain(text);
}

void Line(std::string* out, std::string_view label, const std::string& text) {
  *out += "- **" + std::string(label) + "**: " + text + "\n";
}

void Standing(const Case& c, const ReportContext& context, std::string* out) {
  Line(out, "Severity", Plain(SeverityName(context, c.severity)));
  Line(out, "Status", Plain(Name(c.status)));
  Line(out, "Level", Plain(LevelName(context, c.level)));
  Line(out, "Owner", Or(c.assignee, "nobody") + ", team " + Or(c.team, "none"));
  if (c.verdict == Verdict::kNone) {
    Line(out, "Verdict", "none yet");
  } else {
    Line(out, "Verdict",
         Plain(Name(c.verdict)) + " (" + std::to_string(c.verdict_confidence) + " %, by " + Or(c.verdict_by, "nobody") +
             "): " + Or(c.verdict_reason, "no reason given"));
  }
  Line(out, "Policy", Plain(c.policy) + " " + Code(context.fingerprint));
}

void WObserved(const Case& c, W w, std::string* out) {
  for (const WField& f : WFields()) {
    if (f.w != w) continue;
    std::string values;
    for (const Observed& seen : c.observed) {
      if (seen.field != f.field || seen.value.empty()) continue;
      if (!values.empty()) values += ", ";
      values += Code(seen.value) + " x" + std::to_string(seen.count) + " (alert " + Code(seen.alert_id);
      values += (seen.path.empty() ? "" : ", " + Code(seen.path)) + ")";
    }
    if (!values.empty()) Line(out, AlertFieldName(f.field), values);
  }
}

void When(const Case& c, const ReportContext& context, std::string* out) {
  const std::string zone = ReportZone(context);
  auto instant = [&](Timestamp t) { return FormatTimestamp(t) + " (" + Plain(FormatInZone(t, zone)) + ")"; };
  auto span = [](Duration d) { return FormatDuration(std::max(d, Duration{0})); };
  Line(out, "First", instant(c.first_seen));
  Line(out, "Last", instant(c.last_seen));
  Line(out, "Duration", span(c.last_seen - c.first_seen));
  if (c.first_ingested != Timestamp{}) Line(out, "Detection delay", span(c.first_ingested - c.first_seen));
}

void Why(const Case& c, const ReportContext& context, std::string* out) {
  for (const RuleVote& vote : c.votes) {
    std::string text = Plain(vote.title) + ", hits: " + std::to_string(vote.hits);
    if (vote.verdict != Verdict::kNone) {
      text += ", says " + Plain(Name(vote.verdict)) + " at " + std::to_string(vote.confidence) + " %";
    }
    if (!vote.reason.empty()) text += ": " + Plain(vote.reason);
    Line(out, "Rule " + Code(vote.rule_id), text);
  }
  for (const EscalationRecord& record : c.escalations) {
    Line(out, "Escalated " + FormatTimestamp(record.at),
         Plain(LevelName(context, record.from_level)) + " to " + Plain(LevelName(context, record.to_level)) + ": " +
             Plain(record.reason));
  }
}

void FiveWs(const Case& c, const ReportContext& context, std::string* out) {
  constexpr std::string_view kTitles[kWCount] = {"Who", "What", "When", "Where", "Why"};
  for (size_t i = 0; i < kWCount; ++i) {
    const W w = static_cast<W>(i);
    *out += "\n### " + std::string(kTitles[i]) + "\n\n";
    if (!Answered(c, w)) {
      *out += "Unknown: " + std::string(UnknownReason(w)) + ".\n";
      continue;
    }
    if (w == W::kWhen) When(c, context, out);
    WObserved(c, w, out);
    if (w == W::kWhy) Why(c, context, out);
    if (w == W::kWhat && !c.techniques.empty()) {
      std::string list;
      for (const std::string& technique : c.techniques) list += (list.empty() ? "" : ", ") + Code(technique);
      Line(out, "ATT&CK techniques", list);
    }
  }
}

void Entries(std::string_view title, const std::vector<TimelineEntry>& entries, uint64_t dropped, std::string* out) {
  *out += "\n## " + std::string(title) + "\n\n";
  if (dropped > 0) *out += "- " + std::to_string(dropped) + " older entries are not kept\n";
  for (const TimelineEntry& entry : entries) {
    *out += "- " + FormatTimestamp(entry.at) + " " + Or(entry.actor, "triaged") + ": " + Plain(entry.what);
    *out += (entry.text.empty() ? "" : ": " + Plain(entry.text)) + "\n";
  }
  if (entries.empty()) *out += "None.\n";
}

void EvidenceList(const Case& c, std::string* out) {
  *out += "\n## Evidence\n\n";
  for (const Evidence& evidence : c.evidence) {
    *out += "- " +
            Code(evidence.topic + "/" + std::to_string(evidence.partition) + "@" + std::to_string(evidence.offset)) +
            " alert " + Code(evidence.alert_id) + ", " + FormatTimestamp(evidence.event_time);
    if (!evidence.rule_name.empty()) *out += ", " + Plain(evidence.rule_name);
    *out += "\n";
    if (!evidence.excerpt.empty()) *out += "  " + Code(evidence.excerpt) + "\n";
  }
  if (c.evidence_dropped > 0) *out += "- " + std::to_string(c.evidence_dropped) + " more alerts are only counted\n";
  if (c.evidence.empty()) *out += "None.\n";
}

}  // namespace

std::string HandoffMarkdown(const Case& c, const ReportContext& context, Timestamp now) {
  std::string out = "# Hand-off: case " + ToString(c.id) + (c.drill ? " (DRILL)" : "") + "\n\n";
  out += Plain(Summary(c, context)) + "\n\n";
  Standing(c, context, &out);

  out += "\n## Requested\n\n";
  std::vector<std::string> requests = c.requests;
  if (!c.escalations.empty() && !c.escalations.back().requested.empty()) requests = {c.escalations.back().requested};
  for (const std::string& request : requests) out += "- " + Plain(request) + "\n";
  if (requests.empty()) out += "Nothing in particular: validate, analyse, and close or escalate.\n";

  out += "\n## Immediate concerns\n\n";
  const auto concerns = Concerns(c, context, now);
  for (const std::string& concern : concerns) out += "- " + Plain(concern) + "\n";
  if (concerns.empty()) out += "None.\n";

  out += "\n## Impact\n\n";
  Line(&out, "Alerts", std::to_string(c.alert_count));
  Line(&out, "Hosts", std::to_string(c.hosts.Count()));
  Line(&out, "Users", std::to_string(c.users.Count()));
  Line(&out, "Source addresses", std::to_string(c.source_addresses.Count()));
  Line(&out, "Incident",
       Or(c.incident, "not classified") + (c.classification.empty() ? "" : ", " + Plain(c.classification)));

  out += "\n## Five Ws\n";
  FiveWs(c, context, &out);
  Entries("Actions taken", c.timeline, c.timeline_dropped, &out);
  Entries("Notes", c.notes, 0, &out);
  EvidenceList(c, &out);
  return out;
}

}  // namespace triaged
