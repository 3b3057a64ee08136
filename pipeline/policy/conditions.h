// What can be said of conditions without a case: whether one can hold at all, and whether it holds whenever another does.
// Private to pipeline/policy.
//
// Fields with few values (severity, status …) are tried with all of them, numbers with every value at which an answer can
// change: exact for conditions over these. Where anything may stand (tags, owners), only what is written is compared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/base/yaml.h"
#include "pipeline/model/fields.h"
#include "pipeline/policy/policy.h"

namespace triaged::pack {

// A condition and the YAML that it was compiled from; both null: holds always.
struct Written {
  const Condition* condition = nullptr;
  const YamlNode* node = nullptr;
};

// The values that can stand in a case field; nullopt: any text. A field may also be absent where "" is among them.
std::optional<std::vector<std::string>> ValuesOf(const Policy& policy, FieldId id, uint32_t at_levels);

// False only when no case at one of the levels makes it hold.
bool CanHold(const Policy& policy, const FieldCatalog& catalog, const Written& condition, uint32_t at_levels);
// True only when `wide` holds for every case at one of the levels for which `narrow` does. `budget`: how many standings may
// still be tried; without any, only what is written is compared.
bool Covers(const Policy& policy, const FieldCatalog& catalog, const Written& wide, const Written& narrow,
            uint32_t at_levels, size_t* budget);
// The same of conditions over alerts, by what is written alone.
bool CoversAsWritten(const Written& wide, const Written& narrow);

// Bounds on one number, in one map, that leave nothing between them.
struct Contradiction {
  int line = 0;    // of the key that closes the gap
  int column = 0;
  std::string text;
};
// The first one in `node`, over numbers of a case and the severity of an alert.
std::optional<Contradiction> FindContradiction(const YamlNode& node);

}  // namespace triaged::pack
