#include "pipeline/report/review_measures.h"

#include <algorithm>
#include <set>

#include "pipeline/policy/policy.h"
#include "pipeline/report/json_reading.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

// A goal, what became of it, and whether that is what was wanted.
class GoalTable {
 public:
  GoalTable(Language language, Json* review) : ja_(language == Language::kJapanese), review_(review) {}

  std::string Say(const char* en, const char* ja) const { return ja_ ? ja : en; }

  void Add(const std::string& policy, const std::string& what, const std::string& goal, const std::string& actual,
           std::optional<bool> met) {
    rows_.push_back({{"policy", policy},
                     {"what", what},
                     {"goal", goal},
                     {"actual", actual},
                     {"state", !met ? Say("not measured", "測定なし") : *met ? Say("met", "達成") : Say("missed", "未達")},
                     {"missed", met && !*met}});
    if (!met || *met) return;
    review_->push_back({{"case_id", "-"}, {"what", Say("goal missed: ", "目標未達：") + policy + " " + what}});
  }

  Json Take() { return std::move(rows_); }

 private:
  const bool ja_;
  Json* review_;
  Json rows_ = Json::array();
};

// "1.25", cut.
std::string Hundredths(int64_t hundredths) {
  const std::string rest = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + "." + (rest.size() < 2 ? "0" : "") + rest;
}

}  // namespace

std::optional<Duration> MedianOf(std::vector<Duration> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  return values[(values.size() - 1) / 2];
}

std::string PercentOf(int64_t part, int64_t whole) {
  if (whole == 0) return "-";
  const int64_t tenths = part * 1000 / whole;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
}

void ReviewMeasures::Take(const Json& data) {
  const std::string policy = Text(data, "policy");
  const Timestamp opened = Time(data, "opened_at").value_or(Timestamp{});
  PolicyMeasures& measures = policies_[policy];
  Severity& severity = measures.severities[Text(data, "severity")];
  const Json& escalations = At(data, "escalations");
  const bool escalated = Text(data, "escalation_count") != "0" && !Text(data, "escalation_count").empty();
  ++severity.cases;
  severity.escalated += escalated;
  if (escalations.is_array() && !escalations.empty()) {
    if (const auto at = Time(escalations.front(), "at")) severity.to_escalate.push_back(*at - opened);
  }
  if (const auto resolved = Time(data, "resolved_at")) {
    (escalated ? measures.resolve_escalated : measures.resolve_other).push_back(*resolved - opened);
  }
  TakeRoles(data, policy);
  TakeShift(data, policy, opened);
}

// A role is measured by the cases it was engaged in, whether or not it still is.
void ReviewMeasures::TakeRoles(const Json& data, const std::string& policy) {
  std::map<std::string, Timestamp> engaged;
  std::set<std::string> waiting;  // for the first word to those affected
  std::map<std::string, Duration> first_word;
  for (const Json& entry : At(data, "timeline")) {
    const auto at = Time(entry, "at");
    const std::string what = Text(entry, "what"), text = Text(entry, "text");
    if (!at) continue;
    if (what == "role.engaged") {
      const std::string role = text.substr(0, text.find(':'));
      if (engaged.emplace(role, *at).second) waiting.insert(role);
    } else if (what == "status_updated") {
      for (const std::string& role : waiting) first_word[role] = *at - engaged[role];
      waiting.clear();
    }
  }
  const auto resolved = Time(data, "resolved_at");
  const bool escalated = !At(data, "escalations").empty();
  const bool fitting = escalated && Text(At(data, "verdict"), "name") != "false_positive";
  for (const auto& [name, since] : engaged) {
    Role& role = roles_[{policy, name}];
    ++role.cases;
    role.escalated += escalated;
    role.fitting += fitting;
    if (first_word.contains(name)) role.first_word.push_back(first_word[name]);
    if (resolved && escalated) role.resolve_escalated.push_back(*resolved - since);
    const Json& clocks = At(data, "clocks");
    if (!clocks.is_object()) continue;
    for (const auto& [clock, state] : clocks.items()) {
      if (!Time(state, "started")) continue;
      const bool late = At(state, "breached") == true;
      ++role.clocks;
      role.breached += late;
      role.updates += clock == "next_update";
      role.updates_late += clock == "next_update" && late;
    }
  }
}

