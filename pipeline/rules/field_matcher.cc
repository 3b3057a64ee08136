#include "pipeline/rules/field_matcher.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>
#include <utility>

namespace triaged::rules {
namespace {

constexpr size_t kLongPattern = 7;  // from here on patterns are looked for at every 4th byte or less often
constexpr size_t kMaxStep = 8;

// How often a byte is met in log texts, roughly: letters that are frequent in words cost most.
uint64_t Commonness(unsigned char c) {
  static constexpr std::string_view kFrequent = "etaoinsr";
  c |= 0x20;
  if (kFrequent.find(static_cast<char>(c)) != std::string_view::npos) return 4;
  if (c >= 'a' && c <= 'z') return c == 'q' || c == 'x' || c == 'z' || c == 'j' || c == 'k' ? 1 : 2;
  if (c == ' ' || c == '.' || c == '0') return 4;
  return 2;
}

// What nearly every Windows event says somewhere: a gram of these tells nothing apart.
constexpr std::string_view kCommonTexts =
    "microsoft-windows- c:\\windows\\system32\\ c:\\windows\\syswow64\\ c:\\program files (x86)\\ .exe .dll .sys .com http:// "
    "https:// :\\users\\ \\appdata\\local\\temp\\ \\programdata\\ nt authority\\system hklm\\software\\microsoft\\windows "
    "nt\\currentversion\\ system\\currentcontrolset\\services\\ powershell cmd.exe svchost /operational security process "
    "command event service account access image name user";
constexpr uint64_t kCommonCost = 64;

uint64_t GramCost(std::string_view gram) {
  uint64_t cost = 0;
  for (const char c : gram) cost += Commonness(static_cast<unsigned char>(c));
  if (gram.size() == 4 && kCommonTexts.find(gram) != std::string_view::npos) cost += kCommonCost;
  return cost;
}

template <typename T>
std::vector<T> InOrder(const std::vector<T>& items, const std::vector<uint32_t>& order) {
  std::vector<T> ordered;
  ordered.reserve(items.size());
  for (uint32_t i : order) ordered.push_back(items[i]);
  return ordered;
}

}  // namespace

void FieldMatcher::Add(PredicateId predicate, const std::vector<Pattern>& patterns) {
  for (const Pattern& pattern : patterns) added_.push_back({pattern, {predicate}});
}

void FieldMatcher::BuildInside(const std::vector<uint32_t>& entries, Inside* inside) const {
  const size_t width = inside->width;
  size_t shortest = SIZE_MAX;
  // How many patterns share each gram: the less shared, the better it tells them apart.
  std::unordered_map<uint32_t, uint64_t> shared;  // looked up only
  for (uint32_t index : entries) {
    const std::string_view literal = Literal(entries_[index]);
    shortest = std::min(shortest, literal.size());
    for (size_t at = 0; at + width <= literal.size(); ++at) ++shared[LoadGram(literal.data() + at, width)];
  }
  inside->shortest = shortest;
  inside->step = std::min(shortest - (width - 1), width == 4 ? kMaxStep : 1);

  std::vector<uint32_t> hashes;
  std::vector<GramPlace> places;
  std::vector<uint64_t> costs;  // of the gram at each place of one literal
  for (uint32_t index : entries) {
    const std::string_view literal = Literal(entries_[index]);
    costs.clear();
    for (size_t at = 0; at + width <= literal.size(); ++at) {
      costs.push_back(shared[LoadGram(literal.data() + at, width)] + GramCost(literal.substr(at, width)));
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
      hashes.push_back(Hash32(LoadGram(literal.data() + at, width)));
      const size_t other = at * 2 < literal.size() ? literal.size() - width : 0;
      places.push_back({index, static_cast<uint32_t>(at), static_cast<uint32_t>(literal.size()),
                        static_cast<uint32_t>(other), LoadGram(literal.data() + other, width)});
    }
  }
  inside->places = InOrder(places, inside->index.Build(hashes));
  if (hashes.size() <= Inside::kSmallMost) {
    inside->small.assign(size_t{1} << Inside::kSmallBits, 0);
    for (const uint32_t hash : hashes) inside->small[hash >> (32 - Inside::kSmallBits)] = 1;
  } else {
    inside->large.assign((size_t{1} << Inside::kLargeBits) / 64, 0);
    for (const uint32_t hash : hashes) {
      const uint32_t slot = hash >> (32 - Inside::kLargeBits);
      inside->large[slot >> 6] |= uint64_t{1} << (slot & 63);
    }
  }
}

void FieldMatcher::BuildFew(const std::vector<uint32_t>& entries, size_t width) {
  std::vector<FewTexts::Source> texts;
  for (uint32_t index : entries) {
    FewTexts::Source text{Literal(entries_[index]), 0, index, 0};
    uint64_t best = UINT64_MAX;
    for (size_t at = 0; at + width <= text.literal.size(); ++at) {
      const uint64_t cost = GramCost(text.literal.substr(at, width));
      if (cost >= best) continue;
      best = cost;
      text.fingerprint = at;
    }
    text.gram = LoadGram(text.literal.data() + text.fingerprint, width);
    texts.push_back(text);
  }
  few_.emplace_back().Build(std::move(texts), width);
}

// Patterns that may begin anywhere: few short ones are FewTexts, and take the long ones along where those are few, too.
void FieldMatcher::BuildAnywhere(std::vector<uint32_t> tiny, std::vector<uint32_t> brief, std::vector<uint32_t> longer) {
  if (!tiny.empty() && tiny.size() <= kMostFewTexts) BuildFew(std::exchange(tiny, {}), 2);
  if (!brief.empty() && brief.size() + longer.size() <= kMostFewTexts) {
    brief.insert(brief.end(), longer.begin(), longer.end());
    longer.clear();
  }
  if (!brief.empty() && brief.size() <= kMostFewTexts) BuildFew(std::exchange(brief, {}), 4);
  for (const std::vector<uint32_t>* entries : {&tiny, &brief, &longer}) {
    if (entries->empty()) continue;
    Inside& inside = inside_.emplace_back();
    inside.width = entries == &tiny ? 2 : 4;
    BuildInside(*entries, &inside);
  }
}

// One entry per distinct pattern.
void FieldMatcher::TakeEntries() {
  std::map<std::string, Added> distinct;
  for (Added& added : added_) {
    const PredicateId predicate = added.predicates.front();
    auto [it, first] = distinct.try_emplace(added.pattern.Key(), std::move(added));
    if (!first) it->second.predicates.push_back(predicate);
  }
  added_ = {};
  for (auto& [key, added] : distinct) {
    auto& predicates = added.predicates;
    std::sort(predicates.begin(), predicates.end());
    predicates.erase(std::unique(predicates.begin(), predicates.end()), predicates.end());
    const Pattern& pattern = added.pattern;
    Entry entry{};
    entry.text = static_cast<uint32_t>(texts_.size());
    entry.size = static_cast<uint32_t>(pattern.literal.size());
    entry.first_predicate = static_cast<uint32_t>(predicates_.size());
    predicates_.insert(predicates_.end(), predicates.begin(), predicates.end());
    entry.end_predicate = static_cast<uint32_t>(predicates_.size());
    entry.kind = pattern.kind;
    entry.cased = pattern.cased;
    texts_ += pattern.literal;
    const bool whole = pattern.kind == PatternKind::kGlob || pattern.kind == PatternKind::kAny || entry.size < 2;
    if (whole && pattern.kind != PatternKind::kEquals) {
      entry.pattern = static_cast<uint32_t>(patterns_.size());
      patterns_.push_back(std::move(added.pattern));
    }
    entries_.push_back(entry);
  }
  entries_.shrink_to_fit();
  texts_.shrink_to_fit();
  predicates_.shrink_to_fit();
}

void FieldMatcher::Build() {
  TakeEntries();
  struct Grams {
    std::vector<uint32_t> hashes, entries;
    void Add(uint32_t hash, uint32_t entry) {
      hashes.push_back(hash);
      entries.push_back(entry);
    }
  };
  Grams equal, starts8, starts4, starts2, ends8, ends4, ends2;
  std::vector<uint32_t> tiny, brief, longer;
  for (uint32_t index = 0; index < entries_.size(); ++index) {
    Entry& entry = entries_[index];
    const std::string_view literal = Literal(entry);
    const char* const end = literal.data() + literal.size();
    const PatternKind kind = entry.kind;
    if (kind == PatternKind::kEquals) {
      equal.Add(EqualHash(literal), index);
    } else if (kind == PatternKind::kContains && literal.size() == 1) {
      const char c = literal.front();
      const bool letter = !entry.cased && c >= 'a' && c <= 'z';
      bytes_.push_back({c, letter ? static_cast<char>(c ^ 0x20) : c, index});
    } else if (kind == PatternKind::kAny || literal.size() < 2) {
      short_.push_back(index);
    } else if (kind == PatternKind::kStartsWith) {
      if (literal.size() >= 8) starts8.Add(Hash64(Load64(literal.data())), index);
      else if (literal.size() >= 4) starts4.Add(Hash32(Load32(literal.data())), index);
      else starts2.Add(Hash32(Load16(literal.data())), index);
    } else if (kind == PatternKind::kEndsWith) {
      if (literal.size() >= 8) ends8.Add(Hash64(Load64(end - 8)), index);
      else if (literal.size() >= 4) ends4.Add(Hash32(Load32(end - 4)), index);
      else ends2.Add(Hash32(Load16(end - 2)), index);
    } else {
      if (kind == PatternKind::kGlob) entry.glob = globs_++;
      (literal.size() < 4 ? tiny : literal.size() < kLongPattern ? brief : longer).push_back(index);
    }
  }
  const std::pair<Whole*, const Grams*> wholes[] = {{&equal_, &equal},     {&starts8_, &starts8}, {&starts4_, &starts4},
                                                    {&starts2_, &starts2}, {&ends8_, &ends8},     {&ends4_, &ends4},
                                                    {&ends2_, &ends2}};
  for (const auto& [whole, grams] : wholes) {
    for (const uint32_t i : whole->index.Build(grams->hashes)) {
      const uint32_t index = grams->entries[i];
      const Entry& entry = entries_[index];
      whole->placed.push_back({index, entry.size, Far(entry.kind, Literal(entry)), entry.kind});
    }
    if (!whole->empty()) has_ |= whole == &equal_ ? kEqual : kEnds;
  }
  BuildAnywhere(std::move(tiny), std::move(brief), std::move(longer));
  if (!few_.empty()) has_ |= kFew;
  if (!inside_.empty()) has_ |= kInside;
  if (!bytes_.empty()) has_ |= kBytes;
  if (!short_.empty()) has_ |= kShort;
}

}  // namespace triaged::rules
