// BaselineFields: the baseline of one alert under the names rules use (baseline.*).
//
// "Rule" here is the source's own detection rule (rule.id, else rule.name, of one product), "host" host.name (else
// host.id, else the first host.ip), "user" user.name with its domain, "source" source.ip; names count without case.
// Owned beside the normaliser whose alert it extends: values live until the next call. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "pipeline/base/time.h"
#include "pipeline/baseline/decay.h"
#include "pipeline/baseline/settings.h"
#include "pipeline/baseline/table.h"
#include "pipeline/model/alert.h"

namespace triaged {

BaselineSubject SubjectOf(const Alert& alert);

class BaselineFields {
 public:
  // `catalog` knows by then which fields the rules ask for; others are not made.
  BaselineFields(const BaselineSettings& settings, const FieldCatalog& catalog);

  // Lets `table` learn from the alert (not when it was `seen` before, nor from a drill) and adds the fields that rules ask for.
  void Take(Alert* alert, Timestamp at, bool seen, BaselineTable* table);

 private:
  void AddAll(const BaselineView& view, FieldTable* fields);
  void AddNumber(FieldId id, std::optional<uint64_t> number, FieldTable* fields);
  void AddFlag(FieldId id, std::optional<bool> flag, FieldTable* fields);

  const BaselineSettings settings_;
  const HourlyDecay decay_;
  const FieldCatalog* catalog_;
  bool asked_ = false;                             // any of them
  std::array<std::array<char, 20>, 16> texts_{};   // of numbers
  size_t used_ = 0;
};

}  // namespace triaged
