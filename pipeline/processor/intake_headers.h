// What stage one decided about an alert, as headers of the intake record. Stage two reads them back.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/records.h"

namespace triaged {

struct IntakeNote {
  std::string_view topic;      // the user's
  int32_t partition = 0;
  int64_t offset = 0;
  Timestamp record_time{};
  std::string_view format;
};

std::vector<Header> IntakeHeaders(const InputRecord& input, std::string_view format);
std::vector<Header> IntakeHeaders(const IntakeNote& note);
// nullopt: a record that stage one did not write (somebody else produced to our topic).
std::optional<IntakeNote> ReadIntakeHeaders(const InputRecord& input);

}  // namespace triaged
