// Fuzz: any bytes as a rules file, and as a condition over either taxonomy. Nothing may crash, hang or leak; what
// compiles is evaluated on an event whose texts come from the same bytes, by the engine and by Condition.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/base/check.h"
#include "pipeline/model/fields.h"
#include "pipeline/rules/rules.h"

namespace triaged {
namespace {

constexpr size_t kMostBytes = 16 * 1024;

void FillEvent(const std::string& bytes, FieldCatalog* catalog, FieldTable* event) {
  event->Reset(catalog->size());
  const std::string_view text = bytes;
  for (size_t field = 0; field < catalog->size(); field += 1 + field % 3) {
    const size_t begin = (field * 37) % (text.size() + 1);
    Value value(text.substr(begin, 64));
    if (field % 11 == 10) value.kind = ValueKind::kNull;
    event->Add(static_cast<FieldId>(field), value);
  }
}

void AsRules(const std::string& bytes) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const auto rules = RuleSet::Compile({{"fuzz.yaml", bytes}}, &catalog, &diagnostics);
  TRIAGED_CHECK((rules == nullptr) == diagnostics.HasErrors());
  if (rules == nullptr) return;
  FieldTable event;
  FillEvent(bytes, &catalog, &event);
  const auto scratch = rules->NewScratch();
  std::vector<uint32_t> first;
  std::vector<uint32_t> second;
  rules->Evaluate(event, scratch.get(), &first);
  rules->Evaluate(event, scratch.get(), &second);
  TRIAGED_CHECK(first == second);
}

void AsCondition(const std::string& bytes, FieldCatalog::Taxonomy taxonomy) {
  Diagnostics diagnostics;
  const auto yaml = ParseYaml({"fuzz.yaml", bytes}, &diagnostics);
  if (!yaml) return;
  FieldCatalog catalog(taxonomy);
  for (const YamlNode& document : yaml->documents) {
    const auto condition = Condition::Compile(*yaml->source, document, &catalog, &diagnostics);
    if (condition == nullptr) continue;
    FieldTable event;
    FillEvent(bytes, &catalog, &event);
    const bool matches = condition->Matches(event);
    TRIAGED_CHECK(matches == condition->Matches(event));
  }
}

}  // namespace
}  // namespace triaged

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > triaged::kMostBytes) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  triaged::AsRules(bytes);
  triaged::AsCondition(bytes, triaged::FieldCatalog::Taxonomy::kAlert);
  triaged::AsCondition(bytes, triaged::FieldCatalog::Taxonomy::kCase);
  return 0;
}
