// TRIAGED_CHECK: an assertion that stays on in release builds (a broken invariant must stop the process before it is
// written anywhere; the supervisor restarts it and recovery is the normal path).
#pragma once

namespace triaged {

// Prints file, line and condition to stderr and aborts.
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace triaged

#define TRIAGED_CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::triaged::CheckFailed(#condition, __FILE__, __LINE__))
