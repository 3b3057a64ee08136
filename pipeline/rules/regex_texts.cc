#include "pipeline/rules/regex_texts.h"

#include <re2/filtered_re2.h>

#include <algorithm>
#include <numeric>
#include <string_view>

namespace triaged::rules {
namespace {

constexpr int kShortest = 4;       // what a field's index finds without a pass of its own (field_matcher.h)
constexpr size_t kMostAtoms = 64;  // RE2 names; more tell nothing apart
constexpr size_t kMostTexts = 16;

// RE2 lowers its texts by Unicode's tables, the index by ASCII's. They agree as long as the expression itself names no
// character beyond ASCII.
bool NamesAsciiOnly(std::string_view pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (static_cast<unsigned char>(pattern[i]) >= 0x80) return false;
    if (pattern[i] != '\\' || i + 1 == pattern.size()) continue;
    const char next = pattern[++i];
    if (next == 'x' || next == 'p' || next == 'P' || (next >= '0' && next <= '9')) return false;
  }
  return true;
}

// Whether letters may stand for both cases: "(?" but not "(?:".
bool MayFold(std::string_view pattern) {
  for (size_t at = pattern.find("(?"); at != std::string_view::npos; at = pattern.find("(?", at + 2)) {
    if (pattern.substr(at + 2, 1) != ":") return true;
  }
  return false;
}

// The longest part without k and s, which RE2 folds with the Kelvin sign and the long s.
std::string LongestSafePart(std::string_view text) {
  std::string_view best;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("ks"), text.size());
    if (end > best.size()) best = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return std::string(best);
}

// A smallest set of atoms of which one is there whenever the expression matches, the shortest given up first.
class Cover {
 public:
  Cover(const re2::FilteredRE2& filter, size_t atoms) : filter_(filter), in_(atoms, true) {}

  // Whether the expression cannot match when all atoms of the set are absent.
  bool Holds() const {
    std::vector<int> others;
    for (size_t i = 0; i < in_.size(); ++i) {
      if (!in_[i]) others.push_back(static_cast<int>(i));
    }
    std::vector<int> potential;
    filter_.AllPotentials(others, &potential);
    return potential.empty();
  }
  void Shrink(const std::vector<size_t>& order) {
    for (const size_t i : order) {
      in_[i] = false;
      if (!Holds()) in_[i] = true;
    }
  }
  bool Has(size_t i) const { return in_[i]; }

 private:
  const re2::FilteredRE2& filter_;
  std::vector<bool> in_;
};

}  // namespace

std::vector<std::string> RegexTexts(const re2::RE2& regex) {
  if (!NamesAsciiOnly(regex.pattern())) return {};
  re2::FilteredRE2 filter(kShortest);
  int id = 0;
  if (filter.Add(regex.pattern(), regex.options(), &id) != re2::RE2::NoError) return {};
  std::vector<std::string> atoms;
  filter.Compile(&atoms);
  if (atoms.empty() || atoms.size() > kMostAtoms) return {};
  Cover cover(filter, atoms.size());
  if (!cover.Holds()) return {};
  if (MayFold(regex.pattern())) {
    for (std::string& atom : atoms) atom = LongestSafePart(atom);
  }
  std::vector<size_t> order(atoms.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return atoms[a].size() < atoms[b].size(); });
  cover.Shrink(order);
  std::vector<std::string> texts;
  for (size_t i = 0; i < atoms.size(); ++i) {
    if (!cover.Has(i)) continue;
    if (atoms[i].size() < kShortest) return {};
    texts.push_back(atoms[i]);
  }
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return texts.size() <= kMostTexts ? texts : std::vector<std::string>{};
}

}  // namespace triaged::rules
