#include "pipeline/report/json_reading.h"

namespace triaged {

using Json = nlohmann::ordered_json;

const Json& At(const Json& json, std::string_view key) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto found = json.find(std::string(key));
  return found == json.end() ? kNull : *found;
}

std::string Text(const Json& json, std::string_view key) {
  const Json& value = At(json, key);
  if (value.is_string()) return value.get<std::string>();
  return value.is_number() ? value.dump() : std::string();
}

std::optional<Timestamp> Time(const Json& json, std::string_view key) { return ParseTimestamp(Text(json, key)); }

}  // namespace triaged
