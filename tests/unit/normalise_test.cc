#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "daemon/config.h"
#include "pipeline/normalise/address.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/normalise/time_shapes.h"

namespace triaged {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// 2026-03-02T08:00:00Z
constexpr Timestamp kRecordTime = FromUnixMillis(1'772'438'400'000);

struct Shipped {
  FieldCatalog catalog{FieldCatalog::Taxonomy::kAlert};
  std::shared_ptr<const FormatTables> tables;
  std::optional<Normaliser> normaliser;

  explicit Shipped(std::initializer_list<std::string_view> raw = {}, NormaliseLimits limits = {}) {
    for (std::string_view name : raw) catalog.Resolve(name);
    Diagnostics diagnostics;
    tables = FormatTables::Compile(ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics), catalog, &diagnostics);
    INFO(diagnostics.Render());
    REQUIRE(tables != nullptr);
    normaliser.emplace(tables, limits);
  }
  Json Normal(std::string_view record, std::string_view format = {}) {
    const auto failure = normaliser->Normalise(record, format, kRecordTime);
    INFO(record);
    REQUIRE_FALSE(failure.has_value());
    return Json::parse(NormalisedJson(normaliser->alert(), catalog));
  }
  std::string Reason(std::string_view record) {
    const auto failure = normaliser->Normalise(record, {}, kRecordTime);
    return failure ? std::string(Name(failure->reason)) : "accepted";
  }
};

bool Noted(const Json& alert, std::string_view note) {
  for (const auto& one : alert.value("triaged.notes", Json::array())) {
    if (one == note) return true;
  }
  return false;
}

TEST_CASE("plain ECS, nested and dotted keys mixed") {
  Shipped shipped;
  const Json alert = shipped.Normal(
      R"({"@timestamp":"2026-03-02T07:59:00Z","ecs.version":"8.11","event":{"kind":"alert","id":"e1","severity":73},)"
      R"("event.action":"logon","host":{"name":"db7","ip":["10.0.0.1","fe80::1"]},"source.ip":"192.0.2.7",)"
      R"("source":{"port":443},"process":{"pid":4711,"command_line":"a \"b\" c"},"threat":{"technique":{"id":["T1003","T1059"]}}})");
  CHECK(alert["triaged.format"] == "ecs");
  CHECK(alert["event.id"] == "e1");
  CHECK(alert["event.severity"] == 73);
  CHECK(alert["triaged.severity"] == "high");
  CHECK(alert["event.action"] == "logon");
  CHECK(alert["host.name"] == "db7");
  CHECK(alert["host.ip"] == Json({"10.0.0.1", "fe80::1"}));
  CHECK(alert["source.ip"] == "192.0.2.7");
  CHECK(alert["source.port"] == 443);
  CHECK(alert["process.pid"] == 4711);
  CHECK(alert["process.command_line"] == "a \"b\" c");
  CHECK(alert["threat.technique.id"] == Json({"T1003", "T1059"}));
  CHECK(alert["@timestamp"] == "2026-03-02T07:59:00.000Z");
  CHECK(alert["triaged.is_alert"] == true);
  CHECK_FALSE(alert.contains("user.name"));
}

TEST_CASE("Elastic Security alert documents") {
  Shipped shipped;
  const Json alert = shipped.Normal(
      R"({"@timestamp":"2026-03-02T08:00:00Z","kibana.alert.uuid":"u-1","kibana.alert.rule.name":"LSASS access",)"
      R"("kibana.alert.rule.rule_id":"r-9","kibana.alert.severity":"critical","kibana.alert.risk_score":99.0,)"
      R"("kibana.alert.original_time":"2026-03-02T07:00:00.123456Z","event":{"kind":"signal"},)"
      R"("kibana.alert.rule.threat":[{"tactic":{"id":"TA0006"},"technique":[{"id":"T1003","subtechnique":[{"id":"T1003.001"}]}]}]})");
  CHECK(alert["triaged.format"] == "elastic");
  CHECK(alert["event.id"] == "u-1");
  CHECK(alert["rule.name"] == "LSASS access");
  CHECK(alert["event.severity"] == 99);
  CHECK(alert["@timestamp"] == "2026-03-02T07:00:00.123Z");
  CHECK(alert["threat.technique.id"] == Json({"T1003.001"}));
  CHECK(alert["observer.product"] == "Elastic Security");
  CHECK(alert["triaged.is_alert"] == true);
}

