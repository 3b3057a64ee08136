// Dead letters and what they are made of: the JSON writer and base64.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "pipeline/base/utf8.h"
#include "pipeline/report/base64.h"
#include "pipeline/report/dead_letter_style.h"
#include "pipeline/report/json_writer.h"
#include "tests/unit/report_cases.h"

namespace triaged {
namespace {

using test::At;
using test::CaseDice;
using PlainJson = nlohmann::json;

std::vector<std::string> Strings(const PlainJson& list) { return list.get<std::vector<std::string>>(); }

// Of the last header of that name, as consumers look it up.
std::string HeaderOf(const OutputRecord& record, std::string_view name) {
  for (size_t i = record.headers.size(); i-- > 0;) {
    if (record.headers[i].name == name) return record.headers[i].value;
  }
  return "(none)";
}

std::string Written(std::string_view text) {
  JsonWriter out;
  out.String({}, text);
  return out.Finish();
}

}  // namespace

TEST_CASE("json writer: structure, numbers and escapes") {
  JsonWriter out;
  out.Object({}, [&] {
    out.String("a", "q\" b\\ \n\t \x01 \x7f é 😀");
    out.Array("list", [&] {
      out.Int({}, -9'223'372'036'854'775'807 - 1);
      out.Unsigned({}, 18'446'744'073'709'551'615u);
      out.Bool({}, true);
      out.Null({});
      out.Object({}, [] {});
      out.Array({}, [] {});
      out.String({}, "{");  // a text that looks like an opening
      out.String({}, "[");
    });
    out.Bool("z", false);
  });
  CHECK(out.Finish() ==
        R"({"a":"q\" b\\ \n\t \u0001 )"
        "\x7f"
        R"( é 😀","list":[-9223372036854775808,18446744073709551615,true,null,{},[],"{","["],"z":false})");
}

TEST_CASE("json writer: any text reads back; what is not UTF-8 becomes U+FFFD") {
  for (uint32_t seed = 1; seed <= 2000; ++seed) {
    INFO("seed ", seed);
    const std::string text = CaseDice(seed).Text(60);
    const std::string json = Written(text);
    REQUIRE(IsValidUtf8(json));
    REQUIRE(PlainJson::parse(json).get<std::string>() == SanitiseUtf8(text));
    if (IsValidUtf8(text)) REQUIRE(json == PlainJson(text).dump());
  }
}

TEST_CASE("json writer: stops at its limit and says so") {
  for (size_t limit = 0; limit < 40; ++limit) {
    JsonWriter out(limit);
    out.Object({}, [&] {
      out.String("a", "0123456789");
      out.Array("b", [&] {
        for (int i = 0; i < 1000; ++i) out.Int({}, 7);
      });
    });
    CHECK(out.overflow());
    CHECK(out.Finish().size() < 60);
  }
  JsonWriter exact(4);
  exact.Null({});
  CHECK_FALSE(exact.overflow());
}

TEST_CASE("dead letter: keeps the record and says why") {
  const std::string value("\xff\0{", 3);
  InputRecord input;
  input.topic = "alerts";
  input.partition = 2;
  input.offset = 41;
  input.timestamp = At(0);
  input.key = "k";
  input.value = value;
  input.headers = {{"h", "\xfe"}, {"triaged.error.reason", "older"}};
  const OutputRecord record = DeadLetterRecord(input, "invalid_utf8", "byte \xff at 0", "intake");
  CHECK(record.topic == OutputTopic::kDeadLetter);
  CHECK(*record.key == "k");
  CHECK(*record.value == value);
  CHECK(*record.timestamp == At(0));
  REQUIRE(record.headers.size() == 10);
  CHECK(record.headers[0] == Header{"h", "\xfe"});
  CHECK(record.headers[1] == Header{"triaged.error.reason", "older"});
  CHECK(record.headers[2] == Header{"triaged.error.reason", "invalid_utf8"});
  CHECK(HeaderOf(record, "triaged.error.message") == "byte \xef\xbf\xbd at 0");
  CHECK(HeaderOf(record, "triaged.error.stage") == "intake");
  CHECK(HeaderOf(record, "triaged.error.topic") == "alerts");
  CHECK(HeaderOf(record, "triaged.error.partition") == "2");
  CHECK(HeaderOf(record, "triaged.error.offset") == "41");
  CHECK(HeaderOf(record, "triaged.error.timestamp") == "2026-11-21T04:08:00.000Z");
  CHECK(HeaderOf(record, "triaged.error.version") == TRIAGED_VERSION);

  const std::string line = DeadLetterJson(record, "test-app");
  CHECK(line.find('\n') == std::string::npos);
  const PlainJson event = PlainJson::parse(line);
  CHECK(event["type"] == "io.triaged.dead_letter.v1");
  CHECK(event["id"] == "dead-letter/alerts/2/41");
  CHECK(event["time"] == "2026-11-21T04:08:00.000Z");
  const PlainJson& d = event["data"];
  CHECK(d["reason"] == "invalid_utf8");  // the newest, not the one it came with
  CHECK(d["offset"] == 41);
  CHECK(d["key"] == "k");
  CHECK(d["value_base64"] == "/wB7");
  CHECK(d["value_bytes"] == 3);
  CHECK_FALSE(d.contains("value"));
  CHECK(d["headers"] == PlainJson::parse(R"([{"name":"h","value_base64":"/g=="},
                                             {"name":"triaged.error.reason","value":"older"}])"));
  CHECK(d["truncated"].empty());
}

