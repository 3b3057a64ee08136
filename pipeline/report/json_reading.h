// Reading of the documents and events that reports are made of: what is missing or of another kind reads as empty.
// Pure; thread-safe.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "pipeline/base/time.h"

namespace triaged {

const nlohmann::ordered_json& At(const nlohmann::ordered_json& json, std::string_view key);
// A string as it stands, a number in decimal.
std::string Text(const nlohmann::ordered_json& json, std::string_view key);
std::optional<Timestamp> Time(const nlohmann::ordered_json& json, std::string_view key);

}  // namespace triaged