TEST_CASE("ECS events of another kind are no alerts") {
  Shipped shipped;
  CHECK(shipped.Normal(R"({"ecs.version":"8","event":{"kind":"metric"}})")["triaged.is_alert"] == false);
  CHECK(shipped.Normal(R"({"ecs.version":"8","event":{"kind":"signal"}})")["triaged.is_alert"] == true);
  CHECK(shipped.Normal(R"({"ecs.version":"8"})")["triaged.is_alert"] == true);
}

TEST_CASE("a stranger's alert shows what it has") {
  Shipped shipped;
  const Json alert = shipped.Normal(
      R"({"alertId":"77","alertName":"Odd login","Severity":"HIGH","createdAt":1772438300000,"hostname":"web1",)"
      R"("username":"eve","src_ip":"198.51.100.1:51000","dst":"AWS Internal"})");
  CHECK(alert["triaged.format"] == "generic");
  CHECK(alert["event.id"] == "77");
  CHECK(alert["rule.name"] == "Odd login");
  CHECK(alert["event.severity"] == 73);
  CHECK(alert["@timestamp"] == "2026-03-02T07:58:20.000Z");
  CHECK(alert["host.name"] == "web1");
  CHECK(alert["user.name"] == "eve");
  CHECK(alert["source.ip"] == "198.51.100.1");
  CHECK(alert["source.port"] == 51000);
  CHECK_FALSE(alert.contains("destination.ip"));
  CHECK(alert["destination.address"] == "AWS Internal");
  CHECK(alert["observer.product"] == "unknown");
}

TEST_CASE("what is missing is named") {
  Shipped shipped;
  const Json alert = shipped.Normal(R"({"anything":1})");
  CHECK(Noted(alert, "no_event_time"));
  CHECK(Noted(alert, "no_id"));
  CHECK(Noted(alert, "no_severity"));
  CHECK(alert["@timestamp"] == "2026-03-02T08:00:00.000Z");
  CHECK(alert["event.id"].get<std::string>().size() == 16);
  // Equal bytes without an id are the same alert; other bytes are not.
  CHECK(shipped.Normal(R"({"anything":1})")["event.id"] == alert["event.id"]);
  CHECK(shipped.Normal(R"({"anything":2})")["event.id"] != alert["event.id"]);
}

TEST_CASE("times in the past, the future and nonsense") {
  Shipped shipped;
  CHECK(Noted(shipped.Normal(R"({"timestamp":"2099-01-01T00:00:00Z"})"), "event_time_in_future"));
  CHECK(Noted(shipped.Normal(R"({"timestamp":"1999-01-01T00:00:00Z"})"), "event_time_long_past"));
  const Json bad = shipped.Normal(R"({"timestamp":"yesterday"})");
  CHECK(Noted(bad, "bad_event_time"));
  CHECK(bad["@timestamp"] == "2026-03-02T08:00:00.000Z");
  CHECK(Noted(shipped.Normal(R"({"timestamp":"2026-03-02 07:00:00"})"), "event_time_zone_assumed_utc"));
}

TEST_CASE("contradictory and illegal severities") {
  Shipped shipped;
  const Json conflict = shipped.Normal(R"({"severity":"low","risk_score":95})");
  CHECK(conflict["event.severity"] == 21);
  CHECK(Noted(conflict, "severity_conflict"));
  const Json illegal = shipped.Normal(R"({"severity":-1,"score":40})");
  CHECK(illegal["event.severity"] == 40);
  CHECK(Noted(illegal, "illegal_severity"));
  CHECK(shipped.Normal(R"({"severity":"Informational "})")["event.severity"] == 1);
  CHECK_FALSE(shipped.Normal(R"({"severity":""})").contains("event.severity"));
}

