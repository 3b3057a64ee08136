#include "pipeline/normalise/number_text.h"

#include <charconv>
#include <cstdint>

namespace triaged {
namespace {

constexpr int kDecimals = 6;
constexpr uint64_t kUnit = 1'000'000;          // 10 to the power of kDecimals
constexpr double kMost = uint64_t{1} << 32;  // doubles below it are less than a millionth apart

}  // namespace

// Times in seconds are the commonest: six decimals at most. No two such texts read as the same double below kMost, so
// the one that reads as `number` is the shortest there is, and with a fraction it is shorter than one with an exponent.
char* PutDouble(double number, char* out) {
  const bool in_range = number >= 1 && number < kMost;
  const uint64_t millionths = in_range ? static_cast<uint64_t>(number * kUnit + 0.5) : 0;
  uint64_t fraction = millionths % kUnit;
  if (fraction == 0 || static_cast<double>(millionths) / kUnit != number) {
    return std::to_chars(out, out + kDoubleSize, number).ptr;
  }
  out = std::to_chars(out, out + kDoubleSize, millionths / kUnit).ptr;
  *out++ = '.';
  int digits = kDecimals;
  for (; fraction % 10 == 0; fraction /= 10) --digits;
  for (int i = digits; i-- > 0; fraction /= 10) out[i] = static_cast<char>('0' + fraction % 10);
  return out + digits;
}

}  // namespace triaged
