// Any bytes as each kind of configuration file: the daemon's, a policy pack, a format table, each kind of enrichment file
// and their list. Compiled or refused with a place, never a crash, and never both.
#include <cstddef>
#include <cstdint>
#include <string>

#include "daemon/config.h"
#include "pipeline/base/check.h"
#include "pipeline/base/utf8.h"
#include "pipeline/enrich/enrichment.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/policy/policy.h"

namespace triaged {
namespace {

void CheckSaid(bool compiled, const Diagnostics& diagnostics) {
  TRIAGED_CHECK(compiled == !diagnostics.HasErrors());
  TRIAGED_CHECK(IsValidUtf8(diagnostics.Render()));
}

void AsConfig(const SourceFile& file) {
  Diagnostics diagnostics;
  CheckSaid(ParseConfig(file, &diagnostics).has_value(), diagnostics);
}

void AsPolicy(const SourceFile& file) {
  Diagnostics diagnostics;
  FieldCatalog alerts(FieldCatalog::Taxonomy::kAlert);
  FieldCatalog cases(FieldCatalog::Taxonomy::kCase);
  CheckSaid(CompilePolicy(file, &alerts, &cases, &diagnostics) != nullptr, diagnostics);
}

void AsFormat(const SourceFile& file) {
  Diagnostics diagnostics;
  const FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  CheckSaid(FormatTables::Compile({file}, catalog, &diagnostics) != nullptr, diagnostics);
}

void AsEnrichment(const SourceFile& file) {
  for (const char* name : {"fuzz.csv", "fuzz.txt"}) {
    for (uint8_t kind = 0; kind <= static_cast<uint8_t>(EnrichmentKind::kAttack); ++kind) {
      EnrichmentInput input;
      input.spec.kind = static_cast<EnrichmentKind>(kind);
      input.spec.feed = "fuzz";
      input.data = {name, file.text};
      Diagnostics diagnostics;
      CheckSaid(Enrichment::Compile({{}, {input}}, &diagnostics) != nullptr, diagnostics);
    }
  }
  Diagnostics diagnostics;
  ReadEnrichmentList(file, &diagnostics);
  TRIAGED_CHECK(IsValidUtf8(diagnostics.Render()));
}

}  // namespace
}  // namespace triaged

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const triaged::SourceFile file{"fuzz.yaml", std::string(reinterpret_cast<const char*>(data), size)};
  triaged::AsConfig(file);
  triaged::AsPolicy(file);
  triaged::AsFormat(file);
  triaged::AsEnrichment(file);
  return 0;
}