TEST_CASE("strange JSON") {
  Shipped shipped({"flow_id", "weird key"});
  SUBCASE("of duplicate keys the first wins") {
    CHECK(shipped.Normal(R"({"host":{"name":"first"},"host.name":"second"})")["host.name"] == "first");
    CHECK(shipped.Normal(R"({"hostname":"first","hostname":"second"})")["host.name"] == "first");
  }
  SUBCASE("unsigned 64-bit ids stay exact") {
    CHECK(shipped.Normal(R"({"id":18446744073709551615})")["event.id"] == "18446744073709551615");
    CHECK(shipped.Normal(R"({"id":-9223372036854775808})")["event.id"] == "-9223372036854775808");
    CHECK_FALSE(Noted(shipped.Normal(R"({"id":18446744073709551615})"), "number_beyond_64_bits"));
  }
  SUBCASE("whole numbers beyond 64 bits are read digit for digit, and noted") {
    const Json alert = shipped.Normal(
        R"({"note":"say \"9\\\", :99999999999999999999","id":18446744073709551616,"severity":99999999999999999999,)"
        R"("tags":[-9223372036854775809, 7 ,340282366920938463463374607431768211456],"hostname":"a"})");
    CHECK(alert["event.id"] == "18446744073709551616");
    CHECK(alert["tags"] == Json({"-9223372036854775809", "7", "340282366920938463463374607431768211456"}));
    CHECK(alert["host.name"] == "a");
    CHECK(Noted(alert, "number_beyond_64_bits"));
    CHECK(Noted(alert, "illegal_severity"));
    CHECK_FALSE(alert.contains("event.severity"));
    CHECK_FALSE(Noted(shipped.Normal(R"({"id":1})"), "number_beyond_64_bits"));
  }
  SUBCASE("null words are no values") {
    for (const char* word : {"-", "None", "N/A", "<NA>", "null", " "}) {
      CHECK_FALSE(shipped.Normal(std::string(R"({"hostname":")") + word + R"("})").contains("host.name"));
    }
  }
  SUBCASE("an escaped NUL and odd characters are kept") {
    CHECK(shipped.Normal(R"({"hostname":"a\u0000b"})")["host.name"] == std::string("a\0b", 3));
    CHECK(shipped.Normal("{\"hostname\":\"\\u202egpj.exe\"}")["host.name"] == "\xe2\x80\xaegpj.exe");
  }
  SUBCASE("raw paths") {
    CHECK_FALSE(shipped.normaliser->Normalise(R"({"flow_id":7,"weird key":[1,2]})", {}, kRecordTime).has_value());
    const Alert& alert = shipped.normaliser->alert();
    CHECK(alert.fields.First(shipped.catalog.Find("host.name")).empty());
    CHECK(alert.fields.First(static_cast<FieldId>(shipped.catalog.normalised_size())) == "7");
    CHECK(alert.fields.Get(static_cast<FieldId>(shipped.catalog.normalised_size() + 1)).size() == 2);
  }
  SUBCASE("keys that differ in case are different keys, an empty key is one too") {
    CHECK(shipped.Normal(R"({"HOST":{"NAME":"a"},"":1,"hostname":"b"})")["host.name"] == "b");
  }
  SUBCASE("a byte-order mark inside a value stays, a long text is whole") {
    CHECK(shipped.Normal("{\"hostname\":\"\xef\xbb\xbfweb1\"}")["host.name"] == "\xef\xbb\xbfweb1");
    const std::string text(250'000, 'x');
    CHECK(shipped.Normal("{\"message\":\"" + text + "\"}")["message"] == text);
  }
  SUBCASE("arrays where scalars are expected, and the reverse") {
    CHECK(shipped.Normal(R"({"hostname":["a","b"]})")["host.name"] == "a");
    CHECK(shipped.Normal(R"({"tags":"one"})")["tags"] == Json({"one"}));
    CHECK(shipped.Normal(R"({"src_ip":["10.0.0.1","10.0.0.1","10.0.0.2"]})")["source.ip"] == Json({"10.0.0.1", "10.0.0.2"}));
  }
  SUBCASE("depth 64 is read, 65 is not") {
    const auto nested = [](int depth) {
      std::string text = "1";
      for (int i = 0; i < depth; ++i) text = "{\"a\":" + text + "}";
      return text;
    };
    CHECK(shipped.Reason(nested(64)) == "accepted");
    CHECK(shipped.Reason(nested(65)) == "too_deep");
  }
  SUBCASE("a byte-order mark before the document") {
    CHECK(shipped.Reason("\xef\xbb\xbf{\"a\":1}") == "accepted");
  }
}

TEST_CASE("what is no alert at all is refused with its reason") {
  Shipped shipped({}, NormaliseLimits{2000, 16});
  CHECK(shipped.Reason("") == "empty_value");
  CHECK(shipped.Reason("  \n") == "empty_value");
  CHECK(shipped.Reason("[1]") == "not_an_object");
  CHECK(shipped.Reason("\"text\"") == "not_an_object");
  CHECK(shipped.Reason("17") == "not_an_object");
  CHECK(shipped.Reason("{\"a\":") == "invalid_json");
  CHECK(shipped.Reason("{\"a\":1} trailing") == "invalid_json");
  CHECK(shipped.Reason("{\"a\":1}{\"b\":2}") == "invalid_json");
  CHECK(shipped.Reason("{'a':1}") == "invalid_json");
  CHECK(shipped.Reason("{\"a\":01}") == "invalid_json");
  CHECK(shipped.Reason("{\"a\":\"\xff\"}") == "invalid_utf8");
  CHECK(shipped.Reason(std::string(3000, ' ')) == "too_large");
  std::string deep = "1";
  for (int i = 0; i < 100; ++i) deep = "{\"a\":" + deep + "}";
  CHECK(shipped.Reason(deep) == "too_deep");
  CHECK(shipped.Reason("{\"a\":1}") == "accepted");  // and it goes on
}

TEST_CASE("time shapes") {
  const auto parse = [](std::string_view text) {
    const auto time = ParseTimeShape(Value(text));
    return time ? FormatTimestamp(time->at) : "none";
  };
  const std::string wanted = "2022-09-23T23:25:46.000Z";
  for (const char* text : {"2022-09-23T23:25:46Z", "2022-09-23T23:25:46.000000000Z", "2022-09-23 23:25:46", "2022-09-24T01:25:46+02:00",
                           "2022-09-24T01:25:46+0200", "Sep 23, 2022 11:25:46 PM", "9/23/2022 11:25:46 PM", "Fri, 23 Sep 2022 23:25:46 +0000",
                           "23/Sep/2022:23:25:46 +0000", "1663975546", "1663975546000", "1663975546000000", "1663975546000000000",
                           "1663975546.000", "2022-9-23T23:25:46Z", "2022-09-23T23:25:46,000Z", "2022-09-2323:25:46",
                           "Fri Sep 23 23:25:46 2022", "Fri Sep 23 23:25:46 UTC 2022", "[23/Sep/2022:23:25:46 +0000]",
                           "2022-09-23 23:25:46 (UTC)", " 2022-09-23T23:25:46Z ", "Sat, 24 Sep 2022 01:25:46 +0200 (CEST)",
                           "Sat Sep 24 2022 01:25:46 GMT+0200 (Central European Summer Time)", "2022-09-23 23:25:46 +0000 UTC",
                           "2022-09-24T01:25:46+02:00[Europe/Paris]", "2022-09-23T23:25:46Z[UTC]", "Fri, 23 Sep 2022 19:25:46 EDT",
                           "Fri Sep 23 19:25:46 EDT 2022", "2022-09-23 11:25:46 PM", "23 Sep 2022 23:25:46 UT", "23.09.2022 23:25:46", "23.9.2022, 23:25:46.0 +0000",
                           "20220923T232546Z", "20220924T012546.000+0200", "20220923232546", "20220923232546000", "133084491460000000",
                           "/Date(1663975546000)/", "/Date(1663975546000+0200)/", "637995723460000000", "2022-09-23T23:25:46Z\n", "\xef\xbb\xbf" "2022-09-23T23:25:46Z", "Fri 23 Sep 2022 23:25:46"}) {
    CAPTURE(text);
    CHECK(parse(text) == wanted);
  }
  for (const char* text : {"", "soon", "2022-13-01T00:00:00Z", "2022-02-30T00:00:00Z", "12345", "23:25:46", "2022-09-23T25:00:00Z",
                           "2022-09-23T23:25:46Z foo", "2022-09-23T23:25:46ZZZ", "2022-09-23T23:25:46+0000 (a", "2022-09-23T23:25:46 CEST",
                           "2022-09-23 23:25:46 PM", "09.23.2022 23:25:46", "192.0.2.1 10:00", "1.2.3 10:00", "2022-09-23 00:25:46 AM",
                           "20220923T2325", "20221323T232546Z", "/Date(x)/"}) {
    CAPTURE(text);
    CHECK(parse(text) == "none");
  }
}

TEST_CASE("time shapes of numbers") {
  Value value;
  value.kind = ValueKind::kInteger;
  value.integer = 20220923232546;
  CHECK(FormatTimestamp(ParseTimeShape(value)->at) == "2022-09-23T23:25:46.000Z");
  value.integer = 20221323232546;  // no month: ms since 1970 after all, which the normaliser takes for no time
  CHECK(FormatTimestamp(ParseTimeShape(value)->at) == "2610-10-16T02:13:52.546Z");
  value.kind = ValueKind::kDouble;
  for (const auto& [real, text] : {std::pair(1.663975546e18, "1.663975546e+18"), std::pair(1.663975546e12, "1.663975546e+12"),
                                   std::pair(1.663975546e9, "1.663975546e+09")}) {
    value.real = real;
    value.text = text;
    CHECK(FormatTimestamp(ParseTimeShape(value)->at) == "2022-09-23T23:25:46.000Z");
  }
}

TEST_CASE("times without a zone or a year") {
  const auto parse = [](std::string_view text, std::string_view record_time, const char* zone_name) {
    const auto zone = zone_name ? Zone::Find(zone_name) : std::nullopt;
    const auto time = ParseTimeShape(Value(text), {*ParseTimestamp(record_time), zone ? &*zone : nullptr});
    if (!time) return std::string("none");
    return FormatTimestamp(time->at) + (time->zone_assumed ? " zone?" : "") + (time->year_assumed ? " year?" : "");
  };
  // The zone of the source, in summer and in winter; a zone in the text wins.
  CHECK(parse("2022-09-23 23:25:46", "2022-09-24T00:00:00Z", "Europe/Vienna") == "2022-09-23T21:25:46.000Z");
  CHECK(parse("2022-01-23 23:25:46.5", "2022-01-24T00:00:00Z", "Europe/Vienna") == "2022-01-23T22:25:46.500Z");
  CHECK(parse("2022-09-23 23:25:46+0000", "2022-09-24T00:00:00Z", "Europe/Vienna") == "2022-09-23T23:25:46.000Z");
  CHECK(parse("2022-09-23 23:25:46", "2022-09-24T00:00:00Z", nullptr) == "2022-09-23T23:25:46.000Z zone?");
  // Syslog: the year that brings it nearest to the record.
  CHECK(parse("Dec 31 23:59:58", "2026-01-01T00:00:05Z", nullptr) == "2025-12-31T23:59:58.000Z zone? year?");
  CHECK(parse("Jan  1 00:00:02", "2025-12-31T23:59:59Z", nullptr) == "2026-01-01T00:00:02.000Z zone? year?");
  CHECK(parse("Feb 29 12:00:00", "2024-03-01T00:00:00Z", nullptr) == "2024-02-29T12:00:00.000Z zone? year?");
  CHECK(parse("Feb 29 12:00:00", "2022-03-01T00:00:00Z", nullptr) == "none");
}

TEST_CASE("addresses are never guessed") {
  const auto ip = [](std::string_view text) {
    const auto address = ParseAddress(text);
    return address ? address->ip() + "|" + std::string(address->port) : "none";
  };
  CHECK(ip("192.0.2.1") == "192.0.2.1|");
  CHECK(ip(" 192.0.2.1 ") == "192.0.2.1|");
  CHECK(ip("192.0.2.1:8080") == "192.0.2.1|8080");
  CHECK(ip("::ffff:192.0.2.1") == "192.0.2.1|");
  CHECK(ip("2001:db8::1") == "2001:db8::1|");
  CHECK(ip("[2001:db8::1]:443") == "2001:db8::1|443");
  // One address, one text: else its alerts are two groups.
  for (const char* text : {"::FFFF:192.0.2.1", "::fFfF:c000:201", "0:0:0:0:0:ffff:c000:0201", "[::ffff:192.0.2.1]"}) {
    CAPTURE(text);
    CHECK(ip(text) == "192.0.2.1|");
  }
  for (const char* text : {"2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:0db8:0000::0001", "[2001:DB8:0::1]"}) {
    CAPTURE(text);
    CHECK(ip(text) == "2001:db8::1|");
  }
  CHECK(ip("0:0:0:0:0:0:0:0") == "::|");
  CHECK(ip("0:0:0:0:0:0:0:1") == "::1|");
  CHECK(ip("1:0:0:0:0:0:0:0") == "1::|");
  CHECK(ip("1:0:0:2:0:0:0:3") == "1:0:0:2::3|");
  CHECK(ip("1:0:0:2:3:0:0:4") == "1::2:3:0:0:4|");
  CHECK(ip("1:0:2:3:4:5:6:0") == "1:0:2:3:4:5:6:0|");
  CHECK(ip("FE80::0202:B3FF:FE1E:8329") == "fe80::202:b3ff:fe1e:8329|");
  CHECK(ip("fe80::1%eth0") == "fe80::1|");  // RFC 4007, section 11
  for (const char* text : {"fe80::1%", "2001:db8::1%20blocked by policy"}) CHECK(ip(text) == "none");
  for (const char* text : {"", "06.237.252.245", "256.1.1.1", "1.2.3", "AWS Internal", "host:80", "192.0.2.1:99999", "::g", "-", "[192.0.2.1]", "[::1",
                           "[::1]80", "192.0.2.1/32", "192.0.2.1, 192.0.2.2"}) {
    CAPTURE(text);
    CHECK(ip(text) == "none");
  }
}

TEST_CASE("format tables are checked at load") {
  const FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const auto errors = [&](const std::string& text) {
    Diagnostics diagnostics;
    FormatTables::Compile({{"table.yaml", text}}, catalog, &diagnostics);
    return diagnostics.Render();
  };
  CHECK(errors("format: x\nfallback: true\nfields:\n  host.nam: a\n").find("did you mean 'host.name'") != std::string::npos);
  CHECK(errors("format: x\nfallback: true\nfeilds: {}\n").find("table.yaml:3") != std::string::npos);
  CHECK(errors("format: x\nmarkers: [a]\n").find("fallback: true") != std::string::npos);
  CHECK(errors("format: x\n").find("`markers` are missing") != std::string::npos);
  CHECK(errors("format: x\nfallback: true\nzone: Europe/Wien\n").find("is no IANA time zone") != std::string::npos);
  CHECK(errors("format: x\nfallback: true\nfields: {host.name: {path: a, match: '('}}\n").find("no regular expression") !=
        std::string::npos);
  CHECK(errors("format: x\nfallback: true\nembedded: [{path: a, shape: cef}]\n").find("`into` is missing") != std::string::npos);
  CHECK(errors("r:\nmarkers").find("table.yaml") != std::string::npos);  // once indexed by a place that is not there
}

TEST_CASE("every line of the real alerts normalises or is refused, none crashes") {
  const fs::path folder = TRIAGED_SOURCE_DIR "/../shared/alerts";
  if (!fs::exists(folder)) {
    MESSAGE("skipped: the real alerts are not on this machine");
    return;
  }
  Shipped shipped({"CommandLine", "EventID"});
  int lines = 0, refused = 0, with_time = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".ndjson") continue;
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) {
      ++lines;
      if (shipped.normaliser->Normalise(line, {}, kRecordTime)) {
        ++refused;
        continue;
      }
      with_time += !shipped.normaliser->alert().event_time_is_record_time;
      CHECK(Json::accept(NormalisedJson(shipped.normaliser->alert(), shipped.catalog)));
    }
  }
  MESSAGE(lines << " lines, " << refused << " refused, " << with_time << " with a time of their own");
  CHECK(lines > 5000);
  CHECK(refused <= 5);
}

TEST_CASE("JSONTestSuite: what must be accepted is, what must be refused is") {
  const fs::path archive = TRIAGED_SOURCE_DIR "/../shared/alerts/json_torture/JSONTestSuite_test_parsing.tar.gz";
  if (!fs::exists(archive)) {
    MESSAGE("skipped: the suite is not on this machine");
    return;
  }
  const fs::path folder = fs::temp_directory_path() / ("triaged-json-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  REQUIRE(std::system(("tar -xzf " + archive.string() + " -C " + folder.string()).c_str()) == 0);
  Shipped shipped({}, NormaliseLimits{1 << 20, 64});
  int accepted = 0, refused = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".json") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    CAPTURE(name);
    if (name.starts_with("n_")) {
      CHECK(shipped.Reason(text) != "accepted");
      ++refused;
    } else if (name.starts_with("y_") && Json::accept(text) && Json::parse(text).is_object()) {
      CHECK(shipped.Reason(text) == "accepted");
      ++accepted;
    }
  }
  fs::remove_all(folder);
  CHECK(accepted > 5);
  CHECK(refused == 188);
}

}  // namespace
}  // namespace triaged
