// The index over all patterns of a field against comparing them one by one: random patterns, few and many, and random
// values, short and long. TRIAGED_SEED repeats a run.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "pipeline/rules/few_texts.h"
#include "pipeline/rules/field_matcher.h"

namespace triaged::rules {
namespace {

uint64_t Seed() {
  const char* const set = std::getenv("TRIAGED_SEED");
  return set != nullptr ? std::strtoull(set, nullptr, 10) : 20261122;
}

class Texts {
 public:
  explicit Texts(uint64_t seed) : random_(seed) {}

  size_t Below(size_t end) { return random_() % end; }

  // Few letters, so that texts are found in each other; bytes that only folding or its mistakes make alike.
  std::string Text(size_t size) {
    static constexpr std::string_view kBytes = "aAbB@`[{\\|.e\xC3\xA9k";
    std::string text;
    for (size_t i = 0; i < size; ++i) text.push_back(kBytes[Below(Below(3) == 0 ? kBytes.size() : 4)]);
    return text;
  }

  Pattern AnyPattern() {
    static constexpr Anchor kAnchors[] = {Anchor::kWhole, Anchor::kContains, Anchor::kContains, Anchor::kStartsWith,
                                          Anchor::kEndsWith};
    std::string text = Text(1 + Below(Below(2) == 0 ? 5 : 14));
    if (Below(6) == 0) text.insert(Below(text.size() + 1), Below(2) == 0 ? "*" : "?");
    return MakePattern(ParseSigmaText(text), kAnchors[Below(std::size(kAnchors))], Below(4) == 0);
  }

 private:
  std::mt19937_64 random_;
};

struct Sink {
  std::vector<bool> held;
  std::vector<bool> tried;
  void Hit(PredicateId id) { held[id] = true; }
  bool FirstTry(uint32_t glob) {
    const bool first = !tried[glob];
    tried[glob] = true;
    return first;
  }
  void NextValue() { tried.assign(tried.size(), false); }
  bool Spend(uint64_t) { return true; }
  void GiveUp(PredicateId) { FAIL("nothing was to be given up"); }
  void GiveUpScan() { FAIL("nothing was to be given up"); }
};

TEST_CASE("rules: a field's index finds what comparing each pattern finds") {
  const uint64_t seed = Seed();
  MESSAGE("TRIAGED_SEED=" << seed);
  Texts texts(seed);
  size_t hits = 0;
  size_t asked = 0;
  for (const size_t count : {1, 3, 8, 20, 60, 64, 65, 90, 200, 500, 1500}) {
    std::vector<Pattern> patterns;
    FieldMatcher matcher;
    for (size_t i = 0; i < count; ++i) {
      patterns.push_back(texts.AnyPattern());
      matcher.Add(static_cast<PredicateId>(i), {patterns.back()});
    }
    matcher.Build();
    for (size_t round = 0; round < 60; ++round) {
      // A value with some of the patterns' texts in it, at its ends and elsewhere.
      std::string value = texts.Text(texts.Below(texts.Below(8) == 0 ? 1200 : 70));
      for (size_t i = texts.Below(3); i > 0; --i) {
        const std::string& literal = patterns[texts.Below(count)].literal;
        const size_t places[] = {0, value.size(), texts.Below(value.size() + 1)};
        value.insert(places[texts.Below(3)], literal);
      }
      Sink sink{std::vector<bool>(count), std::vector<bool>(matcher.globs())};
      matcher.Scan(value, sink);
      for (size_t i = 0; i < count; ++i) {
        const bool holds = Matches(patterns[i], value);
        hits += holds;
        ++asked;
        INFO("patterns " << count << " round " << round << " literal " << patterns[i].literal << " kind "
                         << static_cast<int>(patterns[i].kind) << " value " << value);
        REQUIRE(sink.held[i] == holds);
      }
    }
  }
  CHECK(hits > asked / 20);
  CHECK(hits < asked / 2);
}

TEST_CASE("rules: many values looked through side by side give what each gives") {
  Texts texts(Seed());
  JoinedValues joined;
  size_t hits = 0;
  for (size_t round = 0; round < 400; ++round) {
    const size_t count = 1 + texts.Below(texts.Below(3) == 0 ? 300 : 12);
    FieldMatcher matcher;
    std::vector<Pattern> patterns;
    for (size_t i = 0; i < count; ++i) {
      patterns.push_back(texts.AnyPattern());
      matcher.Add(static_cast<PredicateId>(i), {patterns.back()});
    }
    matcher.Build();
    std::vector<std::string> values(texts.Below(40));
    for (std::string& value : values) {
      value = texts.Text(texts.Below(texts.Below(12) == 0 ? 700 : 30));
      // Also halves of texts, so that two values together seem to hold what neither does.
      const std::string& literal = patterns[texts.Below(count)].literal;
      const size_t cut = texts.Below(literal.size() + 1);
      if (texts.Below(3) == 0) value = literal.substr(cut) + value + literal.substr(0, cut);
    }
    std::vector<Value> all;
    for (const std::string& value : values) all.emplace_back(value);
    if (!all.empty() && texts.Below(4) == 0) all[texts.Below(all.size())].kind = ValueKind::kNull;
    Sink many{std::vector<bool>(count), std::vector<bool>(matcher.globs())};
    Sink each{std::vector<bool>(count), std::vector<bool>(matcher.globs())};
    matcher.ScanMany(all, &joined, many);
    for (const Value& value : all) {
      each.NextValue();
      if (value.kind != ValueKind::kNull) matcher.Scan(value.text, each);
    }
    INFO("round " << round << " patterns " << count << " values " << values.size());
    REQUIRE(many.held == each.held);
    hits += static_cast<size_t>(std::count(each.held.begin(), each.held.end(), true));
  }
  CHECK(hits > 1000);
}

TEST_CASE("rules: few texts are found at the same places with vectors and without") {
  Texts texts(Seed());
  for (size_t round = 0; round < 300; ++round) {
    const size_t width = 2 + texts.Below(3);
    std::vector<std::string> literals(1 + texts.Below(kMostFewTexts));
    std::vector<FewTexts::Source> sources;
    for (std::string& literal : literals) {
      literal = texts.Text(width + texts.Below(9));
      sources.push_back({literal, texts.Below(literal.size() - width + 1), static_cast<uint32_t>(sources.size()), 0});
    }
    FewTexts few;
    few.Build(sources, width);
    const std::string value = texts.Text(width + texts.Below(1400));
    for (size_t begin = 0; begin + width <= value.size(); begin += FewTexts::kBlock) {
      std::array<FewTexts::Candidate, FewTexts::kBlock> fast, plain;
      const size_t count = few.Candidates(value, begin, &fast);
      REQUIRE(count == few.Candidates(value, begin, &plain, FewTexts::Form::kPlain));
      for (size_t i = 0; i < count; ++i) {
        REQUIRE(fast[i].place == plain[i].place);
        REQUIRE(fast[i].buckets == plain[i].buckets);
      }
    }
  }
}

}  // namespace
}  // namespace triaged::rules
