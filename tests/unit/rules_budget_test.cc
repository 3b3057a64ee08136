// What rules may cost: a pathological rule or set is refused by name, and an alert that costs too much is told.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/replay.h"
#include "tests/unit/rules_test_util.h"

namespace triaged {
namespace {

using rules_test::Event;

// About 12,000 instructions each, no two the same, and no text in them that would have to be there first.
std::string Regex(int number) {
  return "'n" + std::to_string(number) + "([a-e][b-f][c-g][d-h][e-i][f-j][g-k][h-l][i-m]x){1000}'";
}

std::string RegexRule(const std::string& id, int first, int count) {
  std::string values;
  for (int i = 0; i < count; ++i) values += (i ? ", " : "") + Regex(first + i);
  return "title: Costly " + id + "\nid: " + id + "\ndetection:\n  sel: {message|re: [" + values +
         "]}\n  condition: sel\n---\n";
}

std::string Said(const std::string& rules) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const auto set = RuleSet::Compile({{"r.yaml", rules}}, &catalog, &diagnostics);
  CHECK((set == nullptr) == diagnostics.HasErrors());
  return diagnostics.Render();
}

TEST_CASE("rules: a rule that may cost too much is refused, with its place") {
  CHECK(Said(RegexRule("fits", 0, 5)) == "");
  const std::string said = Said(RegexRule("fits", 0, 1) + RegexRule("pathological", 0, 8));
  CHECK(said.find("r.yaml:10:3: error: this costs up to ") == 0);
  CHECK(said.find("limit is 1000") != std::string::npos);
  std::string globs;  // wildcards cost as well
  for (int i = 0; i < 20; ++i) globs += (i ? ", '" : "'") + std::to_string(i) + std::string(4000, 'a') + "*b'";
  CHECK(Said("title: G\nid: g\ndetection:\n  sel: {message: [" + globs + "]}\n  condition: sel\n")
            .find("r.yaml:4:3: error: this costs up to ") == 0);
}

TEST_CASE("rules: a policy's condition has the same bound") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  std::string values;
  for (int i = 0; i < 8; ++i) values += (i ? ", " : "") + Regex(i);
  const auto yaml = ParseYaml({"p.yaml", "{message|re: [" + values + "]}"}, &diagnostics);
  REQUIRE(yaml.has_value());
  CHECK(Condition::Compile(*yaml->source, yaml->documents.front(), &catalog, &diagnostics) == nullptr);
  CHECK(diagnostics.Render().find("p.yaml:1:1: error: this costs up to ") == 0);
}

TEST_CASE("rules: a set that may cost too much is refused, and its most costly rule named") {
  std::string rules;
  for (int i = 0; i < 130; ++i) rules += RegexRule("r" + std::to_string(i), i * 5, i == 7 ? 5 : 4);
  CHECK(Said(rules) == "");
  for (int i = 130; i < 140; ++i) rules += RegexRule("r" + std::to_string(i), i * 5, 4);
  const std::string said = Said(rules);
  CHECK(said.find("error: the rules together cost up to ") != std::string::npos);
  CHECK(said.find("this rule ('Costly r7') costs most") != std::string::npos);
}

