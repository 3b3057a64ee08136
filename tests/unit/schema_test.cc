// The shipped JSON Schemas against what report/ renders, and against documents that they must refuse.
#include <doctest/doctest.h>

#include <set>

#include "pipeline/model/command.h"
#include "tests/unit/report_cases.h"
#include "tests/unit/schema_file.h"

namespace triaged {
namespace {

using test::CaseDice;
using test::Context;
using test::EscalatedEvent;
using test::LargestCase;
using test::PlainJson;
using test::SchemaFile;
using test::SocCase;

// `document` with `pointer` set (or erased, when `value` is discarded).
PlainJson With(PlainJson document, const char* pointer, PlainJson value) {
  document[PlainJson::json_pointer(pointer)] = std::move(value);
  return document;
}
PlainJson Without(PlainJson document, const char* parent, const char* key) {
  REQUIRE(document[PlainJson::json_pointer(parent)].erase(key) == 1);
  return document;
}

}  // namespace

TEST_CASE("schema: every kind of event of a real case is valid") {
  const SchemaFile schema("case-event.v1");
  const Case c = SocCase();
  for (size_t type = 0; type < kCaseEventTypeCount; ++type) {
    CaseEvent event = EscalatedEvent();
    event.type = static_cast<CaseEventType>(type);
    INFO(std::string(Name(event.type)));
    CHECK(schema.Problems(CaseEventJson(event, c, Context())) == "");
  }
}

TEST_CASE("schema: the event schema names exactly the model's event types") {
  const SchemaFile schema("case-event.v1");
  std::set<std::string> shipped, model;
  for (const auto& type : schema.json()["properties"]["type"]["enum"]) shipped.insert(type);
  for (size_t i = 0; i < kCaseEventTypeCount; ++i) {
    const auto type = static_cast<CaseEventType>(i);
    model.insert((IsOwnType(type) ? "io.triaged." : "io.triaged.case.") + std::string(Name(type)) + ".v1");
  }
  CHECK(shipped == model);
}

TEST_CASE("schema: varied cases, events and documents are valid") {
  const SchemaFile event_schema("case-event.v1"), document_schema("case-document.v1");
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    INFO("seed ", seed);
    CaseDice dice(seed);
    const Case c = dice.Draw();
    const CaseEvent event = dice.DrawEvent(c);
    REQUIRE(event_schema.Problems(CaseEventJson(event, c, Context())) == "");
    REQUIRE(document_schema.Problems(CaseDocumentJson(c, dice.Time(), Context())) == "");
  }
}

TEST_CASE("schema: an empty case, one without a policy, and the largest one are valid") {
  const SchemaFile event_schema("case-event.v1"), document_schema("case-document.v1");
  Case empty;
  empty.key = empty.policy = "soc";
  ReportContext bare;
  bare.application_id = "a";
  CaseEvent opened;
  CHECK(event_schema.Problems(CaseEventJson(opened, empty, Context())) == "");
  CHECK(event_schema.Problems(CaseEventJson(opened, empty, bare)) == "");
  CHECK(document_schema.Problems(CaseDocumentJson(empty, test::At(0), bare)) == "");
  CHECK(event_schema.Problems(CaseEventJson(EscalatedEvent(), LargestCase(), Context())) == "");
  CHECK(document_schema.Problems(CaseDocumentJson(LargestCase(), test::At(0), Context())) == "");
}

