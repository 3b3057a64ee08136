#include "pipeline/rules/pattern.h"

#include <cstddef>
#include <cstring>

namespace triaged::rules {
namespace {

bool IsContinuation(unsigned char c) { return (c & 0xC0) == 0x80; }

// FoldByte of eight bytes at once. Where a byte is A … Z, the sums below differ in its highest bit.
uint64_t FoldEight(uint64_t bytes) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  constexpr uint64_t kHigh = 0x80 * kOnes;
  const uint64_t low = bytes & ~kHigh;
  const uint64_t from_a = low + (0x80 - 'A') * kOnes;
  const uint64_t beyond_z = low + (0x80 - 'Z' - 1) * kOnes;
  const uint64_t upper = (from_a ^ beyond_z) & ~bytes & kHigh;
  return bytes | (upper >> 2);
}

bool ContainsLiteral(std::string_view value, std::string_view literal, bool cased) {
  if (literal.size() > value.size()) return false;
  if (cased) return value.find(literal) != std::string_view::npos;
  const size_t last = value.size() - literal.size();
  const unsigned char first = static_cast<unsigned char>(literal.front());
  for (size_t i = 0; i <= last; ++i) {
    if (FoldByte(static_cast<unsigned char>(value[i])) != first) continue;
    if (EqualBytes(value.substr(i, literal.size()), literal, false)) return true;
  }
  return false;
}

// Greedy matching that backs up to the latest `*` only: at most size(glob) * size(value) steps.
bool MatchGlob(const SigmaText& glob, std::string_view value, bool cased) {
  size_t g = 0;
  size_t v = 0;
  size_t star = SIZE_MAX;
  size_t star_value = 0;
  while (v < value.size()) {
    if (g < glob.size() && glob[g] == kAnyRun) {
      star = g++;
      star_value = v;
      continue;
    }
    if (g < glob.size() && glob[g] == kAnyChar) {
      ++g;
      ++v;
      while (v < value.size() && IsContinuation(static_cast<unsigned char>(value[v]))) ++v;
      continue;
    }
    const unsigned char c = static_cast<unsigned char>(value[v]);
    if (g < glob.size() && glob[g] == (cased ? c : FoldByte(c))) {
      ++g;
      ++v;
      continue;
    }
    if (star == SIZE_MAX) return false;
    g = star + 1;
    v = ++star_value;
    // A `*` stops between code points, so that a following `?` takes a whole one.
    while (v < value.size() && IsContinuation(static_cast<unsigned char>(value[v]))) v = ++star_value;
  }
  while (g < glob.size() && glob[g] == kAnyRun) ++g;
  return g == glob.size();
}

// `*` and `?` at the ends decided: what is left, and whether each end is open.
struct Trimmed {
  size_t begin = 0;
  size_t end = 0;
  bool open_left = false;
  bool open_right = false;
};

Trimmed Trim(const SigmaText& text) {
  Trimmed t{0, text.size(), false, false};
  while (t.begin < t.end && text[t.begin] == kAnyRun) {
    ++t.begin;
    t.open_left = true;
  }
  while (t.end > t.begin && text[t.end - 1] == kAnyRun) {
    --t.end;
    t.open_right = true;
  }
  return t;
}

std::string LongestRun(const SigmaText& glob) {
  std::string best;
  std::string run;
  for (uint16_t code : glob) {
    if (code < 256) {
      run.push_back(static_cast<char>(code));
    } else {
      run.clear();
    }
    if (run.size() > best.size()) best = run;
  }
  return best;
}

}  // namespace

SigmaText ParseSigmaText(std::string_view raw) {
  SigmaText text;
  text.reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    const char c = raw[i];
    const char next = i + 1 < raw.size() ? raw[i + 1] : '\0';
    if (c == '\\' && (next == '*' || next == '?' || next == '\\')) {
      text.push_back(static_cast<unsigned char>(next));
      ++i;
    } else if (c == '*') {
      text.push_back(kAnyRun);
    } else if (c == '?') {
      text.push_back(kAnyChar);
    } else {
      text.push_back(static_cast<unsigned char>(c));
    }
  }
  return text;
}

SigmaText PlainText(std::string_view bytes) {
  SigmaText text;
  text.reserve(bytes.size());
  for (char c : bytes) text.push_back(static_cast<unsigned char>(c));
  return text;
}

