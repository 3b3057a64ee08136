#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pipeline/base/utf8.h"
#include "pipeline/report/case_parts.h"
#include "pipeline/report/document.h"
#include "tests/unit/report_cases.h"

namespace triaged {
namespace {

using test::At;
using test::CaseDice;
using test::Context;
using test::EscalatedEvent;
using test::LargestCase;
using test::Seen;
using test::SocCase;
using PlainJson = nlohmann::json;

PlainJson EventOf(const CaseEvent& event, const Case& c) {
  return PlainJson::parse(CaseEventJson(event, c, Context()));
}

std::vector<std::string> Strings(const PlainJson& list) { return list.get<std::vector<std::string>>(); }

std::string HeaderOf(const OutputRecord& record, std::string_view name) {
  for (const Header& header : record.headers) {
    if (header.name == name) return header.value;
  }
  return "(none)";
}

using Names = std::vector<std::string_view>;

}  // namespace

TEST_CASE("report: an empty case answers no W, and says why") {
  Case c;
  CHECK(MissingWs(c) == Names{"who", "what", "when", "where", "why"});
  const PlainJson ws = EventOf(CaseEvent(), c)["data"]["five_ws"];
  REQUIRE(ws.size() == kWCount);
  for (const PlainJson& answer : ws) {
    INFO(answer.dump());
    CHECK(answer["known"] == false);
    CHECK(answer["reason"].get<std::string>().size() > 10);
    CHECK(answer.size() == 2);
  }
}

TEST_CASE("report: which values answer which W") {
  struct Row {
    FieldId field;
    Names missing;
  };
  const std::vector<Row> rows = {
      {field::kUserName, {"what", "when", "where", "why"}},
      {field::kDestinationUserName, {"what", "when", "where", "why"}},
      {field::kUserDomain, {"who", "what", "when", "where", "why"}},  // names nobody
      {field::kMessage, {"who", "when", "where", "why"}},
      {field::kRuleName, {"who", "when", "where"}},  // what fired is also why
      {field::kSourceIp, {"who", "what", "when", "why"}},
      {field::kCloudAccountId, {"who", "what", "when", "why"}},
      {field::kObserverVendor, {"who", "what", "when", "where", "why"}},  // no place
      {field::kTraceparent, {"who", "what", "when", "where", "why"}},
  };
  for (const Row& row : rows) {
    Case c;
    c.observed = {Seen(row.field, "x", "p")};
    INFO(std::string(AlertFieldName(row.field)));
    CHECK(MissingWs(c) == row.missing);
    c.observed[0].value.clear();
    CHECK(MissingWs(c).size() == kWCount);  // an empty value answers nothing
  }
  Case c;
  c.first_seen = At(0);
  CHECK(MissingWs(c) == Names{"who", "what", "where", "why"});
  c.votes = {{"r", "t", "", Verdict::kNone, 0, 1}};
  CHECK(MissingWs(c) == Names{"who", "where"});
  c.votes.clear();
  c.verdict = Verdict::kFalsePositive;
  c.verdict_reason = "a person looked";
  CHECK(MissingWs(c) == Names{"who", "what", "where"});
}

TEST_CASE("report: Five Ws of a real case carry values, counts and provenance") {
  const PlainJson ws = EventOf(EscalatedEvent(), SocCase())["data"]["five_ws"];
  const PlainJson& accounts = ws["who"]["accounts"];
  REQUIRE(accounts.size() == 2);
  CHECK(accounts[1] == PlainJson::parse(R"({"field":"user.name","value":"root","count":1,"alert_id":"a-2",
                                            "path":"winlog.user"})"));
  CHECK(ws["who"]["victims"][0]["value"] == "Administrator");
  CHECK_FALSE(ws["who"].contains("actors"));
  CHECK(ws["what"]["detections"][0]["path"] == "kibana.alert.rule.name");
  CHECK(ws["what"]["actions"][0]["count"] == 3);
  CHECK(ws["what"]["processes"][0]["value"] == "procdump.exe");
  CHECK(ws["what"]["rules"][0] == PlainJson::parse(R"({"id":"r-1","title":"Credential dumping","hits":2})"));
  CHECK(ws["what"]["counts"]["alerts"] == 3);
  CHECK(Strings(ws["what"]["techniques"]) == std::vector<std::string>{"T1003"});
  CHECK(ws["where"]["hosts"][0]["value"] == "db7");
  CHECK(ws["where"]["addresses"][0]["field"] == "source.ip");
  CHECK(ws["why"]["verdict"]["reason"] == "LSASS was read");
  CHECK(ws["why"]["severity"]["alert_id"] == "a-1");
  CHECK(ws["why"]["severity"]["max_score"] == 73);
  CHECK(ws["why"]["severity"]["rule"] == "kibana.alert.severity = high");
  CHECK(ws["why"]["escalations"][0]["reason"] == "remediation_required");
}

TEST_CASE("report: when, in UTC and on the team's wall clock") {
  Case c = SocCase();
  PlainJson when = EventOf(EscalatedEvent(), c)["data"]["five_ws"]["when"];
  CHECK(when["zone"] == "Europe/Berlin");
  CHECK(when["first"]["value"] == "2026-11-21T04:08:00.000Z");
  CHECK(when["first"]["local"] == "2026-11-21 05:08:00 CET");
  CHECK(when["first"]["alert_id"] == "a-1");
  CHECK(when["last"]["alert_id"] == "a-3");
  CHECK(when["duration"] == PlainJson::parse(R"({"ms":95000,"text":"1m35s"})"));
  CHECK(when["detection_delay"]["ms"] == 12000);
  // A source whose clock runs ahead makes no negative delay.
  c.first_ingested = At(-5);
  c.evidence.clear();
  when = EventOf(EscalatedEvent(), c)["data"]["five_ws"]["when"];
  CHECK(when["detection_delay"]["ms"] == 0);
  CHECK(when["first"]["alert_id"].is_null());
}

TEST_CASE("report: the event's envelope and its headers") {
  const Case c = SocCase();
  const OutputRecord record = CaseEventRecord(EscalatedEvent(), c, Context());
  CHECK(record.topic == OutputTopic::kEscalations);
  CHECK(record.partition == -1);
  CHECK(*record.key == "3-17");
  CHECK(*record.value == CaseEventJson(EscalatedEvent(), c, Context()));
  const PlainJson event = PlainJson::parse(*record.value);
  CHECK(event["specversion"] == "1.0");
  CHECK(event["id"] == "3-17/00000000000000000004");
  CHECK(event["source"] == "/triaged/test-app");
  CHECK(event["type"] == "io.triaged.case.escalated.v1");
  CHECK(event["subject"] == "3-17");
  CHECK(event["partitionkey"] == "3-17");
  CHECK(event["time"] == "2026-11-21T04:23:12.000Z");
  CHECK(event["sequence"] == "00000000000000000004");
  CHECK(event["severitytext"] == "high");
  CHECK(event["traceparent"] == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

  CHECK(record.headers.front() == Header{"content-type", "application/cloudevents+json; charset=UTF-8"});
  size_t attributes = 0;
  for (const auto& attribute : event.items()) {
    const std::string& name = attribute.key();
    if (name == "data" || name == "datacontenttype") continue;
    INFO(name);
    CHECK(HeaderOf(record, "ce_" + name) == attribute.value().get<std::string>());
    ++attributes;
  }
  CHECK(record.headers.size() == attributes + 1);
  for (const auto& [name, value] : event.items()) {  // CloudEvents 1.0.2, Attribute Naming Convention
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string::npos);
  }
}

TEST_CASE("report: a forged traceparent is left out") {
  for (const char* value : {"", "garbage", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
                            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                            "00-4bf92f3577b34da6a3ce929d0e0e473\n-00f067aa0ba902b7-01"}) {
    INFO(value);
    Case c;
    c.observed = {Seen(field::kTraceparent, value, "traceparent")};
    CHECK(Traceparent(c) == "");
    CHECK_FALSE(EventOf(CaseEvent(), c).contains("traceparent"));
  }
}

TEST_CASE("report: what an escalated event tells its receiver") {
  const PlainJson d = EventOf(EscalatedEvent(), SocCase())["data"];
  CHECK(d["severity"] == "high");
  CHECK(d["status"] == "escalated");
  CHECK(d["level"] == PlainJson::parse(R"({"from":{"index":0,"name":"L1"},"to":{"index":1,"name":"L2"}})"));
  CHECK(d["assignee"] == "grace");
  CHECK(d["team"] == "L2");
  CHECK(d["reason"] == "remediation_required");
  CHECK(d["verdict"]["name"] == "true_positive");
  CHECK(d["verdict"]["ocsf_verdict_id"] == 2);
  CHECK(d["verdict"]["confidence"] == 90);
  CHECK(Strings(d["verdict"]["reasons"]) == std::vector<std::string>{"LSASS was read"});
  CHECK(d["verdict"]["rules"].size() == 2);
  CHECK(Strings(d["requested"]) == std::vector<std::string>{"isolate db7"});
  CHECK(d["clocks"]["acknowledge"]["state"] == "running");
  CHECK(d["clocks"]["acknowledge"]["due"] == "2026-11-21T04:38:12.000Z");
  CHECK(d["clocks"]["resolve"]["due"].is_null());
  CHECK(d["evidence"][0]["offset"] == 100);
  CHECK(d["evidence"][0]["excerpt"] == R"({"host":{"name":"db7"}})");
  CHECK(Strings(d["channels"]) == std::vector<std::string>{"chat-L2"});
  CHECK(d["dedup_key"] == "test-app:3-17:1");
  CHECK(d["policy_fingerprint"] == "0123456789abcdef");
  CHECK(d["drill"] == false);
  CHECK(d["truncated"].empty());
  CHECK(d["escalation"]["from_assignee"] == "ada");
  CHECK(d["escalation"]["to_assignee"] == "grace");
  CHECK(d["escalation"]["requested"] == "isolate db7");
  CHECK(d["escalation"]["rule_id"] == "r-1");

  const PlainJson& handoff = d["handoff"];
  CHECK(handoff["summary"] ==
        "high case 3-17: Credential dumping (3 alerts, 1 host, 1 user; "
        "2026-11-21T04:08:00.000Z to 2026-11-21T04:09:35.000Z)");
  CHECK(handoff["verdict"]["why"] == "LSASS was read");
  REQUIRE(handoff["actions_taken"].size() == 3);
  CHECK(handoff["actions_taken"][0]["by"] == "triaged");
  CHECK(handoff["actions_taken"][1]["by"] == "ada");
  CHECK(handoff["actions_taken"][1]["text"] == "host still reachable");
  CHECK(handoff["requested"] == "isolate db7");
  CHECK(handoff["impact"]["hosts"] == 1);
  const auto concerns = Strings(handoff["immediate_concerns"]);
  CHECK(std::count(concerns.begin(), concerns.end(), "attack tactics seen: Credential Access") == 1);
  CHECK(std::count(concerns.begin(), concerns.end(), "last alert 13m37s ago") == 1);
}

TEST_CASE("report: only escalated events carry the record and the package; sla events name their clock") {
  CaseEvent event = EscalatedEvent();
  for (size_t type = 0; type < kCaseEventTypeCount; ++type) {
    event.type = static_cast<CaseEventType>(type);
    event.clock = ClockKind::kResolve;
    const PlainJson d = EventOf(event, SocCase())["data"];
    const bool escalated = event.type == CaseEventType::kEscalated;
    CHECK(d.contains("handoff") == escalated);
    CHECK(d.contains("escalation") == escalated);
    const bool sla = event.type == CaseEventType::kSlaAtRisk || event.type == CaseEventType::kSlaBreached;
    CHECK(d["clock"] == (sla ? PlainJson("resolve") : PlainJson()));
  }
}

TEST_CASE("report: an escalation asks what its record says, any other event what the rules ask") {
  Case c = SocCase();
  c.escalations[0].requested = "confirm with the owner; isolate db7";
  CHECK(Strings(EventOf(EscalatedEvent(), c)["data"]["requested"]) ==
        std::vector<std::string>{"confirm with the owner; isolate db7"});
  CaseEvent event = EscalatedEvent();
  event.type = CaseEventType::kRenotified;
  CHECK(Strings(EventOf(event, c)["data"]["requested"]) == std::vector<std::string>{"isolate db7"});
}

TEST_CASE("report: concerns name a broken deadline and an empty shift until somebody acknowledges") {
  Case c = SocCase();
  c.clocks[0].breached = true;
  c.escalations[0].nobody_on_shift = true;
  c.escalations[0].to_assignee.clear();
  auto has = [&](const char* text) {
    const auto concerns = Concerns(c, Context(), At(912));
    return std::count(concerns.begin(), concerns.end(), text) == 1;
  };
  CHECK(has("the acknowledge deadline was missed"));
  CHECK(has("nobody was on shift at L2: the case has no owner"));
  c.escalations[0].to_assignee = "ada";
  CHECK(has("nobody was on shift at L2: fell back to ada"));
  c.acknowledged = true;
  CHECK_FALSE(has("nobody was on shift at L2: fell back to ada"));
}

TEST_CASE("report: an escalation index that the bounded list outran is found by time and level") {
  Case c = SocCase();
  c.escalations.insert(c.escalations.begin(), c.escalations.front());
  c.escalations.front().at = At(1);
  c.escalations.front().reason = "older";
  CaseEvent event = EscalatedEvent();  // index 0, which is now another one
  CHECK(EventOf(event, c)["data"]["escalation"]["reason"] == "remediation_required");
  event.escalation = SIZE_MAX;
  CHECK(EventOf(event, c)["data"]["escalation"]["reason"] == "remediation_required");
}

TEST_CASE("report: the dedup key is per episode and never longer than 255 bytes") {
  Case c = SocCase();
  CHECK(DedupKey(c, "app") == "app:3-17:1");
  c.episode = 2;
  CHECK(DedupKey(c, "app") == "app:3-17:2");
  const std::string one = DedupKey(c, std::string(300, 'a') + "1"), two = DedupKey(c, std::string(300, 'a') + "2");
  CHECK(one.size() <= 255);
  CHECK(one.ends_with(":3-17:2"));
  CHECK(one != two);
}

TEST_CASE("report: events stay within their limit; evidence goes first, then values, then notes") {
  const std::string worst = CaseEventJson(EscalatedEvent(), LargestCase(), Context());
  CHECK(worst.size() <= kMaxEventBytes);
  const PlainJson d = PlainJson::parse(worst)["data"];
  const auto cut = Strings(d["truncated"]);
  for (const char* what : {"evidence", "evidence.excerpt", "five_ws", "handoff.actions_taken", "rules", "texts"}) {
    CHECK(std::count(cut.begin(), cut.end(), what) == 1);
  }
  CHECK(d["evidence"].size() == 1);
  CHECK(d["five_ws"]["who"]["known"] == true);

  Case c = SocCase();
  for (size_t i = 0; i < kMaxEvidence; ++i) {
    c.evidence.push_back(test::EvidenceOf(std::string(900, 'x'), 1, At(0)));
    c.evidence.back().message = std::string(kMaxTextBytes, 'm');
    c.evidence.back().topic = std::string(kMaxTextBytes, 't');
    c.evidence.back().excerpt = std::string(kMaxExcerptBytes, 'e');
  }
  c.evidence.resize(kMaxEvidence);
  c.notes.assign(20, {At(1), "note", "ada", std::string(600, 'n')});
  for (size_t i = 0; i < 16; ++i) c.observed.push_back(Seen(field::kUrlFull, std::string(100, 'u'), "url", 1));
  const PlainJson middle = EventOf(EscalatedEvent(), c)["data"];
  CHECK(middle["truncated"].dump() == R"(["evidence","evidence.excerpt"])");
  CHECK(middle["handoff"]["notes"].size() == 20);
  CHECK(middle["five_ws"]["where"]["urls"].size() == 16);
}

TEST_CASE("report: each rung of the ladder shows at most what the one before it showed") {
  const auto ladder = BudgetLadder();
  for (size_t i = 1; i < ladder.size(); ++i) {
    INFO("rung ", i);
    CHECK(ladder[i].evidence <= ladder[i - 1].evidence);
    CHECK(ladder[i].excerpt_bytes <= ladder[i - 1].excerpt_bytes);
    CHECK(ladder[i].values <= ladder[i - 1].values);
    CHECK(ladder[i].text_bytes <= ladder[i - 1].text_bytes);
    CHECK(ladder[i].notes <= ladder[i - 1].notes);
    CHECK(ladder[i].rules <= ladder[i - 1].rules);
    CHECK(ladder[i].list <= ladder[i - 1].list);
  }
  // Nothing but evidence is cut while evidence is left to cut.
  CHECK(ladder[2].values == ladder[0].values);
  CHECK(ladder[2].notes == ladder[0].notes);
}

TEST_CASE("report: cases between ordinary and largest stay within the limit, and say what is missing") {
  size_t whole = 0;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    INFO("seed ", seed);
    CaseDice dice(seed);
    Case c = LargestCase();
    auto shrink = [&](auto* list) { list->resize(dice.Below(dice.Below(list->size() + 1) + 1)); };
    shrink(&c.votes);
    shrink(&c.requests);
    shrink(&c.observed);
    shrink(&c.evidence);
    shrink(&c.timeline);
    shrink(&c.notes);
    shrink(&c.techniques);
    shrink(&c.tactics);
    c.tags.clear();
    const std::string json = CaseEventJson(EscalatedEvent(), c, Context());
    REQUIRE(json.size() <= kMaxEventBytes);
    const PlainJson d = PlainJson::parse(json)["data"];
    const auto cut = Strings(d["truncated"]);
    const bool evidence_cut = std::count(cut.begin(), cut.end(), "evidence") == 1;
    REQUIRE(evidence_cut == (d["evidence"].size() < c.evidence.size()));
    const bool actions_cut = std::count(cut.begin(), cut.end(), "handoff.actions_taken") == 1;
    REQUIRE(actions_cut == (d["handoff"]["actions_taken"].size() < c.timeline.size()));
    whole += cut.empty();
  }
  CHECK(whole < 60);
}

