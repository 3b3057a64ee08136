// Alert bytes through the shipped format tables: no crash, no hang, no read outside the record.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "pipeline/base/utf8.h"
#include "pipeline/normalise/normaliser.h"

namespace {

struct Fixture {
  triaged::FieldCatalog catalog{triaged::FieldCatalog::Taxonomy::kAlert};
  std::shared_ptr<const triaged::FormatTables> tables;

  Fixture() {
    catalog.Resolve("win.eventdata.image");  // a raw path, as a rule would ask for
    std::vector<triaged::SourceFile> files;
    for (const auto& entry : std::filesystem::directory_iterator(TRIAGED_SOURCE_DIR "/configs/formats")) {
      std::ifstream in(entry.path(), std::ios::binary);
      files.push_back({entry.path().string(), {std::istreambuf_iterator<char>(in), {}}});
    }
    triaged::Diagnostics diagnostics;
    tables = triaged::FormatTables::Compile(files, catalog, &diagnostics);
    if (!tables) std::abort();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Fixture fixture;
  static triaged::Normaliser normaliser(fixture.tables, triaged::NormaliseLimits{});
  const std::string record(reinterpret_cast<const char*>(data), size);
  const auto time = triaged::FromUnixMillis(1'700'000'000'000);
  if (normaliser.Normalise(record, {}, time)) return 0;
  const triaged::Alert& alert = normaliser.alert();
  if (alert.id.empty() || alert.format.empty() || alert.score > 100) std::abort();
  if (!triaged::IsValidUtf8(triaged::NormalisedJson(alert, fixture.catalog))) std::abort();
  return 0;
}
