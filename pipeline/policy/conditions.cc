#include "pipeline/policy/conditions.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <set>
#include <string_view>

namespace triaged::pack {
namespace {

// Beyond so many combinations nothing is said of a condition; each takes well under a microsecond.
constexpr size_t kMaxCombinations = 200'000;
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

// Numbers of a case, with the largest that can stand there; absent where none does.
struct NumberField {
  std::string_view name;
  int64_t most = kMost;
  bool always = true;  // every case has one
};
constexpr NumberField kNumbers[] = {
    {"case.alert_count"},         {"case.distinct.host"},
    {"case.distinct.user"},       {"case.distinct.source"},
    {"case.distinct.technique"},  {"case.reopen_count"},
    {"case.recurrence"},          {"case.resolution_failures"},
    {"case.risk"},                {"case.verdict_confidence", 100},
    {"case.severity_score", 100, false}, {"event.severity", 100, false},
};

const NumberField* NumberFieldOf(std::string_view name) {
  const auto* const at =
      std::find_if(std::begin(kNumbers), std::end(kNumbers), [&](const NumberField& one) { return one.name == name; });
  return at == std::end(kNumbers) ? nullptr : at;
}

std::string_view FieldOf(std::string_view key) { return key.substr(0, key.find('|')); }

// The integers written beside a field, anywhere in a condition.
void CollectNumbers(const YamlNode& node, std::string_view field, std::set<int64_t>* numbers) {
  for (const YamlNode& item : node.list()) CollectNumbers(item, field, numbers);
  for (const YamlNode::Entry& entry : node.map()) {
    if (FieldOf(entry.key) != field) {
      CollectNumbers(entry.value, field, numbers);
      continue;
    }
    for (const YamlNode& item : entry.value.list()) {
      if (const auto number = item.AsInt()) numbers->insert(*number);
    }
    if (const auto number = entry.value.AsInt()) numbers->insert(*number);
  }
}

// A field and all that need be tried there.
struct Axis {
  FieldId field = kNoField;
  std::vector<Value> values;
  bool absent = false;  // tried, too
};

// Each written number and its neighbours: between two of these no comparison changes its answer.
Axis NumberAxis(const NumberField& field, FieldId id, const std::vector<const YamlNode*>& nodes,
                std::deque<std::string>* texts) {
  std::set<int64_t> written;
  for (const YamlNode* node : nodes) CollectNumbers(*node, field.name, &written);
  std::set<int64_t> tried = {0};
  for (const int64_t number : written) {
    for (const int64_t step : {-1, 0, 1}) {
      if (step > 0 && number == kMost) continue;
      const int64_t near = number + (number == std::numeric_limits<int64_t>::min() ? 0 : step);
      if (near >= 0 && near <= field.most) tried.insert(near);
    }
  }
  Axis axis{id, {}, !field.always};
  for (const int64_t number : tried) {
    Value value(texts->emplace_back(std::to_string(number)));
    value.kind = ValueKind::kUnsigned;
    value.unsigned_integer = static_cast<uint64_t>(number);
    axis.values.push_back(value);
  }
  return axis;
}

Axis NameAxis(FieldId id, const std::vector<std::string>& names, std::deque<std::string>* texts) {
  Axis axis{id, {}, false};
  for (const std::string& name : names) {
    if (name.empty()) {
      axis.absent = true;
      continue;
    }
    Value value(texts->emplace_back(name));
    if (name == "true" || name == "false") {
      value.kind = ValueKind::kBool;
      value.boolean = name == "true";
    }
    axis.values.push_back(value);
  }
  return axis;
}

// Every standing that the conditions can tell apart, one after the other; none where anything may stand in a field.
class Standings {
 public:
  Standings(const Policy& policy, const FieldCatalog& catalog, const std::vector<Written>& conditions,
            uint32_t at_levels) {
    std::set<FieldId> fields;
    std::vector<const YamlNode*> nodes;
    for (const Written& one : conditions) {
      fields.insert(one.condition->fields().begin(), one.condition->fields().end());
      nodes.push_back(one.node);
    }
    size_t combinations = 1;
    for (const FieldId id : fields) {
      if (const NumberField* number = NumberFieldOf(catalog.Name(id))) {
        axes_.push_back(NumberAxis(*number, id, nodes, &texts_));
      } else if (const auto names = ValuesOf(policy, id, at_levels)) {
        axes_.push_back(NameAxis(id, *names, &texts_));
      } else {
        return;
      }
      combinations *= axes_.back().values.size() + (axes_.back().absent ? 1 : 0);
      if (combinations > kMaxCombinations) return;
    }
    size_ = combinations;
  }

