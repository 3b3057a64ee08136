// Mapping tables: names of another taxonomy, and rules tried only on the events of their logsource.
#include "pipeline/rules/raw_event.h"
#include "tests/unit/rules_test_util.h"

namespace triaged {
namespace {

std::shared_ptr<const RuleMapping> Mapping(const std::string& text, std::string* said) {
  Diagnostics diagnostics;
  auto mapping = RuleMapping::Read({"m.yaml", text}, &diagnostics);
  *said = diagnostics.Render();
  return mapping;
}

// The ids of the rules that match the raw event, under the mapping.
std::string Matching(const std::string& mapping, const std::string& rules, const std::string& json) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  RuleOptions options;
  options.raw = true;
  std::string said;
  options.mapping = Mapping(mapping, &said);
  REQUIRE_MESSAGE(options.mapping != nullptr, said);
  const auto set = RuleSet::Compile({{"r.yaml", rules}}, &catalog, &diagnostics, options);
  REQUIRE_MESSAGE(set != nullptr, diagnostics.Render());
  RawEventReader reader(catalog);
  REQUIRE(reader.Read(json).ok());
  std::string ids;
  for (uint32_t rule : rules_test::Evaluate(*set, reader.fields())) ids += set->rules()[rule].id;
  return ids;
}

std::string Rule(const std::string& id, const std::string& logsource, const std::string& selection = "{a: x}") {
  return "title: T\nid: " + id + "\nlogsource: {" + logsource + "}\ndetection:\n  sel: " + selection +
         "\n  condition: sel\n---\n";
}

TEST_CASE("rules: a mapping routes by logsource, the most specific entry counting") {
  const std::string mapping =
      "mapping: m\nlogsources:\n  - {product: windows, when: {n|gte: 0}}\n"
      "  - {product: windows, category: process, when: {n: 1}}\n"
      "  - {product: windows, category: process, when: {n: 2}}\n";
  const std::string rules = Rule("a", "product: windows, category: process") + Rule("b", "product: windows") +
                            Rule("c", "product: windows, service: other") + Rule("d", "product: linux");
  CHECK(Matching(mapping, rules, R"({"a": "x", "n": 1})") == "abcd");
  CHECK(Matching(mapping, rules, R"({"a": "x", "n": 2})") == "abcd");
  CHECK(Matching(mapping, rules, R"({"a": "x", "n": 3})") == "bcd");
  CHECK(Matching(mapping, rules, R"({"a": "x"})") == "d");
  CHECK(Matching(mapping, rules, R"({"a": "y", "n": 1})") == "");
  CHECK(Matching(mapping + "unmapped: skip\n", rules, R"({"a": "x", "n": 1})") == "abc");
}

TEST_CASE("rules: a mapping translates names") {
  const std::string mapping = "mapping: m\nfields: {Image: process.executable}\n";
  const std::string rules = Rule("a", "product: windows", "{Image|endswith: '\\cmd.exe'}");
  CHECK(Matching(mapping, rules, R"({"process": {"executable": "C:\\cmd.exe"}})") == "a");
  CHECK(Matching(mapping, rules, R"({"process.executable": "C:\\cmd.exe"})") == "a");
  CHECK(Matching(mapping, rules, R"({"Image": "C:\\cmd.exe"})") == "");
}

TEST_CASE("rules: expand takes its values from the mapping's lists") {
  const std::string mapping = "mapping: m\nplaceholders: {who: [ann, 'b*'], what: [x]}\n";
  const auto match = [&](const std::string& selection, const std::string& json) {
    return !Matching(mapping, Rule("a", "product: p", selection), json).empty();
  };
  CHECK(match("{a|expand: '%who%'}", R"({"a": "Ann"})"));
  CHECK(match("{a|expand: '%who%'}", R"({"a": "bob"})"));
  CHECK_FALSE(match("{a|expand: '%who%'}", R"({"a": "carl"})"));
  CHECK(match("{a|expand|endswith: '\\%who%\\%what%'}", R"({"a": "C:\\ann\\x"})"));
  CHECK_FALSE(match("{a|expand: '%gone%'}", R"({"a": "%gone%"})"));
  CHECK(match("{a|expand: 'no list'}", R"({"a": "no list"})"));
}

TEST_CASE("rules: raw events: the values of a field stand together wherever they came from") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const FieldId a = catalog.Resolve("x.a");
  const FieldId b = catalog.Resolve("x.b");
  const FieldId c = catalog.Resolve("c");
  RawEventReader reader(catalog);
  const auto values = [&](FieldId field) {
    std::string all;
    for (const Value& value : reader.fields().Get(field)) all += std::string(value.text) + " ";
    return all;
  };
  // In turn, so that what one event left behind would show in the next.
  for (int round = 0; round < 3; ++round) {
    REQUIRE(reader.Read(R"({"x": [{"a": 1, "b": "p"}, {"a": "q"}, {"b": true, "a": "r"}], "c": 4, "x.a": "s"})").ok());
    CHECK(values(a) == "1 q r s ");
    CHECK(values(b) == "p true ");
    CHECK(values(c) == "4 ");
    REQUIRE(reader.Read(R"({"x": [{"a": "u"}, {"a": "v"}]})").ok());
    CHECK(values(a) == "u v ");
    CHECK(values(b) == "");
    CHECK(reader.fields().present().size() == 1);
  }
}

TEST_CASE("rules: raw events: nested names, arrays, every kind of value, keywords") {
  const auto match = [](const std::string& selection, const std::string& json) {
    return !Matching("mapping: m\n", Rule("a", "product: p", selection), json).empty();
  };
  CHECK(match("{a.b: [1]}", R"({"a": {"b": 1}})"));
  CHECK(match("{a.b: 2, a.c: 3}", R"({"a": [{"b": 1, "c": 3}, {"b": 2}]})"));
  CHECK(match("{a: 'true'}", R"({"a": true})"));
  CHECK(match("{a: null}", R"({"a": null})"));
  CHECK(match("{a: 1.5}", R"({"a": 1.5})"));
  CHECK(match("{a: 18446744073709551615}", R"({"a": 18446744073709551615})"));
  CHECK(match("['deep']", R"({"a": {"b": ["deep"]}})"));
  CHECK_FALSE(match("['deep']", R"({"deep": 1})"));
  CHECK_FALSE(match("{a: '*'}", R"({"a": {"b": 1}})"));
}

TEST_CASE("rules: what is wrong with a mapping is said where it stands") {
  std::string said;
  CHECK(Mapping("mapping: m\nlogsource: []\n", &said) == nullptr);
  CHECK(said.find("m.yaml:2:1: error: ") == 0);
  CHECK(said.find("'logsources'") != std::string::npos);
  CHECK(Mapping("mapping: m\nlogsources:\n  - {product: windows}\n", &said) == nullptr);
  CHECK(said.find("'when'") != std::string::npos);
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  RuleOptions options;
  options.mapping = Mapping("mapping: m\nlogsources:\n  - {product: p, when: {a|contians: x}}\n", &said);
  CHECK(RuleSet::Compile({{"r.yaml", Rule("a", "product: p")}}, &catalog, &diagnostics, options) == nullptr);
  CHECK(diagnostics.Render().find("m.yaml:3:27: error: ") == 0);
}

}  // namespace
}  // namespace triaged
