#include "pipeline/rules/field_matcher.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <unordered_map>

namespace triaged::rules {
namespace {

using Grams = std::vector<std::pair<uint32_t, uint32_t>>;

constexpr size_t kLongPattern = 7;  // from here on patterns are looked for at every 4th byte or less often
constexpr size_t kMaxStep = 8;
constexpr int kMinIndexBits = 7;   // two words of bitmap: a set per logsource has many small fields
constexpr int kMaxIndexBits = 18;  // 32 KiB: still inside a first-level cache

// How often a byte is met in log texts, roughly: letters that are frequent in words cost most.
uint64_t Commonness(unsigned char c) {
  static constexpr std::string_view kFrequent = "etaoinsr";
  c |= 0x20;
  if (kFrequent.find(static_cast<char>(c)) != std::string_view::npos) return 4;
  if (c >= 'a' && c <= 'z') return c == 'q' || c == 'x' || c == 'z' || c == 'j' || c == 'k' ? 1 : 2;
  if (c == ' ' || c == '.' || c == '0') return 4;
  return 2;
}

}  // namespace

void GramIndex::Build(const std::vector<std::pair<uint32_t, uint32_t>>& grams) {
  if (grams.empty()) return;
  int bits = kMinIndexBits;
  while (bits < kMaxIndexBits && (size_t{1} << bits) < grams.size() * 32) ++bits;
  shift_ = 32 - bits;
  const size_t slots = size_t{1} << bits;
  bitmap_.assign(slots / 64, 0);
  begin_.assign(slots + 1, 0);
  for (const auto& [hash, entry] : grams) {
    const uint32_t slot = hash >> shift_;
    bitmap_[slot >> 6] |= uint64_t{1} << (slot & 63);
    ++begin_[slot + 1];
  }
  for (size_t i = 1; i <= slots; ++i) begin_[i] += begin_[i - 1];
  entries_.resize(grams.size());
  std::vector<uint32_t> next(begin_.begin(), begin_.end() - 1);
  for (const auto& [hash, entry] : grams) entries_[next[hash >> shift_]++] = entry;
}

void FieldMatcher::Add(PredicateId predicate, const std::vector<Pattern>& patterns) {
  for (const Pattern& pattern : patterns) entries_.push_back({pattern, {predicate}, 0});
}

void FieldMatcher::BuildInside(const std::vector<uint32_t>& patterns, Inside* inside) const {
  const size_t width = inside->width;
  size_t shortest = SIZE_MAX;
  // How many patterns share each gram: the less shared, the better it tells them apart.
  std::unordered_map<uint32_t, uint64_t> shared;  // looked up only
  for (uint32_t index : patterns) {
    const std::string& literal = entries_[index].pattern.literal;
    shortest = std::min(shortest, literal.size());
    for (size_t at = 0; at + width <= literal.size(); ++at) ++shared[LoadGram(literal.data() + at, width)];
  }
  inside->step = std::min(shortest - (width - 1), width == 4 ? kMaxStep : 1);

  std::vector<std::pair<uint32_t, uint32_t>> grams;
  std::vector<uint64_t> costs;  // of the gram at each place of one literal
  for (uint32_t index : patterns) {
    const std::string& literal = entries_[index].pattern.literal;
    costs.clear();
    for (size_t at = 0; at + width <= literal.size(); ++at) {
      uint64_t cost = shared[LoadGram(literal.data() + at, width)];
      for (size_t i = 0; i < width; ++i) cost += Commonness(static_cast<unsigned char>(literal[at + i]));
      costs.push_back(cost);
    }
    size_t best = 0;
    uint64_t cost = std::accumulate(costs.begin(), costs.begin() + static_cast<std::ptrdiff_t>(inside->step), uint64_t{0});
    uint64_t best_cost = cost;
    for (size_t begin = 1; begin + inside->step <= costs.size(); ++begin) {
      cost += costs[begin + inside->step - 1] - costs[begin - 1];
      if (cost < best_cost) {
        best_cost = cost;
        best = begin;
      }
    }
    for (size_t at = best; at < best + inside->step; ++at) {
      grams.emplace_back(Hash32(LoadGram(literal.data() + at, width)), static_cast<uint32_t>(inside->places.size()));
      const size_t other = at * 2 < literal.size() ? literal.size() - width : 0;
      inside->places.push_back({index, static_cast<uint32_t>(at), static_cast<uint32_t>(literal.size()),
                                static_cast<uint32_t>(other), LoadGram(literal.data() + other, width)});
    }
  }
  inside->index.Build(grams);
  if (grams.size() <= Inside::kSmallMost) {
    inside->small.assign(size_t{1} << Inside::kSmallBits, 0);
    for (const auto& [hash, place] : grams) inside->small[hash >> (32 - Inside::kSmallBits)] = 1;
  } else {
    inside->large.assign((size_t{1} << Inside::kLargeBits) / 64, 0);
    for (const auto& [hash, place] : grams) {
      const uint32_t slot = hash >> (32 - Inside::kLargeBits);
      inside->large[slot >> 6] |= uint64_t{1} << (slot & 63);
    }
  }
}

void FieldMatcher::Build() {
  // One entry per distinct pattern.
  std::map<std::string, Entry> distinct;
  for (Entry& entry : entries_) {
    auto [it, added] = distinct.try_emplace(entry.pattern.Key(), entry);
    if (!added) it->second.predicates.push_back(entry.predicates.front());
  }
  entries_.clear();
  for (auto& [key, entry] : distinct) {
    std::sort(entry.predicates.begin(), entry.predicates.end());
    entry.predicates.erase(std::unique(entry.predicates.begin(), entry.predicates.end()), entry.predicates.end());
    entries_.push_back(std::move(entry));
  }

  Grams equal, starts8, starts4, ends8, ends4;
  std::vector<uint32_t> inside_tiny, inside_short, inside_long;
  for (uint32_t index = 0; index < entries_.size(); ++index) {
    Entry& entry = entries_[index];
    const std::string& literal = entry.pattern.literal;
    const char* const end = literal.data() + literal.size();
    const PatternKind kind = entry.pattern.kind;
    if (kind == PatternKind::kEquals) {
      equal.emplace_back(EqualHash(literal), index);
    } else if (kind == PatternKind::kAny || literal.size() < 2 ||
               (literal.size() < 4 && (kind == PatternKind::kStartsWith || kind == PatternKind::kEndsWith))) {
      short_.push_back(index);
    } else if (kind == PatternKind::kStartsWith && literal.size() >= 8) {
      starts8.emplace_back(Hash64(Load64(literal.data())), index);
    } else if (kind == PatternKind::kStartsWith) {
      starts4.emplace_back(Hash32(Load32(literal.data())), index);
    } else if (kind == PatternKind::kEndsWith && literal.size() >= 8) {
      ends8.emplace_back(Hash64(Load64(end - 8)), index);
    } else if (kind == PatternKind::kEndsWith) {
      ends4.emplace_back(Hash32(Load32(end - 4)), index);
    } else {
      if (kind == PatternKind::kGlob) entry.glob = globs_++;
      (literal.size() < 4 ? inside_tiny : literal.size() < kLongPattern ? inside_short : inside_long).push_back(index);
    }
  }
  equal_.Build(equal);
  starts8_.Build(starts8);
  starts4_.Build(starts4);
  ends8_.Build(ends8);
  ends4_.Build(ends4);
  for (const std::vector<uint32_t>* patterns : {&inside_tiny, &inside_short, &inside_long}) {
    if (patterns->empty()) continue;
    Inside& inside = inside_.emplace_back();
    inside.width = patterns == &inside_tiny ? 2 : 4;
    BuildInside(*patterns, &inside);
  }
}

}  // namespace triaged::rules
