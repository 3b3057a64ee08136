// FieldMatcher: all text patterns that a rule set asks of one field, looked for together.
//
// A pattern is found by a few of its bytes ("gram") and then verified by Matches(), so the index can only save time,
// never change an answer. Grams are compared with bit 0x20 set in every byte, which folds ASCII letters (and a few
// others: verification settles it), so the value needs no lower-case copy.
//   equality: length, first and last bytes → one lookup a value
//   startswith, endswith: the first or last 8, 4 or 2 bytes → one lookup each
//   contains and globs: 4 bytes, looked up at every `step`-th byte of the value. A pattern is indexed under `step`
//   grams
//     in a row, so one of them falls on a place that is looked at; the longer the shortest pattern, the longer the step
//     and patterns of 2 or 3 bytes are indexed under 2. A few short patterns are left to FewTexts (few_texts.h)
//   one byte that may stand anywhere: memchr
//   what is shorter still: compared one by one
// What is read to verify lies close together: most of its cost is waiting for memory.
// Immutable once built; thread-safe.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/rules/budget.h"
#include "pipeline/rules/few_texts.h"
#include "pipeline/rules/gram_index.h"
#include "pipeline/rules/joined_values.h"
#include "pipeline/rules/pattern.h"
#include "pipeline/rules/predicate.h"