// Who was on shift at the first level when the case opened, and to whom it was escalated.
void ReviewMeasures::TakeShift(const Json& data, const std::string& policy, Timestamp opened) {
  const auto found = options_.policies.find(policy);
  if (found == options_.policies.end()) return;
  const std::string& team = found->second->levels.front().team;
  const OnShift shift = found->second->roster->At(team, opened);
  ++on_shift_[(shift.team.empty() ? team : shift.team) + ": " + (shift.person.empty() ? "-" : shift.person)].cases;
  for (const Json& record : At(data, "escalations")) {
    const std::string person = Text(record, "to_assignee");
    ++on_shift_[Text(record, "to_team") + ": " + (person.empty() ? "-" : person)].escalations;
  }
}

Json ReviewMeasures::Goals(Json* review) const {
  GoalTable table(options_.language, review);
  for (const auto& [name, measures] : policies_) {
    const auto found = options_.policies.find(name);
    if (found == options_.policies.end()) continue;
    const Policy& policy = *found->second;
    const GoalSpec& goals = policy.goals;
    for (size_t i = 0; i < policy.severities.size(); ++i) {
      const auto at = measures.severities.find(policy.severities[i].name);
      const Severity had = at == measures.severities.end() ? Severity{} : at->second;
      if (const auto percent = goals.escalated_percent[i]) {
        const auto met = had.cases > 0 ? std::optional(had.escalated * 100 < *percent * had.cases) : std::nullopt;
        table.Add(name, table.Say("escalated, ", "エスカレーション率 ") + policy.severities[i].name,
                  "< " + std::to_string(*percent) + " %", PercentOf(had.escalated, had.cases) + " %", met);
      }
      if (const auto time = goals.time_to_escalate[i]) {
        const auto median = MedianOf(had.to_escalate);
        table.Add(name, table.Say("time to escalate, ", "エスカレーションまでの時間 ") + policy.severities[i].name,
                  "≤ " + ShownSpan(*time, options_.language), median ? ShownSpan(*median, options_.language) : "-",
                  median ? std::optional(*median <= *time) : std::nullopt);
      }
    }
    if (goals.resolution_ratio > 0) {
      const auto after = MedianOf(measures.resolve_escalated), other = MedianOf(measures.resolve_other);
      const bool known = after && other && other->count() > 0;
      table.Add(name, table.Say("resolution, escalated against others", "解決時間の比率（エスカレーションありとなし）"),
                "< " + std::to_string(goals.resolution_ratio),
                known ? Hundredths(after->count() * 100 / other->count()) : "-",
                known ? std::optional(after->count() < goals.resolution_ratio * other->count()) : std::nullopt);
    }
    if (goals.satisfaction_percent > 0) {
      table.Add(name, table.Say("satisfaction, asked of customers", "顧客満足度（顧客への調査による）"),
                "> " + std::to_string(goals.satisfaction_percent) + " %",
                table.Say("[to fill in]", "【要記入】"), std::nullopt);
    }
  }
  return table.Take();
}

Json ReviewMeasures::Roles() const {
  const auto span = [&](const std::vector<Duration>& values) {
    const auto median = MedianOf(values);
    return median ? ShownSpan(*median, options_.language) : "-";
  };
  Json list = Json::array();
  for (const auto& [key, role] : roles_) {
    list.push_back({{"policy", key.first},
                    {"name", key.second},
                    {"cases", role.cases},
                    {"first_word", span(role.first_word)},
                    {"updates_kept_percent", PercentOf(role.updates - role.updates_late, role.updates)},
                    {"resolved_in", span(role.resolve_escalated)},
                    {"kept_percent", PercentOf(role.clocks - role.breached, role.clocks)},
                    {"fitting_percent", PercentOf(role.fitting, role.escalated)}});
  }
  return list;
}

void ReviewMeasures::Show(Json* view, Json* review) const {
  (*view)["goals"] = Goals(review);
  (*view)["roles"] = Roles();
  (*view)["on_shift"] = Json::array();
  for (const auto& [name, load] : on_shift_) {
    (*view)["on_shift"].push_back({{"name", name}, {"cases", load.cases}, {"escalations", load.escalations}});
  }
}

}  // namespace triaged
