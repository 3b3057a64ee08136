// The only file that reads a clock. Time is a parameter everywhere else.
#pragma once

#include "pipeline/base/time.h"

namespace triaged {

// For logs and metrics only: never moves a decision.
Timestamp WallTime();
// Since an arbitrary start; never goes back.
Duration MonotonicTime();

}  // namespace triaged
