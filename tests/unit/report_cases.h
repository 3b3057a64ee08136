// Cases for the tests of report/: a policy by hand, one case as an analyst would meet it, seeded varied ones, and the
// largest that the model's limits allow.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/model/case.h"
#include "pipeline/model/case_event.h"
#include "pipeline/report/five_ws.h"
#include "pipeline/report/report.h"

namespace triaged::test {

inline const Policy& ReportPolicy() {
  static const Policy policy = [] {
    Policy p;
    p.name = "soc";
    p.severities = {{"critical", 80}, {"high", 60}, {"medium", 30}, {"low", 0}};
    for (const char* name : {"L1", "L2", "IR"}) {
      LevelSpec level;
      level.name = name;
      level.team = name;
      level.channels = {std::string("chat-") + name};
      p.levels.push_back(level);
    }
    p.report_zone = "Europe/Berlin";
    return p;
  }();
  return policy;
}

inline ReportContext Context() {
  ReportContext context;
  context.policy = &ReportPolicy();
  context.application_id = "test-app";
  context.fingerprint = "0123456789abcdef";
  return context;
}

inline Timestamp At(int64_t seconds) { return FromUnixMillis((1'795'234'080 + seconds) * 1000); }  // 2026-11-21T04:08Z

inline Observed Seen(FieldId field, std::string value, std::string path, uint64_t count = 1,
                     std::string alert = "a-1") {
  return {field, count, std::move(value), std::move(alert), std::move(path)};
}

inline Evidence EvidenceOf(std::string alert_id, int64_t offset, Timestamp at) {
  Evidence evidence;
  evidence.topic = "alerts";
  evidence.partition = 2;
  evidence.offset = offset;
  evidence.alert_id = std::move(alert_id);
  evidence.event_time = at;
  evidence.rule_name = "LSASS memory read";
  evidence.message = "procdump on db7";
  evidence.score = 73;
  evidence.verdict = Verdict::kTruePositive;
  evidence.excerpt = R"({"host":{"name":"db7"}})";
  evidence.raw_slot = 0;
  return evidence;
}

// Credential dumping on db7, escalated to L2.
inline Case SocCase() {
  Case c;
  c.id = {3, 17};
  c.key = "soc/host/db7";
  c.policy = "soc";
  c.version = 4;
  c.next_event = 5;
  c.status = CaseStatus::kEscalated;
  c.severity = 1;
  c.level = 1;
  c.assignee = "grace";
  c.team = "L2";
  c.verdict = Verdict::kTruePositive;
  c.verdict_confidence = 90;
  c.verdict_by = "rules";
  c.verdict_reason = "LSASS was read";
  c.votes = {{"r-1", "Credential dumping", "LSASS was read", Verdict::kTruePositive, 90, 2},
             {"r-2", "Admin tool", "seen on admin hosts", Verdict::kFalsePositive, 40, 1}};
  c.requests = {"isolate db7"};
  c.alert_count = 3;
  c.first_seen = At(0);
  c.last_seen = At(95);
  c.first_ingested = At(12);
  c.max_score = 73;
  c.hosts.Add(1);
  c.users.Add(2);
  c.tactics = {"Credential Access"};
  c.techniques = {"T1003"};
  c.observed = {Seen(field::kEventAction, "process_start", "event.action", 3),
                Seen(field::kEventSeverity, "73", "kibana.alert.severity = high", 3),
                Seen(field::kRuleName, "LSASS memory read", "kibana.alert.rule.name", 3),
                Seen(field::kHostName, "db7", "host.name", 3),
                Seen(field::kUserName, "svc_backup", "user.name", 2),
                Seen(field::kUserName, "root", "winlog.user", 1, "a-2"),
                Seen(field::kUserTargetName, "Administrator", "user.target.name"),
                Seen(field::kSourceIp, "10.0.0.9", "source.ip"),
                Seen(field::kProcessName, "procdump.exe", "process.name"),
                Seen(field::kTraceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "traceparent")};
  c.evidence = {EvidenceOf("a-1", 100, At(0)), EvidenceOf("a-3", 102, At(95))};
  c.opened_at = c.episode_at = At(12);
  c.level_at = c.updated_at = At(912);
  c.episode = 1;
  Clock& clock = c.clocks[0];
  clock.state = ClockState::kRunning;
  clock.started = At(912);
  clock.due = At(1812);
  c.level_due[2] = At(7212);
  EscalationRecord record;
  record.at = At(912);
  record.from_level = 0;
  record.to_level = 1;
  record.reason = "remediation_required";
  record.requested = "isolate db7";
  record.from_assignee = "ada";
  record.to_assignee = "grace";
  record.to_team = "L2";
  record.rule_id = "r-1";
  c.escalations = {record};
  c.escalation_count = 1;
  c.timeline = {{At(12), "opened", "", "first alert"},
                {At(300), "note", "ada", "host still reachable"},
                {At(912), "escalated", "", "to L2: remediation_required"}};
  c.notes = {{At(300), "note", "ada", "host still reachable"}};
  return c;
}

inline CaseEvent EscalatedEvent() {
  CaseEvent event;
  event.type = CaseEventType::kEscalated;
  event.sequence = 4;
  event.at = At(912);
  event.reason = "remediation_required";
  event.level_from = 0;
  event.level_to = 1;
  event.severity_from = 1;
  event.escalation = 0;
  return event;
}

// Draws texts that are hard to render: quotes, controls, other scripts, broken UTF-8, empty and long ones.
class CaseDice {
 public:
  explicit CaseDice(uint32_t seed) : random_(seed) {}

  size_t Below(size_t n) { return random_() % n; }
  bool Chance(int percent) { return Below(100) < static_cast<size_t>(percent); }

  std::string Text(size_t longest) {
    static const std::vector<std::string> kParts = {"a",   "\"",   "\\",   "\n",       std::string(1, '\0'), "\x1f",
                                                    "é",   "日本", "\xff", "\xe2\x82", "\xed\xa0\x80",       "`",
                                                    "<b>", "|",    "://",  "😀"};
    std::string text;
    const size_t size = Below(longest + 1);
    while (text.size() < size) text += kParts[Below(kParts.size())];
    text.resize(size);  // may break the last character
    return text;
  }
  std::string Id() { return "i" + Text(20); }
  Timestamp Time() { return At(static_cast<int64_t>(Below(100'000))); }
  Timestamp TimeOrNone() { return Chance(30) ? Timestamp{} : Time(); }

  Case Draw() {
    Case c;
    c.id = {static_cast<int32_t>(Below(100)), Below(1'000'000)};
    c.key = c.policy = "soc";
    c.status = static_cast<CaseStatus>(Below(kCaseStatusCount));
    c.severity = static_cast<uint8_t>(Below(5));  // the policy has four: an index may outlive its policy
    c.level = static_cast<uint8_t>(Below(4));
    c.verdict = static_cast<Verdict>(Below(5));
    c.verdict_confidence = static_cast<uint8_t>(Below(101));
    for (std::string* text : {&c.assignee, &c.team, &c.verdict_by, &c.verdict_reason, &c.classification, &c.resolution,
                              &c.close_rule, &c.paused_status_reason, &c.acknowledged_by}) {
      if (Chance(60)) *text = Text(80);
    }
    c.incident = std::vector<std::string>{"", "none", "minor", "major"}[Below(4)];
    c.drill = Chance(20);
    c.max_score = static_cast<int16_t>(Below(102)) - 1;
    for (size_t i = Below(5); i > 0; --i) c.votes.push_back({Id(), Text(50), Text(90), c.verdict, 50, Below(9)});
    for (size_t i = Below(4); i > 0; --i) c.requests.push_back(Id());
    for (size_t i = Below(300); i > 0; --i) c.hosts.Add(random_());
    const auto fields = WFields();
    for (size_t i = Below(60); i > 0; --i) {
      c.observed.push_back(Seen(fields[Below(fields.size())].field, Text(100), Text(30), 1 + Below(9), Id()));
    }
    for (size_t i = Below(kMaxEvidence + 1); i > 0; --i) {
      c.evidence.push_back(EvidenceOf(Id(), static_cast<int64_t>(i), TimeOrNone()));
      c.evidence.back().excerpt = Text(kMaxExcerptBytes);
    }
    for (Timestamp* t : {&c.first_seen, &c.last_seen, &c.first_ingested, &c.opened_at, &c.resolved_at, &c.next_due,
                         &c.pause_started, &c.acknowledged_at, &c.level_due[1], &c.level_due[2]}) {
      *t = TimeOrNone();
    }
    for (Clock& clock : c.clocks) {
      clock.state = static_cast<ClockState>(Below(4));
      clock.started = TimeOrNone();
      clock.due = TimeOrNone();
      clock.breached = Chance(30);
    }
    for (size_t i = Below(4); i > 0; --i) {
      EscalationRecord record;
      record.at = Time();
      record.to_level = static_cast<uint8_t>(Below(4));
      record.passed = {1};
      record.kind = static_cast<EscalationKind>(Below(4));
      record.reason = Id();
      record.requested = Chance(50) ? Id() : "";
      record.nobody_on_shift = Chance(50);
      c.escalations.push_back(record);
    }
    for (size_t i = Below(20); i > 0; --i) c.timeline.push_back({Time(), Id(), Chance(50) ? Id() : "", Text(200)});
    for (size_t i = Below(5); i > 0; --i) c.notes.push_back({Time(), "note", Id(), Text(kMaxTextBytes)});
    return c;
  }

  CaseEvent DrawEvent(const Case& c) {
    CaseEvent event;
    event.type = static_cast<CaseEventType>(Below(kCaseEventTypeCount));
    event.sequence = random_();
    event.at = Time();
    event.reason = Id();
    event.actor = Chance(50) ? Id() : "";
    event.level_to = static_cast<uint8_t>(Below(4));
    event.severity_from = static_cast<uint8_t>(Below(4));
    event.verdict_from = static_cast<Verdict>(Below(5));
    if (event.type == CaseEventType::kEscalated) {
      if (c.escalations.empty())
        event.type = CaseEventType::kOpened;
      else
        event.escalation = c.escalations.size() - 1;
    }
    if (event.type == CaseEventType::kEscalated) {
      event.at = c.escalations.back().at;
      event.level_to = c.escalations.back().to_level;
    }
    return event;
  }

 private:
  std::mt19937 random_;
};

// Every list and text at its limit, filled with the byte that grows most in JSON.
inline Case LargestCase() {
  const std::string longest(kMaxTextBytes, '\x01');
  Case c = SocCase();
  c.key = c.policy = c.assignee = c.team = c.verdict_by = c.verdict_reason = c.classification = longest;
  c.resolution = c.close_rule = c.paused_status_reason = c.acknowledged_by = c.previous_case = longest;
  c.votes.assign(kMaxCaseRules, {longest, longest, longest, Verdict::kTruePositive, 90, 9});
  for (size_t i = 0; i < c.votes.size(); ++i) c.votes[i].reason.replace(0, 4, std::to_string(1000 + i));
  c.requests.assign(64, longest);
  c.tags.assign(kMaxTechniques, longest);
  c.sources.assign(kMaxSources, longest);
  c.techniques.assign(kMaxTechniques, longest);
  c.tactics.assign(kMaxTechniques, longest);
  c.criteria_fired.assign(64, longest);
  c.observed.clear();
  for (FieldId id = 0; id < field::kAlertFieldCount; ++id) {
    for (size_t i = 0; i < kMaxObservedPerField; ++i) c.observed.push_back(Seen(id, longest, longest, 1, longest));
  }
  Evidence evidence = EvidenceOf(longest, 1, At(0));
  evidence.topic = evidence.rule_name = evidence.message = longest;
  evidence.excerpt = std::string(kMaxExcerptBytes, '\x01');
  c.evidence.assign(kMaxEvidence, evidence);
  EscalationRecord record = c.escalations.front();
  record.passed.assign(kMaxCaseLevels, 1);
  record.reason = record.requested = record.from_assignee = record.to_assignee = record.to_team = longest;
  record.rule_id = longest;
  c.escalations.assign(kMaxEscalations, record);
  c.timeline.assign(kMaxTimeline, {At(1), longest, longest, longest});
  c.notes.assign(kMaxNotes, {At(1), longest, longest, longest});
  return c;
}

}  // namespace triaged::test
