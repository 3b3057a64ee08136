// HourlyDecay: what is left of a weight after so many hours, in integers, so that every machine gets the same.
//
// Whole half-lives are exact halves; the rest is a power of one fixed factor. Results are fractions in units of 2^-32,
// rounded down. Immutable; thread-safe.
#pragma once

#include <array>
#include <cstdint>

namespace triaged {

class HourlyDecay {
 public:
  static constexpr uint64_t kOne = uint64_t{1} << 32;

  // `half_life_hours` ≥ 1.
  explicit HourlyDecay(uint64_t half_life_hours);

  // 2^(-hours / half-life), in units of 2^-32.
  uint64_t Left(uint64_t hours) const;

 private:
  static constexpr int kPowers = 16;  // half-lives below 2^16 hours
  uint64_t half_life_;
  std::array<uint64_t, kPowers> powers_{};  // the factor of 1, 2, 4, … hours
};

// value * fraction, for a fraction of at most kOne.
uint64_t TakeFraction(uint64_t value, uint64_t fraction);

}  // namespace triaged
