// BaselineSettings: the bounds and times of the baseline (configs/README.md, `baseline`).
#pragma once

#include <chrono>
#include <cstddef>

#include "pipeline/base/time.h"

namespace triaged {

struct BaselineSettings {
  size_t keys = 100'000;                       // remembered per partition; 0: no baseline
  Duration half_life = std::chrono::days(7);   // of the mean hour: whole hours
  Duration learn = std::chrono::hours(24);     // nothing counts as first seen before the baseline is that old
  Duration forget = std::chrono::days(30);     // what was not seen for so long is first seen again

  bool enabled() const { return keys > 0; }
};

// Bounds of the settings, and of the numbers that are kept.
inline constexpr size_t kMinBaselineKeys = 1000;  // an alert touches eight: what it needs itself is never evicted
inline constexpr size_t kMaxBaselineKeys = 10'000'000;

}  // namespace triaged
