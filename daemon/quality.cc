#include "daemon/quality.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <set>

#include "pipeline/model/command.h"

namespace triaged {
namespace {

using Json = nlohmann::json;
constexpr std::string_view kEscalated = "\"type\":\"io.triaged.case.escalated.v1\"";
constexpr std::string_view kReopened = "\"type\":\"io.triaged.case.reopened.v1\"";
constexpr std::string_view kOpened = "\"type\":\"io.triaged.case.opened.v1\"";
constexpr size_t kEnvelopeBytes = 512;  // the type stands within them
constexpr size_t kMaxStep = 1000;       // alerts

// How many rows lack something, and the first of them.
struct Lacking {
  uint64_t count = 0;
  uint32_t line = 0;
  std::string message;

  void Add(uint32_t at_line, const std::string& why) {
    if (count++ > 0) return;
    line = at_line;
    message = why;
  }
  std::string What() const { return "the first is line " + std::to_string(line) + (message.empty() ? "" : ": " + message); }
};

class Measuring {
 public:
  Measuring(std::shared_ptr<const Engine> engine, const QualityOptions& options, LabelledSet* set)
      : engine_(engine), options_(options), set_(*set), replay_(engine, "quality", /*partitions=*/1) {
    for (const Rule& rule : engine->rules->rules()) titles_[rule.id] = rule.title;
  }

  Result<QualityReport> Run();

 private:
  Status SortByTime();
  void CutToTime();
  void CountLabels();
  void FindClosable();
  size_t EndOfStep(size_t begin) const;
  Status Feed();
  void CountClosed(const LabelledRow& row);
  Status FirstLevelActs(Timestamp until);
  Status CloseAtFirstLevel(const std::string& case_id, Timestamp at);
  void TakeOpened(std::string_view event);
  void TakeEvents();
  void TakeEscalation(const Json& event);
  void TakeStep(const LabelledRow& row, const Json& event, bool by_time, const std::string& rule);
  bool LabelledAt(Timestamp at) const;
  Status FindLongestWindow();
  void Finish();
  int64_t ShiftOf(Timestamp at) const { return (at - report_.begin) / options_.shift; }

