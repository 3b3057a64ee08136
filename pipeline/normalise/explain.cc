#include "pipeline/normalise/explain.h"

#include <nlohmann/json.hpp>

namespace triaged {

std::string ExplainedJson(const Alert& alert, const FieldCatalog& catalog) {
  nlohmann::ordered_json json;
  json["format"] = alert.format;
  auto& fields = json["fields"] = nlohmann::ordered_json::object();
  for (FieldId id = 0; id < catalog.normalised_size(); ++id) {
    for (const Value& value : alert.fields.Get(id)) {
      nlohmann::ordered_json shown;
      shown["value"] = value.text;
      if (!value.path.empty()) shown["path"] = value.path;
      fields[std::string(catalog.Name(id))].push_back(std::move(shown));
    }
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace triaged
