// The sections of a policy pack, read one by one by CompilePolicy. Private to pipeline/policy.
//
// Every function reports what is wrong where it stands and goes on, so that one load shows all problems. They run in
// the order below: later ones refer to the names that earlier ones put into the policy.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/yaml.h"
#include "pipeline/model/fields.h"
#include "pipeline/policy/policy.h"

namespace triaged::pack {

struct Reading {
  const SourceFile& source;
  Diagnostics* diagnostics;
  FieldCatalog* alert_catalog;
  FieldCatalog* case_catalog;
  Policy* policy;
};

void ReadSeverities(const Reading& reading, MapReader* top);  // `severities`, `default_severity`
void ReadLevels(const Reading& reading, MapReader* top);      // `levels`
void ReadMatrix(const Reading& reading, MapReader* top);      // `matrix`
void ReadCalendars(const Reading& reading, MapReader* top);   // `calendars`
void ReadClocks(const Reading& reading, MapReader* top);      // `clocks`
void ReadAckTimeout(const Reading& reading, MapReader* top);  // `ack_timeout`
void ReadHolds(const Reading& reading, MapReader* top);       // `hard_limit`, `guards`, `maintenance`
void ReadBeside(const Reading& reading, MapReader* top);      // `engaged_roles`, `follow_ups`
void ReadRaci(const Reading& reading, MapReader* top);        // `raci`
void ReadGoals(const Reading& reading, MapReader* top);       // `goals`
void ReadUrgency(const Reading& reading, MapReader* top);     // `urgency`, `raise`, `risk`, `recurrence_window`
void ReadWatched(const Reading& reading, MapReader* top);     // `storm`, `feeds`
void ReadCriteria(const Reading& reading, MapReader* top);    // `criteria`
void ReadGrouping(const Reading& reading, MapReader* top);    // `grouping`
void ReadRoles(const Reading& reading, MapReader* top);       // `roles`
void ReadTeams(const Reading& reading, MapReader* top);       // `people`, `teams`; checks the levels' teams

// Whether every name that the pack gives is used, every level reached, every clock timed; after all sections.
void CheckWhole(const Reading& reading, MapReader* top);

// ---- shared readers ----
// A condition over the case; remembers the fields it reads.
std::shared_ptr<const Condition> ReadCaseCondition(const Reading& reading, const YamlNode& when);
// One duration for each severity: all of them, and a worse one never later than a better one. With a calendar also
// business time (`1bd`, `6bh`). `what` names the thing in messages.
void ReadBySeverity(const Reading& reading, MapReader* map, const std::string& what, const Calendar* calendar,
                    ClockTimes* times);
// The calendar that `map` names under `calendar`, or null.
std::shared_ptr<const Calendar> ReadCalendarName(const Reading& reading, MapReader* map);
// "5m", "1d", "2bd" as from ReadBySeverity, "never" as nullopt.
std::string Shown(const std::optional<Duration>& duration);

void ErrorAt(const Reading& reading, int line, int column, std::string message, std::string hint = {});
void ErrorAt(const Reading& reading, const YamlNode& node, std::string message, std::string hint = {});

// "did you mean 'high'?", or the list of what there is.
std::string Suggest(std::string_view word, const std::vector<std::string_view>& known);
std::vector<std::string_view> SeverityNames(const Policy& policy);
std::vector<std::string_view> LevelNames(const Policy& policy);

// Letters, digits, '-' and '_', beginning with a letter or digit; 1 to 64 bytes: safe in keys, metrics and topics.
bool IsName(std::string_view text);
// "'x y' cannot be the name of …" unless IsName.
void CheckName(const Reading& reading, const YamlNode& node, std::string_view name, std::string_view what);

// The elements of a required, non-empty list, or none when it is not one (reported).
const std::vector<YamlNode>& ListOf(const Reading& reading, MapReader* top, const char* key, size_t max);

}  // namespace triaged::pack
