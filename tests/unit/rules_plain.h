// A plain evaluator of Sigma detections, and random rules and events for it: no index, no shared predicates and no
// shortcuts, so that it is right at a glance. What differs from the engine is a fault of one of the two.
#pragma once

#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <algorithm>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include "tests/unit/rules_test_util.h"

namespace triaged::rules_test {

inline const std::vector<std::string> kFields = {"process.name", "message", "win.image", "user.name", "n"};
inline const std::vector<std::string> kPieces = {"cmd.exe", "\\",  "power", "SHELL",    "a", "B",       "ab",
                                          "windows", "*",   "?",     "\\*",      "é", " -enc ",  "x",
                                          "10",      "xyz", "-",     "System32", "",  "abcdefgh"};

struct PlainValue {
  bool null = false;
  std::string text;
};
using PlainEvent = std::vector<std::vector<PlainValue>>;  // by index into kFields

struct Item {
  enum Kind { kText, kRegex, kLess, kExists, kNull, kKeyword } kind = kText;
  size_t field = 0;
  std::string anchor;  // "", "contains", "startswith", "endswith"
  bool all = false, neq = false, cased = false, wanted = true;
  std::vector<std::string> values;
};
using Map = std::vector<Item>;       // all
using Selection = std::vector<Map>;  // any

struct Tree {
  enum Kind { kName, kOf, kAnd, kOr, kNot } kind = kName;
  size_t name = 0;
  int count = 1;  // of kOf, over all selections; 0 means all
  std::vector<Tree> children;
};
struct PlainRule {
  std::vector<Selection> selections;
  Tree condition;
};

// ---- the plain evaluator ----

inline std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::isupper(static_cast<unsigned char>(c)) ? std::tolower(c) : c);
  return text;
}

// Recursive wildcard match over the raw Sigma string, escapes and all.
inline bool PlainGlob(const std::string& pattern, size_t p, const std::string& text, size_t t) {
  if (p == pattern.size()) return t == text.size();
  const char c = pattern[p];
  if (c == '*') {
    for (size_t skip = t; skip <= text.size(); ++skip) {
      if (PlainGlob(pattern, p + 1, text, skip)) return true;
    }
    return false;
  }
  if (c == '?') {
    if (t == text.size()) return false;
    // Not inside a code point.
    if ((static_cast<unsigned char>(text[t]) & 0xC0) == 0x80) return false;
    size_t next = t + 1;
    while (next < text.size() && (static_cast<unsigned char>(text[next]) & 0xC0) == 0x80) ++next;
    return PlainGlob(pattern, p + 1, text, next);
  }
  char literal = c;
  size_t after = p + 1;
  if (c == '\\' && p + 1 < pattern.size() &&
      (pattern[p + 1] == '*' || pattern[p + 1] == '?' || pattern[p + 1] == '\\')) {
    literal = pattern[p + 1];
    after = p + 2;
  }
  return t < text.size() && text[t] == literal && PlainGlob(pattern, after, text, t + 1);
}

inline bool PlainText(const Item& item, const std::string& value, const std::string& text) {
  const std::string anchor = item.kind == Item::kKeyword && item.anchor.empty() ? "contains" : item.anchor;
  // A star in front of a value must not be eaten by the value's own backslash, so the text is cut instead.
  const std::string p = item.cased ? value : Lower(value);
  const std::string t = item.cased ? text : Lower(text);
  const bool open_left = anchor == "contains" || anchor == "endswith";
  const bool open_right = anchor == "contains" || anchor == "startswith";
  for (size_t begin = 0; begin <= (open_left ? t.size() : 0); ++begin) {
    for (size_t end = open_right ? begin : t.size(); end <= t.size(); ++end) {
      if (PlainGlob(p, 0, t.substr(begin, end - begin), 0)) return true;
    }
  }
  return false;
}

inline bool PlainOne(const Item& item, const std::string& value, const std::vector<PlainValue>& texts) {
  for (const PlainValue& text : texts) {
    if (text.null) continue;
    if (item.kind == Item::kText || item.kind == Item::kKeyword) {
      if (PlainText(item, value, text.text)) return true;
    } else if (item.kind == Item::kRegex) {
      if (std::regex_search(text.text, std::regex(value))) return true;
    } else {
      const std::string digits = text.text.substr(text.text.find('-') == 0 ? 1 : 0);
      const bool number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
      if (number && std::stoll(text.text) < std::stoll(value)) return true;
    }
  }
  return false;
}

