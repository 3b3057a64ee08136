// Zone: one IANA time zone, found once when a pack is compiled. The only place that meets the date library.
//
// Rules come from the machine's tzdata, read once and kept; a lookup afterwards does no I/O and cannot fail. Debian's
// tzdata lists every change up to 2037; later instants keep the offset of the last one.
// Thread-safety: immutable, copies are cheap.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/time.h"

namespace date {
class time_zone;
}

namespace triaged {

class Zone {
 public:
  // nullopt for a name that tzdata does not have. "localtime" is refused: it would mean something else on each machine.
  static std::optional<Zone> Find(std::string_view name);
  // Every known name, for "did you mean".
  static std::vector<std::string_view> Names();

  // When a wall clock shows `time_of_day` on `day`: once as a rule (first == last), twice when clocks go back. A time
  // that clocks jump over gives the first instant after the jump.
  struct Instants {
    Timestamp first;
    Timestamp last;
  };
  Instants At(std::chrono::sys_days day, std::chrono::minutes time_of_day) const;

  // The wall clock's date at `t`.
  std::chrono::sys_days DayOf(Timestamp t) const;
  // "2026-11-21 05:08:00 CET"; milliseconds are cut.
  std::string Format(Timestamp t) const;

 private:
  explicit Zone(const date::time_zone* zone) : zone_(zone) {}
  const date::time_zone* zone_;  // owned by the date library for the life of the process
};

}  // namespace triaged