TEST_CASE("rules: the three limits are settings of the set") {
  const std::string text = RegexRule("costly", 0, 2) + RegexRule("other", 5, 1);
  const auto said = [&](const RuleBudget& budget) {
    FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
    Diagnostics diagnostics;
    RuleOptions options;
    options.budget = budget;
    const auto set = RuleSet::Compile({{"r.yaml", text}}, &catalog, &diagnostics, options);
    CHECK((set == nullptr) == diagnostics.HasErrors());
    if (set) CHECK(set->NewScratch()->limit == budget.alert);
    return diagnostics.Render();
  };
  CHECK(said({}) == "");
  CHECK(said({1000, 100'000, 7}) == "");
  CHECK(said({300, 100'000, 7}).find("r.yaml:4:3: error: this costs up to ") == 0);
  CHECK(said({300, 100'000, 7}).find("limit is 300") != std::string::npos);
  CHECK(said({1000, 450, 7}).find("this rule ('Costly costly') costs most") != std::string::npos);
}

TEST_CASE("rules: beyond the budget of an alert costly rules are given up and named, others still match") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const auto rules = rules_test::MustCompile(
      RegexRule("costly", 0, 1) + rules_test::RuleText("sel: {message|contains: needle}\ncondition: sel", "plain") +
          "---\n" + rules_test::RuleText("sel: {message|re: 'ne+dle'}\ncondition: sel", "cheap"),
      &catalog);
  const std::string text = std::string(5000, 'x') + "needle";
  Event event(&catalog);
  event.Text("message", text);
  const auto scratch = rules->NewScratch();
  std::vector<uint32_t> matched;
  rules->Evaluate(event.table(), scratch.get(), &matched);
  CHECK(matched == std::vector<uint32_t>{1, 2});
  CHECK_FALSE(scratch->over_limit);
  CHECK(scratch->steps > 100 * text.size());
  CHECK(scratch->steps < 300 * text.size());
  scratch->limit = 50 * text.size();
  matched.clear();
  rules->Evaluate(event.table(), scratch.get(), &matched);
  CHECK(matched == std::vector<uint32_t>{1, 2});
  CHECK(scratch->over_limit);
  CHECK(scratch->given_up == std::vector<uint32_t>{0});
}

TEST_CASE("rules: a regular expression costs nothing where a text that it needs is absent") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const auto rules = rules_test::MustCompile(
      rules_test::RuleText("sel: {message|re: '([a-z]{3}needle.){300}'}\ncondition: sel", "costly"), &catalog);
  const auto scratch = rules->NewScratch();
  const auto steps = [&](const std::string& text) {
    Event event(&catalog);
    event.Text("message", text);
    std::vector<uint32_t> matched;
    rules->Evaluate(event.table(), scratch.get(), &matched);
    return scratch->steps;
  };
  CHECK(steps(std::string(5000, 'x')) < 100);
  CHECK(steps(std::string(5000, 'x') + "nEEdle") > 20 * 5000);
}

TEST_CASE("rules: an alert that costs too much is tagged, counted and not closed by a rule") {
  Diagnostics diagnostics;
  EngineSources sources;
  sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
  sources.policies = ReadSources({TRIAGED_SOURCE_DIR "/configs/policies/soc-tiered.yaml"}, &diagnostics);
  sources.rules = {{"rules.yaml", RegexRule("costly", 0, 5) +
                                      "title: Noise\nid: noise\ndetection: {s: {event.action: noise}, condition: s}\n"
                                      "triage: {verdict: false_positive, confidence: 90, close: {owner: ada, expires: "
                                      "2030-01-01}}\n"}};
  const auto engine = CompileEngine(sources, NormaliseLimits{}, &diagnostics);
  REQUIRE_MESSAGE(engine != nullptr, diagnostics.Render());
  Replay replay(engine, "test", 1);
  REQUIRE(replay.Open().ok());
  const Timestamp at = FromUnixMillis(1'772'438'400'000);
  for (const size_t length : {size_t{100}, size_t{900'000}}) {
    const nlohmann::json alert = {{"ecs.version", "8.11.0"}, {"event.kind", "alert"},
                                  {"event.id", "a" + std::to_string(length)}, {"event.action", "noise"},
                                  {"rule.name", "r"}, {"host.name", "h" + std::to_string(length)},
                                  {"message", std::string(length, 'n')}, {"@timestamp", FormatTimestamp(at)}};
    REQUIRE(replay.TakeAlert(alert.dump(), at).ok());
  }
  const Balance& balance = replay.balance();
  // One of a hundred closable alerts is kept for review, by its id's hash: neither of these is.
  CHECK(balance.outcomes[static_cast<size_t>(AlertOutcome::kAutoClosed)] == 1);
  CHECK(balance.outcomes[static_cast<size_t>(AlertOutcome::kOpened)] == 1);
  size_t tagged = 0;
  const auto documents = replay.CaseDocuments();
  REQUIRE(documents.ok());
  for (const std::string& text : *documents) {
    const bool marked = text.find("\"rules_incomplete\"") != std::string::npos;
    tagged += marked;
    if (marked) CHECK(nlohmann::json::parse(text).at("data").at("status") == "open");
  }
  CHECK(tagged == 1);
}

}  // namespace
}  // namespace triaged
