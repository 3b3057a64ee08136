// Odd records: the edges of RFC 8259, duplicate keys, broken bytes. Every one is normalised or refused with a reason, and
// consumed exactly once. The oracle for what is JSON is nlohmann-json, a parser of its own.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "daemon/config.h"
#include "pipeline/normalise/explain.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/policy/engine.h"
#include "pipeline/processor/processor.h"

namespace triaged {
namespace {

using Json = nlohmann::json;
using namespace std::string_literals;

constexpr Timestamp kRecordTime = FromUnixMillis(1'772'438'400'000);

struct Shipped {
  FieldCatalog catalog{FieldCatalog::Taxonomy::kAlert};
  std::shared_ptr<const FormatTables> tables;
  std::optional<Normaliser> normaliser;

  Shipped() {
    Diagnostics diagnostics;
    tables = FormatTables::Compile(ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics), catalog, &diagnostics);
    INFO(diagnostics.Render());
    REQUIRE(tables != nullptr);
    normaliser.emplace(tables, NormaliseLimits{});
  }
  std::string Reason(std::string_view record) {
    const auto failure = normaliser->Normalise(record, {}, kRecordTime);
    return failure ? std::string(Name(failure->reason)) : "accepted";
  }
  Json Explained(std::string_view record) {
    INFO(record);
    REQUIRE(Reason(record) == "accepted");
    return Json::parse(ExplainedJson(normaliser->alert(), catalog))["fields"];
  }
};

// The paths of a note, or nothing.
Json PathOfNote(const Json& fields, std::string_view note) {
  for (const Json& one : fields.value("triaged.notes", Json::array())) {
    if (one["value"] == note) return one.value("path", "");
  }
  return nullptr;
}

struct Odd {
  const char* what;
  std::string record;
  const char* becomes;  // "accepted", or the reason of its dead letter
};

// RFC 8259, section by section, and what producers send in its name.
const std::vector<Odd>& OddRecords() {
  static const std::vector<Odd> records = {
      // 2, 3: structure, literals
      {"empty object", "{}", "accepted"},
      {"white space of every kind", " \t\r\n{ \t\r\n\"a\" : \n1\r } \n", "accepted"},
      {"form feed", "{\"a\":\f1}", "invalid_json"},
      {"no-break space", "{\"a\":\xc2\xa0""1}", "invalid_json"},
      {"literal in capitals", R"({"a":True})", "invalid_json"},
      {"literal cut short", R"({"a":nul})", "invalid_json"},
      {"literal with a tail", R"({"a":nullx})", "invalid_json"},
      {"a bare word", R"({"a":b})", "invalid_json"},
      {"undefined", R"({"a":undefined})", "invalid_json"},
      // 4: objects
      {"empty key", R"({"":1})", "accepted"},
      {"key with NUL", R"({"a\u0000b":1})", "accepted"},
      {"key is a number", "{1:1}", "invalid_json"},
      {"key without quotes", "{a:1}", "invalid_json"},
      {"no colon", R"({"a" 1})", "invalid_json"},
      {"two colons", R"({"a"::1})", "invalid_json"},
      {"a comma for a colon", R"({"a",1})", "invalid_json"},
      {"no value", R"({"a":})", "invalid_json"},
      {"comma at the end", R"({"a":1,})", "invalid_json"},
      {"comma at the beginning", R"({,"a":1})", "invalid_json"},
      {"two commas", R"({"a":1,,"b":2})", "invalid_json"},
      {"only a comma", "{,}", "invalid_json"},
      {"not closed", R"({"a":1)", "invalid_json"},
      {"closed twice", R"({"a":1}})", "invalid_json"},
      {"closed by a bracket", R"({"a":1])", "invalid_json"},
      {"a comment", "{\"a\":1 /* b */}", "invalid_json"},
      {"a line comment", "{\"a\":1} // b", "invalid_json"},
      {"a Python dict", "{'a': None}", "invalid_json"},
      // 5: arrays
      {"array at the top", "[]", "not_an_object"},
      {"array of alerts", R"([{"a":1},{"a":2}])", "not_an_object"},
      {"comma in an empty array", R"({"a":[,]})", "invalid_json"},
      {"comma at the end of an array", R"({"a":[1,]})", "invalid_json"},
      {"no comma between elements", R"({"a":[1 2]})", "invalid_json"},
      {"colon in an array", R"({"a":["b":1]})", "invalid_json"},
      // 6: numbers
      {"minus zero", R"({"a":-0})", "accepted"},
      {"exponents", R"({"a":[1e5,1E+5,1e-5,0e0,1.5e3]})", "accepted"},
      {"smallest and greatest 64-bit numbers", R"({"a":[-9223372036854775808,18446744073709551615]})", "accepted"},
      {"more than 64 bits", R"({"a":18446744073709551616})", "accepted"},
      {"less than 64 bits", R"({"a":[-9223372036854775809, -1]})", "accepted"},
      {"more than 64 bits as a key", R"({18446744073709551616 :1})", "invalid_json"},
      {"more than 64 bits with a leading zero", R"({"a":018446744073709551616})", "invalid_json"},
      {"more than 64 bits with a letter", R"({"a":18446744073709551616x})", "invalid_json"},
      {"more than 64 bits behind a text", R"({"a":"b"18446744073709551616})", "invalid_json"},
      {"more than 64 bits twice", R"({"a":18446744073709551616 18446744073709551616})", "invalid_json"},
      {"more than 64 bits, then a broken number", R"({"a":18446744073709551616,"b":01})", "invalid_json"},
      {"more than 64 bits, not closed", R"({"a":18446744073709551616)", "invalid_json"},
      {"more than 64 bits at the top", "18446744073709551616", "not_an_object"},
      {"beyond a double", R"({"a":1e400})", "invalid_json"},
      {"below a double", R"({"a":1e-400})", "accepted"},
      {"leading zero", R"({"a":012})", "invalid_json"},
      {"minus alone", R"({"a":-})", "invalid_json"},
      {"plus", R"({"a":+1})", "invalid_json"},
      {"point first", R"({"a":.5})", "invalid_json"},
      {"point last", R"({"a":1.})", "invalid_json"},
      {"exponent without digits", R"({"a":1e})", "invalid_json"},
      {"hexadecimal", R"({"a":0x1F})", "invalid_json"},
      {"NaN", R"({"a":NaN})", "invalid_json"},
      {"Infinity", R"({"a":-Infinity})", "invalid_json"},
      {"digits of another script", "{\"a\":\xef\xbc\x91}", "invalid_json"},
      // 7: strings
      {"every escape", R"({"a":"\"\\\/\b\f\n\r\t\u00e9"})", "accepted"},
      {"escaped NUL", R"({"hostname":"\u0000"})", "accepted"},
      {"a surrogate pair", R"({"a":"\ud83d\ude00"})", "accepted"},
      {"half a surrogate pair", R"({"a":"\ud83d"})", "invalid_json"},
      {"the wrong half", R"({"a":"\ude00"})", "invalid_json"},
      {"unknown escape", R"({"a":"\x41"})", "invalid_json"},
      {"escape cut short", R"({"a":"\u00e"})", "invalid_json"},
      {"string not closed", R"({"a":"b})", "invalid_json"},
      {"backslash at the end", "{\"a\":\"b\\", "invalid_json"},
      {"line break in a string", "{\"a\":\"b\nc\"}", "invalid_json"},
      {"NUL byte in a string", "{\"a\":\"b\0c\"}"s, "invalid_json"},
      {"NUL byte after the document", "{\"a\":1}\0"s, "invalid_json"},
      {"escape character in a string", "{\"a\":\"\x1b[31m\"}", "invalid_json"},
      {"single quotes", "{'a':'b'}", "invalid_json"},
      {"typographic quotes", "{\xe2\x80\x9c""a\xe2\x80\x9d:1}", "invalid_json"},
      {"bidirectional override", "{\"file\":\"\xe2\x80\xaegpj.exe\"}", "accepted"},
      {"a noncharacter", "{\"a\":\"\xef\xbf\xbf\"}", "accepted"},
      // 8: text
      {"byte-order mark", "\xef\xbb\xbf{\"a\":1}", "accepted"},
      {"two byte-order marks", "\xef\xbb\xbf\xef\xbb\xbf{\"a\":1}", "invalid_json"},
      {"byte-order mark alone", "\xef\xbb\xbf", "empty_value"},
      {"a byte that begins nothing", "{\"a\":\"\xff\"}", "invalid_utf8"},
      {"a sequence cut short", "{\"a\":\"\xe2\x82\"}", "invalid_utf8"},
      {"an overlong slash", "{\"a\":\"\xc0\xaf\"}", "invalid_utf8"},
      {"a surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", "invalid_utf8"},
      {"beyond Unicode", "{\"a\":\"\xf4\x90\x80\x80\"}", "invalid_utf8"},
      {"Latin-1", "{\"user\":\"Ren\xe9\"}", "invalid_utf8"},
      {"UTF-16", "\xff\xfe{\0\"\0a\0\"\0:\0""1\0}\0"s, "invalid_json"},
      {"JPEG", "\xff\xd8\xff\xe0\0\x10JFIF\0"s, "invalid_utf8"},
      // what is no object
      {"nothing", "", "empty_value"},
      {"white space", " \n", "empty_value"},
      {"null", "null", "not_an_object"},
      {"a text", "\"CEF:0|a|b|c|d|e|5|\"", "not_an_object"},
      {"a number", "-1.5", "not_an_object"},
      {"XML", "<alert/>", "invalid_json"},
      {"syslog", "<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "invalid_json"},
      {"two documents", "{\"a\":1}\n{\"a\":2}", "invalid_json"},
      {"trailing text", "{\"a\":1} ok", "invalid_json"},
  };
  return records;
}

