// What a person reads who wrote a rule wrongly: the whole text, as it is printed.
#include <doctest/doctest.h>

#include <string>

#include "tests/unit/rules_test_util.h"

namespace triaged::rules_test {
namespace {

// What Compile prints about `text`; the set must be refused.
std::string Refusal(const std::string& text) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  CHECK(RuleSet::Compile({{"r.yaml", text}}, &catalog, &diagnostics) == nullptr);
  return diagnostics.Render();
}

// What Compile prints about `text`; the set must be accepted.
std::string Warnings(const std::string& text) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  CHECK(RuleSet::Compile({{"r.yaml", text}}, &catalog, &diagnostics) != nullptr);
  return diagnostics.Render();
}

TEST_CASE("rules: a misspelt modifier") {
  CHECK(Refusal(RuleText("sel:\n  process.name|contians: x\ncondition: sel")) ==
        "r.yaml:5:18: error: unknown modifier 'contians'\n"
        "      process.name|contians: x\n"
        "                   ^\n"
        "  hint: did you mean 'contains'?\n");
}

TEST_CASE("rules: mistakes in a condition, all at once") {
  CHECK(Refusal(RuleText("sel:\n  a: x\ncondition: sel and (filter or sel")) ==
        "r.yaml:6:23: error: no selection is named 'filter'\n"
        "    condition: sel and (filter or sel\n"
        "                        ^\n"
        "  hint: selections are sel\n"
        "r.yaml:6:22: error: this '(' is never closed\n"
        "    condition: sel and (filter or sel\n"
        "                       ^\n");
  CHECK(Refusal(RuleText("sel:\n  a: x\ncondition: sel and fliter\nfilter:\n  b: y")) ==
        "r.yaml:6:22: error: no selection is named 'fliter'\n"
        "    condition: sel and fliter\n"
        "                       ^\n"
        "  hint: did you mean 'filter'?\n");
}

// `condition` over one selection `s` is refused with one error that holds both texts.
void CheckCondition(std::string_view condition, std::string_view message, std::string_view hint) {
  CAPTURE(condition);
  const std::string text = Refusal(RuleText("s: {a: b}\ncondition: " + std::string(condition)));
  CAPTURE(text);
  CHECK(text.find(message) != std::string::npos);
  CHECK(text.find(hint) != std::string::npos);
  CHECK(text.find("error:") == text.rfind("error:"));
}

TEST_CASE("rules: every way to write a condition wrongly") {
  CheckCondition("1 of sle*", "no selection matches 'sle*'", "");
  CheckCondition("3 of s*", "'3 of' can never hold", "matching selections: 1");
  CheckCondition("0 of s*", "'0 of' is no count", "'all of'");
  CheckCondition("many of s*", "'many of' is no count", "'all of'");
  CheckCondition("1 of", "'of' needs a name", "");
  CheckCondition("s s", "unexpected 's'", "'and' or 'or'");
  CheckCondition("s and", "ends where a selection is expected", "");
  CheckCondition("and s", "a selection is expected before 'and'", "");
  CheckCondition("s*", "names several selections", "1 of s*");
  CheckCondition("(s))", "unexpected ')'", "");
  CheckCondition("''", "the condition is empty", "");
  CheckCondition("{x: y}", "a condition is a text", "");
  CheckCondition(std::string(80, '(') + "s" + std::string(80, ')'), "nested too deep", "");
}

TEST_CASE("rules: what Sigma dropped is refused with what replaces it") {
  CHECK(Refusal(RuleText("sel:\n  a: x\ncondition: sel | count() by host > 5")) ==
        "r.yaml:6:18: error: aggregations ('| count') were removed from conditions in Sigma 2\n"
        "    condition: sel | count() by host > 5\n"
        "                   ^\n"
        "  hint: write a correlation rule of type 'event_count' with 'group-by: [host]' and 'condition: {gt: 5}'\n");
  CheckCondition("s | count(host) > 5", "aggregations", "'value_count'");
  CheckCondition("s | sum(bytes) > 5", "aggregations", "'value_sum'");
  CheckCondition("s | avg(bytes) > 5", "aggregations", "'value_avg'");
  CheckCondition("s | max(bytes) > 5", "aggregations", "'gt' on the field");
  CheckCondition("s near t", "'near' was removed", "'temporal'");
  const std::string timeframe = Refusal(RuleText("s: {a: x}\ntimeframe: 5m\ncondition: s"));
  CHECK(timeframe.find("r.yaml:5:3: error: 'timeframe'") == 0);
  CHECK(timeframe.find("'timespan'") != std::string::npos);
  CHECK(Refusal("action: global\n").find("write every rule out in full") != std::string::npos);
  CHECK(Refusal("title: T\nid: f\nfilter:\n  rules: [a]\n").find("the detection has no 'condition'") != std::string::npos);
  CHECK(Refusal("title: T\nfilter: {s: {a: x}, condition: s}\n").find("the filter has no 'rules'") != std::string::npos);
}

