// Rules that are wrong, each with the whole text that is printed about it: tests/data/wrong_rules.txt.
// TRIAGED_REWRITE names a file to which the cases are written with what is printed now.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tests/unit/rules_test_util.h"

namespace triaged::rules_test {
namespace {

struct WrongCase {
  std::string name;
  std::string rules;
  std::string says;
};

// `head` takes what stands before the first case.
std::vector<WrongCase> ReadCases(const std::string& path, std::string* head) {
  std::vector<WrongCase> cases;
  std::ifstream in(path);
  std::string* to = head;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("==== ")) {
      cases.push_back({line.substr(5), {}, {}});
      to = &cases.back().rules;
    } else if (line == "---- says") {
      to = &cases.back().says;
    } else if (!line.empty()) {
      *to += line + "\n";
    }
  }
  return cases;
}

std::string Said(const std::string& rules, bool* refused) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  *refused = RuleSet::Compile({{"r.yaml", rules}}, &catalog, &diagnostics) == nullptr;
  return diagnostics.Render();
}

TEST_CASE("rules: what is said about every wrong rule") {
  std::string head;
  const std::vector<WrongCase> cases = ReadCases(TRIAGED_SOURCE_DIR "/tests/data/wrong_rules.txt", &head);
  CHECK(cases.size() >= 100);
  std::string rewritten = head;
  for (const WrongCase& one : cases) {
    bool refused = false;
    const std::string said = Said(one.rules, &refused);
    rewritten += "\n==== " + one.name + "\n" + one.rules + "---- says\n" + said;
    INFO(one.name << "\n" << one.rules);
    CHECK(refused);
    CHECK(said == one.says);
  }
  if (const char* path = std::getenv("TRIAGED_REWRITE")) std::ofstream(path) << rewritten;
}

}  // namespace
}  // namespace triaged::rules_test
