#include "pipeline/base/hash.h"

#include <cstddef>
#include <cstring>

#include "pipeline/base/check.h"

namespace triaged {
namespace {

__extension__ typedef unsigned __int128 Uint128;

// The fraction bits of the square roots of 2, 3, 5 and 7: constants nobody chose to fit.
constexpr uint64_t kRoot2 = 0x6a09e667f3bcc908;
constexpr uint64_t kRoot3 = 0xbb67ae8584caa73b;
constexpr uint64_t kRoot5 = 0x3c6ef372fe94f82b;
constexpr uint64_t kRoot7 = 0xa54ff53a5f1d36f1;

// Little-endian reads on every machine, so that the hash is the same everywhere.
uint64_t Read64(const char* p) {
  uint64_t value;
  std::memcpy(&value, p, sizeof(value));
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) value = __builtin_bswap64(value);
  return value;
}

uint32_t Read32(const char* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof(value));
  if constexpr (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) value = __builtin_bswap32(value);
  return value;
}

// Multiplies to 128 bits and folds the halves. The factors are xored in again, so that a factor of zero (which input
// could reach) does not wipe out the other one.
uint64_t Mix(uint64_t a, uint64_t b) {
  const Uint128 product = static_cast<Uint128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64) ^ a ^ b;
}

}  // namespace

uint64_t StableHash64(std::string_view bytes, uint64_t seed) {
  const char* p = bytes.data();
  const size_t size = bytes.size();
  uint64_t state = Mix(seed ^ kRoot2, kRoot3 ^ size);
  uint64_t a = 0;
  uint64_t b = 0;
  if (size > 16) {
    size_t left = size;
    if (left > 32) {
      uint64_t lane = state;  // two lanes keep the multiplier busy
      for (; left > 32; left -= 32, p += 32) {
        state = Mix(Read64(p) ^ kRoot3, Read64(p + 8) ^ state);
        lane = Mix(Read64(p + 16) ^ kRoot5, Read64(p + 24) ^ lane);
      }
      state ^= lane * kRoot7;
    }
    if (left > 16) {
      state = Mix(Read64(p) ^ kRoot5, Read64(p + 8) ^ state);
      left -= 16;
      p += 16;
    }
    // The last 16 bytes, overlapping what was read before: no tail loop.
    a = Read64(p + left - 16);
    b = Read64(p + left - 8);
  } else if (size >= 8) {
    a = Read64(p);
    b = Read64(p + size - 8);
  } else if (size >= 4) {
    a = Read32(p);
    b = Read32(p + size - 4);
  } else if (size > 0) {
    const auto byte = [p](size_t i) { return static_cast<uint64_t>(static_cast<uint8_t>(p[i])); };
    a = byte(0) << 16 | byte(size / 2) << 8 | byte(size - 1);
  }
  return Mix(Mix(a ^ kRoot7, b ^ state), kRoot2 ^ size ^ state);
}

uint32_t Murmur2(std::string_view key) {
  constexpr uint32_t kMultiplier = 0x5bd1e995;
  const char* p = key.data();
  size_t left = key.size();
  uint32_t hash = 0x9747b28cu ^ static_cast<uint32_t>(left);
  for (; left >= 4; left -= 4, p += 4) {
    uint32_t word = Read32(p) * kMultiplier;
    word ^= word >> 24;
    hash = hash * kMultiplier ^ word * kMultiplier;
  }
  if (left > 0) {
    for (size_t i = left; i-- > 0;) hash ^= static_cast<uint32_t>(static_cast<uint8_t>(p[i])) << (8 * i);
    hash *= kMultiplier;
  }
  hash = (hash ^ hash >> 13) * kMultiplier;
  return hash ^ hash >> 15;
}

int32_t PartitionForKey(std::string_view key, int32_t partitions) {
  TRIAGED_CHECK(partitions > 0);
  return static_cast<int32_t>(Murmur2(key) & 0x7fffffffu) % partitions;
}

}  // namespace triaged
