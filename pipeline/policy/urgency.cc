// What makes a severity besides an alert's score: criticality, conditions over the case, risk that adds up.
#include <algorithm>
#include <set>

#include "pipeline/policy/sections.h"

namespace triaged::pack {
namespace {

constexpr Duration kLongest = std::chrono::hours(24 * 366);
constexpr size_t kMaxUrgency = 16;
constexpr size_t kMaxRaises = 200;

// A severity by its name where one stands; reports others.
std::optional<uint8_t> ReadSeverityName(const Reading& reading, const YamlNode& node) {
  const std::string name = node.IsScalar() ? node.scalar() : std::string();
  const auto severity = reading.policy->SeverityIndex(name);
  if (!severity) {
    ErrorAt(reading, node, "there is no severity '" + name + "'", Suggest(name, SeverityNames(*reading.policy)));
  }
  return severity;
}

// {high: critical, medium: high}: what is left out stays as it is. Only upward: criticality never calms.
std::array<uint8_t, kMaxSeverities> ReadUrgencyRow(const Reading& reading, const YamlNode& row,
                                                   const std::string& value) {
  std::array<uint8_t, kMaxSeverities> mapped{};
  for (size_t i = 0; i < mapped.size(); ++i) mapped[i] = static_cast<uint8_t>(i);
  MapReader map(reading.source, row, "urgency for '" + value + "'", reading.diagnostics);
  const auto& severities = reading.policy->severities;
  for (size_t i = 0; i < severities.size(); ++i) {
    const YamlNode* node = map.Node(severities[i].name);
    if (!node) continue;
    const auto severity = ReadSeverityName(reading, *node);
    if (!severity) continue;
    if (*severity > i) {
      ErrorAt(reading, *node,
              "'" + severities[i].name + "' would become the milder '" + severities[*severity].name + "'",
              "the urgency matrix only raises");
    }
    mapped[i] = *severity;
  }
  map.Finish();
  return mapped;
}

void ReadUrgencyMatrix(const Reading& reading, MapReader* top) {
  if (!top->Node("urgency")) return;
  for (const YamlNode& node : ListOf(reading, top, "urgency", kMaxUrgency)) {
    MapReader map(reading.source, node, "urgency", reading.diagnostics);
    UrgencySpec urgency;
    for (const std::string& name : map.Strings("fields", true))
      urgency.fields.push_back(reading.alert_catalog->Resolve(name));
    const YamlNode* values = map.Node("values", true);
    map.Finish();
    if (values && !values->IsMap()) ErrorAt(reading, *values, "`values` must map a criticality to severities");
    if (values && values->IsMap()) {
      for (const YamlNode::Entry& entry : values->map()) {
        urgency.severity_for.emplace(entry.key, ReadUrgencyRow(reading, entry.value, entry.key));
      }
    }
    reading.policy->urgency.push_back(std::move(urgency));
  }
}

void ReadRaises(const Reading& reading, MapReader* top) {
  if (!top->Node("raise")) return;
  std::set<std::string> seen;
  for (const YamlNode& node : ListOf(reading, top, "raise", kMaxRaises)) {
    MapReader map(reading.source, node, "raise", reading.diagnostics);
    RaiseSpec raise;
    raise.name = map.String("name", {}, true);
    if (const YamlNode* name = map.Node("name")) {
      CheckName(reading, *name, raise.name, "raise");
      if (!seen.insert(raise.name).second) ErrorAt(reading, *name, "'" + raise.name + "' is listed twice");
    }
    if (const YamlNode* to = map.Node("to", true)) raise.severity = ReadSeverityName(reading, *to).value_or(0);
    if (const YamlNode* when = map.Node("when", true)) raise.when = ReadCaseCondition(reading, *when);
    map.Finish();
    reading.policy->raises.push_back(std::move(raise));
  }
}

void ReadRisk(const Reading& reading, MapReader* top) {
  const YamlNode* node = top->Node("risk");
  if (!node || reading.policy->severities.empty()) return;
  MapReader map(reading.source, *node, "risk", reading.diagnostics);
  RiskSpec& risk = reading.policy->risk;
  map.Node("window", true);
  risk.window = map.Interval("window", std::chrono::hours(24), std::chrono::minutes(1), kLongest);
  const auto& severities = reading.policy->severities;
  std::optional<uint32_t> worse;
  for (size_t i = 0; i < severities.size(); ++i) {
    if (!map.Has(severities[i].name)) continue;
    risk.threshold[i] = static_cast<uint32_t>(map.Int(severities[i].name, 0, 1, 1'000'000'000));
    if (worse && *risk.threshold[i] >= *worse) {
      ErrorAt(reading, *map.Node(severities[i].name), "a worse severity is reached at less risk already",
              "thresholds fall from the worst severity to the mildest");
    }
    worse = risk.threshold[i];
  }
  map.Finish();
  if (!worse) map.ErrorHere("risk adds up to nothing: no severity has a threshold", "add 'high: 200', for example");
}

}  // namespace

void ReadUrgency(const Reading& reading, MapReader* top) {
  ReadUrgencyMatrix(reading, top);
  ReadRaises(reading, top);
  ReadRisk(reading, top);
  reading.policy->recurrence_window =
      top->Interval("recurrence_window", Duration{0}, std::chrono::seconds(1), kLongest);
}

}  // namespace triaged::pack