TEST_CASE("schema: wrong events are refused") {
  const SchemaFile schema("case-event.v1");
  const PlainJson good = PlainJson::parse(CaseEventJson(EscalatedEvent(), SocCase(), Context()));
  REQUIRE(schema.Problems(good) == "");
  const std::vector<std::pair<const char*, PlainJson>> wrong = {
      {"/specversion", "0.3"},
      {"/extra", 1},
      {"/type", "io.triaged.case.unknown.v1"},
      {"/sequence", "4"},
      {"/time", "2026-11-21 04:08:00"},
      {"/traceparent", "00-xyz"},
      {"/data/unknown", 1},
      {"/data/status", "done"},
      {"/data/case_id", "17"},
      {"/data/verdict/ocsf_verdict_id", 3},
      {"/data/verdict/confidence", 101},
      {"/data/verdict/name", ""},
      {"/data/level/to", "L2"},
      {"/data/clocks/acknowledge/state", "late"},
      {"/data/clock", "resolve"},  // not an sla event
      {"/data/dedup_key", std::string(256, 'x')},
      {"/data/five_ws/who", {{"known", false}}},                  // no reason
      {"/data/five_ws/who", {{"known", true}, {"reason", "x"}}},  // both
      {"/data/five_ws/who/accounts/0/alert_id", ""},              // no provenance
      {"/data/evidence/0/offset", "100"},
      {"/data/escalation/kind", "because"},
      {"/data/requested", "isolate"},
  };
  for (const auto& change : wrong) {
    INFO(change.first);
    CHECK_FALSE(schema.Accepts(With(good, change.first, change.second)));
  }
  CHECK_FALSE(schema.Accepts(Without(good, "/data", "handoff")));  // an escalation without its package
  CHECK_FALSE(schema.Accepts(Without(good, "/data", "escalation")));
  CHECK_FALSE(schema.Accepts(Without(good, "/data/five_ws", "why")));
  CHECK_FALSE(schema.Accepts(Without(good, "/data/five_ws/where/hosts/0", "path")));
  CHECK_FALSE(schema.Accepts(With(good, "/type", "io.triaged.case.closed.v1")));  // carries a hand-off
}

TEST_CASE("schema: wrong case documents are refused") {
  const SchemaFile schema("case-document.v1");
  const PlainJson good = PlainJson::parse(CaseDocumentJson(SocCase(), test::At(1000), Context()));
  REQUIRE(schema.Problems(good) == "");
  CHECK_FALSE(schema.Accepts(Without(good, "/data", "timeline")));
  CHECK_FALSE(schema.Accepts(With(good, "/data/timeline/0/by", nullptr)));
  CHECK_FALSE(schema.Accepts(With(good, "/data/opened_at", 17)));
  CHECK_FALSE(schema.Accepts(With(good, "/data/level_due/0/due", nullptr)));
  CHECK_FALSE(schema.Accepts(With(good, "/data/balance", 1)));
  CHECK_FALSE(schema.Accepts(With(good, "/type", "io.triaged.case.opened.v1")));
}

TEST_CASE("schema: heartbeats") {
  const SchemaFile schema("heartbeat.v1");
  const PlainJson good = PlainJson::parse(*HeartbeatRecord(3, 7, test::At(0), Context()).value);
  CHECK(schema.Problems(good) == "");
  CHECK_FALSE(schema.Accepts(Without(good, "/data", "partition")));
  CHECK_FALSE(schema.Accepts(With(good, "/data/partition", -1)));
  CHECK_FALSE(schema.Accepts(With(good, "/sequence", "7")));
}

TEST_CASE("schema: dead letters of any bytes") {
  const SchemaFile schema("dead-letter.v1");
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    INFO("seed ", seed);
    CaseDice dice(seed);
    const std::string key = dice.Text(30), value = dice.Text(90'000), header = dice.Text(2'000);
    InputRecord input;
    input.topic = "alerts";
    input.offset = static_cast<int64_t>(dice.Below(1'000'000));
    input.timestamp = dice.Time();
    if (dice.Chance(70)) input.key = key;
    if (dice.Chance(80)) input.value = value;
    for (size_t i = dice.Below(100); i > 0; --i) input.headers.push_back({"h", header});
    const OutputRecord record = DeadLetterRecord(input, "invalid_json", dice.Text(3000), "intake");
    REQUIRE(schema.Problems(DeadLetterJson(record, "test-app")) == "");
  }
  InputRecord input;
  input.topic = "alerts";
  const PlainJson good = PlainJson::parse(DeadLetterJson(DeadLetterRecord(input, "empty_value", "m", "decide"), "a"));
  REQUIRE(schema.Problems(good) == "");
  CHECK_FALSE(schema.Accepts(With(good, "/data/reason", "Not Enum")));
  CHECK_FALSE(schema.Accepts(With(good, "/data/stage", "later")));
  CHECK_FALSE(schema.Accepts(With(good, "/data/value_base64", "AA==")));  // beside "value"
  CHECK_FALSE(schema.Accepts(Without(good, "/data", "value")));
  CHECK_FALSE(schema.Accepts(With(good, "/data/truncated", {"value", "value"})));
}

