// TextIndex: many texts in one block of memory, each with a number, found by hash. A million indicators are a few
// allocations, and a look-up makes none.
//
// Built once, then immutable and readable by any thread. Limits: 4 GiB of text, 2^32-2 texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace triaged::enrich {

inline constexpr uint32_t kNone = 0xffffffff;

class TextIndex {
 public:
  // The number of `text`, from 0 in the order of first sight.
  uint32_t Add(std::string_view text);
  uint32_t Find(std::string_view text) const;  // kNone: absent
  // Valid until the next Add.
  std::string_view Text(uint32_t number) const { return {blob_.data() + keys_[number].begin, keys_[number].size}; }
  size_t size() const { return keys_.size(); }
  // Gives spare memory back; call when the last text is in.
  void Finish();
  size_t MemoryBytes() const;

 private:
  struct Key {
    uint32_t begin = 0;
    uint32_t size = 0;
    uint32_t hash = 0;
  };
  uint32_t SlotOf(std::string_view text, uint32_t hash) const;
  void Grow();

  std::string blob_;
  std::vector<Key> keys_;
  // The hash stands beside the number, so that an absent text touches one place in memory.
  struct Slot {
    uint32_t number = kNone;
    uint32_t hash = 0;
  };
  std::vector<Slot> slots_;  // a power of two, at most half full
};

}  // namespace triaged::enrich
