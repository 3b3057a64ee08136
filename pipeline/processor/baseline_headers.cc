#include "pipeline/processor/baseline_headers.h"

#include <charconv>
#include <string>
#include <string_view>

namespace triaged {
namespace {

constexpr std::string_view kPrefix = "triaged.";

Value ValueOf(std::string_view text) {
  Value value(text);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) {
    value.kind = ValueKind::kUnsigned;
    value.unsigned_integer = number;
  } else if (text == "true" || text == "false") {
    value.kind = ValueKind::kBool;
    value.boolean = text == "true";
  }
  return value;
}

}  // namespace

void AddBaselineHeaders(const Alert& alert, const FieldCatalog& catalog, std::vector<Header>* headers) {
  for (const FieldId id : alert.fields.present()) {
    if (!IsBaselineField(id)) continue;
    for (const Value& value : alert.fields.Get(id)) {
      headers->push_back({std::string(kPrefix) + std::string(catalog.Name(id)), std::string(value.text)});
    }
  }
}

void ReadBaselineHeaders(const InputRecord& input, const FieldCatalog& catalog, Alert* alert) {
  for (const auto& [name, text] : input.headers) {
    if (!name.starts_with(kPrefix)) continue;
    const FieldId id = catalog.Find(name.substr(kPrefix.size()));
    if (id != kNoField && IsBaselineField(id)) alert->fields.Append(id, ValueOf(text));
  }
}

}  // namespace triaged
