// The one source of chance in a simulation: everything follows from the seed.
#pragma once

#include <cstdint>

#include "pipeline/base/hash.h"

namespace triaged::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed ^ 0x9e3779b97f4a7c15u) {}

  uint64_t Next() {  // splitmix64
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  // 0 … n-1; n > 0.
  uint64_t Below(uint64_t n) { return Next() % n; }
  int64_t Between(int64_t from, int64_t to) {
    return from + static_cast<int64_t>(Below(static_cast<uint64_t>(to - from + 1)));
  }
  // True this often in a million.
  bool PerMillion(uint64_t times) { return Below(1'000'000) < times; }

 private:
  uint64_t state_;
};

}  // namespace triaged::sim
