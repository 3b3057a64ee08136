// Doubles: what is printed here must be what the standard library prints.
#include "pipeline/normalise/number_text.h"

#include <doctest/doctest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>

namespace triaged {
namespace {

void CompareWithLibrary(double number) {
  char quick[kDoubleSize], shortest[kDoubleSize];
  const std::string expected(shortest, std::to_chars(shortest, shortest + kDoubleSize, number).ptr);
  REQUIRE(std::string(quick, PutDouble(number, quick)) == expected);
}

}  // namespace

TEST_CASE("a double: few decimals, many decimals, any bits, and beside the limits") {
  for (const double number : {0.0, -0.0, 0.5, 1.0, 1.5, -1.5, 0.1, 1e-7, 1.000001, 1.0000001, 999999.999999, 1e6, 1.5e9,
                              1588205199.82437, 1588205199.824371, 4294967295.999999, 4294967296.0, 4294967296.5, 1e15,
                              1e16, 1e22, 1e300, 5e-324}) {
    CompareWithLibrary(number);
  }
  std::mt19937_64 random(20260302);
  for (int i = 0; i < 200'000; ++i) {
    const uint64_t bits = random();
    const int decimals = static_cast<int>(bits % 9);
    const double scale = std::pow(10, decimals);
    const double whole = static_cast<double>(random() >> (random() % 40 + 20));
    const double written = std::floor(std::fmod(whole, 8e9) * scale) / scale;
    const double any = std::bit_cast<double>(bits);
    for (const double number : {written, std::nextafter(written, 0), std::nextafter(written, 1e300), std::isfinite(any) ? any : 0}) {
      CompareWithLibrary(number);
    }
  }
  for (double number = 4294967295; number < 4294967297; number += 0.000244140625) CompareWithLibrary(number);
}

}  // namespace triaged
