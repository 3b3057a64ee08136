// StoreClaims: which partitions the workers of one process own, so that none of them keeps a standby's store open that
// another one wants. A store is one RocksDB directory, which only one of them can hold.
//
// Thread-safe; shared by the workers of a process.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace triaged {

class StoreClaims {
 public:
  // All that `owner` owns from now on, in place of what it owned before.
  void Set(const void* owner, std::set<int32_t> partitions) {
    const std::lock_guard lock(mutex_);
    owned_[owner] = std::move(partitions);
  }
  bool OwnedByOther(const void* owner, int32_t partition) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [one, partitions] : owned_) {
      if (one != owner && partitions.contains(partition)) return true;
    }
    return false;
  }

 private:
  mutable std::mutex mutex_;
  std::map<const void*, std::set<int32_t>> owned_;
};

}  // namespace triaged
