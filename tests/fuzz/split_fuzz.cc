// Records through the splitter: parts lie in the record, in order, and none is lost; of valid JSON they are what a parser
// finds. The first byte chooses the settings.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "pipeline/normalise/splitter.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

constexpr size_t kMost = 8;

void CheckParts(const std::string& record, const triaged::SplitSettings& settings) {
  const auto parts = triaged::SplitRecord(record, settings, kMost);
  Require(!parts.empty() && parts.size() <= kMost + 1);
  const char* at = record.data();
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& part = parts[i];
    Require(part.bytes.data() >= at && part.bytes.data() + part.bytes.size() <= record.data() + record.size());
    at = part.bytes.data() + part.bytes.size();
    Require(part.kind == triaged::RecordPart::Kind::kAlert || i + 1 == parts.size());
    const std::string told = triaged::WithEnvelope(part);
    Require(told.ends_with(part.bytes.substr(std::min<size_t>(part.bytes.size(), 1))));
    Require(told.size() <= part.bytes.size() + triaged::kMostEnvelope + 64);
  }
}

// A valid array that is cut at its own elements gives as many parts as it has.
void CheckCount(const std::string& record) {
  if (record.find('\0') != std::string::npos) return;  // for that parser the end of the text
  const auto json = nlohmann::json::parse(record, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_array() || json.empty() || json.size() > kMost) return;
  triaged::SplitSettings array;
  array.array = true;
  const auto parts = triaged::SplitRecord(record, array, kMost);
  Require(parts.size() == json.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    Require(nlohmann::json::parse(parts[i].bytes, nullptr, false) == json[i]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string record(reinterpret_cast<const char*>(data + 1), size - 1);
  triaged::SplitSettings settings;
  settings.values = data[0] & 1;
  settings.array = data[0] & 2;
  if (data[0] & 4) settings.under = {"Records", "detail.findings", "a"};
  if (data[0] & 8) settings.envelope = {"account", "detail.b", "c"};
  CheckParts(record, settings);
  if (record.size() < 4096) CheckCount(record);
  return 0;
}
