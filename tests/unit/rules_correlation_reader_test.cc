// Correlation documents: what is read, what is refused and how, and how references, aliases and chains are resolved.
#include <doctest/doctest.h>

#include <string>

#include "pipeline/rules/correlation_set.h"
#include "tests/unit/rules_test_util.h"

namespace triaged::rules_test {
namespace {

using rules::CorrelationType;

constexpr const char* kBase =
    "title: Failed\nid: failed\nname: failed_login\ndetection:\n  s: {event.action: failed}\n  condition: s\n---\n"
    "title: Worked\nid: worked\nname: good_login\ndetection:\n  s: {event.action: worked}\n  condition: s\n---\n";

std::string Correlation(const std::string& body, const std::string& id = "c") {
  return "title: C\nid: " + id + "\ncorrelation:\n" + Indent(body, 2);
}

struct Compiled {
  FieldCatalog catalog{FieldCatalog::Taxonomy::kAlert};
  std::shared_ptr<const RuleSet> rules;
  std::string said;
};

Compiled Compile(const std::string& text) {
  Compiled compiled;
  Diagnostics diagnostics;
  compiled.rules = RuleSet::Compile({{"c.yaml", text}}, &compiled.catalog, &diagnostics);
  compiled.said = diagnostics.Render();
  return compiled;
}

// What a correlation with this body is refused with.
std::string Refusal(const std::string& body) {
  const Compiled compiled = Compile(kBase + Correlation(body));
  CHECK(compiled.rules == nullptr);
  return compiled.said;
}

bool Has(const std::string& text, std::string_view part) {
  CAPTURE(text);
  CAPTURE(part);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("correlation documents: everything that is written is read") {
  const Compiled compiled = Compile(
      kBase + Correlation("type: value_count\nrules: [failed_login, worked]\ngroup-by: [who, host.name]\ntimespan: 90m\n"
                          "aliases:\n  who: {failed_login: user.name, good_login: user.target.name}\n"
                          "condition: {field: source.ip, gt: 2, lte: 7.5}\ngenerate: true\n"));
  INFO(compiled.said);
  REQUIRE(compiled.rules);
  REQUIRE(compiled.rules->rules().size() == 3);
  CHECK(compiled.rules->rules()[2].id == "c");
  const auto& set = compiled.rules->correlations();
  REQUIRE(set.all().size() == 1);
  const rules::Correlation& c = set.all().front();
  CHECK(c.rule == 2);
  CHECK(c.spec.type == CorrelationType::kValueCount);
  CHECK(c.spec.timespan == std::chrono::minutes(90));
  CHECK(c.spec.condition.gt == 2'000'000);
  CHECK(c.spec.condition.lte == 7'500'000);
  REQUIRE(c.rules.size() == 2);
  CHECK(c.rules[0].group_by == std::vector<FieldId>{field::kUserName, field::kHostName});
  CHECK(c.rules[1].group_by == std::vector<FieldId>{field::kUserTargetName, field::kHostName});
  CHECK(c.rules[1].value == std::vector<FieldId>{field::kSourceIp});
  CHECK(set.StandsAlone(0));  // generate
}

TEST_CASE("correlation documents: the rules of a correlation only serve it, unless it says generate") {
  const Compiled compiled =
      Compile(kBase + Correlation("type: event_count\nrules: failed\ngroup-by: user.name\ntimespan: 5m\ncondition: {gte: 3}\n"));
  REQUIRE(compiled.rules);
  CHECK_FALSE(compiled.rules->correlations().StandsAlone(0));
  CHECK(compiled.rules->correlations().StandsAlone(1));
  CHECK(compiled.rules->correlations().StandsAlone(2));
  const Compiled top = Compile(kBase + ("generate: true\n" + Correlation("type: temporal\nrules: [failed, worked]\n"
                                                                         "group-by: [user.name]\ntimespan: 1d\n")));
  INFO(top.said);
  REQUIRE(top.rules);
  CHECK(top.rules->correlations().StandsAlone(0));
}

TEST_CASE("correlation documents: a chain is put in order, whatever the order of the documents") {
  const std::string chain = Correlation("type: temporal_ordered\nrules: [many, worked]\ngroup-by: [user.name]\ntimespan: 1h\n");
  const std::string many = "title: M\nid: many\ncorrelation:\n  type: event_count\n  rules: [failed]\n"
                           "  group-by: [host.name]\n  timespan: 5m\n  condition: {gte: 3}\n";
  const Compiled compiled = Compile(chain + "---\n" + many + "---\n" + kBase);
  INFO(compiled.said);
  REQUIRE(compiled.rules);
  REQUIRE(compiled.rules->correlations().all().size() == 2);
  const rules::Correlation& last = compiled.rules->correlations().all()[1];
  CHECK(compiled.rules->rules()[last.rule].id == "c");
  CHECK(compiled.rules->rules()[last.rules[0].rule].id == "many");
  CHECK(compiled.rules->correlations().LinksOf(last.rules[0].rule).size() == 1);
}

TEST_CASE("correlation documents: refusals name the place and what would be right") {
  CHECK(Has(Refusal("type: event_cuont\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1}\n"),
            "c.yaml:18:9: error: unknown correlation type 'event_cuont'\n"));
  CHECK(Has(Refusal("type: event_cuont\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1}\n"), "did you mean 'event_count'?"));
  CHECK(Has(Refusal("type: event_count\nrules: [faled]\ntimespan: 5m\ncondition: {gte: 1}\n"),
            "no rule has the id or name 'faled'"));
  CHECK(Has(Refusal("type: event_count\nrules: [failed]\ncondition: {gte: 1}\n"), "'timespan' is missing"));
  CHECK(Has(Refusal("type: event_count\nrules: [failed]\ntimespan: 5x\ncondition: {gte: 1}\n"), "timespan"));
  CHECK(Has(Refusal("type: event_count\nrules: [failed]\ntimespan: 5m\n"), "'condition' is missing"));
  CHECK(Has(Refusal("type: event_count\nrules: [failed]\ntimespan: 5m\ncondition: {at_least: 3}\n"), "has no bound"));
  CHECK(Has(Refusal("type: event_count\nrules: [failed]\ntimespan: 5m\ncondition: {gte: many}\n"), "must be a number"));
  CHECK(Has(Refusal("type: event_count\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 10001}\n"), "is never reached"));
  CHECK(Has(Refusal("type: value_sum\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1}\n"), "'field' is missing"));
  CHECK(Has(Refusal("type: event_count\nrules: [failed]\ntimespan: 5m\ncondition: {field: a, gte: 1}\n"), "no field"));
  CHECK(Has(Refusal("type: event_count\nrules: []\ntimespan: 5m\ncondition: {gte: 1}\n"), "at least one rule"));
  CHECK(Has(Refusal("type: temporal\nrules: [failed, failed_login]\ntimespan: 5m\n"), "stands here already"));
  CHECK(Has(Refusal("type: temporal\nrules: [failed, failed]\ntimespan: 5m\n"), "stands twice in 'rules'"));
  CHECK(Has(Refusal("type: temporal\nrules: [failed, worked]\ntimespan: 5m\ngroupby: [a]\n"), "group-by"));
  CHECK(Has(Refusal("type: temporal\nrules: [failed, worked]\ngroup-by: [who]\ntimespan: 5m\n"
                    "aliases: {who: {failed: user.name}}\n"),
            "the alias 'who' has no field for the rule 'worked'"));
  CHECK(Has(Refusal("type: event_count\nrules: [failed]\ngroup-by: [who]\ntimespan: 5m\ncondition: {gte: 1}\n"
                    "aliases: {who: {failed: user.name, worked: user.name}}\n"),
            "which this correlation does not count"));
  CHECK(Has(Refusal("type: temporal\nrules: [failed, c]\ntimespan: 5m\n"), "go round in a circle"));
  const std::string both = "title: C\nid: c\ndetection:\n  s: {a: b}\n  condition: s\ncorrelation:\n  type: temporal\n"
                           "  rules: [failed, worked]\n  timespan: 5m\n";
  CHECK(Has(Compile(kBase + both).said, "a correlation has no 'detection'"));
  CHECK(Has(Compile(kBase + Correlation("type: temporal\nrules: [failed, worked]\ntimespan: 5m\n", "failed")).said,
            "the id 'failed' is already taken"));
}

TEST_CASE("correlation documents: a triage block that can have no effect warns") {
  const std::string base = "title: F\nid: f\ndetection:\n  s: {a: b}\n  condition: s\ntriage: {verdict: true_positive}\n---\n";
  const std::string body = "type: event_count\nrules: [f]\ngroup-by: [host.name]\ntimespan: 5m\ncondition: {gte: 3}\n";
  CHECK(Has(Compile(base + Correlation(body)).said, "has no effect"));
  CHECK(Compile(base + Correlation(body + "generate: true\n")).said.empty());
}

TEST_CASE("correlations: group keys fold case, keep parts apart and are bounded") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  rules::CorrelatedRule rule;
  rule.group_by = {field::kHostName, field::kUserName};
  Event event(&catalog);
  event.Text("host.name", "DB7");
  CHECK_FALSE(rules::GroupKey(rule, event.table()).has_value());
  event.Text("user.name", "a/b");
  CHECK(rules::GroupKey(rule, event.table()) == "/db7/a%2Fb");
  const auto long_key = [&](const std::string& end) {
    Event one(&catalog);
    one.Text("host.name", std::string(2000, 'x') + end).Text("user.name", "u");
    return *rules::GroupKey(rule, one.table());
  };
  CHECK(long_key("1").size() == rules::kMaxGroupKeyBytes);
  CHECK(long_key("1") != long_key("2"));
}

}  // namespace triaged::rules_test
