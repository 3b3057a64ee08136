// Condition expressions: every form, precedence, and conditions over cases.
#include <doctest/doctest.h>

#include <string>

#include "tests/unit/rules_test_util.h"

namespace triaged::rules_test {
namespace {

// Selections a, b, c and _d, each true when its letter is in `letters`.
bool Holds(std::string_view condition, std::string_view letters) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  std::string detection;
  for (const char* name : {"sel_a", "sel_b", "c", "_d"}) {
    const std::string letter(1, std::string_view(name).back());
    detection += std::string(name) + ":\n  f_" + letter + ": yes\n";
  }
  detection += "condition: " + std::string(condition);
  const auto rules = MustCompile(RuleText(detection), &catalog);
  Event event(&catalog);
  for (char letter : letters) event.Text("f_" + std::string(1, letter), "yes");
  return !Evaluate(*rules, event.table()).empty();
}

TEST_CASE("rules: and, or, not and their precedence") {
  CHECK(Holds("sel_a and sel_b", "ab"));
  CHECK_FALSE(Holds("sel_a and sel_b", "a"));
  CHECK(Holds("sel_a or sel_b", "b"));
  CHECK(Holds("sel_a or sel_b and c", "a"));
  CHECK_FALSE(Holds("(sel_a or sel_b) and c", "a"));
  CHECK(Holds("not sel_a", ""));
  CHECK(Holds("not sel_a and c", "c"));
  CHECK_FALSE(Holds("not (sel_a or c)", "c"));
  CHECK(Holds("not not sel_a", "a"));
}

TEST_CASE("rules: words of the condition language ignore case") { CHECK(Holds("sel_a AND NOT sel_b OR c", "a")); }

TEST_CASE("rules: counts of selections") {
  CHECK(Holds("1 of sel_*", "b"));
  CHECK(Holds("any of sel_*", "b"));
  CHECK_FALSE(Holds("1 of sel_*", "c"));
  CHECK(Holds("all of sel_*", "ab"));
  CHECK_FALSE(Holds("all of sel_*", "a"));
  CHECK(Holds("all of them", "abc"));  // names with a leading underscore are not among them
  CHECK_FALSE(Holds("all of them", "ab"));
  CHECK_FALSE(Holds("1 of them", "d"));
  CHECK(Holds("1 of _*", "d"));
  CHECK(Holds("2 of them", "ac"));
  CHECK_FALSE(Holds("2 of them", "a"));
  CHECK(Holds("1 of s*_b", "b"));
  CHECK_FALSE(Holds("1 of sel_* and not c", "bc"));
}

TEST_CASE("rules: a list of conditions is or") {
  CHECK(Holds("[sel_a, c]", "c"));
  CHECK(Holds("[sel_a, c]", "a"));
  CHECK_FALSE(Holds("[sel_a, c]", "b"));
}

std::shared_ptr<const Condition> OverCase(const std::string& text, FieldCatalog* catalog, Diagnostics* diagnostics) {
  const auto yaml = ParseYaml({"policy.yaml", text}, diagnostics);
  REQUIRE(yaml.has_value());
  return Condition::Compile(*yaml->source, yaml->documents.front(), catalog, diagnostics);
}

TEST_CASE("rules: a condition over the case") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kCase);
  Diagnostics diagnostics;
  const auto condition = OverCase("case.tags: [major_attack, other]\ncase.alert_count|gte: 3", &catalog, &diagnostics);
  REQUIRE(condition != nullptr);
  CHECK(condition->fields() == std::vector<FieldId>{field::kCaseTags, field::kCaseAlertCount});
  Event matching(&catalog);
  matching.Text("case.tags", "first").Text("case.tags", "major_attack").Number("case.alert_count", 3);
  CHECK(condition->Matches(matching.table()));
  Event few(&catalog);
  few.Text("case.tags", "major_attack").Number("case.alert_count", 2);
  CHECK_FALSE(condition->Matches(few.table()));
}

TEST_CASE("rules: an unknown field of a case is refused") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kCase);
  Diagnostics diagnostics;
  CHECK(OverCase("case.tag: major_attack", &catalog, &diagnostics) == nullptr);
  REQUIRE(diagnostics.items().size() == 1);
  CHECK(diagnostics.items().front().message == "a case has no field 'case.tag'");
  CHECK(diagnostics.items().front().hint == "did you mean 'case.tags'?");
}

TEST_CASE("rules: a condition with selections, and a list") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kCase);
  Diagnostics diagnostics;
  const auto named =
      OverCase("a: {case.status: open}\nb: {case.verdict: null}\ncondition: a and b", &catalog, &diagnostics);
  const auto listed = OverCase("- case.status: open\n- case.level: L2", &catalog, &diagnostics);
  REQUIRE(named != nullptr);
  REQUIRE(listed != nullptr);
  Event event(&catalog);
  event.Text("case.status", "open");
  CHECK(named->Matches(event.table()));
  CHECK(listed->Matches(event.table()));
}

TEST_CASE("rules: matches come in the order of the rules") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  std::string text;
  for (int i = 0; i < 20; ++i) {
    const std::string field = i % 3 == 0 ? "not_there: null" : i % 3 == 1 ? "b: yes" : "a: yes";
    text += "---\n" + RuleText("s:\n  " + field + "\ncondition: s", "rule-" + std::to_string(i));
  }
  const auto rules = MustCompile(text, &catalog);
  Event event(&catalog);
  event.Text("a", "yes").Text("b", "yes");
  const auto matched = Evaluate(*rules, event.table());
  REQUIRE(matched.size() == 20);
  for (uint32_t i = 0; i < 20; ++i) CHECK(matched[i] == i);
  CHECK(rules->rules()[7].id == "rule-7");
}

TEST_CASE("rules: a glob is tried once per value, however often its literal is met") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const auto rules = MustCompile(RuleText("s:\n  message: 'abcdefgh*never?there'\ncondition: s"), &catalog);
  std::string text;
  while (text.size() < 1024 * 1024) text += "abcdefgh";
  Event event(&catalog);
  event.Text("message", text);
  CHECK(Evaluate(*rules, event.table()).empty());  // would take hours if it were tried at each place
  event.Text("message", text + "never there");
  CHECK(Evaluate(*rules, event.table()).size() == 1);
}

}  // namespace
}  // namespace triaged::rules_test
