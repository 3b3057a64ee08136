#include "pipeline/report/five_ws.h"

#include <algorithm>
#include <array>

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
    {kThreatTacticName, W::kWhat, "attack", false},
    {kThreatTacticId, W::kWhat, "attack", false},
    {kThreatTechniqueId, W::kWhat, "attack", false},
    {kThreatTechniqueName, W::kWhat, "attack", false},

    {kHostName, W::kWhere, "hosts", true},
    {kHostId, W::kWhere, "hosts", true},
    {kHostOs, W::kWhere, "hosts", false},
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

Json Unknown(W w) {
  Json json;
  json["known"] = false;
  json["reason"] = UnknownReason(w);
  return json;
}

Json ObservedJson(const Observed& seen, Cutter* cut) {
  Json json;
  json["field"] = AlertFieldName(seen.field);
  json["value"] = cut->Text(seen.value);
  json["count"] = seen.count;
  json["alert_id"] = cut->Text(seen.alert_id);
  json["path"] = cut->TextOrNull(seen.path);
  return json;
}

// Adds the groups of `w` to `json`; a group without values is left out.
void AddObserved(const Case& c, W w, Cutter* cut, Json* json) {
  for (const WField& f : kWFields) {
    if (f.w != w) continue;
    size_t shown = 0;
    for (const Observed& seen : c.observed) {
      if (seen.field != f.field || seen.value.empty()) continue;
      if (shown == cut->budget().values) {
        cut->Mark("five_ws");
        break;
      }
      (*json)[f.group].push_back(ObservedJson(seen, cut));
      ++shown;
    }
  }
}

// An end of the span of time, with the alert that shows it while that alert is among the evidence.
Json Instant(const Case& c, Timestamp t, const ReportContext& context, Cutter* cut) {
  Json json;
  json["value"] = FormatTimestamp(t);
  json["local"] = FormatInZone(t, ReportZone(context));
  const auto at = std::find_if(c.evidence.begin(), c.evidence.end(),
                               [&](const Evidence& evidence) { return evidence.event_time == t; });
  json["alert_id"] = at == c.evidence.end() ? Json() : cut->Text(at->alert_id);
  // Normalised alerts keep the event time under this name; the source's own path is not stored for times.
  json["field"] = "@timestamp";
  return json;
}

Json Span(Duration span) {
  const Duration shown = std::max(span, Duration{0});
  Json json;
  json["ms"] = shown.count();
  json["text"] = FormatDuration(shown);
  return json;
}

Json When(const Case& c, const ReportContext& context, Cutter* cut) {
  Json json;
  json["known"] = true;
  json["zone"] = ReportZone(context);
  json["first"] = Instant(c, c.first_seen, context, cut);
  json["last"] = Instant(c, c.last_seen, context, cut);
  json["duration"] = Span(c.last_seen - c.first_seen);
  // Negative when a source's clock runs ahead of the broker's: shown as no delay.
  json["detection_delay"] = c.first_ingested == Timestamp{} ? Json() : Span(c.first_ingested - c.first_seen);
  return json;
}

Json What(const Case& c, Cutter* cut) {
  Json json;
  json["known"] = true;
  AddObserved(c, W::kWhat, cut, &json);
  Json rules = Json::array();
  const size_t count = cut->Take(c.votes.size(), cut->budget().rules, "rules");
  for (size_t i = 0; i < count; ++i) {
    rules.push_back(
        {{"id", cut->Text(c.votes[i].rule_id)}, {"title", cut->Text(c.votes[i].title)}, {"hits", c.votes[i].hits}});
  }
  json["rules"] = std::move(rules);
  json["tactics"] = cut->Texts(c.tactics, "tactics");
  json["techniques"] = cut->Texts(c.techniques, "techniques");
  json["counts"] = CountsJson(c);
  return json;
}

Json WhySeverity(const Case& c, const ReportContext& context, Cutter* cut) {
  Json json;
  json["name"] = cut->Text(SeverityName(context, c.severity));
  json["max_score"] = c.max_score < 0 ? Json() : Json(c.max_score);
  const auto at = std::find_if(c.evidence.begin(), c.evidence.end(), [&](const Evidence& evidence) {
    return c.max_score >= 0 && evidence.score == c.max_score;
  });
  json["alert_id"] = at == c.evidence.end() ? Json() : cut->Text(at->alert_id);
  json["field"] = "event.severity";
  std::string reason = c.max_score < 0 ? "no alert of this case states a score: the policy's default, or raised since"
                                       : "the highest score of its alerts, or raised since";
  for (const TimelineEntry& entry : c.timeline) {
    if (entry.what == "severity_changed") reason = entry.text;  // the latest stands
  }
  json["reason"] = cut->Text(reason);
  return json;
}

Json Why(const Case& c, const ReportContext& context, Cutter* cut) {
  Json json;
  json["known"] = true;
  json["verdict"] = VerdictJson(c, cut);
  json["severity"] = WhySeverity(c, context, cut);
  Json escalations = Json::array();
  const size_t count = cut->Take(c.escalations.size(), cut->budget().list, "escalations");
  for (size_t i = c.escalations.size() - count; i < c.escalations.size(); ++i) {
    const EscalationRecord& record = c.escalations[i];
    Json entry;
    entry["at"] = FormatTimestamp(record.at);
    entry["from"] = cut->Text(LevelName(context, record.from_level));
    entry["to"] = cut->Text(LevelName(context, record.to_level));
    entry["kind"] = Name(record.kind);
    entry["reason"] = cut->Text(record.reason);
    entry["rule_id"] = cut->TextOrNull(record.rule_id);
    escalations.push_back(std::move(entry));
  }
  json["escalations"] = std::move(escalations);
  return json;
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

Json FiveWsJson(const Case& c, const ReportContext& context, Cutter* cut) {
  Json json;
  for (size_t i = 0; i < kWCount; ++i) {
    const W w = static_cast<W>(i);
    Json& answer = json[std::string(Name(w))];
    if (!Answered(c, w)) {
      answer = Unknown(w);
    } else if (w == W::kWhat) {
      answer = What(c, cut);
    } else if (w == W::kWhen) {
      answer = When(c, context, cut);
    } else if (w == W::kWhy) {
      answer = Why(c, context, cut);
    } else {
      answer["known"] = true;
      AddObserved(c, w, cut, &answer);
    }
  }
  return json;
}

}  // namespace triaged
