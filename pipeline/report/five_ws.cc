#include "pipeline/report/five_ws.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <iterator>

#include "pipeline/report/case_parts.h"

namespace triaged {
namespace {

using namespace field;

constexpr WField kWFields[] = {
    {kSourceUserName, W::kWho, "actors", true},
    {kEmailFrom, W::kWho, "actors", true},
    // ECS says "user" of whoever the event is about; it may be either side.
    {kUserName, W::kWho, "accounts", true},
    {kUserId, W::kWho, "accounts", true},
    {kUserEmail, W::kWho, "accounts", true},
    {kUserDomain, W::kWho, "accounts", false},
    {kUserFullName, W::kWho, "accounts", false},
    {kUserRoles, W::kWho, "accounts", false},
    {kIdentityName, W::kWho, "accounts", false},
    {kIdentityDepartment, W::kWho, "accounts", false},
    {kIdentityCriticality, W::kWho, "accounts", false},
    {kIdentityPrivileged, W::kWho, "accounts", false},
    {kIdentityVip, W::kWho, "accounts", false},
    {kUserTargetName, W::kWho, "victims", true},
    {kDestinationUserName, W::kWho, "victims", true},

    {kRuleName, W::kWhat, "detections", true},
    {kRuleId, W::kWhat, "detections", true},
    {kRuleDescription, W::kWhat, "detections", true},
    {kRuleCategory, W::kWhat, "detections", false},
    {kMessage, W::kWhat, "messages", true},
    {kEventReason, W::kWhat, "messages", true},
    {kEventAction, W::kWhat, "actions", true},
    {kEventOutcome, W::kWhat, "outcomes", false},
    {kProcessName, W::kWhat, "processes", true},
    {kProcessExecutable, W::kWhat, "processes", true},
    {kProcessCommandLine, W::kWhat, "processes", true},
    {kProcessHashSha256, W::kWhat, "processes", true},
    {kProcessHashMd5, W::kWhat, "processes", true},
    {kProcessParentName, W::kWhat, "processes", false},
    {kProcessParentExecutable, W::kWhat, "processes", false},
    {kProcessParentCommandLine, W::kWhat, "processes", false},
    {kFileName, W::kWhat, "files", true},
    {kFilePath, W::kWhat, "files", true},
    {kFileHashSha256, W::kWhat, "files", true},
    {kFileHashSha1, W::kWhat, "files", true},
    {kFileHashMd5, W::kWhat, "files", true},
    {kRegistryPath, W::kWhat, "registry", true},
    {kEmailSubject, W::kWhat, "mails", true},
    {kThreatIndicatorName, W::kWhat, "indicators", false},
    {kThreatFeedName, W::kWhat, "indicators", false},
    {kKnownGood, W::kWhat, "indicators", false},
    {kThreatTacticName, W::kWhat, "attack", false},
    {kThreatTacticId, W::kWhat, "attack", false},
    {kThreatTechniqueId, W::kWhat, "attack", false},
    {kThreatTechniqueName, W::kWhat, "attack", false},

    {kHostName, W::kWhere, "hosts", true},
    {kHostId, W::kWhere, "hosts", true},
    {kHostOs, W::kWhere, "hosts", false},
    {kAssetName, W::kWhere, "assets", false},
    {kAssetOwner, W::kWhere, "assets", false},
    {kAssetDepartment, W::kWhere, "assets", false},
    {kAssetCriticality, W::kWhere, "assets", false},
    {kAssetEnvironment, W::kWhere, "assets", false},
    {kAssetZone, W::kWhere, "zones", false},
    {kSourceZone, W::kWhere, "zones", false},
    {kDestinationZone, W::kWhere, "zones", false},
    {kNetworkName, W::kWhere, "zones", false},
    {kHostIp, W::kWhere, "addresses", true},
    {kHostMac, W::kWhere, "addresses", true},
    {kSourceIp, W::kWhere, "addresses", true},
    {kSourceAddress, W::kWhere, "addresses", true},
    {kDestinationIp, W::kWhere, "addresses", true},
    {kDestinationAddress, W::kWhere, "addresses", true},
    {kDestinationPort, W::kWhere, "addresses", false},
    {kSourceDomain, W::kWhere, "domains", true},
    {kDestinationDomain, W::kWhere, "domains", true},
    {kUrlDomain, W::kWhere, "domains", true},
    {kDnsQuestionName, W::kWhere, "domains", true},
    {kUrlFull, W::kWhere, "urls", true},
    {kCloudProvider, W::kWhere, "cloud", false},
    {kCloudAccountId, W::kWhere, "cloud", true},
    {kCloudRegion, W::kWhere, "cloud", true},
    {kCloudInstanceId, W::kWhere, "cloud", true},
    {kCloudResource, W::kWhere, "cloud", true},
    {kContainerName, W::kWhere, "containers", true},
    {kContainerId, W::kWhere, "containers", true},
    {kOrchestratorNamespace, W::kWhere, "containers", true},
    {kOrchestratorResource, W::kWhere, "containers", true},
    {kOrganizationId, W::kWhere, "organizations", false},
    {kObserverName, W::kWhere, "observers", true},
    {kObserverProduct, W::kWhere, "observers", false},
    {kObserverVendor, W::kWhere, "observers", false},
};

constexpr std::string_view kAlertFieldNames[] = {
#define TRIAGED_X(id, name) name,
    TRIAGED_ALERT_FIELDS(TRIAGED_X)
#undef TRIAGED_X
};

// For each field a bit per W that a value of it answers: criteria ask MissingWs for every alert.
constexpr auto kAnswers = [] {
  std::array<uint8_t, kAlertFieldCount> bits{};
  for (const WField& f : kWFields) {
    if (f.answers) bits[f.field] |= static_cast<uint8_t>(1u << static_cast<unsigned>(f.w));
  }
  return bits;
}();

bool HasObserved(const Case& c, W w) {
  return std::any_of(c.observed.begin(), c.observed.end(), [&](const Observed& seen) {
    return seen.field < kAlertFieldCount && !seen.value.empty() &&
           (kAnswers[seen.field] >> static_cast<unsigned>(w) & 1);
  });
}

bool NamesDetection(const Case& c) {
  return std::any_of(c.observed.begin(), c.observed.end(), [](const Observed& seen) {
    return !seen.value.empty() && (seen.field == kRuleName || seen.field == kRuleId || seen.field == kRuleDescription ||
                                   seen.field == kEventReason);
  });
}

void WriteObserved(const Observed& seen, DocumentWriter* out) {
  out->Object({}, [&] {
    out->String("field", AlertFieldName(seen.field));
    out->Text("value", seen.value);
    out->Unsigned("count", seen.count);
    out->Text("alert_id", seen.alert_id);
    out->TextOrNull("path", seen.path);
  });
}

std::bitset<kAlertFieldCount> FieldsWithValues(const Case& c) {
  std::bitset<kAlertFieldCount> present;
  for (const Observed& seen : c.observed) {
    if (seen.field < kAlertFieldCount && !seen.value.empty()) present.set(seen.field);
  }
  return present;
}

void WriteValues(const Case& c, FieldId id, DocumentWriter* out) {
  size_t shown = 0;
  for (const Observed& seen : c.observed) {
    if (seen.field != id || seen.value.empty()) continue;
    if (shown++ == out->budget().values) return out->Mark("five_ws");
    WriteObserved(seen, out);
  }
}

// The groups of `w`; one without values is left out. The table lists the fields of a group one after the other.
void WriteGroups(const Case& c, W w, DocumentWriter* out) {
  const auto present = FieldsWithValues(c);
  const auto end = std::end(kWFields);
  for (auto at = std::begin(kWFields); at != end && !out->overflow();) {
    const auto group_end =
        std::find_if(at, end, [&](const WField& f) { return f.w != at->w || std::string_view(f.group) != at->group; });
    const bool any = at->w == w && std::any_of(at, group_end, [&](const WField& f) { return present[f.field]; });
    if (any && out->budget().values == 0) {
      out->Mark("five_ws");
    } else if (any) {
      out->Array(at->group, [&] {
        for (auto f = at; f != group_end; ++f) {
          if (present[f->field]) WriteValues(c, f->field, out);
        }
      });
    }
    at = group_end;
  }
}

// An end of the span of time, with the alert that shows it while that alert is among the evidence.
void WriteInstant(std::string_view key, const Case& c, Timestamp t, const std::string& zone, DocumentWriter* out) {
  const auto at = std::find_if(c.evidence.begin(), c.evidence.end(),
                               [&](const Evidence& evidence) { return evidence.event_time == t; });
  out->Object(key, [&] {
    out->Time("value", t);
    out->String("local", FormatInZone(t, zone));
    out->TextOrNull("alert_id", at == c.evidence.end() ? std::string_view() : std::string_view(at->alert_id));
    // Normalised alerts keep the event time under this name; the source's own path is not stored for times.
    out->String("field", "@timestamp");
  });
}

void WriteSpan(std::string_view key, Duration span, DocumentWriter* out) {
  const Duration shown = std::max(span, Duration{0});
  out->Object(key, [&] {
    out->Int("ms", shown.count());
    out->String("text", FormatDuration(shown));
  });
}

void WriteWhen(const Case& c, const ReportContext& context, DocumentWriter* out) {
  const std::string zone = ReportZone(context);
  out->String("zone", zone);
  WriteInstant("first", c, c.first_seen, zone, out);
  WriteInstant("last", c, c.last_seen, zone, out);
  WriteSpan("duration", c.last_seen - c.first_seen, out);
  if (c.first_ingested == Timestamp{}) return out->Null("detection_delay");
  // Negative when a source's clock runs ahead of the broker's: shown as no delay.
  WriteSpan("detection_delay", c.first_ingested - c.first_seen, out);
}

void WriteWhat(const Case& c, DocumentWriter* out) {
  WriteGroups(c, W::kWhat, out);
  out->Array("rules", [&] {
    const size_t count = out->Take(c.votes.size(), out->budget().rules, "rules");
    for (size_t i = 0; i < count; ++i) {
      out->Object({}, [&] {
        out->Text("id", c.votes[i].rule_id);
        out->Text("title", c.votes[i].title);
        out->Unsigned("hits", c.votes[i].hits);
      });
    }
  });
  out->Texts("tactics", c.tactics);
  out->Texts("techniques", c.techniques);
  WriteCounts("counts", c, out);
}

// The format table's rule that gave the highest score: "rule.level >= 12", "severity = high", or a path alone, whose number
// it is. Empty when that score is of an alert that is no longer told apart.
std::string_view ScoreRule(const Case& c) {
  const std::string score = std::to_string(c.max_score);
  for (const Observed& seen : c.observed) {
    if (seen.field == kEventSeverity && seen.value == score) return seen.path;
  }
  return {};
}

void WriteWhySeverity(const Case& c, const ReportContext& context, DocumentWriter* out) {
  const auto at = std::find_if(c.evidence.begin(), c.evidence.end(), [&](const Evidence& evidence) {
    return c.max_score >= 0 && evidence.score == c.max_score;
  });
  std::string_view reason = c.max_score < 0
                                ? "no alert of this case states a score: the policy's default, or raised since"
                                : "the highest score of its alerts, or raised since";
  for (const TimelineEntry& entry : c.timeline) {
    if (entry.what == "severity_changed" && !entry.text.empty()) reason = entry.text;  // the latest stands
  }
  out->Object("severity", [&] {
    out->Text("name", SeverityName(context, c.severity));
    out->ScoreOrNull("max_score", c.max_score);
    out->TextOrNull("alert_id", at == c.evidence.end() ? std::string_view() : std::string_view(at->alert_id));
    out->String("field", "event.severity");
    out->TextOrNull("rule", ScoreRule(c));
    out->Text("reason", reason);
  });
}

void WriteWhy(const Case& c, const ReportContext& context, DocumentWriter* out) {
  WriteVerdict("verdict", c, out);
  WriteWhySeverity(c, context, out);
  out->Array("escalations", [&] {
    const size_t count = out->Take(c.escalations.size(), out->budget().list, "escalations");
    for (size_t i = c.escalations.size() - count; i < c.escalations.size(); ++i) {
      const EscalationRecord& record = c.escalations[i];
      out->Object({}, [&] {
        out->Time("at", record.at);
        out->Text("from", LevelName(context, record.from_level));
        out->Text("to", LevelName(context, record.to_level));
        out->String("kind", Name(record.kind));
        out->Text("reason", record.reason);
        out->TextOrNull("rule_id", record.rule_id);
      });
    }
  });
}

}  // namespace

std::string_view Name(W w) {
  constexpr std::string_view kNames[kWCount] = {"who", "what", "when", "where", "why"};
  return kNames[static_cast<size_t>(w)];
}

std::string_view UnknownReason(W w) {
  switch (w) {
    case W::kWho:
      return "no alert of this case names an account";
    case W::kWhat:
      return "no alert of this case names a detection, a message, an action, a process or a file";
    case W::kWhen:
      return "the case has no alert yet";
    case W::kWhere:
      return "no alert of this case names a host, an address, a domain or a cloud account";
    case W::kWhy:
      return "no rule has spoken, no verdict is justified, and no alert names the detection behind it";
  }
  return "";
}

std::span<const WField> WFields() { return kWFields; }

std::string_view AlertFieldName(FieldId id) {
  return id < kAlertFieldCount ? kAlertFieldNames[id] : std::string_view("unknown");
}

bool Answered(const Case& c, W w) {
  switch (w) {
    case W::kWho:
    case W::kWhere:
      return HasObserved(c, w);
    case W::kWhat:
      return !c.votes.empty() || HasObserved(c, w);
    case W::kWhen:
      return c.first_seen != Timestamp{};
    case W::kWhy:
      return !c.votes.empty() || (c.verdict != Verdict::kNone && !c.verdict_reason.empty()) || NamesDetection(c);
  }
  return false;
}

std::vector<std::string_view> MissingWs(const Case& c) {
  std::vector<std::string_view> missing;
  for (size_t i = 0; i < kWCount; ++i) {
    if (!Answered(c, static_cast<W>(i))) missing.push_back(Name(static_cast<W>(i)));
  }
  return missing;
}

void WriteFiveWs(std::string_view key, const Case& c, const ReportContext& context, DocumentWriter* out) {
  out->Object(key, [&] {
    for (size_t i = 0; i < kWCount; ++i) {
      const W w = static_cast<W>(i);
      const bool known = Answered(c, w);
      out->Object(Name(w), [&] {
        out->Bool("known", known);
        if (!known) return out->String("reason", UnknownReason(w));
        switch (w) {
          case W::kWho:
          case W::kWhere:
            return WriteGroups(c, w, out);
          case W::kWhat:
            return WriteWhat(c, out);
          case W::kWhen:
            return WriteWhen(c, context, out);
          case W::kWhy:
            return WriteWhy(c, context, out);
        }
      });
    }
  });
}

}  // namespace triaged