inline bool PlainItem(const Item& item, const PlainEvent& event) {
  if (item.kind == Item::kExists) return event[item.field].empty() != item.wanted;
  if (item.kind == Item::kNull) {
    bool null = event[item.field].empty();
    for (const PlainValue& value : event[item.field]) null = null || value.null;
    return null != item.neq;
  }
  size_t held = 0;
  for (const std::string& value : item.values) {
    bool holds = false;
    if (item.kind == Item::kKeyword) {
      for (size_t f = 0; f < kFields.size(); ++f) {
        const bool normalised = kFields[f].find("win.") != 0 && kFields[f] != "n";
        holds = holds || (normalised && PlainOne(item, value, event[f]));
      }
    } else {
      holds = PlainOne(item, value, event[item.field]);
    }
    held += holds ? 1 : 0;
  }
  const bool result = item.all ? held == item.values.size() : held > 0;
  return result != item.neq;
}

inline bool PlainSelection(const Selection& selection, const PlainEvent& event) {
  for (const Map& map : selection) {
    bool all = true;
    for (const Item& item : map) all = all && PlainItem(item, event);
    if (all) return true;
  }
  return false;
}

inline bool PlainTree(const Tree& tree, const std::vector<bool>& held) {
  switch (tree.kind) {
    case Tree::kName:
      return held[tree.name];
    case Tree::kOf: {
      size_t count = 0;
      for (bool one : held) count += one ? 1 : 0;
      return count >= (tree.count == 0 ? held.size() : static_cast<size_t>(tree.count));
    }
    case Tree::kNot:
      return !PlainTree(tree.children[0], held);
    default: {
      bool all = true, any = false;
      for (const Tree& child : tree.children) {
        const bool one = PlainTree(child, held);
        all = all && one;
        any = any || one;
      }
      return tree.kind == Tree::kAnd ? all : any;
    }
  }
}

inline bool PlainMatches(const PlainRule& rule, const PlainEvent& event) {
  std::vector<bool> held;
  for (const Selection& selection : rule.selections) held.push_back(PlainSelection(selection, event));
  return PlainTree(rule.condition, held);
}

// ---- random rules and events, and their texts ----

class RuleMaker {
 public:
  explicit RuleMaker(uint64_t seed) : random_(seed) {}

  size_t Below(size_t n) { return static_cast<size_t>(random_() % n); }
  bool Chance(size_t percent) { return Below(100) < percent; }

  std::string Words(size_t most, bool wild) {
    std::string text;
    for (size_t i = 1 + Below(most); i > 0; --i) {
      const std::string& piece = kPieces[Below(kPieces.size())];
      if (wild || piece.find('*') == std::string::npos) text += piece;
    }
    return text;
  }

  Item MakeItem() {
    Item item;
    item.field = Below(kFields.size());
    const size_t kind = Below(20);
    item.kind = kind < 13   ? Item::kText
                : kind < 14 ? Item::kRegex
                : kind < 15 ? Item::kLess
                : kind < 16 ? Item::kExists
                : kind < 17 ? Item::kNull
                : kind < 18 ? Item::kKeyword
                            : Item::kText;
    item.neq = Chance(7) && item.kind != Item::kExists;
    item.wanted = Chance(60);
    if (item.kind == Item::kExists || item.kind == Item::kNull) return item;
    const size_t count = 1 + (Chance(40) ? Below(4) : 0);
    for (size_t i = 0; i < count; ++i) {
      if (item.kind == Item::kRegex) {
        // With and without texts that they need.
        const char* const regexes[] = {"cmd",           "^a",         "x$",        "[0-9]+",   "p.w", "(ab|B)a?", "windows",
                                       "(cmd|xyz).exe", "Sys.*tem32", "abcde[f]gh$", "a?power|SHELL"};
        item.values.push_back(regexes[Below(std::size(regexes))]);
      } else if (item.kind == Item::kLess) {
        item.values.push_back(std::to_string(Below(20)));
      } else {
        item.values.push_back(Words(3, true));
        if (item.kind == Item::kKeyword && item.values.back().empty()) item.values.back() = "a";
      }
    }
    item.all = count > 1 && Chance(30);
    if (item.kind == Item::kText || item.kind == Item::kKeyword) {
      const char* const anchors[] = {"", "contains", "startswith", "endswith"};
      item.anchor = anchors[Below(4)];
      item.cased = Chance(15);
    }
    return item;
  }

