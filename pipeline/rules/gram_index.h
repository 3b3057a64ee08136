// GramIndex: hash → positions of a table that is laid out in the index's order, for tables looked up far oftener than
// anything is found.
//
// A bitmap says "nothing there" for nearly every look-up; behind it the hashes stand in buckets, so that a position is
// told of equal hashes only. Immutable once built; thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace triaged::rules {

class GramIndex {
 public:
  // Returns the order that the caller's table must be brought into: its i-th element is what was the order[i]-th.
  std::vector<uint32_t> Build(std::span<const uint32_t> hashes) {
    std::vector<uint32_t> order(hashes.size());
    std::iota(order.begin(), order.end(), 0u);
    if (hashes.empty()) return order;
    int bits = kMinBits;
    while (bits < kMaxBits && (size_t{1} << bits) < hashes.size() * 32) ++bits;
    shift_ = 32 - bits;
    bucket_shift_ = shift_ + kFiner;
    bitmap_.assign((size_t{1} << bits) / 64, 0);
    begin_.assign((size_t{1} << (bits - kFiner)) + 1, 0);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return hashes[a] < hashes[b]; });
    for (uint32_t i : order) {
      const uint32_t slot = hashes[i] >> shift_;
      bitmap_[slot >> 6] |= uint64_t{1} << (slot & 63);
      ++begin_[(hashes[i] >> bucket_shift_) + 1];
      hashes_.push_back(hashes[i]);
    }
    std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
    return order;
  }

  bool MayHave(uint32_t hash) const {
    const uint32_t slot = hash >> shift_;
    return (bitmap_[slot >> 6] >> (slot & 63)) & 1;
  }

  struct Range {
    uint32_t begin;
    uint32_t end;
  };
  // Precondition: MayHave(hash).
  Range Find(uint32_t hash) const {
    const uint32_t bucket = hash >> bucket_shift_;
    uint32_t at = begin_[bucket];
    const uint32_t last = begin_[bucket + 1];
    while (at < last && hashes_[at] < hash) ++at;
    uint32_t end = at;
    while (end < last && hashes_[end] == hash) ++end;
    return {at, end};
  }

 private:
  static constexpr int kMinBits = 7;   // two words of bitmap: a set per logsource has many small fields
  static constexpr int kMaxBits = 18;  // 32 KiB: still inside a first-level cache
  static constexpr int kFiner = 3;     // the bitmap has 2^3 bits for each bucket

  int shift_ = 31;
  int bucket_shift_ = 31;
  std::vector<uint64_t> bitmap_;
  std::vector<uint32_t> begin_;   // of each bucket in hashes_
  std::vector<uint32_t> hashes_;  // ascending
};

}  // namespace triaged::rules
