#include "pipeline/model/fields.h"

#include <array>

namespace triaged {
namespace {

#define TRIAGED_X(id, name) name,
constexpr std::array<std::string_view, field::kAlertFieldCount> kAlertNames = {TRIAGED_ALERT_FIELDS(TRIAGED_X)};
constexpr std::array<std::string_view, field::kCaseFieldCount> kCaseNames = {TRIAGED_CASE_FIELDS(TRIAGED_X)};
#undef TRIAGED_X

std::span<const std::string_view> NamesOf(FieldCatalog::Taxonomy taxonomy) {
  if (taxonomy == FieldCatalog::Taxonomy::kAlert) return kAlertNames;
  return kCaseNames;
}

}  // namespace

FieldCatalog::FieldCatalog(Taxonomy taxonomy) : taxonomy_(taxonomy), normalised_(NamesOf(taxonomy).size()) {
  for (std::string_view name : NamesOf(taxonomy)) {
    // The map's keys are views into the deque's strings, which never move.
    const auto id = static_cast<FieldId>(names_.size());
    ids_.emplace(names_.emplace_back(name), id);
  }
}

FieldId FieldCatalog::Find(std::string_view name) const {
  const auto found = ids_.find(name);
  return found == ids_.end() || found->second >= normalised_ ? kNoField : found->second;
}

// An empty name is no path, and ids end before kNoField: both give kNoField.
FieldId FieldCatalog::Resolve(std::string_view name) {
  const auto found = ids_.find(name);
  if (found != ids_.end()) {
    if (asked_.size() <= found->second) asked_.resize(found->second + size_t{1});
    asked_[found->second] = true;
    return found->second;
  }
  if (taxonomy_ == Taxonomy::kCase || name.empty() || names_.size() >= kNoField) return kNoField;
  const auto id = static_cast<FieldId>(names_.size());
  ids_.emplace(names_.emplace_back(name), id);
  return id;
}

std::vector<std::string_view> FieldCatalog::NormalisedNames() const {
  const auto names = NamesOf(taxonomy_);
  return {names.begin(), names.end()};
}

}  // namespace triaged