TEST_CASE("odd input: each edge of RFC 8259 becomes what it must") {
  Shipped shipped;
  for (const Odd& odd : OddRecords()) {
    CAPTURE(std::string(odd.what));
    CHECK(shipped.Reason(odd.record) == std::string(odd.becomes));
    CHECK(shipped.Reason("{\"a\":1}") == "accepted");  // and it goes on
    // The oracle.
    const bool mark = odd.record.starts_with("\xef\xbb\xbf\xef");  // nlohmann takes one, and so do we
    const bool nul = odd.record.ends_with('\0');  // where nlohmann stops reading
    if (!mark && !nul) {
      const Json parsed = Json::parse(odd.record, nullptr, false);
      CHECK((std::string_view(odd.becomes) == "accepted") == (!parsed.is_discarded() && parsed.is_object()));
    }
  }
}

TEST_CASE("odd input: each record is consumed once, as an alert or as a dead letter that says why") {
  Diagnostics diagnostics;
  EngineSources sources;
  sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
  sources.policies = ReadSources({TRIAGED_SOURCE_DIR "/configs/policies/soc-tiered.yaml"}, &diagnostics);
  const auto engine = CompileEngine(sources, NormaliseLimits{}, &diagnostics);
  REQUIRE_MESSAGE(engine, diagnostics.Render());
  Intake intake(ProcessorOptions{}, engine);
  for (const Odd& odd : OddRecords()) {
    CAPTURE(std::string(odd.what));
    std::vector<OutputRecord> outputs;
    StepFacts facts;
    InputRecord input;
    input.topic = "alerts";
    input.value = odd.record;
    intake.Take(input, &outputs, &facts);
    REQUIRE(outputs.size() == 1);
    CHECK(facts.balance.Adds());
    const bool alert = std::string_view(odd.becomes) == "accepted";
    CHECK(facts.balance.outcomes[static_cast<size_t>(AlertOutcome::kDeadLettered)] == (alert ? 0 : 1));
    std::string reason;
    for (const auto& [key, value] : outputs.front().headers) {
      if (key == "triaged.error.reason") reason = value;
    }
    CHECK(reason == std::string(alert ? "" : odd.becomes));
  }
}

