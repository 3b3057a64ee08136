// The report of `triagectl quality`, in words and as JSON.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "daemon/quality.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

std::string Line(const char* format, auto... values) {
  char text[512];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

unsigned long long Count(uint64_t number) { return number; }

double PerShift(uint64_t cases, const QualityReport& report) {
  return static_cast<double>(cases) / static_cast<double>(report.shifts);
}

double Minutes(Duration d) { return std::chrono::duration<double, std::ratio<60>>(d).count(); }

bool InTime(const QualityStep& step, Duration within) { return step.after && *step.after <= within; }

std::string StepLine(const QualityStep& step, Duration within) {
  std::string line = Line("  %-14.40s %-26.60s %8llu rows  ", step.column.c_str(), step.name.c_str(), Count(step.rows));
  if (!step.after) return line + "never named by an escalation\n";
  line += Line("%s after %.1f min: ", InTime(step, within) ? "reached" : "LATE,  ", Minutes(*step.after));
  line += step.reason + (step.rule.empty() ? "" : " (" + step.rule + ")");
  return line + (step.by_time ? ", only by time\n" : "\n");
}

Json StepJson(const QualityStep& step, Duration within) {
  Json json{{"column", step.column},
            {"step", step.name},
            {"rows", step.rows},
            {"auto_closed", step.auto_closed},
            {"first", FormatTimestamp(step.first)},
            {"last", FormatTimestamp(step.last)},
            {"reached", InTime(step, within)}};
  json["minutes"] = step.after ? Json(Minutes(*step.after)) : Json();
  json["reason"] = step.reason;
  json["rule"] = step.rule;
  json["by_time"] = step.by_time;
  return json;
}

}  // namespace

std::string QualityText(const QualityReport& r, Duration within) {
  std::string text = Line("%llu alerts of %llu hosts in %.1f days, %s to %s\n", Count(r.alerts), Count(r.hosts), r.Days(),
                          FormatTimestamp(r.begin).c_str(), FormatTimestamp(r.end).c_str());
  text += Line("%llu dead letters, %llu duplicates, %llu closed by rules (%llu of them labelled)\n", Count(r.dead_letters),
               Count(r.duplicates), Count(r.auto_closed), Count(r.labelled_auto_closed));
  text += Line("%llu cases (at most %llu wanted), longest window %s (%s)\n", Count(r.cases), Count(r.CaseGoal()),
               FormatDuration(r.longest_window).c_str(), r.longest_case.c_str());
  text += Line("%llu escalations by rules, %llu because nobody acted\n", Count(r.escalations - r.escalations_by_time),
               Count(r.escalations_by_time));
  if (r.closed_by_first_level > 0) {
    text += Line("the first level closed %llu, %llu were reopened\n", Count(r.closed_by_first_level), Count(r.reopened));
  }
  text += Line("work: first level %.1f cases a shift (busiest %llu), next level %.1f (busiest %llu)\n",
               PerShift(r.cases + r.reopened, r), Count(r.l1_busiest_shift), PerShift(r.l2_cases, r), Count(r.l2_busiest_shift));
  text += "\nsteps (by an escalation that names a row of the step):\n";
  for (const QualityStep& step : r.steps) text += StepLine(step, within);
  text += Line("\nbenign escalations: %llu by rules (%.1f a day, %llu on the worst), %llu because nobody acted\n",
               Count(r.benign), static_cast<double>(r.benign) / r.Days(), Count(r.benign_worst_day),
               Count(r.benign_by_time));
  for (const auto& [rule, days] : r.benign_by_rule) {
    text += "  " + rule + ":";
    for (const auto& [day, count] : days) text += " " + day + " " + std::to_string(count);
    text += "\n";
  }
  return text;
}

std::string QualityJson(const QualityReport& r, Duration within) {
  Json json{{"alerts", r.alerts},
            {"hosts", r.hosts},
            {"days", r.Days()},
            {"begin", FormatTimestamp(r.begin)},
            {"end", FormatTimestamp(r.end)},
            {"dead_letters", r.dead_letters},
            {"duplicates", r.duplicates},
            {"auto_closed", {{"rows", r.auto_closed}, {"labelled", r.labelled_auto_closed}}},
            {"cases", {{"opened", r.cases},
              {"goal", r.CaseGoal()},
              {"reopened", r.reopened},
              {"closed_by_first_level", r.closed_by_first_level}}},
            {"longest_window_hours", Minutes(r.longest_window) / 60},
            {"escalations", {{"by_rules", r.escalations - r.escalations_by_time}, {"by_time", r.escalations_by_time}}}};
  json["benign_escalations"] = {{"by_rules", r.benign},
                                {"by_time", r.benign_by_time},
                                {"per_day", static_cast<double>(r.benign) / r.Days()},
                                {"worst_day", r.benign_worst_day},
                                {"rules", r.benign_by_rule}};
  json["work"] = {{"shifts", r.shifts},
                  {"first_level_cases_per_shift", PerShift(r.cases + r.reopened, r)},
                  {"first_level_busiest_shift", r.l1_busiest_shift},
                  {"next_level_cases_per_shift", PerShift(r.l2_cases, r)},
                  {"next_level_busiest_shift", r.l2_busiest_shift}};
  json["notes"] = r.notes;
  json["steps"] = Json::array();
  for (const QualityStep& step : r.steps) json["steps"].push_back(StepJson(step, within));
  return json.dump(2) + "\n";
}

}  // namespace triaged
