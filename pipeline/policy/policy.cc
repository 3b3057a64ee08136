#include "pipeline/policy/policy.h"

#include <algorithm>

#include "pipeline/policy/sections.h"

namespace triaged {
namespace pack {

void ErrorAt(const Reading& reading, int line, int column, std::string message, std::string hint) {
  reading.diagnostics->Error({reading.source.name, line, column}, std::move(message), SourceLine(reading.source, line),
                             std::move(hint));
}

void ErrorAt(const Reading& reading, const YamlNode& node, std::string message, std::string hint) {
  ErrorAt(reading, node.line(), node.column(), std::move(message), std::move(hint));
}

std::string Suggest(std::string_view word, const std::vector<std::string_view>& known) {
  const std::string_view near = DidYouMean(word, known);
  if (!near.empty()) return "did you mean '" + std::string(near) + "'?";
  std::string list;
  for (std::string_view name : known) list += (list.empty() ? "" : ", ") + std::string(name);
  return list.empty() ? std::string() : "known are " + list;
}

std::vector<std::string_view> SeverityNames(const Policy& policy) {
  std::vector<std::string_view> names;
  for (const SeveritySpec& severity : policy.severities) names.push_back(severity.name);
  return names;
}

std::vector<std::string_view> LevelNames(const Policy& policy) {
  std::vector<std::string_view> names;
  for (const LevelSpec& level : policy.levels) names.push_back(level.name);
  return names;
}

bool IsName(std::string_view text) {
  const auto is_alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !text.empty() && text.size() <= 64 && is_alnum(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return is_alnum(c) || c == '-' || c == '_'; });
}

void CheckName(const Reading& reading, const YamlNode& node, std::string_view name, std::string_view what) {
  if (IsName(name)) return;
  ErrorAt(reading, node, "'" + std::string(name) + "' cannot be the name of a " + std::string(what),
          "use 1 to 64 letters, digits, '-' and '_', beginning with a letter or digit");
}

const std::vector<YamlNode>& ListOf(const Reading& reading, MapReader* top, const char* key, size_t max) {
  static const std::vector<YamlNode> kNone;
  const YamlNode* node = top->Node(key, true);
  if (!node) return kNone;
  if (!node->IsList() || node->list().empty()) {
    ErrorAt(reading, *node, std::string("`") + key + "` must be a list with at least one element");
    return kNone;
  }
  if (node->list().size() > max) {
    ErrorAt(reading, *node,
            std::string("`") + key + "` has " + std::to_string(node->list().size()) + " elements; at most " +
                std::to_string(max) + " are taken");
    return kNone;
  }
  return node->list();
}

}  // namespace pack

namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr Duration kLongest = hours(24 * 366);

void ReadScalars(const pack::Reading& reading, MapReader* top) {
  Policy& policy = *reading.policy;
  policy.name = top->String("policy", {}, true);
  if (const YamlNode* name = top->Node("policy")) pack::CheckName(reading, *name, policy.name, "policy");
  policy.title = top->String("title", policy.name);
  if (const YamlNode* when = top->Node("when")) {
    policy.when = Condition::Compile(reading.source, *when, reading.alert_catalog, reading.diagnostics);
  }
  policy.escalated_status =
      top->Choice("escalated_status", {"escalated", "in_progress"}, 0) == 0 ? "escalated" : "in_progress";
  policy.max_pause = top->Interval("max_pause", hours(24 * 7), Duration{0}, kLongest);
  policy.confirm_timeout = top->Interval("confirm_timeout", Duration{0}, Duration{0}, kLongest);
  policy.dedup_window = top->Interval("dedup_window", hours(24), Duration{0}, kLongest);
  policy.document_interval = top->Interval("document_interval", minutes(1), Duration{0}, hours(24));
  policy.report_zone = top->String("report_zone", "UTC");
  if (!IsKnownZone(policy.report_zone)) {
    const YamlNode* node = top->Node("report_zone");
    const std::string message = "'" + policy.report_zone + "' is no IANA time zone that this machine's tzdata knows";
    if (node) {
      pack::ErrorAt(reading, *node, message, "for example 'Europe/Berlin'");
    } else {
      top->ErrorHere(message, "install tzdata");
    }
  }
}

void ReadRepeat(const pack::Reading& reading, MapReader* top) {
  const YamlNode* node = top->Node("repeat");
  if (!node) return;
  MapReader map(reading.source, *node, "repeat", reading.diagnostics);
  map.Node("interval", true);
  map.Node("max", true);
  reading.policy->repeat_interval = map.Interval("interval", minutes(15), seconds(1), kLongest);
  reading.policy->repeat_max = static_cast<uint32_t>(map.Int("max", 3, 1, 1000));
  map.Finish();
}

