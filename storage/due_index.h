// DueIndex: which case is due next. An ordered set of (time, sequence), kept in sorted blocks of at most kBlockItems:
// about 16–32 bytes an entry (a node-based set takes 64) and a cache-friendly insert, at a million open cases too.
// Derived data: rebuilt from the cases on restore, never stored. Not thread-safe.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/base/time.h"

namespace triaged {

class DueIndex {
 public:
  static constexpr size_t kBlockItems = 512;

  struct Item {
    Timestamp at{};
    uint64_t sequence = 0;
    auto operator<=>(const Item&) const = default;
  };

  // Replaces the contents; `items` may come in any order but must be distinct.
  void Rebuild(std::vector<Item> items);
  // Precondition: absent.
  void Insert(Item item);
  // Precondition: present.
  void Erase(Item item);

  std::optional<Item> First() const;
  size_t size() const { return size_; }
  size_t bytes() const;

 private:
  size_t BlockOf(const Item& item) const;

  std::vector<std::vector<Item>> blocks_;  // none empty; ascending within and across
  std::vector<Item> fronts_;               // first item of each block, side by side for the binary search
  size_t size_ = 0;
};

}  // namespace triaged