// Fixtures with bytes changed, left out, doubled: what the oracle takes for an object is an alert, anything else is not.
TEST_CASE("odd input: damaged alerts are judged as another parser judges them") {
  Shipped shipped;
  std::vector<std::string> whole;
  for (const auto& entry : std::filesystem::directory_iterator(TRIAGED_SOURCE_DIR "/tests/data/formats")) {
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) whole.push_back(Json::parse(line)["record"].dump());
  }
  // As texts, for the other parser rounds such numbers when it prints them.
  for (int i = 0; i < 8; ++i) {
    whole.push_back(R"({"id":18446744073709551616,"tags":[-9223372036854775809 , 340282366920938463463374607431768211456],)"
                    R"("user":"\"99999999999999999999\":","a":{"b":18446744073709551615}})");
  }
  std::sort(whole.begin(), whole.end());
  const char* given = std::getenv("TRIAGED_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : 20261121;
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  const std::string_view bytes("\"\"{}[]:,,\\ 0-9eE.u\n\xc3\xff");
  int accepted = 0, refused = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string record = whole[random() % whole.size()];
    for (size_t damage = 1 + random() % 2; damage > 0; --damage) {
      const size_t at = random() % record.size();
      switch (random() % 4) {
        case 0: record[at] = bytes[random() % bytes.size()]; break;
        case 1: record.erase(at, 1 + random() % 3); break;
        case 2: record.insert(at, 1, bytes[random() % bytes.size()]); break;
        default: record.insert(at, record.substr(at, random() % 20));
      }
      if (record.empty()) record = "{";
    }
    CAPTURE(record);
    const std::string reason = shipped.Reason(record);
    const Json parsed = Json::parse(record, nullptr, false);
    const bool object = !parsed.is_discarded() && parsed.is_object();
    (object ? accepted : refused) += 1;
    REQUIRE((reason == "accepted") == object);
    if (object) REQUIRE(Json::accept(NormalisedJson(shipped.normaliser->alert(), shipped.catalog)));
  }
  CHECK(accepted > 3000);
  CHECK(refused > 3000);
}