void ReadPauseOn(const pack::Reading& reading, MapReader* top) {
  const YamlNode* node = top->Node("pause_on");
  if (!node) return;
  Policy& policy = *reading.policy;
  policy.pause_waiting = policy.pause_on_hold = false;
  for (const std::string& status : top->Strings("pause_on")) {
    bool* pauses = status == "waiting_for_info" ? &policy.pause_waiting : &policy.pause_on_hold;
    if (status != "waiting_for_info" && status != "on_hold") {
      pack::ErrorAt(reading, *node, "status '" + status + "' cannot pause a clock", "known are waiting_for_info, on_hold");
    } else if (*pauses) {
      pack::ErrorAt(reading, *node, "'" + status + "' is listed twice");
    } else {
      *pauses = true;
    }
  }
}

void ReadAutoClose(const pack::Reading& reading, MapReader* top) {
  const YamlNode* node = top->Node("auto_close");
  if (!node) return;
  MapReader map(reading.source, *node, "auto_close", reading.diagnostics);
  reading.policy->auto_close_review_percent = static_cast<int>(map.Int("review_percent", 0, 0, 100));
  map.Finish();
}

}  // namespace

std::optional<uint8_t> Policy::SeverityIndex(std::string_view severity_name) const {
  for (size_t i = 0; i < severities.size(); ++i) {
    if (severities[i].name == severity_name) return static_cast<uint8_t>(i);
  }
  return std::nullopt;
}

std::optional<uint8_t> Policy::LevelIndex(std::string_view level_name) const {
  for (size_t i = 0; i < levels.size(); ++i) {
    if (levels[i].name == level_name) return static_cast<uint8_t>(i);
  }
  return std::nullopt;
}

uint8_t Policy::SeverityFor(const Alert& alert) const {
  uint8_t by_score = default_severity;
  for (size_t i = 0; alert.score >= 0 && i < severities.size(); ++i) {
    if (alert.score < severities[i].min_score) continue;
    by_score = static_cast<uint8_t>(i);
    break;
  }
  uint8_t severity = by_score;
  for (const UrgencySpec& matrix : urgency) {
    for (FieldId id : matrix.fields) {
      for (const Value& value : alert.fields.Get(id)) {
        const auto row = matrix.severity_for.find(value.text);
        if (row != matrix.severity_for.end()) severity = std::min(severity, row->second[by_score]);
      }
    }
  }
  return severity;
}

std::set<std::string> Policy::Reasons() const {
  std::set<std::string> reasons;
  for (auto own : {reason::kUnresolvedInTime, reason::kNotAcknowledged, reason::kHardLimit, reason::kStorm}) {
    reasons.emplace(own);
  }
  if (!reason_without_verdict.empty()) reasons.insert(reason_without_verdict);
  for (const Criterion& criterion : criteria) reasons.insert(criterion.name);
  return reasons;
}

std::shared_ptr<const Policy> CompilePolicy(const SourceFile& file, FieldCatalog* alert_catalog,
                                            FieldCatalog* case_catalog, Diagnostics* diagnostics) {
  // Problems of earlier files are none of this pack's.
  Diagnostics found;
  auto policy = std::make_shared<Policy>();
  const auto compile = [&] {
    const auto yaml = ParseYaml(file, &found);
    if (!yaml) return;
    if (yaml->documents.size() != 1) {
      found.Error({file.name, 1, 1},
                  "a policy pack is one YAML document, not " + std::to_string(yaml->documents.size()));
      return;
    }
    const pack::Reading reading{*yaml->source, &found, alert_catalog, case_catalog, policy.get()};
    MapReader top(*yaml->source, yaml->documents.front(), "policy pack", &found);
    ReadScalars(reading, &top);
    pack::ReadSeverities(reading, &top);
    pack::ReadLevels(reading, &top);
    pack::ReadMatrix(reading, &top);
    pack::ReadCalendars(reading, &top);
    pack::ReadClocks(reading, &top);
    pack::ReadAckTimeout(reading, &top);
    ReadRepeat(reading, &top);
    ReadPauseOn(reading, &top);
    pack::ReadHolds(reading, &top);
    pack::ReadBeside(reading, &top);
    pack::ReadRaci(reading, &top);
    pack::ReadGoals(reading, &top);
    pack::ReadUrgency(reading, &top);
    pack::ReadWatched(reading, &top);
    pack::ReadCriteria(reading, &top);
    pack::ReadGrouping(reading, &top);
    ReadAutoClose(reading, &top);
    pack::ReadRoles(reading, &top);
    pack::ReadTeams(reading, &top);
    pack::CheckWhole(reading, &top);
    top.Finish();
  };
  compile();
  diagnostics->Append(found);
  if (found.HasErrors()) return nullptr;
  return policy;
}

}  // namespace triaged
