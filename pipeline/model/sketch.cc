#include "pipeline/model/sketch.h"

#include <algorithm>

namespace triaged {
namespace {

__extension__ typedef unsigned __int128 Uint128;

}  // namespace

bool DistinctSketch::Add(uint64_t hash) {
  if (!exact() && hash >= hashes_.back()) return false;
  const auto at = std::lower_bound(hashes_.begin(), hashes_.end(), hash);
  if (at != hashes_.end() && *at == hash) return false;
  // Full: the greatest hash makes room, so the k smallest stay.
  const auto index = at - hashes_.begin();
  if (!exact()) hashes_.pop_back();
  hashes_.insert(hashes_.begin() + index, hash);
  return true;
}

// Of n hashes spread evenly over 2^64, the k-th smallest lies near k/n of the way: (k - 1) / (that share) estimates n.
// The quotient fits 64 bits: k distinct hashes put the greatest at k - 1 or above.
uint64_t DistinctSketch::Count() const {
  if (exact()) return hashes_.size();
  const Uint128 share = static_cast<Uint128>(hashes_.back()) + 1;
  const auto estimate = static_cast<uint64_t>((static_cast<Uint128>(hashes_.size() - 1) << 64) / share);
  return std::max<uint64_t>(estimate, hashes_.size());
}

}  // namespace triaged
