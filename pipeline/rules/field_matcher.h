// FieldMatcher: all text patterns that a rule set asks of one field, looked for together.
//
// A pattern is found by a few of its bytes ("gram") and then verified by Matches(), so the index can only save time,
// never change an answer. Grams are compared with bit 0x20 set in every byte, which folds ASCII letters (and a few
// others: verification settles it), so the value needs no lower-case copy.
//   equality: length, first and last bytes → one lookup a value
//   startswith, endswith: the first or last 8, else 4 bytes → one lookup each
//   contains and globs: 4 bytes, looked up at every `step`-th byte of the value. A pattern is indexed under `step`
//   grams
//     in a row, so one of them falls on a place that is looked at; the longer the shortest pattern, the longer the step
//     and patterns of 2 or 3 bytes are indexed under 2
//   what is shorter still: compared one by one
// Immutable once built; thread-safe.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/rules/budget.h"
#include "pipeline/rules/pattern.h"
#include "pipeline/rules/predicate.h"

namespace triaged::rules {

// Hash → entries: a bitmap that says "nothing there" for nearly every lookup, then buckets.
class GramIndex {
 public:
  // Pairs of hash and entry, in any order.
  void Build(const std::vector<std::pair<uint32_t, uint32_t>>& grams);

  bool empty() const { return entries_.empty(); }
  bool MayHave(uint32_t hash) const {
    const uint32_t slot = hash >> shift_;
    return (bitmap_[slot >> 6] >> (slot & 63)) & 1;
  }
  std::span<const uint32_t> Bucket(uint32_t hash) const {
    const uint32_t slot = hash >> shift_;
    return {entries_.data() + begin_[slot], begin_[slot + 1] - begin_[slot]};
  }

 private:
  int shift_ = 31;
  std::vector<uint64_t> bitmap_;
  std::vector<uint32_t> begin_;
  std::vector<uint32_t> entries_;
};

class FieldMatcher {
 public:
  // `predicate` holds when any of its `patterns` matches.
  void Add(PredicateId predicate, const std::vector<Pattern>& patterns);
  void Build();

  // How many globs are indexed. A glob costs up to size(glob) * size(value), so it must be tried once per value only,
  // however often its gram is met.
  uint32_t globs() const { return globs_; }

  // Tells `sink` what it finds, possibly more than once:
  //   Hit(id)           `value` makes the predicate hold
  //   FirstTry(glob)    whether this glob (a number below globs()) is asked about for the first time for this value
  //   Spend(steps)      whether there is budget left for as many (rules/budget.h)
  //   GiveUp(id)        there was none for this predicate
  //   GiveUpScan()      there was none for looking further: any predicate may hold
  template <typename Sink>
  void Scan(std::string_view value, Sink&& sink) const {
    auto verify = [&](std::span<const uint32_t> bucket) {
      if (!sink.Spend(bucket.size())) return sink.GiveUpScan();
      for (uint32_t index : bucket) {
        const Entry& entry = entries_[index];
        if (Matches(entry.pattern, value)) {
          for (PredicateId id : entry.predicates) sink.Hit(id);
        }
      }
    };
    if (!equal_.empty()) Look(equal_, EqualHash(value), verify);
    if (value.size() >= 8) {
      Look(starts8_, Hash64(Load64(value.data())), verify);
      Look(ends8_, Hash64(Load64(value.data() + value.size() - 8)), verify);
    }
    if (value.size() >= 4) {
      Look(starts4_, Hash32(Load32(value.data())), verify);
      Look(ends4_, Hash32(Load32(value.data() + value.size() - 4)), verify);
    }
    for (const Inside& inside : inside_) {
      if (value.size() >= inside.width) ScanInside(inside, value, sink);
    }
    for (uint32_t index : short_) {
      const Entry& entry = entries_[index];
      const bool asked = sink.Spend(1 + value.size() / 64 + value.size() * GlobSteps(entry.pattern));
      if (asked && !Matches(entry.pattern, value)) continue;
      for (PredicateId id : entry.predicates) asked ? sink.Hit(id) : sink.GiveUp(id);
    }
  }

 private:
  struct Entry {
    Pattern pattern;
    std::vector<PredicateId> predicates;
    uint32_t glob = 0;  // its number, of an indexed glob
  };

  static uint32_t Load32(const char* at) {
    uint32_t bytes;
    std::memcpy(&bytes, at, sizeof(bytes));
    return bytes | 0x20202020u;
  }
  static uint32_t Load16(const char* at) {
    uint16_t bytes;
    std::memcpy(&bytes, at, sizeof(bytes));
    return bytes | 0x2020u;
  }
  static uint32_t LoadGram(const char* at, size_t width) { return width == 4 ? Load32(at) : Load16(at); }
  static uint64_t Load64(const char* at) {
    uint64_t bytes;
    std::memcpy(&bytes, at, sizeof(bytes));
    return bytes | 0x2020202020202020u;
  }
  static uint32_t Hash32(uint32_t gram) { return gram * 0x9E3779B1u; }
  static uint32_t Hash64(uint64_t gram) { return static_cast<uint32_t>((gram * 0x9E3779B97F4A7C15u) >> 32); }
  static uint32_t EqualHash(std::string_view value) {
    uint64_t first = 0;
    uint64_t last = 0;
    if (value.size() >= 8) {
      first = Load64(value.data());
      last = Load64(value.data() + value.size() - 8);
    } else if (value.size() >= 4) {
      first = Load32(value.data());
      last = Load32(value.data() + value.size() - 4);
    } else if (!value.empty()) {
      for (const char c : {value.front(), value[value.size() / 2], value.back()}) {
        first = (first << 8) | static_cast<unsigned char>(c | 0x20);
      }
    }
    return Hash64(first ^ ((last << 23) | (last >> 41)) ^ (static_cast<uint64_t>(value.size()) << 56));
  }

