#include "pipeline/baseline/decay.h"

#include "pipeline/base/check.h"

namespace triaged {
namespace {

constexpr uint64_t kHalf = HourlyDecay::kOne / 2;

uint64_t Power(uint64_t factor, uint64_t exponent) {
  uint64_t result = HourlyDecay::kOne;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result = TakeFraction(result, factor);
    factor = TakeFraction(factor, factor);
  }
  return result;
}

// The largest factor that, so many times over, leaves at most half.
uint64_t FactorOf(uint64_t half_life) {
  uint64_t low = 0, high = HourlyDecay::kOne - 1;
  while (low < high) {
    const uint64_t middle = low + (high - low + 1) / 2;
    if (Power(middle, half_life) <= kHalf) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace

uint64_t TakeFraction(uint64_t value, uint64_t fraction) {
  return (value >> 32) * fraction + ((value & 0xffff'ffff) * fraction >> 32);
}

HourlyDecay::HourlyDecay(uint64_t half_life_hours) : half_life_(half_life_hours) {
  TRIAGED_CHECK(half_life_ >= 1 && half_life_ < uint64_t{1} << kPowers);
  powers_[0] = FactorOf(half_life_);
  for (int i = 1; i < kPowers; ++i) powers_[i] = TakeFraction(powers_[i - 1], powers_[i - 1]);
}

uint64_t HourlyDecay::Left(uint64_t hours) const {
  const uint64_t halves = hours / half_life_;
  if (halves >= 33) return 0;
  uint64_t left = kOne >> halves;
  uint64_t rest = hours % half_life_;
  for (int i = 0; rest > 0; ++i, rest >>= 1) {
    if (rest & 1) left = TakeFraction(left, powers_[i]);
  }
  return left;
}

}  // namespace triaged
