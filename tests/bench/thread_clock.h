// The clock of the benchmarks: seconds that the calling thread computed. What else the machine does meanwhile is no
// part of it, so a ratio of two such figures hardly changes with the machine's load.
#pragma once

#include <ctime>

namespace triaged {

inline double Now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace triaged