TEST_CASE("odd input: of duplicate keys the first counts, lists take all, and objects are read together") {
  Shipped shipped;
  const auto first = [&](std::string_view record, const char* field) {
    return shipped.Explained(record)[field][0]["value"].get<std::string>();
  };
  CHECK(first(R"({"id":"1","id":"2"})", "event.id") == "1");
  CHECK(first(R"({"severity":"high","severity":"low"})", "event.severity") == "73");
  CHECK(first(R"({"timestamp":"2026-03-02T07:00:00Z","timestamp":"2025-01-01T00:00:00Z"})", "@timestamp") == "2026-03-02T07:00:00.000Z");
  CHECK(first(R"({"hostname":null,"hostname":"b"})", "host.name") == "b");  // null says nothing, so it is not the first
  CHECK(first(R"({"hostname":"-","hostname":"b"})", "host.name") == "b");
  CHECK(first(R"({"host.name":"a","host":{"name":"b"}})", "host.name") == "a");  // the document's order, not the spelling
  CHECK(first(R"({"host":{"name":"b"},"host.name":"a"})", "host.name") == "b");
  const Json both = shipped.Explained(R"({"host":{"name":"a"},"host":{"ip":"10.0.0.1","name":"b"},"tags":"x","tags":["y","x"]})");
  CHECK(both["host.name"].size() == 1);
  CHECK(both["host.ip"][0]["value"] == "10.0.0.1");
  CHECK(both["tags"].size() == 2);
  // A key whose prefix is a key, too.
  const Json prefix = shipped.Explained(R"({"event":"text","event.kind":"alert","ecs.version":"8","event.id":"e"})");
  CHECK(prefix["event.kind"][0]["value"] == "alert");
  CHECK(prefix["event.id"][0]["value"] == "e");
  // The same bytes give the same alert.
  const std::string twice = R"({"x":1,"x":2})";
  CHECK(shipped.Explained(twice) == shipped.Explained(twice));
}

