#include "pipeline/base/zone.h"

#include <date/tz.h>

#include <algorithm>
#include <cstdio>
#include <exception>

namespace triaged {
namespace {

using std::chrono::floor;
using std::chrono::seconds;

// The library counts days in 32 bits; an instant outside these years is no date anybody means.
constexpr Timestamp kEarliest = std::chrono::sys_days(std::chrono::year(1900) / 1 / 1);
constexpr Timestamp kLatest = std::chrono::sys_days(std::chrono::year(9999) / 12 / 31);

std::chrono::sys_seconds Clamped(Timestamp t) { return floor<seconds>(std::clamp(t, kEarliest, kLatest)); }

constexpr std::string_view kMachineZone = "localtime";

}  // namespace

std::optional<Zone> Zone::Find(std::string_view name) {
  if (name == kMachineZone) return std::nullopt;
  try {
    const date::time_zone* zone = date::locate_zone(name);
    // The library reads a zone's file at its first use: read it here, where a failure can be reported.
    static_cast<void>(zone->get_info(Clamped(Timestamp{})));
    return Zone(zone);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::vector<std::string_view> Zone::Names() {
  std::vector<std::string_view> names;
  try {
    for (const date::time_zone& zone : date::get_tzdb().zones) {
      if (zone.name() != kMachineZone) names.push_back(zone.name());
    }
  } catch (const std::exception&) {
    names.clear();  // no tzdata: there is nothing to suggest
  }
  return names;
}

Zone::Instants Zone::At(std::chrono::sys_days day, std::chrono::minutes time_of_day) const {
  const seconds wall = (std::clamp<Timestamp>(day, kEarliest, kLatest) - Timestamp{}) / seconds(1) * seconds(1);
  const date::local_seconds local(wall + time_of_day);
  const date::local_info info = zone_->get_info(local);
  const auto with_offset = [&](const date::sys_info& rule) {
    return Timestamp(local.time_since_epoch() - rule.offset);
  };
  switch (info.result) {
    case date::local_info::nonexistent:
      return {Timestamp(info.first.end), Timestamp(info.first.end)};
    case date::local_info::ambiguous:
      return {with_offset(info.first), with_offset(info.second)};
    default:
      return {with_offset(info.first), with_offset(info.first)};
  }
}

std::chrono::sys_days Zone::DayOf(Timestamp t) const {
  const auto instant = Clamped(t);
  return floor<std::chrono::days>(instant + zone_->get_info(instant).offset);
}

std::string Zone::Format(Timestamp t) const {
  const auto instant = Clamped(t);
  const date::sys_info info = zone_->get_info(instant);
  const auto wall = instant + info.offset;
  const auto day = floor<std::chrono::days>(wall);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(wall - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text + info.abbrev;
}

}  // namespace triaged
