// The texts that regular expressions need, against RE2: where an expression is found, one of its texts stands.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "pipeline/rules/pattern.h"
#include "pipeline/rules/regex_texts.h"
#include "tests/unit/rules_test_util.h"

namespace triaged::rules {
namespace {

using Texts = std::vector<std::string>;

TEST_CASE("rules: the texts that a regular expression needs") {
  struct Case {
    const char* pattern;
    Texts texts;
  };
  const Case cases[] = {
      {R"(ipconfig\s+/all)", {"ipconfig"}},
      {R"(net\s+config)", {"config"}},
      {R"(\\mypipe-(?:f|h)[0-9a-f]{2})", {"\\mypipe-f", "\\mypipe-h"}},
      {R"(echo.*clipboard.*&&)", {"clipboard"}},
      {R"((?:first|other)[0-9])", {"first", "other"}},
      {R"([0-9]+needle|straw.*)", {"needle", "straw"}},
      // Nothing, or too little.
      {R"(a.b)", {}},
      {R"(.{1000,})", {}},
      {R"((needle)?[0-9])", {}},
      {R"(needle|x)", {}},
      {R"([^\\]{3})", {}},
      // RE2 folds k and s with letters beyond ASCII, so only what is between them is looked for.
      {R"((?i)invoke-expression)", {"e-expre"}},
      {R"((?i)sks)", {}},
      {R"((?:invoke)-x)", {"invoke-x"}},
      // Characters beyond ASCII are lowered by other tables than the index's.
      {R"(\x{130}stanbul)", {}},
      {"\xC3\x89tage-deux", {}},
      {R"(\pLabcdef)", {}},
  };
  for (const Case& one : cases) {
    std::string joined;
    for (const std::string& text : RegexTexts(re2::RE2(one.pattern))) joined += text + "; ";
    INFO(std::string(one.pattern) << " needs " << joined);
    CHECK(RegexTexts(re2::RE2(one.pattern)) == one.texts);
  }
}

TEST_CASE("rules: a text that a regular expression needs stands wherever it is found") {
  const char* const patterns[] = {"(?i)task(kill|list)+",  "(?i)user.?name|e?value", "power(shell|cat)[0-9]?",
                                  "(?i:kernel)mode",       "(?i)[st]ask-?name",      "((abcd)+|(xyzw){2})e",
                                  "a(?i)bcdefk(?-i)ghijk", "name(d|s)?value",        "(?s)user.*task|kernel$"};
  const char* const pieces[] = {"task", "kill",  "list",         "user",        "name", "value", "power", "shell", "KERNEL",
                                "mode", "\xE2\x84\xAA", "\xC5\xBF", "e", "abcd", "xyzw", "BCDEF", "ghijk", "-",
                                "s",    "K",     "a",            "tas\xE2\x84\xAA", "\xC5\xBFk"};
  std::mt19937_64 random(20261122);
  size_t found = 0;
  for (const char* const pattern : patterns) {
    const re2::RE2 regex(pattern);
    REQUIRE(regex.ok());
    const Texts texts = RegexTexts(regex);
    for (size_t round = 0; round < 20'000 && !texts.empty(); ++round) {
      std::string value;
      for (size_t i = 1 + random() % 5; i > 0; --i) value += pieces[random() % std::size(pieces)];
      for (char& c : value) c = random() % 4 == 0 && c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      if (!re2::RE2::PartialMatch(value, regex)) continue;
      ++found;
      INFO(pattern << " in " << value);
      REQUIRE(std::any_of(texts.begin(), texts.end(),
                          [&](const std::string& text) { return Fold(value).find(text) != std::string::npos; }));
    }
  }
  CHECK(found > 1000);
}

TEST_CASE("rules: a regular expression with a text it needs matches any of several values, and in keywords") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const auto rules = rules_test::MustCompile(
      rules_test::RuleText("sel: {process.name|re: 'ab[0-9]needle'}\ncondition: sel", "field") + "---\n" +
          rules_test::RuleText("sel: {'|re': 'ab[0-9]needle'}\ncondition: sel", "keyword") + "---\n" +
          rules_test::RuleText("sel: {process.name|re: 'ab[0-9]needle'}\ncondition: not sel", "negated"),
      &catalog);
  const auto matched = [&](const std::vector<std::string>& values) {
    rules_test::Event event(&catalog);
    for (const std::string& value : values) event.Text("process.name", value);
    return rules_test::Evaluate(*rules, event.table());
  };
  CHECK(matched({"x", "ab1needle"}) == std::vector<uint32_t>{0, 1});
  CHECK(matched({"needle", "ab1"}) == std::vector<uint32_t>{2});
  CHECK(matched({"ab1NEEDLE"}) == std::vector<uint32_t>{2});
  CHECK(matched({"ab1"}) == std::vector<uint32_t>{2});
}

}  // namespace
}  // namespace triaged::rules