TEST_CASE("severity: the provenance is the rule that gave the number, and the notes name what is wrong") {
  Shipped shipped;
  const auto rule = [&](std::string_view record) { return shipped.Explained(record)["event.severity"][0].value("path", "none"); };
  CHECK(rule(R"({"severity":"HIGH "})") == "severity = high");
  CHECK(rule(R"({"risk_score":40})") == "risk_score");
  CHECK(rule(R"({"rule":{"level":13,"description":"d"},"agent":{"id":"1"}})") == "rule.level >= 12");
  CHECK(rule(R"({"rule":{"level":"7"},"agent":{"id":"1"}})") == "rule.level >= 7");
  CHECK(rule(R"({"event_type":"alert","alert":{"severity":1,"signature_id":5}})") == "alert.severity >= 1");
  const Json missing = shipped.Explained(R"({"a":1})");
  CHECK_FALSE(missing.contains("event.severity"));
  CHECK(PathOfNote(missing, "no_severity") == "");
  CHECK(PathOfNote(missing, "illegal_severity").is_null());
  for (const char* value : {"-1", "\"purple\"", "101", "true", "1e300", "\"-5\""}) {
    const Json illegal = shipped.Explained(R"({"severity":)" + std::string(value) + "}");
    CAPTURE(value);
    CHECK_FALSE(illegal.contains("event.severity"));
    CHECK(PathOfNote(illegal, "illegal_severity") == "severity");
    CHECK(PathOfNote(illegal, "no_severity") == "");
  }
  const Json next = shipped.Explained(R"({"severity":-1,"score":40})");
  CHECK(next["event.severity"][0] == Json{{"value", "40"}, {"path", "score"}});
  CHECK(PathOfNote(next, "illegal_severity") == "severity");
  const Json clash = shipped.Explained(R"({"severity":"low","risk_score":95})");
  CHECK(clash["event.severity"][0] == Json{{"value", "21"}, {"path", "severity = low"}});
  CHECK(PathOfNote(clash, "severity_conflict") == "risk_score");
  // Other notes say where, too.
  CHECK(PathOfNote(shipped.Explained(R"({"timestamp":"soon"})"), "bad_event_time") == "timestamp");
  CHECK(PathOfNote(shipped.Explained(R"({"src_ip":"AWS Internal"})"), "not_an_address") == "src_ip");
}

TEST_CASE("embedded documents: two tables that look into the same field read it each in its own way") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const auto tables = FormatTables::Compile(
      {{"a.yaml", "format: a\nmarkers: [a]\nembedded: [{path: body, shape: json}]\nfields: {host.name: body.h}\n"},
       {"b.yaml", "format: b\nmarkers: [b]\nembedded: [{path: body, shape: json}, {path: body.more, shape: json}]\nfields: {user.name: body.more.u}\n"},
       {"c.yaml", "format: c\nfallback: true\nfields: {host.name: body.h}\n"}},
      catalog, &diagnostics);
  REQUIRE_MESSAGE(tables, diagnostics.Render());
  Normaliser normaliser(tables, {});
  REQUIRE_FALSE(normaliser.Normalise(R"({"a":1,"body":"{\"h\":\"h1\"}"})", {}, kRecordTime));
  CHECK(normaliser.alert().fields.First(field::kHostName) == "h1");
  REQUIRE_FALSE(normaliser.Normalise(R"({"b":1,"body":"{\"more\":\"{\\\"u\\\":\\\"eve\\\"}\"}"})", {}, kRecordTime));
  CHECK(normaliser.alert().fields.First(field::kUserName) == "eve");
  REQUIRE_FALSE(normaliser.Normalise(R"({"body":"{\"h\":\"h1\"}"})", {}, kRecordTime));
  CHECK_FALSE(normaliser.alert().fields.Has(field::kHostName));
  REQUIRE_FALSE(normaliser.Normalise(R"({"a":1,"body":"{\"h\":\"h1\""})", {}, kRecordTime));  // broken: no document
  CHECK_FALSE(normaliser.alert().fields.Has(field::kHostName));
}

}  // namespace
}  // namespace triaged
