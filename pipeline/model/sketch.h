// DistinctSketch: how many distinct values were seen; exact up to kExact, estimated beyond (the k smallest hashes;
// Bar-Yossef et al. 2002, "Counting distinct elements in a data stream"). Integer arithmetic only, so every machine
// gives the same number. Memory: at most kExact * 8 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace triaged {

class DistinctSketch {
 public:
  static constexpr size_t kExact = 256;

  // Returns true when the count may have changed.
  bool Add(uint64_t hash);
  uint64_t Count() const;
  bool exact() const { return hashes_.size() < kExact; }

  const std::vector<uint64_t>& hashes() const { return hashes_; }  // ascending, for the codec
  void Restore(std::vector<uint64_t> hashes) { hashes_ = std::move(hashes); }

  bool operator==(const DistinctSketch&) const = default;

 private:
  std::vector<uint64_t> hashes_;  // ascending, unique, at most kExact
};

}  // namespace triaged
