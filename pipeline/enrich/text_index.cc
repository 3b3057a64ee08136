#include "pipeline/enrich/text_index.h"

#include "pipeline/base/check.h"
#include "pipeline/base/hash.h"

namespace triaged::enrich {

// The slot that holds `text`, or the free one where it would go. The table must not be empty.
uint32_t TextIndex::SlotOf(std::string_view text, uint32_t hash) const {
  const auto mask = static_cast<uint32_t>(slots_.size() - 1);
  uint32_t slot = hash & mask;
  while (slots_[slot].number != kNone && (slots_[slot].hash != hash || Text(slots_[slot].number) != text)) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

void TextIndex::Grow() {
  slots_.assign(slots_.empty() ? 16 : slots_.size() * 2, Slot{});
  const auto mask = static_cast<uint32_t>(slots_.size() - 1);
  for (uint32_t number = 0; number < keys_.size(); ++number) {
    uint32_t slot = keys_[number].hash & mask;
    while (slots_[slot].number != kNone) slot = (slot + 1) & mask;
    slots_[slot] = {number, keys_[number].hash};
  }
}

uint32_t TextIndex::Add(std::string_view text) {
  if (keys_.size() * 2 >= slots_.size()) Grow();
  const auto hash = static_cast<uint32_t>(StableHash64(text));
  const uint32_t slot = SlotOf(text, hash);
  if (slots_[slot].number != kNone) return slots_[slot].number;
  TRIAGED_CHECK(blob_.size() + text.size() < kNone && keys_.size() + 1 < kNone);
  const auto number = static_cast<uint32_t>(keys_.size());
  keys_.push_back({static_cast<uint32_t>(blob_.size()), static_cast<uint32_t>(text.size()), hash});
  blob_.append(text);
  slots_[slot] = {number, hash};
  return number;
}

uint32_t TextIndex::Find(std::string_view text) const {
  if (slots_.empty()) return kNone;
  return slots_[SlotOf(text, static_cast<uint32_t>(StableHash64(text)))].number;
}

void TextIndex::Finish() {
  blob_.shrink_to_fit();
  keys_.shrink_to_fit();
}

size_t TextIndex::MemoryBytes() const {
  return blob_.capacity() + keys_.capacity() * sizeof(Key) + slots_.capacity() * sizeof(Slot);
}

}  // namespace triaged::enrich