TEST_CASE("rules: values that their modifiers do not take") {
  CHECK(Refusal(RuleText("s:\n  a|re: '(?=x)'\n  b|cidr: 192.0.2.0/33\n  c|gt: many\n  d|exists: perhaps\n"
                         "  e|contains|startswith: x\n  f|i: x\ncondition: s")) ==
        "r.yaml:5:11: error: the regular expression is refused: invalid perl operator: (?=\n"
        "      a|re: '(?=x)'\n"
        "            ^\n"
        "  hint: expressions run on RE2, in linear time: no look-around and no back-references\n"
        "r.yaml:6:13: error: '192.0.2.0/33' is no network\n"
        "      b|cidr: 192.0.2.0/33\n"
        "              ^\n"
        "  hint: write an address and a prefix length: '192.168.0.0/16', 'fd00::/8'\n"
        "r.yaml:7:11: error: a number is expected, not 'many'\n"
        "      c|gt: many\n"
        "            ^\n"
        "r.yaml:8:15: error: 'exists' takes true or false\n"
        "      d|exists: perhaps\n"
        "                ^\n"
        "r.yaml:9:5: error: 'contains', 'startswith' and 'endswith' exclude each other\n"
        "      e|contains|startswith: x\n"
        "      ^\n"
        "  hint: keep one, or write '*' where anything may stand\n"
        "r.yaml:10:5: error: 'i', 'm' and 's' stand after 're' only\n"
        "      f|i: x\n"
        "      ^\n"
        "  hint: for example '|re|i'; other comparisons ignore case anyway\n");
  const std::string encoded = Refusal(RuleText(
      "s: {a|windash|contains: '-a -b -c -d -e', b|base64: 'x*', c|wide|lt: 5, '|cidr': 192.0.2.0/24}\ncondition: s"));
  for (const char* message : {"'windash' on more than 4 dashes", "a value with wildcards cannot be encoded",
                              "'windash' and encodings change text values only", "keywords are texts"}) {
    CAPTURE(message);
    CHECK(encoded.find(message) != std::string::npos);
  }
}

TEST_CASE("rules: empty things") {
  const std::string text =
      Refusal(RuleText("s: {a: []}\nt: {}\nu: []\nv:\nw: {a: {b: c}}\nx: ['']\ncondition: all of them"));
  CAPTURE(text);
  for (const char* message : {"r.yaml:4:10: error: an empty list of values", "r.yaml:5:6: error: an empty selection",
                              "r.yaml:6:6: error: an empty selection", "r.yaml:7:3: error: selection 'v' is empty",
                              "r.yaml:8:10: error: a field's value is a scalar"}) {
    CAPTURE(message);
    CHECK(text.find(message) != std::string::npos);
  }
  CHECK(Refusal(RuleText("x: ['']\ncondition: x")).find("an empty keyword") != std::string::npos);
}

TEST_CASE("rules: identity") {
  CHECK(Refusal("title: T\ndetection:\n  s: {a: b}\n  condition: s\n") ==
        "r.yaml:1:1: error: the rule has no 'id'\n"
        "  title: T\n"
        "  ^\n"
        "  hint: give it a random UUID; it names the rule in every record\n");
  const std::string rule = RuleText("s: {a: b}\ncondition: s");
  CHECK(Refusal(rule + "---\n" + rule) ==
        "r.yaml:8:5: error: the id 'r1' is already taken\n"
        "  id: r1\n"
        "      ^\n"
        "  hint: first used at r.yaml:1\n");
  CHECK(Refusal("id: a\ndetection:\n  s: {a: b}\n  condition: s\n").find("the rule has no 'title'") !=
        std::string::npos);
  CHECK(Refusal("title: a\nid: b\n").find("the rule has no 'detection'") != std::string::npos);
  CHECK(Refusal("- a\n").find("a rule is a map") != std::string::npos);
  CHECK(Refusal(RuleText("s: {a: b}")).find("the detection has no 'condition'") != std::string::npos);
}

