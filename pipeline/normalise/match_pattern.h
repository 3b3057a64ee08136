// MatchPattern: the expression of a source's `match`, in RE2's syntax (its wiki's page Syntax).
//
// Nearly all that tables say is a row of literals and character classes in which the next byte alone decides how to go
// on. Such a row is run here, without the set-up a general engine needs for every text; everything else is RE2's, and
// both find the same (tests/unit/match_pattern_test.cc compares them).
// Immutable; any thread.
#pragma once

#include <re2/re2.h>

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace triaged {

class MatchPattern {
 public:
  // The error of RE2 in `error` when it is none: then nullptr.
  static std::shared_ptr<const MatchPattern> Compile(const std::string& expression, std::string* error);

  struct Found {
    std::string_view value;  // the first group; without one the match
    size_t past = 0;         // where the match ends
  };
  // The leftmost match in `text`, valid UTF-8.
  std::optional<Found> Find(std::string_view text) const;

  bool has_group() const { return has_group_; }
  bool simple() const { return !steps_.empty(); }  // run here, not by RE2

 private:
  using Bytes = std::bitset<256>;
  struct Step {
    enum class Kind : uint8_t { kRepeat, kOptional, kOpen, kClose };
    Kind kind = Kind::kRepeat;
    uint16_t skip = 0;      // kOptional: how many steps it covers
    uint32_t min = 1, max = 1;
    Bytes bytes;
  };
  struct Capture {
    size_t open = std::string_view::npos;
    size_t close = 0;
  };
  class Reader;

  // Runs steps [first, last) from `at`; the end of what they match, or npos.
  size_t Run(size_t first, size_t last, std::string_view text, size_t at, Capture* capture) const;
  bool Deterministic() const;
  // What may come at step `from`; whether it may also be nothing is in `nothing`.
  Bytes FirstOf(size_t from, bool* nothing) const;

  std::unique_ptr<const re2::RE2> re2_;
  std::vector<Step> steps_;  // empty: RE2 runs it
  bool from_start_ = false;  // ^
  bool to_end_ = false;      // $
  bool has_group_ = false;
};

}  // namespace triaged
