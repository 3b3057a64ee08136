// TimeShapes: the ways in which real alerts write a time. Pure.
//
// ISO 8601 with T, a space, a colon or nothing between date and clock, 0-9 fraction digits (dot or comma), Z, +0000,
// +00:00, GMT+0000, EST … PDT or no zone (then the source's, else UTC, and marked), an offset's name behind it in
// brackets or capitals, an AM or PM, and its basic form "20260302T080000Z"; epoch seconds, milliseconds, microseconds or
// nanoseconds, Windows' FILETIME and .NET's ticks as number or text, told apart by size; "/Date(…)/"; "20260302080000",
// also with milliseconds; "4/11/2025 6:21:02 PM", "31.12.2025 23:59:59", "Sep 23, 2022 11:25:46 PM", "Fri Sep 23 23:25:46
// 2022", RFC 2822, also without its comma, CLF ("10/Oct/2000:13:55:36 -0700"), and syslog's "Sep 23 23:25:46", whose year
// is the one that brings it nearest to the record's time. Spaces, controls and a byte order mark around a text are no part
// of it. What is finer than a millisecond is cut.
#pragma once

#include <optional>
#include <string_view>

#include "pipeline/base/time.h"
#include "pipeline/base/zone.h"
#include "pipeline/model/fields.h"

namespace triaged {

struct ParsedTime {
  Timestamp at{};
  bool zone_assumed = false;  // the text named none, and neither did the source: read as UTC
  bool year_assumed = false;  // the text named none
};

struct TimeContext {
  Timestamp record_time{};
  const Zone* zone = nullptr;  // of texts that name none
};

std::optional<ParsedTime> ParseTimeShape(const Value& value, const TimeContext& context = {});

}  // namespace triaged
