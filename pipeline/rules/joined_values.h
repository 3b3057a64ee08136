// JoinedValues: the short values of a field that has many, side by side in one text, to be looked through in one go.
//
// Keywords ask for every value of an event: dozens, a few bytes each. Nothing stands between two values: what is found
// across their border is no part of either, which the caller sees when it verifies. Keeps its memory; one thread's.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/model/fields.h"

namespace triaged::rules {

class JoinedValues {
 public:
  static constexpr size_t kLong = 256;  // bytes; from here on copying costs more than beginning anew

  struct Part {
    size_t begin;  // in text()
    std::string_view value;
  };

  // Nulls are left out. The values' bytes must outlive what is asked of the others.
  void Join(std::span<const Value> values) {
    parts_.clear();
    apart_.clear();
    size_t size = 0;
    if (text_.size() < values.size() * kLong) text_.resize(values.size() * kLong);
    for (const Value& value : values) {
      if (value.kind == ValueKind::kNull || value.text.empty()) continue;
      if (value.text.size() >= kLong) {
        apart_.push_back(value.text);
        continue;
      }
      Copy(value.text, text_.data() + size);
      parts_.push_back({size, value.text});
      size += value.text.size();
    }
    size_ = size;
  }

  std::string_view text() const { return {text_.data(), size_}; }
  const std::vector<Part>& parts() const { return parts_; }              // of text(), in order, none empty
  const std::vector<std::string_view>& apart() const { return apart_; }  // the long values

 private:
  // A call of memcpy takes as long as what it copies here; the last bytes overlap.
  static void Copy(std::string_view from, char* to) {
    const size_t size = from.size();
    if (size >= 16) {
      for (size_t at = 0; at + 16 < size; at += 16) std::memcpy(to + at, from.data() + at, 16);
      std::memcpy(to + size - 16, from.data() + size - 16, 16);
    } else if (size >= 8) {
      std::memcpy(to, from.data(), 8);
      std::memcpy(to + size - 8, from.data() + size - 8, 8);
    } else if (size >= 4) {
      std::memcpy(to, from.data(), 4);
      std::memcpy(to + size - 4, from.data() + size - 4, 4);
    } else {
      for (size_t i = 0; i < size; ++i) to[i] = from[i];
    }
  }

  std::string text_;
  size_t size_ = 0;
  std::vector<Part> parts_;
  std::vector<std::string_view> apart_;
};

}  // namespace triaged::rules