  Tree MakeTree(size_t names, int depth) {
    Tree tree;
    const size_t kind = depth > 3 ? 0 : Below(8);
    if (kind < 3) {
      tree.name = Below(names);
    } else if (kind == 3) {
      tree.kind = Tree::kOf;
      tree.count = static_cast<int>(Below(names + 1));
    } else if (kind == 4) {
      tree.kind = Tree::kNot;
      tree.children.push_back(MakeTree(names, depth + 1));
    } else {
      tree.kind = kind < 7 ? Tree::kAnd : Tree::kOr;
      for (size_t i = 2 + Below(2); i > 0; --i) tree.children.push_back(MakeTree(names, depth + 1));
    }
    return tree;
  }

  PlainRule MakeRule() {
    PlainRule rule;
    for (size_t s = 1 + Below(3); s > 0; --s) {
      Selection selection;
      for (size_t m = 1 + (Chance(30) ? Below(3) : 0); m > 0; --m) {
        Map map;
        for (size_t i = 1 + Below(3); i > 0; --i) map.push_back(MakeItem());
        selection.push_back(map);
      }
      rule.selections.push_back(selection);
    }
    rule.condition = MakeTree(rule.selections.size(), 0);
    return rule;
  }

  PlainEvent MakeEvent() {
    PlainEvent event(kFields.size());
    for (auto& values : event) {
      if (Chance(25)) continue;
      for (size_t i = 1 + (Chance(20) ? Below(3) : 0); i > 0; --i) {
        PlainValue value;
        value.null = Chance(8);
        value.text = value.null ? "null" : Chance(10) ? std::to_string(Below(25)) : Words(5, Chance(5));
        values.push_back(value);
      }
    }
    return event;
  }

 private:
  std::mt19937_64 random_;
};

inline std::string Quoted(const std::string& text) { return "'" + text + "'"; }

inline std::string ItemYaml(const Item& item, size_t index) {
  std::string key = item.kind == Item::kKeyword ? "" : kFields[item.field];
  if (item.kind == Item::kRegex) key += "|re";
  if (item.kind == Item::kLess) key += "|lt";
  if (item.kind == Item::kExists) key += "|exists";
  if (!item.anchor.empty()) key += "|" + item.anchor;
  if (item.all) key += "|all";
  if (item.cased) key += "|cased";
  if (item.neq) key += "|neq";
  // Keys of one map must differ: a repeated modifier means the same.
  for (size_t i = 0; i < index && item.kind == Item::kText; ++i) key += item.cased ? "|cased" : "";
  std::string value;
  if (item.kind == Item::kExists) {
    value = item.wanted ? "true" : "false";
  } else if (item.kind == Item::kNull) {
    value = "null";
  } else {
    for (const std::string& one : item.values) value += (value.empty() ? "[" : ", ") + Quoted(one);
    value += "]";
  }
  return Quoted(key) + ": " + value;
}

inline std::string TreeText(const Tree& tree) {
  switch (tree.kind) {
    case Tree::kName:
      return "s" + std::to_string(tree.name);
    case Tree::kOf:
      return (tree.count == 0 ? "all" : std::to_string(tree.count)) + " of s*";
    case Tree::kNot:
      return "not " + TreeText(tree.children[0]);
    default: {
      std::string text = "(";
      for (const Tree& child : tree.children) {
        text += (text.size() > 1 ? (tree.kind == Tree::kAnd ? " and " : " or ") : "") + TreeText(child);
      }
      return text + ")";
    }
  }
}

// Selections and condition. Items whose key another item of the map already has are dropped: YAML has no duplicate keys.
inline std::string DetectionYaml(PlainRule* rule) {
  std::string detection;
  for (size_t s = 0; s < rule->selections.size(); ++s) {
    detection += "s" + std::to_string(s) + ":\n";
    for (Map& map : rule->selections[s]) {
      std::vector<std::string> keys;
      Map kept;
      for (size_t i = 0; i < map.size(); ++i) {
        const std::string line = ItemYaml(map[i], i);
        const std::string key = line.substr(0, line.find("': "));
        if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
        keys.push_back(key);
        detection += std::string(kept.empty() ? "  - " : "    ") + line + "\n";
        kept.push_back(map[i]);
      }
      map = kept;
    }
  }
  return detection + "condition: " + TreeText(rule->condition);
}

inline uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* const text = std::getenv(name);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

// An event of the catalogue's fields.
inline Event ToEvent(const PlainEvent& values, FieldCatalog* catalog) {
  Event event(catalog);
  for (size_t f = 0; f < kFields.size(); ++f) {
    for (const PlainValue& value : values[f]) {
      value.null ? event.Null(kFields[f]) : event.Text(kFields[f], value.text);
    }
  }
  return event;
}

}  // namespace triaged::rules_test
