// Each shipped format table against records of our own and the exact alert they become (tests/data/formats/*.ndjson).
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "daemon/config.h"
#include "pipeline/normalise/key_value.h"
#include "pipeline/normalise/normaliser.h"

namespace triaged {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Tables {
  FieldCatalog catalog{FieldCatalog::Taxonomy::kAlert};
  std::shared_ptr<const FormatTables> tables;

  Tables() {
    Diagnostics diagnostics;
    tables = FormatTables::Compile(ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics), catalog, &diagnostics);
    INFO(diagnostics.Render());
    REQUIRE(tables != nullptr);
  }
};

TEST_CASE("every shipped format table has fixtures, and each becomes exactly its alert") {
  const Tables shipped;
  Normaliser normaliser(shipped.tables, {});
  for (std::string_view format : shipped.tables->FormatNames()) {
    std::ifstream in(TRIAGED_SOURCE_DIR "/tests/data/formats/" + std::string(format) + ".ndjson");
    int count = 0;
    for (std::string line; std::getline(in, line); ++count) {
      const Json fixture = Json::parse(line);
      CAPTURE(format);
      CAPTURE(fixture["name"].get<std::string>());
      const std::string record = fixture["record"].dump();
      // The record time is the epoch, as in `triagectl normalize`.
      REQUIRE_FALSE(normaliser.Normalise(record, {}, Timestamp{}).has_value());
      Json got = Json::parse(NormalisedJson(normaliser.alert(), shipped.catalog));
      Json expect = fixture["expect"];
      // An id made from the bytes depends on how the test prints the record.
      if (got.contains("triaged.notes") && got["triaged.notes"].dump().find("no_id") != std::string::npos) {
        CHECK(got["event.id"].get<std::string>().size() == 16);
        got.erase("event.id");
        expect.erase("event.id");
      }
      CHECK(got == expect);
      CHECK(normaliser.alert().is_update == fixture.value("update", false));
      CHECK(normaliser.alert().format == format);
    }
    CAPTURE(format);
    CHECK(count >= 3);
  }
  CHECK(shipped.tables->FormatNames().size() >= 14);
}

TEST_CASE("a format can be set instead of detected") {
  const Tables shipped;
  Normaliser normaliser(shipped.tables, {});
  REQUIRE_FALSE(normaliser.Normalise(R"({"rule":{"level":13,"description":"d"},"id":"1.2"})", "wazuh", Timestamp{}).has_value());
  CHECK(normaliser.alert().severity == AlertSeverity::kHigh);
  CHECK(normaliser.alert().format == "wazuh");
}

TEST_CASE("a selector reads only the objects that hold its value, a bracket without one is part of the key") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const FieldId raw = catalog.Resolve("odd[key]");
  Diagnostics diagnostics;
  const std::string text =
      "format: x\nfallback: true\nfields:\n  host.name: 'things[kind=host].name'\n  user.name: 'things[kind=7].name'\n"
      "  message: 'other[a.b=c d].e'\n";
  const auto tables = FormatTables::Compile({{"x.yaml", text}}, catalog, &diagnostics);
  INFO(diagnostics.Render());
  REQUIRE(tables);
  Normaliser normaliser(tables, {});
  REQUIRE_FALSE(normaliser
                    .Normalise(R"({"things":[{"name":"n1","kind":"file"},{"name":"h1","kind":"host"},{"kind":7,"name":"u1"},)"
                               R"({"kind":["host"],"name":"h2"}],"other":{"a.b":"c d","e":"f"},"odd[key]":"v"})",
                               {}, Timestamp{})
                    .has_value());
  const FieldTable& fields = normaliser.alert().fields;
  CHECK(fields.First(field::kHostName) == "h1");
  CHECK(fields.Get(field::kHostName).size() == 1);
  CHECK(fields.First(field::kUserName) == "u1");
  CHECK(fields.First(field::kMessage) == "f");
  CHECK(fields.First(raw) == "v");
}

TEST_CASE("CEF and LEEF texts") {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  const auto read = [](bool cef, std::string_view text) {
    Pairs pairs;
    const KeyValueSink sink = [&](std::string_view key, std::string_view value, bool escaped) {
      pairs.emplace_back(key, escaped ? Unescape(value) : std::string(value));
    };
    const bool ok = cef ? ParseCef(text, sink) : ParseLeef(text, sink);
    CHECK(ok == !pairs.empty());
    return pairs;
  };
  const Pairs cef = read(true, R"(x CEF:0|V\|1|P|1|id|na\\me|5|a=1 b=x=y c=two words d\=e f=l1\nl2 g=)");
  CHECK(cef == Pairs{{"deviceVendor", "V|1"}, {"deviceProduct", "P"}, {"deviceVersion", "1"}, {"deviceEventClassId", "id"},
                     {"name", "na\\me"}, {"severity", "5"}, {"a", "1"}, {"b", "x=y"}, {"c", "two words d=e"}, {"f", "l1\nl2"},
                     {"g", ""}});
  CHECK(read(true, "CEF:0|V|P|1|id|name").empty());  // a header field is missing
  CHECK(read(true, "CEF:|V|P|1|id|name|3|").empty());
  CHECK(read(true, "the text CEF: is not one").empty());
  const Pairs leef = read(false, "LEEF:2.0|V|P|1|id|x5E|a=1^b=C:\\new^^c");
  CHECK(leef == Pairs{{"deviceVendor", "V"}, {"deviceProduct", "P"}, {"deviceVersion", "1"}, {"deviceEventClassId", "id"},
                      {"a", "1"}, {"b", "C:\\new"}});
  CHECK(read(false, "LEEF:2.0|V|P|1|id|a=1\tb=2").back() == std::pair<std::string, std::string>("b", "2"));
  CHECK(read(false, "LEEF:1.0|V|P").empty());
}

TEST_CASE("the syslog header before a CEF or LEEF text: its time and its host") {
  const auto read = [](std::string_view header) {
    std::string found;
    const KeyValueSink sink = [&](std::string_view key, std::string_view value, bool) {
      if (key.starts_with("syslog")) found.append(value).append("|");
    };
    CHECK(ParseCef(std::string(header) + "CEF:0|V|P|1|id|name|5|", sink));
    std::string of_leef;
    std::swap(found, of_leef);
    CHECK(ParseLeef(std::string(header) + "LEEF:1.0|V|P|1|id|", sink));
    CHECK(found == of_leef);
    return found;
  };
  CHECK(read("<134>Mar  2 08:00:00 fw1 ") == "Mar  2 08:00:00|fw1|");
  CHECK(read("Mar 2 2026 08:00:00.5 fw1 app[3]: ") == "Mar 2 2026 08:00:00.5|fw1|");
  CHECK(read("<134>1 2026-03-02T08:00:00Z fw1 app - - - ") == "2026-03-02T08:00:00Z|fw1|");
  CHECK(read("2026-03-02 08:00:00 fw1 ") == "2026-03-02 08:00:00|fw1|");
  CHECK(read("<134>Mar  2 08:00:00 ") == "Mar  2 08:00:00|");
  for (const char* none : {"", " ", "<", "<>", "<134", "<134>", "1 ", "fw1 app: ", "one two three four 08:00:00 fw1 "}) {
    CAPTURE(none);
    CHECK(read(none).empty());
  }
}

}  // namespace
}  // namespace triaged