  std::shared_ptr<const Engine> engine_;
  const QualityOptions& options_;
  LabelledSet& set_;
  Replay replay_;
  QualityReport report_;
  std::map<std::string, std::string> titles_;                       // of rules, by id
  std::map<std::pair<size_t, uint16_t>, QualityStep> steps_;        // by column and value
  std::set<std::string> at_l2_;                                     // cases that rules brought there
  std::vector<bool> closable_;                                      // rows that a rule with `close` may match
  std::map<int64_t, uint64_t> opened_in_shift_, l2_in_shift_;
  std::set<std::pair<Timestamp, std::string>> looks_;               // when the first level closes which case
  uint64_t commands_ = 0;
};

Status Measuring::SortByTime() {
  Normaliser normaliser(engine_->formats, engine_->limits);
  std::set<std::string, std::less<>> hosts;
  Timestamp now{};
  Lacking unread, timeless;
  for (LabelledRow& row : set_.rows) {
    if (const auto failure = normaliser.Normalise(row.alert, {}, now)) {
      unread.Add(row.line, failure->message);
    } else {
      if (normaliser.alert().event_time_is_record_time) timeless.Add(row.line, {});
      now = normaliser.alert().event_time;
      const std::string_view host = normaliser.alert().fields.First(field::kHostName);
      if (!host.empty() && !hosts.contains(host)) hosts.emplace(host);
    }
    row.at = now;
  }
  const uint64_t readable = set_.rows.size() - unread.count;
  if (readable == 0) return BadInput(set_.path + ": no line can be read as an alert; " + unread.What());
  if (timeless.count == readable) {
    return BadInput(set_.path + ": no alert has a time that can be read; name its column or key `time`, or write a format "
                                "table that finds it (configs/README.md)");
  }
  if (unread.count > 0) report_.notes.push_back(std::to_string(unread.count) + " lines are no alerts: " + unread.What());
  if (timeless.count > 0) {
    report_.notes.push_back(std::to_string(timeless.count) + " alerts have no time that can be read, and count at that of the "
                            "alert before them; " + timeless.What());
  }
  if (hosts.empty()) report_.notes.push_back("no alert names a host (host.name), by which cases are usually grouped");
  std::stable_sort(set_.rows.begin(), set_.rows.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  report_.hosts = hosts.size();
  return {};
}

void Measuring::CutToTime() {
  const auto outside = [&](const LabelledRow& row) {
    return (options_.from && row.at < *options_.from) || (options_.to && row.at >= *options_.to);
  };
  set_.rows.erase(std::remove_if(set_.rows.begin(), set_.rows.end(), outside), set_.rows.end());
}

// Which rows a rule may close: they are steps of their own, so that it is known which of them it closed. Of a rule that asks
// the baseline this is not known beforehand; should it close something, all labelled rows of the step count as closed.
void Measuring::FindClosable() {
  closable_.assign(set_.rows.size(), false);
  const std::vector<Rule>& rules = engine_->rules->rules();
  Normaliser normaliser(engine_->formats, engine_->limits);
  const auto scratch = engine_->rules->NewScratch();
  std::vector<uint32_t> matched;
  for (size_t i = 0; i < set_.rows.size(); ++i) {
    if (normaliser.Normalise(set_.rows[i].alert, {}, set_.rows[i].at)) continue;
    engine_->Enrich(&normaliser.alert());
    matched.clear();
    engine_->rules->Evaluate(normaliser.alert().fields, scratch.get(), &matched);
    closable_[i] = std::any_of(matched.begin(), matched.end(), [&](uint32_t rule) { return !rules[rule].triage.close_owner.empty(); });
  }
}

void Measuring::CountLabels() {
  for (const LabelledRow& row : set_.rows) {
    for (size_t column = 0; column < row.labels.size(); ++column) {
      if (row.labels[column] == 0) continue;
      QualityStep& step = steps_[{column, row.labels[column]}];
      if (step.rows++ == 0) {
        step.column = set_.columns[column];
        step.name = set_.values[row.labels[column]];
        step.first = row.at;
      }
      step.last = row.at;
    }
  }
  for (size_t column = 0; column < set_.columns.size(); ++column) {
    if (std::any_of(steps_.begin(), steps_.end(), [&](const auto& step) { return step.first.first == column; })) continue;
    report_.notes.push_back("no alert has a label under '" + set_.columns[column] + "'");
  }
}

// The rows from `begin` on that may be one step: of one instant, and alone where a rule may close it.
size_t Measuring::EndOfStep(size_t begin) const {
  size_t end = begin + 1;
  if (closable_[begin]) return end;
  while (end < set_.rows.size() && end - begin < kMaxStep && set_.rows[end].at == set_.rows[begin].at && !closable_[end]) {
    ++end;
  }
  return end;
}

Status Measuring::Feed() {
  const auto outcome = [&](AlertOutcome which) { return replay_.balance().outcomes[static_cast<size_t>(which)]; };
  std::vector<std::string_view> alerts;
  for (size_t begin = 0, end = 0; begin < set_.rows.size(); begin = end) {
    end = EndOfStep(begin);
    alerts.clear();
    for (size_t i = begin; i < end; ++i) alerts.push_back(set_.rows[i].alert);
    if (Status acted = FirstLevelActs(set_.rows[begin].at); !acted) return acted;
    const uint64_t closed = outcome(AlertOutcome::kAutoClosed);
    if (Status taken = replay_.TakeAlerts(alerts, set_.rows[begin].at); !taken) return taken;
    for (size_t i = begin; i < end && outcome(AlertOutcome::kAutoClosed) != closed; ++i) CountClosed(set_.rows[i]);
    TakeEvents();
  }
  report_.dead_letters = outcome(AlertOutcome::kDeadLettered);
  report_.duplicates = outcome(AlertOutcome::kDuplicate);
  report_.auto_closed = outcome(AlertOutcome::kAutoClosed);
  return {};
}

void Measuring::CountClosed(const LabelledRow& row) {
  if (!row.labels.empty() && row.labels.front() != 0) ++report_.labelled_auto_closed;
  for (size_t column = 0; column < row.labels.size(); ++column) {
    if (row.labels[column] != 0) ++steps_[{column, row.labels[column]}].auto_closed;
  }
}

// Closes what is due before alerts of `until`, in order.
Status Measuring::FirstLevelActs(Timestamp until) {
  while (!looks_.empty() && looks_.begin()->first <= until) {
    const auto [at, case_id] = *looks_.begin();
    looks_.erase(looks_.begin());
    if (Status advanced = replay_.AdvanceTo(at); !advanced) return advanced;
    TakeEvents();
    if (Status closed = CloseAtFirstLevel(case_id, at); !closed) return closed;
    TakeEvents();
  }
  return {};
}

Status Measuring::CloseAtFirstLevel(const std::string& case_id, Timestamp at) {
  const auto id = ParseCaseId(case_id);
  const auto found = replay_.store(0).Find(*id);
  if (!found) return found.error();
  const Case* c = *found;
  if (!c || c->level != 0 || !IsActive(*c)) return {};
  const Policy* policy = engine_->FindPolicy(c->policy);
  const auto may = [](const RolePermissions& role, CommandAction action) {
    return (role.actions >> static_cast<unsigned>(action) & 1) != 0;
  };
  const auto role = std::find_if(policy->roles.begin(), policy->roles.end(), [&](const RolePermissions& one) {
    return may(one, CommandAction::kAck) && may(one, CommandAction::kVerdict) && may(one, CommandAction::kClose);
  });
  if (role == policy->roles.end()) {
    return BadInput("policy " + policy->name + " has no role that may ack, verdict and close: nobody can close its cases");
  }
  for (const CommandAction action : {CommandAction::kAck, CommandAction::kVerdict, CommandAction::kClose}) {
    Command command;
    command.id = "first-level-" + std::to_string(++commands_);
    command.case_id = *id;
    command.actor = "first-level";
    command.role = role->role;
    command.action = action;
    if (action == CommandAction::kVerdict) command.verdict = Verdict::kFalsePositive;
    if (action != CommandAction::kAck) command.reason = "nothing but noise";
    if (Status taken = replay_.TakeCommand(CommandJson(command), at); !taken) return taken;
  }
  ++report_.closed_by_first_level;
  return {};
}

void Measuring::TakeOpened(std::string_view event) {
  ++opened_in_shift_[ShiftOf(replay_.now())];
  if (!options_.first_level_closes) return;
  looks_.emplace(replay_.now() + *options_.first_level_closes, Json::parse(event)["data"]["case_id"].get<std::string>());
}

void Measuring::TakeEvents() {
  for (const OutputRecord& record : replay_.TakeOutputs()) {
    if (record.topic != OutputTopic::kEscalations || !record.value) continue;
    const auto head = std::string_view(*record.value).substr(0, kEnvelopeBytes);
    if (head.find(kOpened) != std::string_view::npos) {
      ++report_.cases;
      TakeOpened(*record.value);
    } else if (head.find(kReopened) != std::string_view::npos) {
      ++report_.reopened;
      TakeOpened(*record.value);
    } else if (head.find(kEscalated) != std::string_view::npos) {
      TakeEscalation(Json::parse(*record.value));
    }
  }
}

void Measuring::TakeEscalation(const Json& event) {
  const Json& data = event["data"];
  const bool by_time = data["escalation"]["kind"] != "criterion";
  ++report_.escalations;
  if (by_time) ++report_.escalations_by_time;
  const std::string case_id = data["case_id"].get<std::string>();
  if (!by_time && at_l2_.insert(case_id).second) ++l2_in_shift_[ShiftOf(replay_.now())];

  const Json rule_id = data["escalation"].value("rule_id", Json());
  const auto title = rule_id.is_string() ? titles_.find(rule_id.get<std::string>()) : titles_.end();
  const std::string rule = title == titles_.end() ? "" : title->second;
  bool labelled = false;
  for (const Json& evidence : data["evidence"]) {
    // Alerts that correlations derive are no rows: no step is reached by them, but they are about what made them fire.
    if (evidence["topic"] != "replay") {
      labelled = labelled || LabelledAt(*ParseTimestamp(evidence["event_time"].get<std::string>()));
      continue;
    }
    const LabelledRow& row = set_.rows[evidence["offset"].get<size_t>()];
    for (const uint16_t label : row.labels) labelled = labelled || label != 0;
    TakeStep(row, event, by_time, rule);
  }
  if (labelled) return;
  if (by_time) {
    ++report_.benign_by_time;
    return;
  }
  ++report_.benign;
  const std::string day = FormatTimestamp(replay_.now()).substr(0, 10);
  ++report_.benign_by_rule[data["reason"].get<std::string>() + (rule.empty() ? "" : ": " + rule)][day];
}

// Whether a row of that time has a label.
bool Measuring::LabelledAt(Timestamp at) const {
  const auto before = [](const LabelledRow& row, Timestamp time) { return row.at < time; };
  auto row = std::lower_bound(set_.rows.begin(), set_.rows.end(), at, before);
  for (; row != set_.rows.end() && row->at == at; ++row) {
    if (std::any_of(row->labels.begin(), row->labels.end(), [](uint16_t label) { return label != 0; })) return true;
  }
  return false;
}

void Measuring::TakeStep(const LabelledRow& row, const Json& event, bool by_time, const std::string& rule) {
  for (size_t column = 0; column < row.labels.size(); ++column) {
    if (row.labels[column] == 0) continue;
    QualityStep& step = steps_[{column, row.labels[column]}];
    if (step.after && (!step.by_time || by_time)) continue;
    step.after = *ParseTimestamp(event["time"].get<std::string>()) - step.first;
    step.reason = event["data"]["reason"].get<std::string>();
    step.rule = rule;
    step.by_time = by_time;
  }
}

Status Measuring::FindLongestWindow() {
  struct Longest : CaseStore::Visitor {
    QualityReport* report = nullptr;
    bool Visit(const Case& c) override {
      if (c.last_seen - c.first_seen > report->longest_window) {
        report->longest_window = c.last_seen - c.first_seen;
        report->longest_case = ToString(c.id);
      }
      return true;
    }
  } longest;
  longest.report = &report_;
  return replay_.store(0).ForEachCase(&longest);
}

void Measuring::Finish() {
  for (auto& [key, step] : steps_) report_.steps.push_back(std::move(step));
  std::stable_sort(report_.steps.begin(), report_.steps.end(), [&](const QualityStep& a, const QualityStep& b) {
    return a.column == b.column && a.first < b.first;
  });
  report_.l2_cases = at_l2_.size();
  std::map<std::string, uint64_t> days;
  for (const auto& [rule, by_day] : report_.benign_by_rule) {
    for (const auto& [day, count] : by_day) days[day] += count;
  }
  for (const auto& [day, count] : days) report_.benign_worst_day = std::max(report_.benign_worst_day, count);
  for (const auto& [shift, count] : opened_in_shift_) report_.l1_busiest_shift = std::max(report_.l1_busiest_shift, count);
  for (const auto& [shift, count] : l2_in_shift_) report_.l2_busiest_shift = std::max(report_.l2_busiest_shift, count);
  report_.shifts = static_cast<uint64_t>(ShiftOf(report_.end)) + 1;
}

Result<QualityReport> Measuring::Run() {
  if (Status sorted = SortByTime(); !sorted) return sorted.error();
  CutToTime();
  if (set_.rows.empty()) return BadInput("no alert lies in that time");
  report_.alerts = set_.rows.size();
  report_.begin = set_.rows.front().at;
  report_.end = set_.rows.back().at;
  CountLabels();
  FindClosable();
  if (Status opened = replay_.Open(); !opened) return opened.error();
  const std::clock_t begin = std::clock();
  if (Status fed = Feed(); !fed) return fed.error();
  report_.seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  if (Status found = FindLongestWindow(); !found) return found.error();
  Finish();
  return std::move(report_);
}

}  // namespace

uint64_t QualityReport::CaseGoal() const {
  const auto per_host = static_cast<uint64_t>(std::ceil(2.0 * static_cast<double>(hosts) * Days()));
  return std::max(alerts / 1000, per_host);
}

Result<QualityReport> MeasureQuality(std::shared_ptr<const Engine> engine, const QualityOptions& options,
                                     LabelledSet* set) {
  return Measuring(std::move(engine), options, set).Run();
}

}  // namespace triaged