namespace triaged::rules {

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
    if (has_ & kAnywhere) ScanAnywhere(value, [value](size_t at) { return Spot{value, at}; }, sink);
    if (has_ & kPlaced) ScanPlaced(value, sink);
  }

  // As Scan of each of many values, of which most are short: those are looked through side by side for what may stand
  // anywhere, for most of its cost is to begin. `sink` is told, too, that another value is looked at: NextValue().
  template <typename Sink>
  void ScanMany(std::span<const Value> values, JoinedValues* joined, Sink&& sink) const {
    if (has_ & kAnywhere) {
      joined->Join(values);
      for (const std::string_view value : joined->apart()) {
        sink.NextValue();
        ScanAnywhere(value, [value](size_t at) { return Spot{value, at}; }, sink);
      }
      ScanAnywhere(joined->text(), JoinedSpots{joined->parts(), [&sink] { sink.NextValue(); }}, sink);
    }
    if ((has_ & kPlaced) == 0) return;
    for (const Value& value : values) {
      if (value.kind == ValueKind::kNull) continue;
      sink.NextValue();
      ScanPlaced(value.text, sink);
    }
  }

 private:
  enum Has : uint32_t { kEqual = 1, kEnds = 2, kShort = 4, kPlaced = 7, kFew = 8, kInside = 16, kBytes = 32, kAnywhere = 56 };

  // A place of a value.
  struct Spot {
    std::string_view value;
    size_t at;
  };

  // Which value a place of the joined text is in. Asked with ascending places, and anew from the first; the values are
  // numbered all the same.
  template <typename NextFn>
  struct JoinedSpots {
    JoinedSpots(const std::vector<JoinedValues::Part>& all, NextFn on_next) : parts(all), next(on_next) {}

    Spot operator()(size_t place) {
      if (place < last || last == SIZE_MAX) {
        part = parts.data();
        next();
      }
      last = place;
      for (; place >= part->begin + part->value.size(); ++part) next();
      return {part->value, place - part->begin};
    }

    const std::vector<JoinedValues::Part>& parts;
    NextFn next;
    const JoinedValues::Part* part = nullptr;
    size_t last = SIZE_MAX;
  };

  // What may stand anywhere in `text`; `spot` tells which value a place of it is in.
  template <typename SpotFn, typename Sink>
  void ScanAnywhere(std::string_view text, SpotFn&& spot, Sink&& sink) const {
    for (const FewTexts& few : few_) {
      if (text.size() >= few.shortest()) ScanFew(few, text, spot, sink);
    }
    for (const Inside& inside : inside_) {
      if (text.size() >= inside.shortest) ScanInside(inside, text, spot, sink);
    }
    if (has_ & kBytes) ScanBytes(text, sink);
  }

  // What has its place in the value.
  template <typename Sink>
  void ScanPlaced(std::string_view value, Sink&& sink) const {
    if (has_ & kEqual) LookWhole(equal_, EqualHash(value), value, sink);
    if ((has_ & kEnds) && value.size() >= 2) ScanEnds(value, sink);
    if (has_ & kShort) ScanShort(value, sink);
  }

  // A distinct pattern; its literal and predicates lie in texts_ and predicates_.
  struct Entry {
    uint32_t text;
    uint32_t size;
    uint32_t first_predicate;
    uint32_t end_predicate;
    uint32_t pattern;  // in patterns_, where the literal alone does not say it all
    uint32_t glob;     // its number, of an indexed glob
    PatternKind kind;
    bool cased;
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

  std::string_view Literal(const Entry& entry) const { return {texts_.data() + entry.text, entry.size}; }

  template <typename Sink>
  void Tell(const Entry& entry, bool asked, Sink&& sink) const {
    for (uint32_t i = entry.first_predicate; i < entry.end_predicate; ++i) {
      asked ? sink.Hit(predicates_[i]) : sink.GiveUp(predicates_[i]);
    }
  }

  // A pattern whose place in the value is known. Its last bytes (of endswith, its first) are compared before all: paths
  // begin alike.
  struct Placed {
    uint32_t entry;
    uint32_t size;  // of the literal
    uint32_t far;   // its folded bytes at the other end, as many as FarWidth
    PatternKind kind;
  };
  struct Whole {
    GramIndex index;
    std::vector<Placed> placed;  // in its order
    bool empty() const { return placed.empty(); }
  };

  // How many bytes at the far end are compared first; 0 of texts too short for that.
  static size_t FarWidth(size_t size) { return size >= 4 ? 4 : size >= 2 ? 2 : 0; }
  static uint32_t Far(PatternKind kind, std::string_view text) {
    const size_t width = FarWidth(text.size());
    if (width == 0) return 0;
    return LoadGram(kind == PatternKind::kEndsWith ? text.data() : text.data() + text.size() - width, width);
  }

  template <typename Sink>
  void LookWhole(const Whole& whole, uint32_t hash, std::string_view value, Sink&& sink) const {
    if (whole.index.MayHave(hash)) [[unlikely]] {
      VerifyWhole(whole, hash, value, sink);
    }
  }

  template <typename Sink>
  [[gnu::noinline]] void VerifyWhole(const Whole& whole, uint32_t hash, std::string_view value, Sink&& sink) const {
    const GramIndex::Range range = whole.index.Find(hash);
    if (!sink.Spend(range.end - range.begin)) return sink.GiveUpScan();
    for (uint32_t i = range.begin; i < range.end; ++i) {
      const Placed& placed = whole.placed[i];
      if (placed.size > value.size()) continue;
      if (placed.kind == PatternKind::kEquals && placed.size != value.size()) continue;
      const size_t at = placed.kind == PatternKind::kEndsWith ? value.size() - placed.size : 0;
      const std::string_view there = value.substr(at, placed.size);
      if (Far(placed.kind, there) != placed.far) continue;
      const Entry& entry = entries_[placed.entry];
      if (EqualBytes(there, Literal(entry), entry.cased)) Tell(entry, true, sink);
    }
  }

  template <typename Sink>
  void ScanEnds(std::string_view value, Sink&& sink) const {
    const char* const data = value.data();
    const char* const end = data + value.size();
    if (value.size() >= 8) {
      if (!starts8_.empty()) LookWhole(starts8_, Hash64(Load64(data)), value, sink);
      if (!ends8_.empty()) LookWhole(ends8_, Hash64(Load64(end - 8)), value, sink);
    }
    if (value.size() >= 4) {
      if (!starts4_.empty()) LookWhole(starts4_, Hash32(Load32(data)), value, sink);
      if (!ends4_.empty()) LookWhole(ends4_, Hash32(Load32(end - 4)), value, sink);
    }
    if (!starts2_.empty()) LookWhole(starts2_, Hash32(Load16(data)), value, sink);
    if (!ends2_.empty()) LookWhole(ends2_, Hash32(Load16(end - 2)), value, sink);
  }

  // A pattern that is one byte, anywhere.
  struct AnyByte {
    char byte;
    char other;  // its other case, or itself
    uint32_t entry;
  };

  template <typename Sink>
  [[gnu::noinline]] void ScanBytes(std::string_view value, Sink&& sink) const {
    if (!sink.Spend(bytes_.size() * (1 + value.size() / 64))) return sink.GiveUpScan();
    for (const AnyByte& any : bytes_) {
      if (value.find(any.byte) == std::string_view::npos &&
          (any.other == any.byte || value.find(any.other) == std::string_view::npos)) {
        continue;
      }
      Tell(entries_[any.entry], true, sink);
    }
  }

  template <typename Sink>
  [[gnu::noinline]] void ScanShort(std::string_view value, Sink&& sink) const {
    for (uint32_t index : short_) {
      const Pattern& pattern = patterns_[entries_[index].pattern];
      const bool asked = sink.Spend(1 + value.size() / 64 + value.size() * GlobSteps(pattern));
      if (!asked || Matches(pattern, value)) Tell(entries_[index], asked, sink);
    }
  }

  template <typename SpotFn, typename Sink>
  [[gnu::noinline]] void ScanFew(const FewTexts& few, std::string_view text, SpotFn& spot, Sink&& sink) const {
    std::array<FewTexts::Candidate, FewTexts::kBlock> found;
    for (size_t begin = 0; begin + few.width() <= text.size(); begin += FewTexts::kBlock) {
      const size_t count = few.Candidates(text, begin, &found);
      for (size_t i = 0; i < count; ++i) {
        const uint32_t gram = LoadGram(text.data() + found[i].place, few.width());
        for (uint32_t buckets = found[i].buckets; buckets != 0; buckets &= buckets - 1) {
          const auto texts = few.Bucket(static_cast<size_t>(std::countr_zero(buckets)));
          if (!sink.Spend(texts.size())) return sink.GiveUpScan();
          for (const FewTexts::Text& one : texts) {
            if (one.gram == gram) CompareAt(one.entry, one.fingerprint, one.size, spot(found[i].place), sink);
          }
        }
      }
    }
  }

  // One place of an Inside index: the pattern, where in its literal the gram stands, and another gram of it, at the far
  // end: most places that are not the pattern are passed over without a look at the pattern.
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
    static constexpr int kLargeBits = 17;  // 16 KiB of bits
    static constexpr size_t kSmallMost = 200;

    size_t width = 4;  // bytes of a gram: 4, or 2 for patterns too short for that
    size_t step = 1;
    size_t shortest = 4;  // literal
    std::vector<uint8_t> small;  // one of the two is empty
    std::vector<uint64_t> large;
    GramIndex index;
    std::vector<GramPlace> places;  // in its order
  };

  template <typename SpotFn, typename Sink>
  [[gnu::noinline]] void ScanInside(const Inside& inside, std::string_view text, SpotFn& spot, Sink&& sink) const {
    if (!inside.small.empty()) {
      const uint8_t* const slots = inside.small.data();
      ScanFiltered(
          inside, text, spot, [slots](uint32_t hash) { return slots[hash >> (32 - Inside::kSmallBits)] != 0; }, sink);
    } else {
      const uint64_t* const words = inside.large.data();
      ScanFiltered(
          inside, text, spot,
          [words](uint32_t hash) {
            return ((words[hash >> (32 - Inside::kLargeBits + 6)] >> ((hash >> (32 - Inside::kLargeBits)) & 63)) & 1) !=
                   0;
          },
          sink);
    }
  }

  template <typename SpotFn, typename FilterFn, typename Sink>
  void ScanFiltered(const Inside& inside, std::string_view text, SpotFn& spot, FilterFn&& may_have, Sink&& sink) const {
    const char* const data = text.data();
    const size_t step = inside.step;
    const size_t end = text.size() - (inside.width - 1);  // first place where too few bytes are left
    auto scan = [&](auto load) {
      auto probe = [&](size_t at) {
        const uint32_t hash = Hash32(load(data + at));
        if (may_have(hash)) [[unlikely]] {
          VerifyAt(inside, spot, at, hash, sink);
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

  template <typename SpotFn, typename Sink>
  [[gnu::noinline]] void VerifyAt(const Inside& inside, SpotFn& spot, size_t place, uint32_t hash, Sink&& sink) const {
    if (!inside.index.MayHave(hash)) return;
    const GramIndex::Range range = inside.index.Find(hash);
    if (range.begin == range.end) return;
    if (!sink.Spend(range.end - range.begin)) return sink.GiveUpScan();
    const Spot where = spot(place);
    for (uint32_t i = range.begin; i < range.end; ++i) {
      const GramPlace& one = inside.places[i];
      if (where.at < one.offset || where.value.size() - (where.at - one.offset) < one.size) continue;
      const std::string_view there = where.value.substr(where.at - one.offset, one.size);
      if (LoadGram(there.data() + one.other_offset, inside.width) != one.other) continue;
      Compare(one.entry, there, where.value, sink);
    }
  }

  // As Compare, where what was found of the literal, `offset` bytes into it, stands at a place of the value.
  template <typename Sink>
  void CompareAt(uint32_t index, size_t offset, size_t size, const Spot& where, Sink&& sink) const {
    if (where.at < offset || where.value.size() - (where.at - offset) < size) return;
    Compare(index, where.value.substr(where.at - offset, size), where.value, sink);
  }

  // Whether a pattern's literal stands `there`, and the pattern holds then.
  template <typename Sink>
  void Compare(uint32_t index, std::string_view there, std::string_view value, Sink&& sink) const {
    const Entry& entry = entries_[index];
    if (!EqualBytes(there, Literal(entry), entry.cased)) return;
    bool asked = true;
    if (entry.kind == PatternKind::kGlob) {
      if (!sink.FirstTry(entry.glob)) return;
      const Pattern& pattern = patterns_[entry.pattern];
      asked = sink.Spend(value.size() * GlobSteps(pattern));
      if (asked && !Matches(pattern, value)) return;
    }
    Tell(entry, asked, sink);
  }

  // What is collected before Build.
  struct Added {
    Pattern pattern;
    std::vector<PredicateId> predicates;
  };

  void TakeEntries();
  void BuildFew(const std::vector<uint32_t>& entries, size_t width);
  void BuildAnywhere(std::vector<uint32_t> tiny, std::vector<uint32_t> brief, std::vector<uint32_t> longer);
  void BuildInside(const std::vector<uint32_t>& entries, Inside* inside) const;

  uint32_t has_ = 0;
  uint32_t globs_ = 0;
  std::vector<Entry> entries_;
  std::string texts_;
  std::vector<PredicateId> predicates_;
  Whole equal_;
  Whole starts8_, starts4_, starts2_;
  Whole ends8_, ends4_, ends2_;
  std::vector<FewTexts> few_;
  std::vector<Inside> inside_;      // at most three: tiny patterns, short ones, long ones
  std::vector<AnyByte> bytes_;
  std::vector<uint32_t> short_;     // entries no index holds
  std::vector<Pattern> patterns_;   // globs, and what no index holds
  std::vector<Added> added_;
};

}  // namespace triaged::rules
