// Filter documents: which rules they mean, and what is said when they mean none.
#include "tests/unit/rules_test_util.h"

namespace triaged {
namespace {

using rules_test::Evaluate;
using rules_test::Event;

constexpr const char* kRules =
    "title: One\nid: r1\nname: first\nlogsource: {product: windows, category: process_creation}\n"
    "detection: {sel: {a: x}, condition: sel}\n---\n"
    "title: Two\nid: r2\nlogsource: {product: linux}\ndetection: {sel: {a: x}, condition: sel}\n---\n";

// The ids of the rules that match {a: x, user: `user`} beside `filter`.
std::string Remaining(const std::string& filter, std::string_view user) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  // The filter stands first: order must not matter.
  const auto set = rules_test::MustCompile(filter + "---\n" + kRules, &catalog);
  Event event(&catalog);
  event.Text("a", "x").Text("user", user);
  std::string ids;
  for (uint32_t rule : Evaluate(*set, event.table())) ids += set->rules()[rule].id;
  return ids;
}

std::string Filter(const std::string& rules, const std::string& logsource = "") {
  return "title: F\n" + logsource + "filter:\n  rules: " + rules + "\n  sel: {user: root}\n  condition: not sel\n";
}

TEST_CASE("rules: a filter is a condition of the rules that it names") {
  CHECK(Remaining(Filter("[r1]"), "root") == "r2");
  CHECK(Remaining(Filter("[r1]"), "ann") == "r1r2");
  CHECK(Remaining(Filter("[first]"), "root") == "r2");
  CHECK(Remaining(Filter("[Two]"), "root") == "r1");
  CHECK(Remaining(Filter("[]"), "root") == "");
  CHECK(Remaining(Filter("any"), "root") == "");
  CHECK(Remaining(Filter("any", "logsource: {product: windows}\n"), "root") == "r2");
  CHECK(Remaining(Filter("any", "logsource: {product: windows, service: sysmon}\n"), "root") == "r1r2");
}

TEST_CASE("rules: a filter of a rule that is not there warns") {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  CHECK(RuleSet::Compile({{"f.yaml", Filter("[gone]") + "---\n" + kRules}}, &catalog, &diagnostics) != nullptr);
  CHECK(diagnostics.Render().find("f.yaml:3:11: warning: no rule has the id, name or title 'gone'") == 0);
}

}  // namespace
}  // namespace triaged
