#include <charconv>
#include <nlohmann/json.hpp>

#include "pipeline/normalise/format_table.h"
#include "pipeline/normalise/normaliser.h"

namespace triaged {
namespace {

// Fields that are numbers in ECS: shown as numbers even when the source wrote texts.
bool IsNumeric(FieldId id) {
  return id == field::kEventSeverity || id == field::kSourcePort || id == field::kDestinationPort ||
         id == field::kProcessPid;
}

bool IsAlwaysList(FieldId id) {
  return ShapeOf(id) == FieldShape::kList || id == field::kHostIp || id == field::kTriagedNotes;
}

nlohmann::ordered_json Shown(FieldId id, const Value& value) {
  if (value.kind == ValueKind::kBool && (id == field::kTriagedIsAlert || id == field::kTriagedDrill)) return value.boolean;
  if (IsNumeric(id)) {
    uint64_t number = 0;
    const char* end = value.text.data() + value.text.size();
    const auto [at, error] = std::from_chars(value.text.data(), end, number);
    if (error == std::errc() && at == end) return number;
  }
  return std::string(value.text);
}

}  // namespace

std::string NormalisedJson(const Alert& alert, const FieldCatalog& catalog) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (FieldId id = 0; id < catalog.normalised_size(); ++id) {
    const auto values = alert.fields.Get(id);
    if (values.empty()) continue;
    auto& shown = json[std::string(catalog.Name(id))];
    if (values.size() == 1 && !IsAlwaysList(id)) {
      shown = Shown(id, values.front());
      continue;
    }
    shown = nlohmann::ordered_json::array();
    for (const Value& value : values) shown.push_back(Shown(id, value));
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace triaged