TEST_CASE("report: seeded cases give valid UTF-8, the same bytes twice, within the limit") {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    INFO("seed ", seed);
    CaseDice dice(seed);
    const Case c = dice.Draw();
    const CaseEvent event = dice.DrawEvent(c);
    const std::string json = CaseEventJson(event, c, Context());
    REQUIRE(IsValidUtf8(json));
    REQUIRE(json.size() <= kMaxEventBytes);
    REQUIRE(json == CaseEventJson(event, c, Context()));
    REQUIRE(json.find('\n') == std::string::npos);
    const std::string document = CaseDocumentJson(c, At(0), Context());
    REQUIRE(IsValidUtf8(document));
    REQUIRE(document == CaseDocumentJson(c, At(0), Context()));
  }
}

TEST_CASE("report: the case document holds the whole case") {
  const Case c = SocCase();
  const OutputRecord record = CaseDocumentRecord(c, At(1000), Context());
  CHECK(record.topic == OutputTopic::kCases);
  CHECK(*record.key == "3-17");
  CHECK(*record.value == CaseDocumentJson(c, At(1000), Context()));
  CHECK(HeaderOf(record, "ce_type") == "io.triaged.case.document.v1");
  const PlainJson document = PlainJson::parse(*record.value);
  CHECK(document["subject"] == "3-17");
  const PlainJson& d = document["data"];
  CHECK(d["key"] == "soc/host/db7");
  CHECK(d["version"] == 4);
  CHECK(d["level"]["name"] == "L2");
  CHECK(d["timeline"].size() == 3);
  CHECK(d["notes"][0]["text"] == "host still reachable");
  CHECK(d["escalations"][0]["kind"] == "criterion");
  CHECK(d["level_due"] == PlainJson::parse(R"([{"level":{"index":2,"name":"IR"},"due":"2026-11-21T06:08:12.000Z"}])"));
  CHECK(d["resolved_at"].is_null());
  CHECK(d["evidence"].size() == 2);
  Case later = c;
  ++later.alert_count;
  CHECK(PlainJson::parse(CaseDocumentJson(later, At(1000), Context()))["id"] != document["id"]);
  CHECK(CaseDocumentJson(LargestCase(), At(0), Context()).size() <= 512 * 1024);
}

TEST_CASE("report: heartbeat") {
  const OutputRecord record = HeartbeatRecord(3, 7, At(0), Context());
  CHECK(record.topic == OutputTopic::kEscalations);
  CHECK(*record.key == "partition/3");
  const PlainJson event = PlainJson::parse(*record.value);
  CHECK(event["type"] == "io.triaged.heartbeat.v1");
  CHECK(event["id"] == "heartbeat/3/00000000000000000007");
  CHECK(event["data"]["partition"] == 3);
  CHECK(HeaderOf(record, "ce_id") == event["id"].get<std::string>());
}

}  // namespace triaged