TEST_CASE("dead letter: of null and of large records") {
  InputRecord input;
  input.topic = "alerts";
  const OutputRecord null_record = DeadLetterRecord(input, "empty_value", "null", "decide");
  CHECK_FALSE(null_record.key.has_value());
  CHECK_FALSE(null_record.value.has_value());
  PlainJson d = PlainJson::parse(DeadLetterJson(null_record, "a"))["data"];
  CHECK(d["key"].is_null());
  CHECK(d["value"].is_null());
  CHECK(d["value_bytes"].is_null());

  const std::string empty, large(64 * 1024 + 1, 'x');
  input.key = empty;
  input.value = large;
  const OutputRecord record = DeadLetterRecord(input, "too_large", "m", "intake");
  CHECK(*record.key == "");
  CHECK(record.value->size() == large.size());
  d = PlainJson::parse(DeadLetterJson(record, "a"))["data"];
  CHECK(d["key"] == "");
  CHECK(d["value"].get<std::string>().size() == 64 * 1024);
  CHECK(d["value_bytes"] == large.size());
  CHECK(Strings(d["truncated"]) == std::vector<std::string>{"value"});
}

TEST_CASE("base64: the vectors of the standard (RFC 4648, section 10)") {
  const std::vector<std::pair<std::string, std::string>> vectors = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) CHECK(Base64(bytes) == text);
}

TEST_CASE("dead letter: the styles add what Connect and Spring write, and keep ours") {
  InputRecord input;
  input.topic = "alerts";
  input.partition = 258;
  input.offset = 72'623'859'790'382'856;  // 0x0102030405060708
  input.timestamp = FromUnixMillis(1'700'000'000'000);  // 0x18bcfe56800
  input.value = "{";
  const OutputRecord plain = DeadLetterRecord(input, "invalid_json", "cut off", "intake");

  OutputRecord record = plain;
  AddDeadLetterHeaders(DeadLetterStyle::kTriaged, &record);
  CHECK(record.headers == plain.headers);

  AddDeadLetterHeaders(DeadLetterStyle::kConnect, &record);
  CHECK(HeaderOf(record, "__connect.errors.topic") == "alerts");
  CHECK(HeaderOf(record, "__connect.errors.partition") == "258");
  CHECK(HeaderOf(record, "__connect.errors.offset") == "72623859790382856");
  CHECK(HeaderOf(record, "__connect.errors.stage") == "intake");
  CHECK(HeaderOf(record, "__connect.errors.exception.class.name") == "invalid_json");
  CHECK(HeaderOf(record, "__connect.errors.exception.message") == "cut off");
  CHECK(HeaderOf(record, "triaged.error.reason") == "invalid_json");

  record = plain;
  AddDeadLetterHeaders(DeadLetterStyle::kSpring, &record);
  CHECK(HeaderOf(record, "kafka_dlt-original-topic") == "alerts");
  CHECK(HeaderOf(record, "kafka_dlt-original-partition") == std::string("\0\0\1\2", 4));
  CHECK(HeaderOf(record, "kafka_dlt-original-offset") == "\1\2\3\4\5\6\7\10");
  CHECK(HeaderOf(record, "kafka_dlt-original-timestamp") == std::string("\x00\x00\x01\x8b\xcf\xe5\x68\x00", 8));
  CHECK(HeaderOf(record, "kafka_dlt-exception-message") == "cut off");
  CHECK(record.value == "{");
}

}  // namespace triaged
