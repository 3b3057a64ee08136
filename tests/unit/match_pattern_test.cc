// `match` expressions: what is run here must find what RE2 finds.
#include "pipeline/normalise/match_pattern.h"

#include <doctest/doctest.h>
#include <re2/re2.h>

#include <random>
#include <set>

#include "daemon/config.h"

namespace triaged {
namespace {

std::shared_ptr<const MatchPattern> Compiled(const std::string& expression) {
  std::string error;
  auto pattern = MatchPattern::Compile(expression, &error);
  INFO(expression << ": " << error);
  REQUIRE(pattern != nullptr);
  return pattern;
}

void CompareWithRe2(const std::string& expression, const MatchPattern& pattern, const std::string& text) {
  const re2::RE2 oracle(expression, re2::RE2::Quiet);
  re2::StringPiece groups[2];
  const int wanted = oracle.NumberOfCapturingGroups() > 0 ? 2 : 1;
  const bool expected = oracle.Match(text, 0, text.size(), re2::RE2::UNANCHORED, groups, wanted);
  const auto found = pattern.Find(text);
  INFO(expression << " on '" << text << "'");
  REQUIRE(found.has_value() == expected);
  if (!expected) return;
  CHECK(found->value == std::string_view(groups[wanted - 1].data(), groups[wanted - 1].size()));
  CHECK(found->past == static_cast<size_t>(groups[0].data() - text.data()) + groups[0].size());
}

// Every quoted `match` of the shipped tables, once.
std::vector<std::string> Shipped() {
  std::set<std::string> expressions;
  Diagnostics diagnostics;
  for (const SourceFile& file : ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics)) {
    for (size_t at = file.text.find("match: '"); at != std::string::npos; at = file.text.find("match: '", at + 1)) {
      expressions.insert(file.text.substr(at + 8, file.text.find('\'', at + 8) - at - 8));
    }
  }
  return {expressions.begin(), expressions.end()};
}

TEST_CASE("match: random texts of each expression's own bytes, against RE2") {
  std::vector<std::string> expressions = Shipped();
  REQUIRE(expressions.size() > 30);
  const size_t shipped = expressions.size();
  for (const char* own : {"a+b", "^a*b$", "(a{2,3})b", "a{1,2}(?:xb)?$", "x?y", "[^a]b", "[^a]+b", "(a|b)c", "a+a", "\\d+", "a.b", "(a)(b)",
                          "[]a]", "a$b", "(?i)ab", "(?:a+b)?c", "((a))", "a{2}?", "[a-]", "[^a]", "ab|c", "(?:a)b", "a{0,2}b", "(^a)"}) {
    expressions.push_back(own);
  }
  size_t simple = 0;
  std::mt19937 random(20260302);
  for (size_t e = 0; e < expressions.size(); ++e) {
    const auto pattern = Compiled(expressions[e]);
    simple += e < shipped && pattern->simple();
    const std::string bytes = expressions[e] + "ab01T:/.A";
    for (int i = 0; i < 3000; ++i) {
      std::string text;
      for (size_t n = random() % 12; n > 0; --n) {
        switch (random() % 12) {
          case 0: text += "é"; break;
          case 1: text += "T1059"; break;
          case 2: text += ".001"; break;
          case 3: text += '\n'; break;
          default: text += bytes[random() % bytes.size()];
        }
      }
      CompareWithRe2(expressions[e], *pattern, text);
    }
  }
  CHECK(simple * 10 > shipped * 6);
}

TEST_CASE("match: what is no expression is refused, what is none of ours is RE2's") {
  std::string error;
  CHECK(MatchPattern::Compile("(a", &error) == nullptr);
  CHECK_FALSE(error.empty());
  CHECK(Compiled("^T[0-9]{4}(?:\\.[0-9]{3})?$")->simple());
  CHECK(Compiled("^([^:]+):")->simple());
  for (const char* other : {"(a|b)c", "a+a", "a*", "\\s", "[^a]b", "([^a])", "(?s)a", "a.b"}) CHECK_FALSE(Compiled(other)->simple());
}

}  // namespace
}  // namespace triaged
