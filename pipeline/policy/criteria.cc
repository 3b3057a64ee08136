// Criteria and grouping rules: the parts of a pack that hold conditions.
#include <algorithm>
#include <set>

#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

constexpr size_t kMaxGroupingRules = 100;
constexpr size_t kMaxGroupingFields = 8;
constexpr Duration kLongest = std::chrono::hours(24 * 366);
constexpr std::string_view kRawPrefix = "raw:";

// Fields that every alert has: a grouping rule made of these alone passes nothing over.
constexpr FieldId kAlwaysPresent[] = {field::kEventId, field::kTriagedFormat};

std::string LevelName(const Policy& policy, size_t level) { return "'" + policy.levels[level].name + "'"; }

// `at` as bits; reports unknown levels and the last one, from which nothing leads further. `again`: the level itself is a
// place to go to.
uint32_t ReadAt(const Reading& reading, bool again, MapReader* map) {
  const Policy& policy = *reading.policy;
  uint32_t bits = 0;
  const YamlNode* node = map->Node("at");
  const std::vector<std::string> names = map->Strings("at", true);
  for (size_t i = 0; i < names.size(); ++i) {
    const YamlNode& where = node->IsList() && i < node->list().size() ? node->list()[i] : *node;
    const auto level = policy.LevelIndex(names[i]);
    if (!level) {
      ErrorAt(reading, where, "there is no level '" + names[i] + "'", Suggest(names[i], LevelNames(policy)));
    } else if (*level + 1u >= policy.levels.size() && !again) {
      ErrorAt(reading, where, LevelName(policy, *level) + " is the last level: nothing can be escalated from there");
    } else {
      bits |= 1u << *level;
    }
  }
  if (node && names.empty() && node->IsList()) ErrorAt(reading, *node, "`at` needs at least one level");
  return bits;
}

void ReadTarget(const Reading& reading, MapReader* map, Criterion* criterion) {
  const Policy& policy = *reading.policy;
  const std::string to = map->String("to", "next");
  if (to == "next") {
    if (criterion->again) map->ErrorHere("`again` needs the level that is told", "`to: " + policy.levels.back().name + "`");
    return;
  }
  const YamlNode& node = *map->Node("to");
  const auto target = policy.LevelIndex(to);
  if (!target) {
    std::vector<std::string_view> known = LevelNames(policy);
    known.push_back("next");
    return ErrorAt(reading, node, "there is no level '" + to + "'", Suggest(to, known));
  }
  criterion->to_level = *target;
  for (size_t level = 0; level < policy.levels.size(); ++level) {
    if (!(criterion->at_levels >> level & 1)) continue;
    if (*target <= level && criterion->again) continue;
    if (*target <= level) {
      ErrorAt(reading, node,
              "from " + LevelName(policy, level) + " a case cannot be escalated to " + LevelName(policy, *target),
              "`to` must be above every level of `at`; `again: true` tells a level that has the case already");
    } else if (*target > level + 1 && !criterion->bypass) {
      ErrorAt(reading, node,
              "from " + LevelName(policy, level) + " to " + LevelName(policy, *target) + " skips " +
                  LevelName(policy, level + 1),
              "say so with `bypass: true`, or use `to: next`");
    }
  }
}

// A name without a dot can only be a normalised field; with one it may be a path into the source document, unless it
// looks like a slip in a normalised name ("host.nane"): the alerts would all be passed over without a word.
FieldId ReadGroupingField(const Reading& reading, const YamlNode& where, std::string_view name) {
  if (name.substr(0, kRawPrefix.size()) == kRawPrefix && name.size() > kRawPrefix.size()) {
    const std::string_view path = name.substr(kRawPrefix.size());
    if (reading.alert_catalog->Find(path) == kNoField) return reading.alert_catalog->Resolve(path);
    ErrorAt(reading, where, "'" + std::string(path) + "' is a normalised field", "leave 'raw:' out");
    return kNoField;
  }
  const FieldId known = reading.alert_catalog->Find(name);
  if (known != kNoField) return known;
  const std::string_view near = DidYouMean(name, reading.alert_catalog->NormalisedNames());
  if (near.empty() && name.find('.') != std::string_view::npos) return reading.alert_catalog->Resolve(name);
  std::string hint = near.empty() ? std::string() : "did you mean '" + std::string(near) + "'? ";
  hint += "A path of the source document itself is written 'raw:" + std::string(name) + "'";
  ErrorAt(reading, where, "there is no field '" + std::string(name) + "'", std::move(hint));
  return kNoField;
}

std::vector<FieldId> ReadGroupingFields(const Reading& reading, MapReader* map) {
  std::vector<FieldId> fields;
  const std::vector<std::string> names = map->Strings("by", true);
  const YamlNode* node = map->Node("by");
  for (size_t i = 0; i < names.size(); ++i) {
    const YamlNode& where = node->IsList() && i < node->list().size() ? node->list()[i] : *node;
    const FieldId id = ReadGroupingField(reading, where, names[i]);
    if (id == kNoField) continue;
    if (std::find(fields.begin(), fields.end(), id) != fields.end()) {
      ErrorAt(reading, where, "field '" + names[i] + "' is listed twice");
    }
    fields.push_back(id);
  }
  if (node && names.empty() && node->IsList()) {
    ErrorAt(reading, *node, "`by` needs at least one field: without one, strangers would share a case");
  }
  if (names.size() > kMaxGroupingFields) {
    ErrorAt(reading, *node, "more than " + std::to_string(kMaxGroupingFields) + " fields");
  }
  return fields;
}

