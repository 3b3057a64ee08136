// What a format table can say, on small tables of our own; the shipped ones have fixtures (formats_test.cc).
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipeline/normalise/normaliser.h"

namespace triaged {
namespace {

using Json = nlohmann::json;

constexpr Timestamp kRecordTime = FromUnixMillis(1'772'438'400'000);  // 2026-03-02T08:00:00Z

struct OwnTables {
  FieldCatalog catalog{FieldCatalog::Taxonomy::kAlert};
  Diagnostics diagnostics;
  std::shared_ptr<const FormatTables> tables;

  explicit OwnTables(const std::vector<SourceFile>& files) { tables = FormatTables::Compile(files, catalog, &diagnostics); }
  explicit OwnTables(const std::string& text) : OwnTables({SourceFile{"table.yaml", text}}) {}

  Json Normal(std::string_view record, std::string_view format = {}) {
    INFO(diagnostics.Render());
    REQUIRE(tables);
    Normaliser normaliser(tables, {});
    REQUIRE_FALSE(normaliser.Normalise(record, format, kRecordTime).has_value());
    return Json::parse(NormalisedJson(normaliser.alert(), catalog));
  }
};

Json Notes(const Json& alert) { return alert.value("triaged.notes", Json::array()); }
bool Noted(const Json& alert, std::string_view note) {
  const Json notes = Notes(alert);
  return std::find(notes.begin(), notes.end(), note) != notes.end();
}

TEST_CASE("format tables: a variant is its format with parts of its own") {
  OwnTables own(
      "format: base\nunder: [body]\nmarkers: [base]\nid: no\nfields: {host.name: host, user.name: user}\nseverity: [{path: level}]\n"
      "constants: {observer.vendor: Base}\n"
      "---\n"
      "format: x\nextends: base\nunder: [body]\nmarkers: [kind]\nfields: {source.ip: here, destination.ip: there}\n"
      "variants:\n"
      "  - when: {path: kind, equals: [outbound]}\n    fields: {source.ip: there, destination.ip: here}\n"
      "  - when: [[far, {path: kind, equals: [both]}]]\n    severity: [{path: level, words: {'1': 99, '2': 73}}]\n    state: far\n"
      "---\n"
      "format: other\nfallback: true\n");
  const Json plain = own.Normal(R"({"kind":"in","here":"192.0.2.1","there":"192.0.2.2","level":1,"no":7})");
  CHECK(plain["source.ip"] == "192.0.2.1");
  CHECK(plain["event.severity"] == 1);
  const Json outbound = own.Normal(R"({"body":{"kind":"outbound","here":"192.0.2.1","there":"192.0.2.2","host":"h","level":1,"no":7}})");
  CHECK(outbound["source.ip"] == "192.0.2.2");
  CHECK(outbound["destination.ip"] == "192.0.2.1");
  CHECK(outbound["event.severity"] == 1);  // what it does not say is its table's, and what that does not say its base's
  CHECK(outbound["host.name"] == "h");
  CHECK(outbound["event.id"] == "7");
  CHECK(outbound["observer.vendor"] == "Base");
  CHECK(outbound["triaged.format"] == "x");
  const Json both = own.Normal(R"({"kind":"both","far":"yes","here":"192.0.2.1","level":1})");
  CHECK(both["event.severity"] == 99);
  CHECK(both["triaged.state"] == "yes");
  CHECK(both["source.ip"] == "192.0.2.1");
  CHECK(own.Normal(R"({"kind":"outbound","there":"192.0.2.2"})", "x")["source.ip"] == "192.0.2.2");  // also when the format is set
  CHECK(own.Normal(R"({"kind":"outbound","there":"192.0.2.2","base":1})", "base").value("source.ip", "none") == "none");
}

TEST_CASE("format tables: a list of all sources, of techniques without the parents of those that are there") {
  OwnTables own(
      "format: x\nfallback: true\nfields:\n  threat.technique.id: {all: [a.sub.id, a.id, more]}\n  tags: {all: [one, two]}\n"
      "  event.category: [one, two]\n");
  const Json alert = own.Normal(
      R"({"a":[{"id":"T1110","sub":{"id":"T1110.001"}},{"id":"T1078"}],"more":"T1110.002","one":["x","y"],"two":["y","z"]})");
  CHECK(alert["threat.technique.id"] == Json({"T1110.001", "T1078", "T1110.002"}));
  CHECK(alert["tags"] == Json({"x", "y", "z"}));
  CHECK(alert["event.category"] == Json({"x", "y"}));
}

TEST_CASE("format tables: the scale of a stranger's severity is guessed, and that is said") {
  OwnTables own("format: x\nfallback: true\nseverity: [{path: severity, guess_scale: true, words: {Bad: 99, 'true': 73}}]\n");
  const auto score = [&](const std::string& value) {
    const Json alert = own.Normal("{\"severity\":" + value + "}");
    return std::pair(alert.value("event.severity", -1), Noted(alert, "severity_scale_guessed"));
  };
  CHECK(score("10") == std::pair(99, true));
  CHECK(score("9.0") == std::pair(99, true));
  CHECK(score("\"8\"") == std::pair(73, true));
  CHECK(score("5") == std::pair(47, true));
  CHECK(score("1") == std::pair(21, true));
  CHECK(score("0.87") == std::pair(87, true));
  CHECK(score("0.99") == std::pair(99, true));
  CHECK(score("1.0") == std::pair(100, true));
  CHECK(score("0") == std::pair(0, false));
  CHECK(score("11") == std::pair(11, false));
  CHECK(score("100") == std::pair(100, false));
  CHECK(score("\"bad\"") == std::pair(99, false));
  CHECK(score("\"\\tBAD\\n\"") == std::pair(99, false));
  CHECK(score("true") == std::pair(73, false));
  for (const char* illegal : {"101", "-1", "\"NaN\"", "\"inf\"", "\"high\""}) {
    CAPTURE(illegal);
    CHECK(score(illegal) == std::pair(-1, false));
    CHECK(Noted(own.Normal("{\"severity\":" + std::string(illegal) + "}"), "illegal_severity"));
  }
}

TEST_CASE("format tables: a time that no alert can have is passed over") {
  OwnTables own("format: x\nfallback: true\ntime: [first, second]\n");
  for (const char* first : {R"("0001-01-01T00:00:00Z")", R"("1970-01-01T00:00:00Z")", R"("1601-01-01T00:00:00Z")", R"("9999-12-31T23:59:59Z")", "0"}) {
    CAPTURE(first);
    const Json alert = own.Normal("{\"first\":" + std::string(first) + R"(,"second":"2026-03-01T10:00:00Z"})");
    CHECK(alert["@timestamp"] == "2026-03-01T10:00:00.000Z");
    CHECK_FALSE(Noted(alert, "bad_event_time"));
    const Json alone = own.Normal("{\"first\":" + std::string(first) + "}");
    CHECK(alone["@timestamp"] == "2026-03-02T08:00:00.000Z");
    CHECK(Noted(alone, "bad_event_time"));
  }
  CHECK(own.Normal(R"({"first":"2099-01-01T00:00:00Z"})")["@timestamp"] == "2099-01-01T00:00:00.000Z");  // a wrong clock
}

TEST_CASE("format tables: a word for nobody is no name") {
  OwnTables own("format: x\nfallback: true\nfields: {user.name: [user, login], event.outcome: outcome, host.name: {path: host, match: '.+'}}\n");
  for (const char* word : {"unknown", "Unknown", "\n", "\r\n", "N/A", "na", "NaN", "(none)", "undefined", "-", " unknown "}) {
    CAPTURE(word);
    const Json alert = own.Normal(Json{{"user", word}, {"login", "eve"}, {"host", word}, {"outcome", "unknown"}}.dump());
    CHECK(alert["user.name"] == "eve");
    CHECK_FALSE(alert.contains("host.name"));
    CHECK(alert["event.outcome"] == "unknown");
    CHECK_FALSE(own.Normal(Json{{"user", word}}.dump()).contains("user.name"));
  }
  CHECK(own.Normal(R"({"user":["unknown","eve"]})")["user.name"] == "eve");
  CHECK_FALSE(own.Normal("{\"user\":\"\\u0000\"}").contains("user.name"));
  for (const char* name : {"unknownsky", "Na", "Nan"}) CHECK(own.Normal(Json{{"user", name}}.dump())["user.name"] == name);
  OwnTables part("format: x\nfallback: true\nfields: {user.name: [{path: text, match: 'user=(.*)'}, login], source.ip: address}\n");
  for (const char* text : {"user=unknown", "user=-", "user="}) {
    CAPTURE(text);
    CHECK(part.Normal(Json{{"text", text}, {"login", "eve"}}.dump())["user.name"] == "eve");
  }
  CHECK_FALSE(part.Normal(R"({"address":"unknown"})").contains("source.address"));
}

TEST_CASE("format tables: an alert that a courier packed into a text is the record") {
  OwnTables own(
      "format: inner\nmarkers: [kind]\nid: no\ntime: time\nfields: {host.name: host, message: detail.what}\n"
      "embedded: [{path: detail, shape: json}]\nnot_alert: [{path: kind, equals: [event]}]\n"
      "---\n"
      "format: other\nfallback: true\nid: mid\ntime: time\npacked: [Message, log]\nseverity: [{path: severity}]\n"
      "fields: {message: [Message, log], host.name: host, rule.name: rule}\n");
  const std::string inner = R"({"kind":"k","no":5,"host":"victim","time":"2026-03-02T07:00:00Z","detail":"{\"what\":\"w\"}"})";
  // The courier's own names are not the alert's, where they are the same ones either.
  const Json alert = own.Normal(Json{{"mid", "m1"}, {"host", "relay"}, {"time", "2026-03-02T07:59:00Z"}, {"Message", inner}}.dump());
  CHECK(alert["triaged.format"] == "inner");
  CHECK(alert["event.id"] == "5");
  CHECK(alert["host.name"] == "victim");
  CHECK(alert["message"] == "w");
  CHECK(alert["@timestamp"] == "2026-03-02T07:00:00.000Z");
  CHECK_FALSE(Noted(alert, "further_alerts"));
  SUBCASE("packed twice, of an unknown format, or as an event") {
    CHECK(own.Normal(Json{{"log", Json{{"Message", inner}}.dump()}}.dump())["event.id"] == "5");
    const Json unknown = own.Normal(Json{{"mid", "m1"}, {"log", R"({"mid":"m2","severity":40})"}}.dump());
    CHECK(unknown["triaged.format"] == "other");
    CHECK(unknown["event.id"] == "m2");
    CHECK(unknown["event.severity"] == 40);
    CHECK(own.Normal(Json{{"log", R"({"kind":"event"})"}}.dump())["triaged.is_alert"] == false);
  }
  SUBCASE("an alert that says something itself quotes a text, which changes nothing of it") {
    for (const char* quoted : {R"({"kind":"event"})", R"({"kind":"k","no":5,"host":"x"})", R"({"mid":"dup","severity":1,"host":"x"})"}) {
      CAPTURE(quoted);
      for (const Json& says : {Json{{"severity", 99}}, Json{{"rule", "SQLi"}}}) {
        Json record{{"mid", "m1"}, {"host", "web1"}, {"log", quoted}};
        record.update(says);
        const Json kept = own.Normal(record.dump());
        CHECK(kept["triaged.format"] == "other");
        CHECK(kept["event.id"] == "m1");
        CHECK(kept["host.name"] == "web1");
        CHECK(kept["message"] == quoted);
        CHECK(kept["triaged.is_alert"] == true);
        CHECK(kept.value("event.severity", 99) == 99);
      }
    }
  }
  SUBCASE("what is no document stays a text") {
    for (const char* text : {"{broken", "{\"a\":1} and more", "[{\"kind\":\"k\"}]", "plain"}) {
      CAPTURE(text);
      const Json kept = own.Normal(Json{{"mid", "m1"}, {"log", text}}.dump());
      CHECK(kept["event.id"] == "m1");
      CHECK(kept["message"] == text);
    }
    const Json twice = own.Normal(Json{{"mid", "m1"}, {"log", Json{{"mid", "m2"}, {"log", "{broken"}}.dump()}}.dump());
    CHECK(twice["event.id"] == "m2");
    CHECK(twice["message"] == "{broken");
    const Json wide = own.Normal(Json{{"log", R"({"kind":"k","no":123456789012345678901234567890})"}}.dump());
    CHECK(wide["event.id"] == "123456789012345678901234567890");
  }
  SUBCASE("by a courier that is known; what it says itself is believed") {
    OwnTables known(
        "format: inner\nmarkers: [kind]\nid: no\nfields: {host.name: host}\n"
        "---\nformat: ship\nmarkers: [shipper]\nid: n\npacked: [message, original]\nsame: [message, event.kind, rule.id, rule.name, threat.technique.id]\n"
        "severity: [{path: severity}]\n"
        "---\nformat: other\nfallback: true\nid: no\npacked: log\nseverity: [{path: severity}]\n");
    Json record{{"shipper", 1}, {"n", "s1"}, {"message", inner}};
    CHECK(known.Normal(record.dump())["event.id"] == "5");
    CHECK(known.Normal(record.dump(), "ship")["triaged.format"] == "inner");
    for (const char* said : {"severity", "event.kind", "rule.name", "rule.id", "threat.technique.id"}) {
      CAPTURE(said);
      Json says = record;
      says[said] = "7";
      CHECK(known.Normal(says.dump())["event.id"] == "s1");
    }
    CHECK(known.Normal(Json{{"log", record.dump()}}.dump())["event.id"] == "5");
    record["message"] = "in words";
    record["original"] = inner;
    CHECK(known.Normal(record.dump())["event.id"] == "5");
    // One that cannot be read stands inside two that can: the inner one of them is the record.
    record["original"] = Json{{"log", "{broken"}, {"no", 6}}.dump();
    CHECK(known.Normal(Json{{"log", record.dump()}}.dump())["event.id"] == "6");
  }
  SUBCASE("as a syslog message") {
    for (const std::string header : {"<134>", "<134>Mar  2 08:00:00 ids1 suricata: ", "Mar 12 08:00:00 ids1 suricata[71]: ", "<134>Mar  2 08:00:00 ids1 ",
                               "<13>1 2026-03-02T08:00:00Z h app 7 - - ", "<13>1 2026-03-02T08:00:00Z h app 7 - [a@1 b=\"c\"] \xEF\xBB\xBF",
                               "2026-03-02T08:00:00+01:00 ids1 app: @cee: ", "@cee:", "<134>suricata: "}) {
      CAPTURE(header);
      CHECK(own.Normal(Json{{"log", header + inner}}.dump())["event.id"] == "5");
    }
    for (const char* words : {"Mar  2 08:00:00 web1 sshd[7]: Invalid user ", "user ", "user: ", "[", "GET /", "<134>Mar  2 08:00:00 web1 GET ?q="}) {
      CAPTURE(words);
      CHECK(own.Normal(Json{{"mid", "m1"}, {"log", words + inner}}.dump())["event.id"] == "m1");
    }
  }
  // Told which format it is, nothing is looked for.
  CHECK(own.Normal(Json{{"mid", "m1"}, {"log", inner}}.dump(), "inner").value("host.name", "none") == "none");
}

TEST_CASE("format tables: what a text begins with, a syslog header aside") {
  OwnTables own("format: x\nmarkers: [{path: text, begins: ['X:1|', 'X:2|']}]\n---\nformat: other\nfallback: true\n");
  for (const char* text : {"X:1|a", "X:2|a", "<134>X:1|a", "<134>Mar  2 08:00:00 fw1 X:1|a", "<13>1 2026-03-02T08:00:00Z h app 7 - - X:2|a"}) {
    CAPTURE(text);
    CHECK(own.Normal(Json{{"text", text}}.dump())["triaged.format"] == "x");
  }
  for (const char* text : {"X:3|a", "POST /?q=X:1|a", "{\"raw\": \"X:1|a", "GET /a X:1|", "user=eve X:1|", "aX:1|", ""}) {
    CAPTURE(text);
    CHECK(own.Normal(Json{{"text", text}}.dump())["triaged.format"] == "other");
  }
}

TEST_CASE("format tables: an address may be a part of a text") {
  OwnTables own("format: x\nfallback: true\nfields: {source.ip: {path: flow, match: '^([^ ]+) ->'}, destination.ip: [{path: flow, match: '-> (.+)$'}, far]}\n");
  const Json both = own.Normal(R"({"flow":"192.0.2.1:41000 -> [2001:DB8::1]:443","far":"192.0.2.9"})");
  CHECK(both["source.ip"] == "192.0.2.1");
  CHECK(both["source.port"] == 41000);
  CHECK(both["destination.ip"] == "2001:db8::1");
  const Json name = own.Normal(R"({"flow":"web-1 -> db-1","far":"192.0.2.9"})");
  CHECK(name["source.address"] == "web-1");
  CHECK(name["destination.ip"] == "192.0.2.9");
  CHECK_FALSE(own.Normal(R"({"flow":"192.0.2.1"})").contains("source.ip"));
}

TEST_CASE("format tables: several alerts in an envelope that is not split are told") {
  OwnTables own(
      "format: x\nunder: [findings]\nmarkers: [no]\nid: [[realm, no]]\nnot_alert: [{path: met, equals: ['true']}]\n"
      "---\nformat: other\nfallback: true\n");
  CHECK(own.Normal(R"({"findings":[{"realm":"r","no":1,"met":true}]})")["triaged.is_alert"] == false);
  // What the first says of itself is not said of the others.
  CHECK(own.Normal(R"({"findings":[{"realm":"r","no":1,"met":true},{"realm":"r","no":2}]})")["triaged.is_alert"] == true);
  CHECK_FALSE(Noted(own.Normal(R"({"findings":[{"realm":"r","no":1}]})"), "further_alerts"));
  const Json two = own.Normal(R"({"findings":[{"realm":"r","no":1},{"realm":"r","no":2}]})");
  CHECK(two["event.id"] == "r:1");
  CHECK(Noted(two, "further_alerts"));
}

TEST_CASE("format tables: slips that would read nothing are errors, with their place") {
  const std::string rest = "---\nformat: other\nfallback: true\n";
  const auto errors = [&](const std::string& text) { return OwnTables(text + rest).diagnostics.Render(); };
  const auto has = [](const std::string& all, std::string_view part) { return all.find(part) != std::string::npos; };
  CHECK(has(errors("format: x\nmarkers: [a]\nfields: {source.ip: 'actors[role=attacker.ip'}\n"), "table.yaml:3:21: error: 'actors[role=attacker.ip' has a selector that is not closed"));
  CHECK(has(errors("format: x\nmarkers: [a]\nid: [alert..no]\n"), "table.yaml:3:6: error: 'alert..no' is not a path"));
  CHECK(has(errors("format: x\nmarkers: [a..b]\n"), "table.yaml:2:11: error: 'a..b' is not a path"));
  CHECK(has(errors("format: x\nmarkers: [a]\nconstants: {observer.vendor: [a]}\n"), "table.yaml:3:30: error: a constant is one text"));
  CHECK(has(errors("format: x\nmarkers: []\n"), "table.yaml:2:10: error: `markers` are missing"));
  CHECK(has(errors("format: x\nmarkers: [a]\nzone: Mars/Phobos\n"), "table.yaml:3:7: error: 'Mars/Phobos' is no IANA time zone"));
  CHECK(has(errors("format: x\nmarkers: [a]\nextends: othre\n"), "table.yaml:3:10: error: 'x' extends 'othre', which is not loaded\n  extends: othre\n           ^\n"));
  CHECK(has(errors("format: x\nmarkers: [a]\nextends: othre\n"), "did you mean 'other'?"));
  CHECK(has(errors("format: x\nmarkers: [a]\nvariants: [{fields: {host.name: a}}]\n"), "`when` is missing"));
  CHECK(has(errors("format: x\nmarkers: [a]\nvariants: [{when: a, markers: [b]}]\n"), "unknown key 'markers' in the variant"));
  CHECK(has(errors("format: x\nmarkers: [a]\nfields: {tags: {all: [a], first: [b]}}\n"), "'first'"));
  CHECK(has(errors("format: x\nmarkers: [a]\nfields: {host.name: 'a[x=y]b.c'}\n"), "has a selector that is not closed"));
  CHECK(has(errors("format: x\nmarkers: [a]\nfields: {host.name: 'a[x=y.b[c=d].e'}\n"), "has a selector that is not closed"));
  CHECK(has(errors("format: x\nmarkers: [a]\nunder: ['b..c']\n"), "table.yaml:3:8: error: 'b..c' is not a path"));
  CHECK(has(errors("format: x\nmarkers: [a]\nembedded: [{path: a, into: 'b..c'}]\n"), "'b..c' is not a path"));
  CHECK(has(errors("format: x\nmarkers: [a]\nseverity: [{path: a, words: [high]}]\n"), "`words` maps texts to scores"));
  CHECK(has(errors("format: x\nmarkers: [a]\nseverity: [{path: a, guess_scale: true, words: {'1': 99}}]\n"), "`words` that are numbers are a scale"));
  CHECK(has(errors("format: x\nmarkers: [a]\nfields: {source.ip: {path: a, words: {b: c}}}\n"), "`words` are for texts"));
  CHECK(has(errors("format: x\nmarkers: [a]\nfields: {host.name: {all: [a, b]}}\n"), "`all` is for fields that are lists"));
  CHECK(has(errors("format: x\nmarkers: [a]\nseverity: [{path: a, guess_scale: true, bands: [{min: 0, score: 1}]}]\n"), "`bands` are a scale"));
  const OwnTables twice({{"one.yaml", "format: x\nmarkers: [a]\n"}, {"two.yaml", "format: x\nmarkers: [b]\n"}, {"other.yaml", "format: other\nfallback: true\n"}});
  CHECK(has(twice.diagnostics.Render(), "two.yaml:1:9: error: two tables are named 'x'"));
  CHECK(has(twice.diagnostics.Render(), "one.yaml"));
}

}  // namespace
}  // namespace triaged
