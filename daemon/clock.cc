#include "daemon/clock.h"

namespace triaged {

Timestamp WallTime() { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

Duration MonotonicTime() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace triaged
