#include "pipeline/base/check.h"
#include "pipeline/base/zone.h"
#include "pipeline/policy/roster.h"

namespace triaged {

bool IsKnownZone(std::string_view zone) { return Zone::Find(zone).has_value(); }

std::string FormatInZone(Timestamp t, std::string_view zone) {
  const auto found = Zone::Find(zone);
  TRIAGED_CHECK(found.has_value());
  return found->Format(t);
}

}  // namespace triaged