  template <typename VerifyFn>
  static void Look(const GramIndex& index, uint32_t hash, VerifyFn&& verify) {
    if (!index.empty() && index.MayHave(hash)) verify(index.Bucket(hash));
  }

  // One entry of an Inside index: the pattern, where in its literal the gram stands, and another gram of it, at the far end:
  // most places that are not the pattern are passed over without a look at the pattern.
  struct GramPlace {
    uint32_t entry;
    uint32_t offset;
    uint32_t size;  // of the literal
    uint32_t other_offset;
    uint32_t other;
  };

  // Patterns that may begin anywhere, of similar length. The filter is asked for every place looked at, so its hash has
  // a constant width: few patterns have a byte for each slot, many a bit.
  struct Inside {
    static constexpr int kSmallBits = 12;  // 4 KiB of bytes
    static constexpr int kLargeBits = 16;  // 8 KiB of bits
    static constexpr size_t kSmallMost = 300;

    size_t width = 4;  // bytes of a gram: 4, or 2 for patterns too short for that
    size_t step = 1;
    std::vector<uint8_t> small;  // one of the two is empty
    std::vector<uint64_t> large;
    GramIndex index;  // → places
    std::vector<GramPlace> places;
  };

  template <typename Sink>
  void ScanInside(const Inside& inside, std::string_view value, Sink&& sink) const {
    if (!inside.small.empty()) {
      const uint8_t* const slots = inside.small.data();
      ScanFiltered(
          inside, value, [slots](uint32_t hash) { return slots[hash >> (32 - Inside::kSmallBits)] != 0; }, sink);
    } else {
      const uint64_t* const words = inside.large.data();
      ScanFiltered(
          inside, value,
          [words](uint32_t hash) {
            return ((words[hash >> (32 - Inside::kLargeBits + 6)] >> ((hash >> (32 - Inside::kLargeBits)) & 63)) & 1) !=
                   0;
          },
          sink);
    }
  }

  template <typename FilterFn, typename Sink>
  void ScanFiltered(const Inside& inside, std::string_view value, FilterFn&& may_have, Sink&& sink) const {
    const char* const data = value.data();
    const size_t step = inside.step;
    const size_t end = value.size() - (inside.width - 1);  // first place where too few bytes are left
    auto scan = [&](auto load) {
      auto probe = [&](size_t at) {
        const uint32_t hash = Hash32(load(data + at));
        if (may_have(hash)) [[unlikely]] {
          VerifyAt(inside, value, at, hash, sink);
        }
      };
      size_t at = 0;
      for (; at + 3 * step < end; at += 4 * step) {
        probe(at);
        probe(at + step);
        probe(at + 2 * step);
        probe(at + 3 * step);
      }
      for (; at < end; at += step) probe(at);
    };
    if (inside.width == 4) {
      scan([](const char* at) { return Load32(at); });
    } else {
      scan([](const char* at) { return Load16(at); });
    }
  }

  template <typename Sink>
  [[gnu::noinline]] void VerifyAt(const Inside& inside, std::string_view value, size_t at, uint32_t hash,
                                  Sink&& sink) const {
    if (!inside.index.MayHave(hash)) return;
    const std::span<const uint32_t> bucket = inside.index.Bucket(hash);
    if (!sink.Spend(bucket.size())) return sink.GiveUpScan();
    for (uint32_t index : bucket) {
      const GramPlace& place = inside.places[index];
      if (at < place.offset || value.size() - (at - place.offset) < place.size) continue;
      const std::string_view there = value.substr(at - place.offset, place.size);
      if (LoadGram(there.data() + place.other_offset, inside.width) != place.other) continue;
      const Entry& entry = entries_[place.entry];
      const Pattern& pattern = entry.pattern;
      if (!EqualBytes(there, pattern.literal, pattern.cased)) continue;
      bool asked = true;
      if (pattern.kind == PatternKind::kGlob) {
        if (!sink.FirstTry(entry.glob)) continue;
        asked = sink.Spend(value.size() * GlobSteps(pattern));
        if (asked && !Matches(pattern, value)) continue;
      }
      for (PredicateId id : entry.predicates) asked ? sink.Hit(id) : sink.GiveUp(id);
    }
  }

  void BuildInside(const std::vector<uint32_t>& patterns, Inside* inside) const;

  std::vector<Entry> entries_;
  uint32_t globs_ = 0;
  GramIndex equal_;
  GramIndex starts8_, starts4_;
  GramIndex ends8_, ends4_;
  std::vector<Inside> inside_;   // at most three: tiny patterns, short ones, long ones
  std::vector<uint32_t> short_;  // entries no index holds
};

}  // namespace triaged::rules
