// Timestamp, Duration and their texts. Pure: nothing here reads a clock.
//
// Unit: milliseconds, UTC. Kafka record times have that resolution, so no decision may depend on a finer one.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace triaged {

using Duration = std::chrono::milliseconds;
using Timestamp = std::chrono::sys_time<Duration>;

constexpr Timestamp FromUnixMillis(int64_t millis) { return Timestamp(Duration(millis)); }
constexpr int64_t ToUnixMillis(Timestamp t) { return t.time_since_epoch().count(); }

// "2026-11-21T04:08:00.000Z": RFC 3339, always UTC, always three fraction digits, so texts sort like times.
std::string FormatTimestamp(Timestamp t);

// RFC 3339 with any offset and 0-9 fraction digits (finer than a millisecond is cut); nothing else.
std::optional<Timestamp> ParseTimestamp(std::string_view text);

// "250ms", "30s", "15m", "4h", "7d" or a sum, greatest unit first ("1h30m"); no sign, no bare number but "0".
std::optional<Duration> ParseDuration(std::string_view text);

// The shortest text that ParseDuration reads back: "1h30m".
std::string FormatDuration(Duration d);

}  // namespace triaged
