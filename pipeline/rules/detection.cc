#include "pipeline/rules/detection.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "pipeline/rules/condition_parser.h"

namespace triaged::rules {
namespace {

constexpr std::array<std::pair<std::string_view, Modifier>, 31> kModifiers = {{
    {"all", Modifier::kAll},       {"base64", Modifier::kBase64},     {"base64offset", Modifier::kBase64Offset},
    {"cased", Modifier::kCased},   {"cidr", Modifier::kCidr},         {"contains", Modifier::kContains},
    {"day", Modifier::kDay},       {"endswith", Modifier::kEndsWith}, {"exists", Modifier::kExists},
    {"expand", Modifier::kExpand}, {"fieldref", Modifier::kFieldRef}, {"gt", Modifier::kGt},
    {"gte", Modifier::kGte},       {"hour", Modifier::kHour},         {"i", Modifier::kIgnoreCase},
    {"lt", Modifier::kLt},         {"lte", Modifier::kLte},           {"m", Modifier::kMultiLine},
    {"minute", Modifier::kMinute}, {"month", Modifier::kMonth},       {"neq", Modifier::kNeq},
    {"re", Modifier::kRe},         {"s", Modifier::kSingleLine},      {"startswith", Modifier::kStartsWith},
    {"utf16", Modifier::kUtf16},   {"utf16be", Modifier::kUtf16Be},   {"utf16le", Modifier::kUtf16Le},
    {"week", Modifier::kWeek},     {"wide", Modifier::kUtf16Le},      {"windash", Modifier::kWindash},
    {"year", Modifier::kYear},
}};

std::string ModifierHint(std::string_view word) {
  std::vector<std::string_view> names;
  for (const auto& [name, modifier] : kModifiers) names.push_back(name);
  const std::string suggestion = Suggest(word, names);
  if (!suggestion.empty()) return suggestion;
  std::string hint = "modifiers are";
  for (std::string_view name : names) hint += (name == names.front() ? " " : ", ") + std::string(name);
  return hint;
}

// `field|mod|mod` into its parts. false after errors.
bool ReadKey(std::string_view key, Place place, ItemAst* item, SourceNotes* notes) {
  const size_t bar = key.find('|');
  item->field = std::string(key.substr(0, bar));
  item->place = place;
  bool ok = true;
  for (size_t at = bar; at != std::string_view::npos;) {
    const size_t next = key.find('|', at + 1);
    const std::string_view word = key.substr(at + 1, next == std::string_view::npos ? next : next - at - 1);
    const auto* found =
        std::find_if(kModifiers.begin(), kModifiers.end(), [word](const auto& entry) { return entry.first == word; });
    if (found == kModifiers.end()) {
      const Place where{place.line, place.column == 0 ? 0 : place.column + static_cast<int>(at) + 1};
      notes->Error(where, "unknown modifier '" + std::string(word) + "'", ModifierHint(word));
      ok = false;
    } else {
      item->modifiers.push_back(found->second);
    }
    at = next;
  }
  return ok;
}

bool ReadValues(const YamlNode& node, ItemAst* item, SourceNotes* notes) {
  if (node.IsScalar() || node.IsNull()) {
    item->values.push_back(&node);
    return true;
  }
  if (!node.IsList()) {
    notes->Error(PlaceOf(node), "a field's value is a scalar or a list of scalars, not a map",
                 "write nested fields with dots: 'process.name: cmd.exe'");
    return false;
  }
  if (node.list().empty()) {
    notes->Error(PlaceOf(node), "an empty list of values matches nothing", "give at least one value");
    return false;
  }
  bool ok = true;
  for (const YamlNode& value : node.list()) {
    if (value.IsScalar() || value.IsNull()) {
      item->values.push_back(&value);
      continue;
    }
    notes->Error(PlaceOf(value), "a value in a list must be a scalar");
    ok = false;
  }
  return ok;
}

std::optional<SelectionAst> ReadMap(const YamlNode& node, SourceNotes* notes) {
  if (node.map().empty()) {
    notes->Error(PlaceOf(node), "an empty selection matches nothing", "give it a field and a value");
    return std::nullopt;
  }
  SelectionAst all;
  all.kind = SelectionAst::Kind::kAll;
  bool ok = true;
  for (const YamlNode::Entry& entry : node.map()) {
    SelectionAst child;
    child.kind = SelectionAst::Kind::kItem;
    const bool key_ok = ReadKey(entry.key, PlaceOf(entry), &child.item, notes);
    const bool values_ok = ReadValues(entry.value, &child.item, notes);
    ok = ok && key_ok && values_ok;
    all.children.push_back(std::move(child));
  }
  if (!ok) return std::nullopt;
  return all;
}

std::optional<SelectionAst> ReadList(const YamlNode& node, SourceNotes* notes) {
  if (node.list().empty()) {
    notes->Error(PlaceOf(node), "an empty selection matches nothing", "give it a keyword or a map");
    return std::nullopt;
  }
  SelectionAst any;
  any.kind = SelectionAst::Kind::kAny;
  SelectionAst keywords;
  keywords.kind = SelectionAst::Kind::kItem;
  keywords.item.place = PlaceOf(node);
  bool ok = true;
  for (const YamlNode& element : node.list()) {
    if (element.IsScalar()) {
      keywords.item.values.push_back(&element);
    } else if (element.IsMap()) {
      std::optional<SelectionAst> child = ReadMap(element, notes);
      ok = ok && child.has_value();
      if (child) any.children.push_back(std::move(*child));
    } else {
      notes->Error(PlaceOf(element), "an element of a selection is a keyword or a map of fields");
      ok = false;
    }
  }
  if (!ok) return std::nullopt;
  if (!keywords.item.values.empty()) any.children.push_back(std::move(keywords));
  return any;
}

// What stood in `detection` before Sigma 2 and has another home now.
bool RefuseDeprecatedKey(const YamlNode::Entry& entry, SourceNotes* notes) {
  if (entry.key != "timeframe") return false;
  notes->Error(PlaceOf(entry), "'timeframe' in a detection was replaced in Sigma 2",
               "write a correlation rule and give it 'timespan'");
  return true;
}

std::vector<ConditionAst> ReadConditions(const YamlNode& node, const std::vector<NamedSelection>& selections,
                                         SourceNotes* notes) {
  std::vector<std::string_view> names;
  for (const NamedSelection& selection : selections) names.push_back(selection.name);
  std::vector<bool> used(names.size(), false);
  std::vector<ConditionAst> conditions;
  auto read = [&](const YamlNode& text) {
    if (!text.IsScalar()) {
      notes->Error(PlaceOf(text), "a condition is a text such as 'selection and not filter'");
      return;
    }
    std::optional<ConditionAst> condition = ParseCondition(text, names, &used, notes);
    if (condition) conditions.push_back(std::move(*condition));
  };
  if (node.IsList()) {
    if (node.list().empty()) notes->Error(PlaceOf(node), "the list of conditions is empty");
    for (const YamlNode& text : node.list()) read(text);
  } else {
    read(node);
  }
  for (size_t i = 0; i < names.size() && !conditions.empty(); ++i) {
    if (used[i] || names[i].starts_with('_')) continue;
    notes->Warning(selections[i].place, "selection '" + selections[i].name + "' is never used by the condition");
  }
  return conditions;
}

}  // namespace

std::optional<SelectionAst> ReadSelection(const YamlNode& node, SourceNotes* notes) {
  if (node.IsMap()) return ReadMap(node, notes);
  if (node.IsList()) return ReadList(node, notes);
  if (node.IsNull()) {
    notes->Error(PlaceOf(node), "an empty selection matches nothing", "give it a field and a value");
    return std::nullopt;
  }
  SelectionAst keyword;
  keyword.kind = SelectionAst::Kind::kItem;
  keyword.item.place = PlaceOf(node);
  keyword.item.values.push_back(&node);
  return keyword;
}

std::optional<DetectionAst> ReadDetection(const YamlNode& node, SourceNotes* notes, std::string_view besides) {
  if (!node.IsMap()) {
    notes->Error(PlaceOf(node), "'detection' must be a map of selections and a condition");
    return std::nullopt;
  }
  const int errors_before = notes->errors();
  DetectionAst detection;
  for (const YamlNode::Entry& entry : node.map()) {
    if (entry.key == "condition" || (!besides.empty() && entry.key == besides)) continue;
    if (RefuseDeprecatedKey(entry, notes)) continue;
    NamedSelection selection{entry.key, {}, PlaceOf(entry)};
    if (entry.value.IsNull()) {
      notes->Error(PlaceOf(entry), "selection '" + entry.key + "' is empty", "give it a field and a value");
    } else if (std::optional<SelectionAst> body = ReadSelection(entry.value, notes))
      selection.body = std::move(*body);
    detection.selections.push_back(std::move(selection));
  }
  const YamlNode* condition = node.Find("condition");
  if (condition == nullptr) {
    notes->Error(PlaceOf(node), "the detection has no 'condition'", "add for example 'condition: selection'");
  } else {
    detection.conditions = ReadConditions(*condition, detection.selections, notes);
  }
  if (notes->errors() > errors_before) return std::nullopt;
  return detection;
}

}  // namespace triaged::rules
