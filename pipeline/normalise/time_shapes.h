// TimeShapes: the ways in which real alerts write a time. Pure.
//
// ISO 8601 with T or a space, 0-9 fraction digits (dot or comma), Z, +0000, +00:00 or no zone (then UTC, and marked);
// epoch seconds, milliseconds, microseconds or nanoseconds as number or text, told apart by size;
// "4/11/2025 6:21:02 PM", "Sep 23, 2022 11:25:46 PM", RFC 2822 and CLF ("10/Oct/2000:13:55:36 -0700").
#pragma once

#include <optional>
#include <string_view>

#include "pipeline/base/time.h"
#include "pipeline/model/fields.h"

namespace triaged {

struct ParsedTime {
  Timestamp at{};
  bool zone_assumed = false;  // the text named none: read as UTC
};

std::optional<ParsedTime> ParseTimeShape(const Value& value);

}  // namespace triaged