// Whether no alert lacks a field of the rule.
bool PassesNothingOver(const GroupingRule& rule) {
  return std::all_of(rule.by.begin(), rule.by.end(), [](FieldId id) {
    return std::find(std::begin(kAlwaysPresent), std::end(kAlwaysPresent), id) != std::end(kAlwaysPresent);
  });
}

std::vector<uint8_t> ReadEngage(const Reading& reading, MapReader* map) {
  std::vector<uint8_t> roles;
  std::vector<std::string_view> known;
  for (const RoleSpec& role : reading.policy->engaged_roles) known.push_back(role.name);
  for (const std::string& name : map->Strings("engage")) {
    if (const auto role = reading.policy->RoleIndex(name)) {
      roles.push_back(*role);
    } else {
      ErrorAt(reading, *map->Node("engage"), "there is no role '" + name + "' under `engaged_roles`", Suggest(name, known));
    }
  }
  return roles;
}

}  // namespace

void ReadCriteria(const Reading& reading, MapReader* top) {
  Policy& policy = *reading.policy;
  if (!top->Has("criteria") || policy.levels.empty()) {
    top->Node("criteria");
    return;
  }
  std::set<std::string> seen;
  for (const YamlNode& node : ListOf(reading, top, "criteria", kMaxCriteria)) {
    MapReader map(reading.source, node, "criterion", reading.diagnostics);
    Criterion criterion;
    criterion.name = map.String("name", {}, true);
    if (const YamlNode* name = map.Node("name")) {
      CheckName(reading, *name, criterion.name, "criterion");
      if (!seen.insert(criterion.name).second) {
        ErrorAt(reading, *name, "criterion '" + criterion.name + "' is listed twice",
                "each fires once per episode, by its name");
      }
    }
    criterion.bypass = map.Bool("bypass", false);
    criterion.request = map.String("request");
    criterion.again = map.Bool("again", false);
    criterion.at_levels = ReadAt(reading, criterion.again, &map);
    ReadTarget(reading, &map, &criterion);
    if (const YamlNode* when = map.Node("when", true)) {
      criterion.when = ReadCaseCondition(reading, *when);
    }
    criterion.engage = ReadEngage(reading, &map);
    map.Finish();
    policy.criteria.push_back(std::move(criterion));
  }
}

void ReadGrouping(const Reading& reading, MapReader* top) {
  Policy& policy = *reading.policy;
  std::set<std::string> seen;
  const YamlNode* previous_catch_all = nullptr;
  const YamlNode* last = nullptr;
  for (const YamlNode& node : ListOf(reading, top, "grouping", kMaxGroupingRules)) {
    last = &node;
    MapReader map(reading.source, node, "grouping rule", reading.diagnostics);
    GroupingRule rule;
    rule.name = map.String("name", {}, true);
    if (const YamlNode* name = map.Node("name")) {
      CheckName(reading, *name, rule.name, "grouping rule");
      if (!seen.insert(rule.name).second) ErrorAt(reading, *name, "grouping rule '" + rule.name + "' is listed twice");
    }
    if (previous_catch_all) {
      ErrorAt(reading, node,
              "grouping rule '" + rule.name + "' is never reached: the rule in line " +
                  std::to_string(previous_catch_all->line()) + " takes every alert",
              "move it up");
    }
    const YamlNode* when = map.Node("when");
    if (when) rule.when = Condition::Compile(reading.source, *when, reading.alert_catalog, reading.diagnostics);
    rule.by = ReadGroupingFields(reading, &map);
    rule.idle = map.Interval("idle", std::chrono::hours(4), std::chrono::seconds(1), kLongest);
    rule.max = map.Interval("max", std::chrono::hours(24), std::chrono::seconds(1), kLongest);
    rule.max_alerts = static_cast<uint64_t>(map.Int("max_alerts", 100000, 1, 1'000'000'000));
    rule.reopen = map.Interval("reopen", std::chrono::hours(24), Duration{0}, kLongest);
    map.Finish();
    if (rule.idle > rule.max) {
      const YamlNode* idle = map.Node("idle");
      ErrorAt(reading, idle ? *idle : node,
              "idle (" + FormatDuration(rule.idle) + ") is longer than max (" + FormatDuration(rule.max) +
                  ") and could never end a window");
    }
    if (!when && !rule.by.empty() && PassesNothingOver(rule)) previous_catch_all = &node;
    policy.grouping.push_back(std::move(rule));
  }
  if (last && !previous_catch_all) {
    ErrorAt(reading, *last, "an alert that no grouping rule takes would have no case",
            "let the last rule have no `when` and `by: [event.id]`: such an alert gets a case of its own");
  }
}

}  // namespace triaged::pack