bool HasWildcards(const SigmaText& text) {
  for (uint16_t code : text) {
    if (code >= 256) return true;
  }
  return false;
}

std::string PlainBytes(const SigmaText& text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (uint16_t code : text) bytes.push_back(static_cast<char>(code));
  return bytes;
}

std::string Fold(std::string_view text) {
  std::string folded(text);
  for (char& c : folded) c = static_cast<char>(FoldByte(static_cast<unsigned char>(c)));
  return folded;
}

bool EqualBytes(std::string_view value, std::string_view literal, bool cased) {
  if (cased) return std::memcmp(value.data(), literal.data(), literal.size()) == 0;
  size_t i = 0;
  for (; i + sizeof(uint64_t) <= literal.size(); i += sizeof(uint64_t)) {
    uint64_t bytes;
    uint64_t wanted;
    std::memcpy(&bytes, value.data() + i, sizeof(bytes));
    std::memcpy(&wanted, literal.data() + i, sizeof(wanted));
    if (FoldEight(bytes) != wanted) return false;
  }
  for (; i < literal.size(); ++i) {
    if (FoldByte(static_cast<unsigned char>(value[i])) != static_cast<unsigned char>(literal[i])) return false;
  }
  return true;
}

std::string Pattern::Key() const {
  std::string key;
  key.push_back(static_cast<char>('0' + static_cast<int>(kind)));
  key.push_back(cased ? 'c' : 'i');
  if (kind == PatternKind::kGlob) {
    for (uint16_t code : glob) {
      key.push_back(static_cast<char>(code >> 8));
      key.push_back(static_cast<char>(code & 0xff));
    }
  } else {
    key += literal;
  }
  return key;
}

Pattern MakePattern(const SigmaText& text, Anchor anchor, bool cased) {
  SigmaText whole;
  if (anchor == Anchor::kContains || anchor == Anchor::kEndsWith) whole.push_back(kAnyRun);
  whole.insert(whole.end(), text.begin(), text.end());
  if (anchor == Anchor::kContains || anchor == Anchor::kStartsWith) whole.push_back(kAnyRun);
  if (!cased) {
    for (uint16_t& code : whole) {
      if (code < 256) code = FoldByte(static_cast<unsigned char>(code));
    }
  }

  Pattern pattern;
  pattern.cased = cased;
  const Trimmed t = Trim(whole);
  const SigmaText inner(whole.begin() + static_cast<ptrdiff_t>(t.begin), whole.begin() + static_cast<ptrdiff_t>(t.end));
  if (inner.empty() && (t.open_left || t.open_right)) {
    pattern.kind = PatternKind::kAny;
  } else if (HasWildcards(inner)) {
    pattern.kind = PatternKind::kGlob;
    if (t.open_left) pattern.glob.push_back(kAnyRun);
    for (uint16_t code : inner) {
      if (code == kAnyRun && !pattern.glob.empty() && pattern.glob.back() == kAnyRun) continue;
      pattern.glob.push_back(code);
    }
    if (t.open_right) pattern.glob.push_back(kAnyRun);
    pattern.literal = LongestRun(pattern.glob);
  } else {
    pattern.literal = PlainBytes(inner);
    pattern.kind = t.open_left ? (t.open_right ? PatternKind::kContains : PatternKind::kEndsWith)
                               : (t.open_right ? PatternKind::kStartsWith : PatternKind::kEquals);
  }
  return pattern;
}

bool Matches(const Pattern& pattern, std::string_view value) {
  const std::string_view literal = pattern.literal;
  switch (pattern.kind) {
    case PatternKind::kAny:
      return true;
    case PatternKind::kEquals:
      return value.size() == literal.size() && EqualBytes(value, literal, pattern.cased);
    case PatternKind::kStartsWith:
      return value.size() >= literal.size() && EqualBytes(value.substr(0, literal.size()), literal, pattern.cased);
    case PatternKind::kEndsWith:
      return value.size() >= literal.size() &&
             EqualBytes(value.substr(value.size() - literal.size()), literal, pattern.cased);
    case PatternKind::kContains:
      return ContainsLiteral(value, literal, pattern.cased);
    case PatternKind::kGlob:
      return MatchGlob(pattern.glob, value, pattern.cased);
  }
  return false;
}

}  // namespace triaged::rules
