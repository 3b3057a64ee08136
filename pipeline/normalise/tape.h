// Tape: what simdjson's DOM parser leaves of a document, read in place and in order.
//
// One word per brace, bracket, key, string and literal, its kind in the highest byte; a number's value is a word of its
// own behind it. Texts lie unescaped in a second buffer, their length before them. The format is documented by simdjson
// (doc/tape.md) and is what its own iterators read. Those look every element up anew; here the walk costs a load a word.
// Views; the parser must outlive them and not parse anew.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace triaged {

class Tape {
 public:
  static constexpr size_t kRoot = 1;  // where the document's value stands

  explicit Tape(const simdjson::dom::document& document)
      : words_(document.tape.get()), texts_(reinterpret_cast<const char*>(document.string_buf.get())) {}

  uint64_t Word(size_t at) const { return words_[at]; }
  static char KindOf(uint64_t word) { return static_cast<char>(word >> 56); }
  // '{' '}' '[' ']' '"' 'l' (int64) 'u' (uint64) 'd' (double) 't' 'f' 'n'
  char Kind(size_t at) const { return static_cast<char>(words_[at] >> 56); }
  // Past a container's closing word: below its opening one.
  size_t End(size_t at) const { return static_cast<uint32_t>(words_[at]); }
  // Past the value at `at`.
  size_t Past(size_t at) const {
    switch (Kind(at)) {
      case '{':
      case '[': return End(at);
      case 'l':
      case 'u':
      case 'd': return at + 2;
      default: return at + 1;
    }
  }
  // Of a text's word: where it lies (TextAt).
  uint64_t Place(uint64_t word) const { return reinterpret_cast<uintptr_t>(texts_ + (word & 0x00ffffffffffffff)); }
  static std::string_view TextAt(uint64_t payload) {
    const char* const text = reinterpret_cast<const char*>(payload);
    uint32_t size;
    std::memcpy(&size, text, sizeof size);
    return {text + sizeof size, size};
  }
  // The text at `at`, which is one. Behind it simdjson has room for SIMDJSON_PADDING bytes to be read.
  std::string_view Text(size_t at) const { return TextAt(Place(words_[at])); }

 private:
  const uint64_t* words_;
  const char* texts_;
};

}  // namespace triaged
