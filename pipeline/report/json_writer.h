// JsonWriter: writes JSON as it goes, without a tree in memory. Events are rendered for every new case, so this is on
// the way of the alert stream.
//
// Keys are our own words and written as they are; texts are escaped, and bytes that are not UTF-8 become U+FFFD (a JSON
// text must be Unicode). No key means an array's element (or the document itself). Deterministic. Not thread-safe.
// Limit: beyond max_bytes the writer stops writing and says so; what it holds then is no JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace triaged {

class JsonWriter {
 public:
  explicit JsonWriter(size_t max_bytes = SIZE_MAX) : max_bytes_(max_bytes) {}

  void String(std::string_view key, std::string_view text);
  void Int(std::string_view key, int64_t number);
  void Unsigned(std::string_view key, uint64_t number);
  void Bool(std::string_view key, bool value) { Word(key, value ? "true" : "false"); }
  void Null(std::string_view key) { Word(key, "null"); }

  // `fill` writes the members.
  template <typename Fill>
  void Object(std::string_view key, Fill fill) {
    Open(key, '{');
    fill();
    Close('}');
  }
  template <typename Fill>
  void Array(std::string_view key, Fill fill) {
    Open(key, '[');
    fill();
    Close(']');
  }

  bool overflow() const { return overflow_; }
  std::string Finish() { return std::move(out_); }

 private:
  void Key(std::string_view key);
  void Word(std::string_view key, std::string_view word);
  void Open(std::string_view key, char bracket);
  void Close(char bracket);
  void Escaped(std::string_view text);
  void CheckLimit() { overflow_ = overflow_ || out_.size() > max_bytes_; }

  size_t max_bytes_;
  std::string out_;
  bool overflow_ = false;
};

}  // namespace triaged
