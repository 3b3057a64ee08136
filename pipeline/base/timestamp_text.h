// The text of FormatTimestamp into room that the caller has: for who writes one per alert. Pure.
#pragma once

#include <cstddef>

#include "pipeline/base/time.h"

namespace triaged {

inline constexpr size_t kTimestampSize = 24;

// Writes kTimestampSize bytes to `out`, without a terminating NUL.
void PutTimestamp(Timestamp t, char* out);

}  // namespace triaged