TEST_CASE("rules: the triage block is strict") {
  const std::string rule = RuleText("s: {a: b}\ncondition: s");
  const std::string text = Refusal(rule +
                                   "level: hihg\ntriage:\n  verdict: true_postive\n  confidence: 101\n"
                                   "  owner: me\n  close: {owner: me}\n");
  CAPTURE(text);
  for (const char* message :
       {"r.yaml:6:8: error: unknown level 'hihg'", "did you mean 'high'?",
        "r.yaml:8:12: error:", "did you mean 'true_positive'?", "r.yaml:9:15: error:", "'expires' is missing in close",
        "only a rule with 'verdict: false_positive' may close", "unknown key 'owner' in triage"}) {
    CAPTURE(message);
    CHECK(text.find(message) != std::string::npos);
  }
  CHECK(Refusal(rule + "triage:\n  verdict: false_positive\n  close: {owner: me, expires: soon}\n") ==
        "r.yaml:8:31: error: 'soon' is neither a date (2027-12-31) nor an RFC 3339 time\n"
        "    close: {owner: me, expires: soon}\n"
        "                                ^\n");
  CHECK(Refusal(rule + "triage:\n  verdict: false_positive\n  close: {expires: 2027-12-31}\n").find("'owner'") !=
        std::string::npos);
  CHECK(Refusal(rule + "triage: yes\n").find("'triage' must be a map") != std::string::npos);
}

TEST_CASE("rules: a triage block is read") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const auto rules = MustCompile(
      RuleText("s: {a: b}\ncondition: s") +
          "level: high\ntags: [attack.t1003]\nauthor: somebody\nlogsource: {product: windows}\n"
          "triage:\n  verdict: false_positive\n  confidence: 90\n  classification: scan\n  severity: low\n"
          "  request: look\n  tags: [x, y]\n  reason: known\n  close: {owner: ann, expires: '2027-06-30T12:00:00Z'}\n",
      &catalog);
  const Rule& rule = rules->rules().front();
  CHECK(rule.id == "r1");
  CHECK(rule.title == "Test");
  CHECK(rule.level == "high");
  CHECK(rule.tags == std::vector<std::string>{"attack.t1003"});
  CHECK(rule.where.file == "test.yaml");
  CHECK(rule.where.line == 1);
  CHECK(rule.triage.verdict == Verdict::kFalsePositive);
  CHECK(rule.triage.confidence == 90);
  CHECK(rule.triage.classification == "scan");
  CHECK(rule.triage.severity == "low");
  CHECK(rule.triage.request == "look");
  CHECK(rule.triage.tags == std::vector<std::string>{"x", "y"});
  CHECK(rule.triage.reason == "known");
  CHECK(rule.triage.close_owner == "ann");
  CHECK(rule.triage.close_expires == ParseTimestamp("2027-06-30T12:00:00Z"));
}

TEST_CASE("rules: warnings do not refuse") {
  CHECK(Warnings(RuleText("s: {proces.name: b, host.name|expand: '%servers%'}\nt: {a: b}\n_u: {a: b}\ncondition: s") +
                 "lvel: high\nstatus: stabel\n") ==
        "r.yaml:9:9: warning: unknown status 'stabel'\n"
        "  status: stabel\n"
        "          ^\n"
        "  hint: did you mean 'stable'?\n"
        "r.yaml:8:1: warning: 'lvel' is no key of Sigma; it is ignored\n"
        "  lvel: high\n"
        "  ^\n"
        "  hint: did you mean 'level'?\n"
        "r.yaml:5:3: warning: selection 't' is never used by the condition\n"
        "    t: {a: b}\n"
        "    ^\n"
        "r.yaml:4:7: warning: 'proces.name' is no normalised field, so it addresses the raw document\n"
        "    s: {proces.name: b, host.name|expand: '%servers%'}\n"
        "        ^\n"
        "  hint: did you mean 'process.name'?\n"
        "r.yaml:4:41: warning: 'expand' has no list 'servers', so this item never matches\n"
        "    s: {proces.name: b, host.name|expand: '%servers%'}\n"
        "                                          ^\n"
        "  hint: add it to 'placeholders' of the mapping table, write the values out, or leave the rule out\n");
}

TEST_CASE("rules: problems of all files are reported, and none hides another") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const std::string good = RuleText("s: {a: b}\ncondition: s", "good");
  const std::string bad = RuleText("s: {a|nope: b}\ncondition: t", "bad");
  CHECK(RuleSet::Compile({{"1.yaml", bad}, {"2.yaml", "a: [1"}, {"3.yaml", good + "---\n" + bad}}, &catalog,
                         &diagnostics) == nullptr);
  std::string files;
  for (const Diagnostic& item : diagnostics.items()) {
    if (item.level == DiagnosticLevel::kError) files += item.where.file.substr(0, 1);
  }
  CHECK(files.starts_with("112"));
  CHECK(files.find('3') != std::string::npos);
}

TEST_CASE("rules: an empty set is a set") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const auto rules = RuleSet::Compile({}, &catalog, &diagnostics);
  REQUIRE(rules != nullptr);
  CHECK(rules->rules().empty());
  Event event(&catalog);
  event.Text("message", "x");
  CHECK(Evaluate(*rules, event.table()).empty());
}

}  // namespace
}  // namespace triaged::rules_test
