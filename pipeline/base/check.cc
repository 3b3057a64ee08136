#include "pipeline/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace triaged {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "triaged: broken invariant: %s (%s:%d); this is a bug, please report it\n", condition, file,
               line);
  std::abort();
}

}  // namespace triaged