  // How many there are; 0: nothing is known of them.
  size_t size() const { return size_; }

  // Whether `holds` is true of any.
  template <typename Holds>
  bool Any(Holds holds) const {
    std::vector<size_t> at(axes_.size(), 0);
    FieldTable table;
    while (true) {
      table.Reset(field::kCaseFieldCount);
      for (size_t i = 0; i < axes_.size(); ++i) {
        if (at[i] < axes_[i].values.size()) table.Add(axes_[i].field, axes_[i].values[at[i]]);
      }
      if (holds(table)) return true;
      size_t i = 0;
      for (; i < axes_.size(); ++i) {
        if (++at[i] < axes_[i].values.size() + (axes_[i].absent ? 1 : 0)) break;
        at[i] = 0;
      }
      if (i == axes_.size()) return false;
    }
  }

 private:
  std::deque<std::string> texts_;  // of the axes' values; a deque keeps views stable
  std::vector<Axis> axes_;
  size_t size_ = 0;
};

bool SameAs(const YamlNode& a, const YamlNode& b) {
  if (a.kind() != b.kind() || a.scalar() != b.scalar() || a.list().size() != b.list().size() ||
      a.map().size() != b.map().size()) {
    return false;
  }
  for (size_t i = 0; i < a.list().size(); ++i) {
    if (!SameAs(a.list()[i], b.list()[i])) return false;
  }
  for (const YamlNode::Entry& entry : a.map()) {
    const YamlNode* other = b.Find(entry.key);
    if (!other || !SameAs(entry.value, *other)) return false;
  }
  return true;
}

// `wide` lists what `narrow` asks for, and may list more. `all` turns a list round: it is compared as it stands.
bool ListsMore(const YamlNode& wide, const YamlNode& narrow, std::string_view key) {
  if (SameAs(wide, narrow)) return true;
  if (key.find("|all") != std::string_view::npos) return false;
  const auto listed = [&](const YamlNode& wanted) {
    if (!wide.IsList()) return SameAs(wide, wanted);
    return std::any_of(wide.list().begin(), wide.list().end(), [&](const YamlNode& one) { return SameAs(one, wanted); });
  };
  if (narrow.IsScalar()) return listed(narrow);
  return narrow.IsList() && !narrow.list().empty() && std::all_of(narrow.list().begin(), narrow.list().end(), listed);
}

// What one map says of a number.
struct Bounds {
  int64_t least = std::numeric_limits<int64_t>::min();
  int64_t most = kMost;
  std::string least_text, most_text;
};

// Narrows by one entry; false when that leaves nothing.
bool Narrow(const YamlNode::Entry& entry, Bounds* bounds) {
  const auto number = entry.value.AsInt();
  if (!number) return true;
  const std::string_view key = entry.key;
  const size_t bar = key.find('|');
  const std::string_view modifier = bar == std::string_view::npos ? std::string_view() : key.substr(bar + 1);
  const std::string text = entry.key + ": " + entry.value.scalar();
  const auto at_least = [&](int64_t least) {
    if (least > bounds->least) bounds->least = least, bounds->least_text = text;
  };
  const auto at_most = [&](int64_t most) {
    if (most < bounds->most) bounds->most = most, bounds->most_text = text;
  };
  if (modifier.empty()) at_least(*number), at_most(*number);
  if (modifier == "gte") at_least(*number);
  if (modifier == "lte") at_most(*number);
  if (modifier == "gt" && *number < kMost) at_least(*number + 1);
  if (modifier == "lt" && *number > std::numeric_limits<int64_t>::min()) at_most(*number - 1);
  return bounds->least <= bounds->most;
}

}  // namespace

std::optional<std::vector<std::string>> ValuesOf(const Policy& policy, FieldId id, uint32_t at_levels) {
  std::vector<std::string> names;
  switch (static_cast<field::CaseField>(id)) {
    case field::kCaseSeverity:
      for (const auto& severity : policy.severities) names.push_back(severity.name);
      return names;
    case field::kCaseLevel:
      for (size_t i = 0; i < policy.levels.size(); ++i) {
        if (at_levels >> i & 1) names.push_back(policy.levels[i].name);
      }
      return names;
    case field::kCaseStatus:
      return {{"open", "in_progress", "escalated", "waiting_for_info", "on_hold", "resolved", "closed"}};
    case field::kCaseVerdict:
      return {{"", "false_positive", "benign_true_positive", "needs_review", "true_positive"}};
    case field::kCaseIncident:
      return {{"", "none", "minor", "major"}};
    case field::kCaseAcknowledged:
    case field::kCaseSeverityRaised:
    case field::kCaseContained:
    case field::kCaseBreached:
    case field::kCaseDrill:
      return {{"true", "false"}};
    default:
      return std::nullopt;
  }
}

bool CanHold(const Policy& policy, const FieldCatalog& catalog, const Written& condition, uint32_t at_levels) {
  const Standings standings(policy, catalog, {condition}, at_levels);
  if (standings.size() == 0) return true;
  return standings.Any([&](const FieldTable& table) { return condition.condition->Matches(table); });
}

bool Covers(const Policy& policy, const FieldCatalog& catalog, const Written& wide, const Written& narrow,
            uint32_t at_levels, size_t* budget) {
  if (CoversAsWritten(wide, narrow)) return true;
  if (!wide.condition || !narrow.condition || *budget == 0) return false;
  const Standings standings(policy, catalog, {wide, narrow}, at_levels);
  if (standings.size() == 0) return false;
  *budget -= std::min(*budget, standings.size());
  return !standings.Any([&](const FieldTable& table) {
    return narrow.condition->Matches(table) && !wide.condition->Matches(table);
  });
}

bool CoversAsWritten(const Written& wide, const Written& narrow) {
  if (!wide.node) return true;
  if (!narrow.node) return false;
  if (SameAs(*wide.node, *narrow.node)) return true;
  const auto plain = [](const YamlNode& node) { return node.IsMap() && !node.Find("condition"); };
  if (!plain(*wide.node) || !plain(*narrow.node)) return false;
  return std::all_of(wide.node->map().begin(), wide.node->map().end(), [&](const YamlNode::Entry& entry) {
    const YamlNode* other = narrow.node->Find(entry.key);
    return other && ListsMore(entry.value, *other, entry.key);
  });
}

std::optional<Contradiction> FindContradiction(const YamlNode& node) {
  for (const YamlNode& item : node.list()) {
    if (auto found = FindContradiction(item)) return found;
  }
  std::map<std::string_view, Bounds> bounds;
  for (const YamlNode::Entry& entry : node.map()) {
    const std::string_view field = FieldOf(entry.key);
    if (!NumberFieldOf(field)) {
      if (auto found = FindContradiction(entry.value)) return found;
      continue;
    }
    Bounds& here = bounds[field];
    if (Narrow(entry, &here)) continue;
    return Contradiction{entry.line, entry.column, "'" + here.least_text + "' and '" + here.most_text + "' leave no number"};
  }
  return std::nullopt;
}

}  // namespace triaged::pack
