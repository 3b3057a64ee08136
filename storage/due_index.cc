#include "storage/due_index.h"

#include <algorithm>

#include "pipeline/base/check.h"

namespace triaged {

void DueIndex::Rebuild(std::vector<Item> items) {
  constexpr size_t kFill = kBlockItems * 3 / 4;  // room to insert before the first split
  std::sort(items.begin(), items.end());
  blocks_.clear();
  fronts_.clear();
  size_ = items.size();
  for (size_t begin = 0; begin < items.size(); begin += kFill) {
    const size_t end = std::min(begin + kFill, items.size());
    auto& block = blocks_.emplace_back();
    block.reserve(kBlockItems);
    block.assign(items.begin() + static_cast<ptrdiff_t>(begin), items.begin() + static_cast<ptrdiff_t>(end));
    fronts_.push_back(block.front());
  }
}

// The last block whose front is not after the item; the first block when all are.
size_t DueIndex::BlockOf(const Item& item) const {
  const auto after = std::upper_bound(fronts_.begin(), fronts_.end(), item);
  return after == fronts_.begin() ? 0 : static_cast<size_t>(after - fronts_.begin()) - 1;
}

void DueIndex::Insert(Item item) {
  ++size_;
  if (blocks_.empty()) {
    blocks_.emplace_back().reserve(kBlockItems);
    blocks_.back().push_back(item);
    fronts_.push_back(item);
    return;
  }
  size_t index = BlockOf(item);
  if (blocks_[index].size() == kBlockItems) {
    std::vector<Item> upper;
    upper.reserve(kBlockItems);
    auto& lower = blocks_[index];
    upper.assign(lower.begin() + kBlockItems / 2, lower.end());
    lower.resize(kBlockItems / 2);
    fronts_.insert(fronts_.begin() + static_cast<ptrdiff_t>(index) + 1, upper.front());
    blocks_.insert(blocks_.begin() + static_cast<ptrdiff_t>(index) + 1, std::move(upper));
    if (item >= fronts_[index + 1]) ++index;
  }
  auto& block = blocks_[index];
  block.insert(std::lower_bound(block.begin(), block.end(), item), item);
  fronts_[index] = block.front();
}

void DueIndex::Erase(Item item) {
  TRIAGED_CHECK(!blocks_.empty());
  const size_t index = BlockOf(item);
  auto& block = blocks_[index];
  const auto found = std::lower_bound(block.begin(), block.end(), item);
  TRIAGED_CHECK(found != block.end() && *found == item);
  block.erase(found);
  --size_;
  if (block.empty()) {
    blocks_.erase(blocks_.begin() + static_cast<ptrdiff_t>(index));
    fronts_.erase(fronts_.begin() + static_cast<ptrdiff_t>(index));
  } else {
    fronts_[index] = block.front();
  }
}

std::optional<DueIndex::Item> DueIndex::First() const {
  if (fronts_.empty()) return std::nullopt;
  return fronts_.front();
}

size_t DueIndex::bytes() const {
  return fronts_.capacity() * sizeof(Item) + blocks_.capacity() * sizeof(blocks_[0]) +
         blocks_.size() * kBlockItems * sizeof(Item);
}

}  // namespace triaged
