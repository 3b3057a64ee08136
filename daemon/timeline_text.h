// What a line of a timeline (timeline.h) says, for those who run timelines: in virtual time, or against a daemon.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"

namespace triaged {

// One timed line, taken apart.
struct TimelineLine {
  int number = 0;
  Duration at{0};
  std::string action;    // what stands before the arrow, without the time
  std::string expected;  // what stands after it
  bool has_expected = false;
};

std::string_view TrimBlanks(std::string_view text);
// Words separated by spaces; double quotes keep spaces together ("rule=\"a b\"").
std::vector<std::string> TimelineWords(std::string_view text);
// "0:30", "26:00:15"
std::optional<Duration> ParseTimelineClock(std::string_view text);
// nullopt when the text (without a comment) does not begin with a time.
std::optional<TimelineLine> ReadTimelineLine(int number, std::string_view text);
// The value of "NAME VALUE" before the first timed line; "" when it is not there.
std::string TimelineHeader(const std::string& file, std::string_view name);

// The alert of "alert name=value …", the `count`-th of its file. Errors say what, not where.
Result<nlohmann::ordered_json> TimelineAlert(const std::vector<std::string>& words, Timestamp start, Duration at, int count,
                                             bool drill);
// The command of "<action> <case> by <actor> as <role> [name=value …]".
Result<nlohmann::ordered_json> TimelineCommand(const std::vector<std::string>& words, int count);

// What a case event looks like after an arrow, of the case that the timeline calls `id`.
std::string DescribeEvent(const nlohmann::ordered_json& event, const std::string& id);
// Whom an escalation reached, "emi of l2"; "" of any other event.
std::string ReachedBy(const nlohmann::ordered_json& event);

}  // namespace triaged
