// Explaining a rule: the answer is the engine's, and each part shows what it was asked of.
#include "pipeline/rules/correlation_stream.h"
#include "pipeline/rules/explain.h"
#include "tests/unit/rules_test_util.h"

namespace triaged {
namespace {

using rules_test::Event;

constexpr const char* kRules =
    "title: Shell\nid: r1\ndetection:\n  sel:\n    - Image|endswith: '\\cmd.exe'\n      User: ann\n    - Image: sh\n"
    "  other:\n    Port|gt: 5\n    Line|contains|all: [a, b]\n  condition: sel and not other\n---\n"
    "title: F\nfilter:\n  rules: [r1]\n  safe: {Host: lab}\n  condition: not safe\n";

TEST_CASE("rules: explain shows every part with its values and agrees with the engine") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const std::vector<SourceFile> files = {{"r.yaml", kRules}};
  const auto explainer = RuleExplainer::Compile(files, "r1", &catalog, &diagnostics, {});
  REQUIRE_MESSAGE(explainer != nullptr, diagnostics.Render());
  const auto set = RuleSet::Compile(files, &catalog, &diagnostics);
  for (const char* host : {"lab", "prod"}) {
    for (const char* user : {"ann", "bob"}) {
      Event event(&catalog);
      event.Text("Image", "C:\\cmd.exe").Text("User", user).Text("Host", host).Number("Port", 3);
      CHECK(explainer->Matches(event.table()) == !rules_test::Evaluate(*set, event.table()).empty());
    }
  }
  Event event(&catalog);
  event.Text("Image", "C:\\cmd.exe").Text("User", "ann").Text("Host", "lab");
  CHECK(explainer->Explain(event.table()) ==
        "r1 does not match: Shell\n"
        "  [x] sel:\n"
        "    [x] a map of the list:\n"
        "      [x] Image|endswith: '\\cmd.exe'   <- 'C:\\cmd.exe'\n"
        "      [x] User: ann   <- 'ann'\n"
        "    [ ] a map of the list:\n"
        "      [ ] Image: sh   <- 'C:\\cmd.exe'\n"
        "  [ ] other:\n"
        "    [ ] Port|gt: 5   <- absent\n"
        "    [ ] Line|contains|all: [a, b]   <- absent\n"
        "  [ ] filter of r.yaml:13\n");
}

TEST_CASE("rules: explaining a correlation shows what is in its window, and why it fires or does not") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const auto rules = rules_test::MustCompile(
      "title: Failed\nid: failed\ndetection: {s: {event.action: failed}, condition: s}\n---\n"
      "title: Spray\nid: spray\ncorrelation:\n  type: value_count\n  rules: [failed]\n  group-by: [user.name]\n"
      "  timespan: 1m\n  condition: {field: host.name, gte: 2}\n",
      &catalog);
  CorrelationStream stream(*rules);
  stream.Watch(1);
  const auto take = [&](const char* at, const char* action, const char* user, const char* host) {
    Event event(&catalog);
    event.Text("@timestamp", at).Text("event.action", action).Text("user.name", user).Text("host.name", host);
    std::vector<uint32_t> matched = rules_test::Evaluate(*rules, event.table());
    stream.Take(event.table(), &matched);
    CHECK((matched == std::vector<uint32_t>{1}) == stream.Explain().starts_with("spray fires"));
    return stream.Explain();
  };
  CHECK(take("2026-03-02T08:00:00Z", "failed", "ann", "db7") ==
        "spray does not fire: Spray\n"
        "  failed matched, group user.name=ann\n"
        "    window: 1 different values; the condition (gte 2) does not hold\n"
        "      2026-03-02T08:00:00.000Z failed 'db7'\n");
  CHECK(take("2026-03-02T08:00:05Z", "worked", "ann", "web1") ==
        "spray does not fire: Spray\n  none of the rules that it counts matched\n");
  CHECK(take("2026-03-02T08:00:10Z", "failed", "", "web1") ==
        "spray does not fire: Spray\n  failed matched, and does not count: the event has no user.name\n");
  CHECK(take("2026-03-02T08:00:15Z", "failed", "ann", "") ==
        "spray does not fire: Spray\n  failed matched, group user.name=ann, and does not count: the event lacks the value "
        "that the condition looks at\n");
  CHECK(take("2026-03-02T08:00:20Z", "failed", "ann", "web1") ==
        "spray fires: Spray\n"
        "  failed matched, group user.name=ann\n"
        "    window: 2 different values; the condition (gte 2) holds now: it fires\n"
        "      2026-03-02T08:00:00.000Z failed 'db7'\n"
        "      2026-03-02T08:00:20.000Z failed 'web1'\n");
  CHECK(take("2026-03-02T08:00:30Z", "failed", "ann", "web2").find("held already: it fires once") != std::string::npos);
  CHECK(take("2026-03-02T07:59:00Z", "failed", "ann", "web3").find("a whole timespan older than the newest") !=
        std::string::npos);
}

TEST_CASE("rules: explaining a rule that is not there is an error") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  CHECK(RuleExplainer::Compile({{"r.yaml", kRules}}, "gone", &catalog, &diagnostics, {}) == nullptr);
  CHECK(diagnostics.Render().find("no rule has the id 'gone'") != std::string::npos);
}

}  // namespace
}  // namespace triaged
