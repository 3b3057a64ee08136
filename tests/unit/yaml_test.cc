// The strict YAML reader: what it accepts, and that each refusal names its place.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "pipeline/base/yaml.h"

namespace triaged {
namespace {

// Parses and renders the problems; "" when there are none.
std::string Problems(const std::string& text) {
  Diagnostics diagnostics;
  const auto file = ParseYaml({"f.yml", text}, &diagnostics);
  CHECK(file.has_value() == !diagnostics.HasErrors());
  return diagnostics.Render();
}

bool Contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

YamlFile Parse(const std::string& text) {
  Diagnostics diagnostics;
  auto file = ParseYaml({"f.yml", text}, &diagnostics);
  REQUIRE_MESSAGE(file.has_value(), diagnostics.Render());
  return *std::move(file);
}

TEST_CASE("a document becomes a tree with places") {
  const YamlFile file = Parse("# head\na: 1\nb:\n  - x\n  - \"5\"\n  - {c: ~}\nd:\n");
  REQUIRE(file.documents.size() == 1);
  const YamlNode& root = file.documents[0];
  REQUIRE(root.IsMap());
  REQUIRE(root.map().size() == 3);
  CHECK(root.line() == 2);
  CHECK(root.column() == 1);
  CHECK(root.Find("a")->AsInt() == 1);
  CHECK(root.Find("a")->column() == 4);
  const YamlNode& list = *root.Find("b");
  REQUIRE(list.list().size() == 3);
  CHECK(list.list()[0].scalar() == "x");
  CHECK_FALSE(list.list()[0].quoted());
  CHECK(list.list()[1].quoted());
  CHECK(list.list()[1].line() == 5);
  CHECK(list.list()[1].column() == 5);
  CHECK(list.list()[2].Find("c")->IsNull());
  CHECK(root.Find("d")->IsNull());
  CHECK(root.map()[2].key == "d");
  CHECK(root.map()[2].line == 7);
  CHECK(root.Find("e") == nullptr);
}

TEST_CASE("block scalars and single quotes are text") {
  const YamlFile file = Parse("a: |\n  5\nb: '6'\nc: >-\n  x\n  y\n");
  const YamlNode& root = file.documents[0];
  CHECK(root.Find("a")->quoted());
  CHECK(root.Find("a")->scalar() == "5\n");
  CHECK_FALSE(root.Find("a")->AsInt().has_value());
  CHECK(root.Find("b")->quoted());
  CHECK(root.Find("c")->scalar() == "x y");
}

TEST_CASE("documents are counted") {
  CHECK(Parse("").documents.empty());
  CHECK(Parse("# nothing but words\n").documents.empty());
  CHECK(Parse("a: 1\n").documents.size() == 1);
  CHECK(Parse("---\na: 1\n---\nb: 2\n").documents.size() == 2);
  CHECK(Parse("a: 1\n---\nb: 2\n...\n").documents.size() == 2);
  CHECK(Parse("---\n---\na: 1\n").documents.size() == 2);
  CHECK(Parse("\xef\xbb\xbf" "a: 1\n").documents[0].Find("a")->AsInt() == 1);
  CHECK(Parse("a: 1\r\nb: 2\r\n").documents[0].Find("b")->AsInt() == 2);
}

TEST_CASE("scalars read as the core schema has them") {
  const auto node = [](const std::string& text) { return Parse("v: " + text + "\n").documents[0].map()[0].value; };
  CHECK(node("true").AsBool() == true);
  CHECK(node("False").AsBool() == false);
  for (const char* text : {"yes", "on", "'true'", "1", "tRue", "[true]"}) CHECK_FALSE(node(text).AsBool().has_value());
  CHECK(node("-5").AsInt() == -5);
  CHECK(node("+5").AsInt() == 5);
  CHECK(node("9223372036854775807").AsInt() == INT64_MAX);
  for (const char* text : {"9223372036854775808", "0x10", "1_000", "5.0", "'5'", "+-5", "--5", "5a", "+", "1e3"}) {
    CHECK_MESSAGE(!node(text).AsInt().has_value(), text);
  }
  CHECK(node("1.5").AsDouble() == 1.5);
  CHECK(node("-1.5e2").AsDouble() == -150.0);
  CHECK(node("+.5").AsDouble() == 0.5);
  CHECK(node("5.").AsDouble() == 5.0);
  CHECK(node("7").AsDouble() == 7.0);
  for (const char* text : {".inf", ".nan", "inf", "nan", "1e999", "'1.5'", "1.2.3", ".", "1e", "0x1p3", "e5"}) {
    CHECK_MESSAGE(!node(text).AsDouble().has_value(), text);
  }
}

TEST_CASE("what could surprise is refused where it stands") {
  const std::vector<std::pair<std::string, std::string>> refusals = {
      {"a: &x 1\n", "f.yml:1:4: error: anchors"},
      {"a: &x [1]\n", "f.yml:1:4: error: anchors"},
      {"a: &x {b: 1}\n", "f.yml:1:4: error: anchors"},
      {"a: &x\n", "error: anchors"},
      {"a: &x 1\nb: *x\n", "f.yml:2:4: error: aliases"},
      {"a: !!str 5\n", "f.yml:1:4: error: tags"},
      {"a: !mine {b: 1}\n", "error: tags"},
      {"a: !!set [1]\n", "error: tags"},
      {"<<: {a: 1}\n", "f.yml:1:1: error: merge keys"},
      {"a: 1\nb: 2\na: 3\n", "f.yml:3:1: error: the key 'a' is there twice"},
      {"x:\n  a: 1\n  'a': 3\n", "f.yml:3:3: error: the key 'a' is there twice"},
      {"[a]: 1\n", "f.yml:1:1: error: a map's key must be text"},
      {"{a: 1}: 1\n", "error: a map's key must be text"},
      {"~: 1\n", "f.yml:1:1: error: a map's key must be text"},
      {"a: {{ name }}\n", "error: a map's key must be text"},
      {"a: 1\n]\n", "f.yml:2:1: error:"},
      {"'a' 'b'\n", "f.yml:1:5: error:"},
      {"--- 'a' 'b'\n", "f.yml:1:9: error: there is text behind the end"},
      {"a: [1, 2\n", "f.yml:1: error: the file ends inside"},
      {"a: 1\nb: \"open\n", "f.yml:2: error: the file ends inside"},
      {"a: 'open", "f.yml:1: error: the file ends inside"},
      {"a: \"x\\q\"\n", "f.yml:1:8: error: this is no valid YAML"},
      {"a: 1\n  b: 2\n", "error:"},
      {"a: *nobody\n", "error:"},
      {"a: 1\nb: \x04\nc: 3\n", "f.yml:2:4: error: control characters"},
      {std::string("a: 1\0", 5), "f.yml:1:5: error: control characters"},
      {"a: 1\nb: \xff\n", "f.yml:2:4: error: the file is not valid UTF-8"},
      {std::string("\xff\xfe" "a\0:\0", 6), "f.yml:1:1: error: the file is not valid UTF-8"},
  };
  for (const auto& pair : refusals) {
    const std::string problems = Problems(pair.first);
    CHECK_MESSAGE(Contains(problems, pair.second), pair.first, " gave ", problems);
  }
  CHECK(Problems("'<<': 1\n").empty());
  CHECK(Problems("a: '*x'\nb: '&y'\n").empty());
}

TEST_CASE("all problems of a file are reported at once, with the line they are in") {
  const std::string problems = Problems("a: &x 1\na: 2\nc: !!int 3\n");
  CHECK(Contains(problems, "f.yml:1:4: error: anchors"));
  CHECK(Contains(problems,
                 "f.yml:2:1: error: the key 'a' is there twice\n  a: 2\n  ^\n  hint: the first one is in line 1\n"));
  CHECK(Contains(problems, "f.yml:3:4: error: tags"));
}

TEST_CASE("the limits hold at their edges") {
  const auto nested = [](int depth) {
    return "a: " + std::string(static_cast<size_t>(depth - 1), '[') + std::string(static_cast<size_t>(depth - 1), ']');
  };
  CHECK(Problems(nested(kYamlMaxDepth)).empty());
  CHECK(Contains(Problems(nested(kYamlMaxDepth + 1)), "nested deeper than 64"));
  CHECK(Contains(Problems(std::string(200'000, '[')), "error:"));
  std::string steps;
  for (int i = 0; i < 10'000; ++i) steps += "- ";
  CHECK(Contains(Problems(steps), "f.yml:1:129: error: lists and maps are nested deeper than 64 levels"));

  std::string list;
  for (size_t i = 0; i + 1 < kYamlMaxNodes; ++i) list += "- 1\n";
  CHECK(Problems(list).empty());
  CHECK(Contains(Problems(list + "- 1\n"), "more than 500000"));

  CHECK(Problems("# " + std::string(kYamlMaxBytes - 2, 'x')).empty());
  CHECK(Contains(Problems("# " + std::string(kYamlMaxBytes - 1, 'x')), "at most 8388608"));
}

TEST_CASE("a flood of problems is cut off") {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "a: 1\n";
  Diagnostics diagnostics;
  CHECK_FALSE(ParseYaml({"f.yml", text}, &diagnostics).has_value());
  CHECK(diagnostics.items().size() < 100);
}

TEST_CASE("a file of very many documents is read in one pass") {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "---\n";
  CHECK(Parse(text).documents.size() == 200'000);
}

TEST_CASE("SourceLine shows one line, short and harmless") {
  const SourceFile file{"f", "one\r\ntwo\n\n" + std::string(159, 'x') + "ü tail\n\x1b[31mred\xff"};
  CHECK(SourceLine(file, 0).empty());
  CHECK(SourceLine(file, 1) == "one");
  CHECK(SourceLine(file, 2) == "two");
  CHECK(SourceLine(file, 3).empty());
  CHECK(SourceLine(file, 4) == std::string(159, 'x'));
  CHECK(SourceLine(file, 5) == " [31mred\xef\xbf\xbd");
  CHECK(SourceLine(file, 6).empty());
}

// One map to read: keeps file, problems and reader together.
struct Fixture {
  explicit Fixture(const std::string& text)
      : file(Parse(text)), reader(*file.source, file.documents.at(0), "the test", &diagnostics) {}
  YamlFile file;
  Diagnostics diagnostics;
  MapReader reader;
  std::string Render() const { return diagnostics.Render(); }
};

TEST_CASE("MapReader reads every type") {
  Fixture f("s: text\nb: true\ni: 7\nd: 1.5\nt: 1h30m\nz: 64MiB\nl: [a, 'b']\none: x\nc: high\nm: {k: v}\nempty:\n");
  CHECK(f.reader.String("s") == "text");
  CHECK(f.reader.Bool("b", false));
  CHECK(f.reader.Int("i", 0, 0, 10) == 7);
  CHECK(f.reader.Double("d", 0, 0, 2) == 1.5);
  CHECK(f.reader.Interval("t", {}, {}, std::chrono::hours(2)) == std::chrono::minutes(90));
  CHECK(f.reader.Bytes("z", 0, 0, int64_t{1} << 30) == 64 << 20);
  CHECK(f.reader.Strings("l") == std::vector<std::string>{"a", "b"});
  CHECK(f.reader.Strings("one") == std::vector<std::string>{"x"});
  CHECK(f.reader.Strings("empty").empty());
  CHECK(f.reader.Choice("c", {"low", "high"}, 0) == 1);
  REQUIRE(f.reader.Node("m") != nullptr);
  CHECK(f.reader.Has("m"));
  CHECK_FALSE(f.reader.Has("n"));
  f.reader.Finish();
  CHECK_MESSAGE(!f.diagnostics.HasErrors(), f.Render());
}

TEST_CASE("MapReader gives fallbacks for what is absent") {
  Fixture f("{}");
  CHECK(f.reader.String("s", "x") == "x");
  CHECK(f.reader.Bool("b", true));
  CHECK(f.reader.Int("i", 3, 0, 1) == 3);  // a fallback is the caller's and not checked
  CHECK(f.reader.Interval("t", Duration(5), {}, {}) == Duration(5));
  CHECK(f.reader.Choice("c", {"a"}, 9) == 9);
  CHECK(f.reader.Strings("l").empty());
  f.reader.Finish();
  CHECK_FALSE(f.diagnostics.HasErrors());
}

TEST_CASE("MapReader names a wrong value where it stands") {
  Fixture f("i: 70\nq: '7'\nb: yes\nt: 15\nlong: 3h\nz: 64MB\nc: hihg\nl: {a: b}\nk: [a, [b]]\ns: [a]\nn:\n");
  CHECK(f.reader.Int("i", 1, 0, 10) == 1);
  CHECK(f.reader.Int("q", 2, 0, 10) == 2);
  CHECK_FALSE(f.reader.Bool("b", false));
  CHECK(f.reader.Interval("t", Duration(3), {}, std::chrono::hours(2)) == Duration(3));
  f.reader.Interval("long", {}, Duration(1), std::chrono::hours(2));
  CHECK(f.reader.Bytes("z", 4, 0, 1 << 20) == 4);
  f.reader.Choice("c", {"low", "high"}, 0);
  f.reader.Strings("l");
  CHECK(f.reader.Strings("k") == std::vector<std::string>{"a"});
  f.reader.String("s");
  f.reader.String("n");
  f.reader.Finish();
  const std::string text = f.Render();
  CAPTURE(text);
  CHECK(Contains(text, "f.yml:1:4: error: 'i' must be a whole number between 0 and 10, not '70'\n  i: 70\n     ^\n"));
  CHECK(Contains(text, "f.yml:2:4: error: 'q' must be a whole number between 0 and 10, not '7' in quotes"));
  CHECK(Contains(text, "f.yml:3:4: error: 'b' must be true or false, not 'yes'"));
  CHECK(Contains(text, "f.yml:4:4: error: 't' must be a duration between 0 and 2h, not '15'"));
  CHECK(Contains(text, "hint: durations have units"));
  CHECK(Contains(text, "f.yml:5:7: error: 'long' must be a duration between 1ms and 2h, not '3h'"));
  CHECK(Contains(text, "f.yml:6:4: error: 'z' must be a size between 0 and 1MiB, not '64MB'"));
  CHECK(Contains(text, "f.yml:7:4: error: 'c' must be one of low, high, not 'hihg'"));
  CHECK(Contains(text, "hint: did you mean 'high'?"));
  CHECK(Contains(text, "f.yml:8:4: error: 'l' must be a list of texts, not a map"));
  CHECK(Contains(text, "f.yml:9:8: error: 'k' must hold texts only, not a list"));
  CHECK(Contains(text, "f.yml:10:4: error: 's' must be text, not a list"));
  CHECK(Contains(text, "'n' must be text, not nothing"));
  CHECK(f.diagnostics.items().size() == 11);
}

TEST_CASE("MapReader asks for what is required, at the map") {
  Fixture f("a: 1\nb: ''\nc: []\n");
  f.reader.String("title", "", true);
  f.reader.Strings("names", true);
  f.reader.Node("node", true);
  f.reader.String("b", "", true);
  f.reader.Strings("c", true);
  const std::string text = f.Render();
  CAPTURE(text);
  CHECK(Contains(text, "f.yml:1:1: error: 'title' is missing in the test"));
  CHECK(Contains(text, "'names' is missing"));
  CHECK(Contains(text, "'node' is missing"));
  CHECK(Contains(text, "f.yml:2:4: error: 'b' must not be empty"));
  CHECK(Contains(text, "f.yml:3:4: error: 'c' must not be empty"));
}

TEST_CASE("MapReader reports keys nobody asked for, with the nearest one") {
  Fixture f("titel: x\nstatus: y\nzzzzzzzz: 1\n");
  f.reader.String("title");
  f.reader.String("status");
  f.reader.Finish();
  const std::string text = f.Render();
  CAPTURE(text);
  CHECK(Contains(text,
                 "f.yml:1:1: error: unknown key 'titel' in the test\n  titel: x\n  ^\n  hint: did you mean 'title'?"));
  CHECK(Contains(text, "f.yml:3:1: error: unknown key 'zzzzzzzz'"));
  CHECK(Contains(text, "hint: further keys it may have: title"));
  CHECK(f.diagnostics.items().size() == 2);
}

TEST_CASE("MapReader counts unknown keys beyond the first fifty") {
  std::string keys;
  for (int i = 0; i < 60; ++i) keys += "key" + std::to_string(i) + ": 1\n";
  Fixture f(keys);
  f.reader.Finish();
  CHECK(f.diagnostics.items().size() == 51);
  CHECK(Contains(f.Render(), "the test has 10 more unknown keys"));
}

TEST_CASE("MapReader reads nothing as an empty map and refuses other kinds once") {
  Fixture null("~");
  null.reader.String("a");
  null.reader.Finish();
  CHECK_FALSE(null.diagnostics.HasErrors());
  Fixture list("- a\n");
  list.reader.String("a", "", true);
  list.reader.Finish();
  CHECK(list.Render() == "f.yml:1:1: error: the test must be a map (key: value), not a list\n  - a\n  ^\n");
}

TEST_CASE("a size and a duration at the edge of their types") {
  Fixture f("a: 8388607TiB\nb: 8388608TiB\nc: '0'\nd: 106751991168d\n");
  CHECK(f.reader.Bytes("a", 0, 0, INT64_MAX) == int64_t{8388607} << 40);
  CHECK(f.reader.Bytes("b", 1, 0, INT64_MAX) == 1);
  CHECK(f.reader.Interval("c", Duration(9), {}, Duration::max()) == Duration(0));
  CHECK(f.reader.Interval("d", Duration(9), {}, Duration::max()) == Duration(9));
  CHECK(f.diagnostics.items().size() == 2);
}

}  // namespace
}  // namespace triaged
