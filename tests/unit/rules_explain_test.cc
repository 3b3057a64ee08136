// Explaining a rule: the answer is the engine's, and each part shows what it was asked of.
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

TEST_CASE("rules: explaining a rule that is not there is an error") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  CHECK(RuleExplainer::Compile({{"r.yaml", kRules}}, "gone", &catalog, &diagnostics, {}) == nullptr);
  CHECK(diagnostics.Render().find("no rule has the id 'gone'") != std::string::npos);
}

}  // namespace
}  // namespace triaged
