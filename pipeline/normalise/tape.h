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
  static bool IsContainer(char kind) { return kind == '{' || kind == '['; }
  static bool IsNumber(char kind) { return kind == 'l' || kind == 'u' || kind == 'd'; }
  // Past a container's closing word: below its opening one.
  size_t End(size_t at) const { return EndOf(words_[at]); }
  static size_t EndOf(uint64_t word) { return static_cast<uint32_t>(word); }
  // Past the value at `at`.
  size_t Past(size_t at) const {
    const char kind = Kind(at);
    return IsContainer(kind) ? End(at) : at + 1 + IsNumber(kind);
  }
  // The text of a text's word. Behind it simdjson has room for SIMDJSON_PADDING bytes to be read.
  std::string_view TextOf(uint64_t word) const {
    const char* const text = texts_ + (word & 0x00ffffffffffffff);
    uint32_t size;
    std::memcpy(&size, text, sizeof size);
    return {text + sizeof size, size};
  }
  // The text at `at`, which is one.
  std::string_view Text(size_t at) const { return TextOf(words_[at]); }

 private:
  const uint64_t* words_;
  const char* texts_;
};

}  // namespace triaged
