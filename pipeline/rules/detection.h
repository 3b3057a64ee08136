// The detection section of a rule as a tree that still knows its places in the file: YAML in, AST out.
// An AST points into the YAML it was read from and must not outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/rules/source.h"

namespace triaged::rules {

enum class Modifier : uint8_t {
  kAll,
  kBase64,
  kBase64Offset,
  kCased,
  kCidr,
  kContains,
  kDay,
  kEndsWith,
  kExists,
  kExpand,
  kFieldRef,
  kGt,
  kGte,
  kHour,
  kIgnoreCase,  // i, after re
  kLt,
  kLte,
  kMinute,
  kMonth,
  kMultiLine,  // m, after re
  kNeq,
  kRe,
  kSingleLine,  // s, after re
  kStartsWith,
  kUtf16,
  kUtf16Be,
  kUtf16Le,  // wide is the same
  kWeek,
  kWindash,
  kYear,
};

// `field|modifier|…: values`. An empty field means keywords.
struct ItemAst {
  std::string field;
  std::vector<Modifier> modifiers;
  std::vector<const YamlNode*> values;  // scalars and nulls; at least one
  Place place;
};

struct SelectionAst {
  enum class Kind : uint8_t { kItem, kAll, kAny };
  Kind kind = Kind::kAll;
  ItemAst item;
  std::vector<SelectionAst> children;
};

struct NamedSelection {
  std::string name;
  SelectionAst body;
  Place place;
};

struct ConditionAst {
  enum class Kind : uint8_t { kSelections, kAnd, kOr, kNot };
  Kind kind = Kind::kSelections;
  std::vector<size_t> selections;  // indexes into DetectionAst::selections
  uint32_t count = 1;              // how many of them must hold
  std::vector<ConditionAst> children;
};

struct DetectionAst {
  std::vector<NamedSelection> selections;
  std::vector<ConditionAst> conditions;  // any of them
};

// A selection's body: a map, a list, or a single keyword. nullopt after errors.
std::optional<SelectionAst> ReadSelection(const YamlNode& node, SourceNotes* notes);

// A whole `detection` map: selections and `condition`; the key `besides`, if any, is not one of them. nullopt after
// errors.
std::optional<DetectionAst> ReadDetection(const YamlNode& node, SourceNotes* notes, std::string_view besides = {});

}  // namespace triaged::rules