TEST_CASE("schema: commands are judged as ParseCommand judges them") {
  const SchemaFile schema("command.v1");
  const std::string head = R"({"id":"c-1","case_id":"3-17","actor":"ada","role":"l1","action":)";
  const std::vector<std::string> tails = {
      R"("ack"})",
      R"("ack","arguments":{}})",
      R"("ack","arguments":{"reason":"x"}})",
      R"("assign"})",
      R"("assign","arguments":{"to":""}})",
      R"("assign","arguments":{"to":"grace"}})",
      R"("verdict","arguments":{"verdict":"true_positive","confidence":80,"reason":"seen"}})",
      R"("verdict","arguments":{"verdict":"maybe"}})",
      R"("verdict","arguments":{"verdict":"true_positive","confidence":101}})",
      R"("verdict","arguments":{"reason":"seen"}})",
      R"("set-severity","arguments":{"severity":"high"}})",
      R"("set-severity","arguments":{"severity":""}})",
      R"("escalate","arguments":{"reason":"needs_expertise","to":"IR"}})",
      R"("escalate","arguments":{"to":"IR"}})",
      R"("escalate"})",
      R"("de-escalate","arguments":{"reason":"contained"}})",
      R"("note","arguments":{"text":"a\nb"}})",
      R"("note","arguments":{"text":""}})",
      R"("classify","arguments":{"incident":"major"}})",
      R"("classify","arguments":{}})",
      R"("classify"})",
      R"("classify","arguments":{"incident":"huge"}})",
      R"("wait","arguments":{"reason":""}})",
      R"("hold","arguments":{"reason":"vendor"}})",
      R"("resume"})",
      R"("resolve","arguments":{"reason":""}})",
      R"("confirm","arguments":{"answer":"confirmed_fixed"}})",
      R"("confirm","arguments":{"answer":"yes"}})",
      R"("close"})",
      R"("reopen","arguments":{"text":"x"}})",
      R"("merge","arguments":{}})",
      R"("ack","expected_version":4,"time":"2026-11-21T04:08:00Z"})",
      R"("ack","expected_version":-1})",
      R"("ack","expected_version":"4"})",
      R"("ack","unknown":1})",
  };
  size_t accepted = 0;
  for (const std::string& tail : tails) {
    const std::string text = head + tail;
    INFO(text);
    const bool parses = ParseCommand(text).ok();
    CHECK(schema.Accepts(PlainJson::parse(text)) == parses);
    accepted += parses;
  }
  CHECK(accepted == 16);
  CHECK_FALSE(schema.Accepts(PlainJson::parse(R"({"id":"c-1","case_id":"3-17","actor":"ada","role":"l1"})")));
  CHECK_FALSE(
      schema.Accepts(PlainJson::parse(R"({"id":"c","case_id":"007-1","actor":"a","role":"l","action":"ack"})")));
}

TEST_CASE("schema: normalised alerts") {
  const SchemaFile schema("normalised-alert.v1");
  const PlainJson good = PlainJson::parse(R"({"@timestamp":"2026-11-21T04:08:00.000Z","event.id":"a-1",
    "event.severity":73,"host.ip":["10.0.0.1","10.0.0.2"],"source.port":443,"user.name":"root",
    "triaged.format":"elastic","triaged.severity":"high","triaged.is_alert":true})");
  CHECK(schema.Problems(good) == "");
  CHECK(schema.Problems(std::string(R"({"triaged.error":{"reason":"invalid_json"}})")) == "");
  CHECK_FALSE(schema.Accepts(With(good, "/event.severity", 101)));
  CHECK_FALSE(schema.Accepts(With(good, "/host.ip", PlainJson::array())));
  CHECK_FALSE(schema.Accepts(With(good, "/user.name", {{"name", "root"}})));
  CHECK_FALSE(schema.Accepts(With(good, "/win.eventdata", "x")));
  CHECK_FALSE(schema.Accepts(With(good, "/triaged.severity", "severe")));
  CHECK_FALSE(schema.Accepts(Without(good, "", "event.id")));
  CHECK_FALSE(schema.Accepts(With(good, "/triaged.error", {{"reason", "invalid_json"}})));

  std::set<std::string> shipped, model;
  for (const auto& [name, type] : schema.json()["oneOf"][0]["properties"].items()) shipped.insert(name);
// What the baseline says is added when an alert is decided on; no normalised alert has it.
#define TRIAGED_X(id, name) if (!IsBaselineField(field::id)) model.insert(name);
  TRIAGED_ALERT_FIELDS(TRIAGED_X)
#undef TRIAGED_X
  CHECK(shipped == model);
}

}  // namespace triaged
