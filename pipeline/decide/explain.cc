#include "pipeline/decide/explain.h"

#include <algorithm>

#include "pipeline/base/check.h"
#include "pipeline/decide/clocks.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/decide/holds.h"

namespace triaged {
namespace {

constexpr Timestamp kNone{};
constexpr Duration kHorizon = std::chrono::hours(24 * 30);
constexpr int kMaxFirings = 10'000;
constexpr size_t kShownRepeats = 2;  // of one level: more say nothing new

std::string Text(std::string_view text) { return std::string(text); }

// "1h30m", without milliseconds that nobody asks for.
std::string Span(Duration span) { return FormatDuration(std::chrono::floor<std::chrono::seconds>(span)); }

void AddClocks(const Policy& policy, const Case& c, std::vector<Deadline>* list) {
  for (size_t i = 0; i < kClockKindCount; ++i) {
    const Clock& clock = c.clocks[i];
    const auto kind = static_cast<ClockKind>(i);
    if (clock.state != ClockState::kRunning) continue;
    if (!clock.at_risk_fired) list->push_back({AtRiskTime(policy, c, kind), Text(Name(kind)) + " is at risk"});
    if (!clock.breached) list->push_back({clock.due, Text(Name(kind)) + " is breached"});
  }
}

void AddLadder(const Policy& policy, const Case& c, std::vector<Deadline>* list) {
  if (!IsActive(c)) return;
  for (size_t level = c.level + 1u; level < policy.levels.size() && !IsPaused(c); ++level) {
    if (c.level_due[level] == kNone) continue;
    const Timestamp at = c.held_until == kNone ? c.level_due[level] : std::max(c.level_due[level], c.held_until);
    list->push_back({at, "unresolved, it goes to " + policy.levels[level].name});
  }
  if (!c.hard_limit_fired && c.hard_limit_due != kNone && policy.hard_limit) {
    list->push_back(
        {c.silenced_by.empty() ? c.hard_limit_due : std::max(c.hard_limit_due, c.silenced_until),
         "hard limit: at least " + policy.levels[policy.hard_limit->to_level].name + ", whatever holds it"});
  }
  if (c.held_until != kNone) list->push_back({c.held_until, c.held_by + " is asked again"});
  if (!c.silenced_by.empty()) list->push_back({c.silenced_until, "silence " + c.silenced_by + " ends"});
}

std::string Breached(const Case& c) {
  std::string text;
  for (size_t i = 0; i < kClockKindCount; ++i) {
    if (c.clocks[i].breached) text += (text.empty() ? "" : ", ") + Text(Name(static_cast<ClockKind>(i)));
  }
  return text;
}

void ExplainStanding(const Policy& policy, const Case& c, Timestamp now, std::string* out) {
  *out += "Case " + ToString(c.id) + " of policy " + policy.name + ": " + policy.severities[c.severity].name + ", at " +
          policy.levels[c.level].name + ", " + Text(Name(c.status)) + ", " +
          (c.acknowledged ? "acknowledged by " + c.acknowledged_by : std::string("not acknowledged")) + ".\n";
  *out += "Open since " + FormatTimestamp(c.opened_at) + " (" + Span(now - c.opened_at) + "), " +
          std::to_string(c.alert_count) + " alerts under " + c.key + ".\n";
  *out += "Owner: " + (c.assignee.empty() ? std::string("nobody") : c.assignee) + ", team " + c.team + ".\n";
  if (c.verdict == Verdict::kNone) {
    *out += "No verdict yet: no rule said one, and no analyst did.\n";
  } else {
    *out += "Verdict " + Text(Name(c.verdict)) + " by " + c.verdict_by +
            (c.verdict_reason.empty() ? std::string() : ": " + c.verdict_reason) + ".\n";
  }
  if (!c.merged_into.empty()) *out += "Its content went into " + c.merged_into + ".\n";
}

void ExplainWhy(const Policy& policy, const Case& c, std::string* out) {
  if (c.escalations.empty())
    *out += "It stands at " + policy.levels[c.level].name + " because nothing has escalated it.\n";
  for (const EscalationRecord& record : c.escalations) {
    if (record.to_level >= policy.levels.size() || record.from_level >= policy.levels.size()) continue;
    *out += FormatTimestamp(record.at) + "  " + policy.levels[record.from_level].name + " to " +
            policy.levels[record.to_level].name + " (" + Text(Name(record.kind)) + "): " + record.reason +
            (record.nobody_on_shift ? "; nobody was on shift" : "") +
            (record.to_assignee.empty() ? std::string() : "; to " + record.to_assignee) + "\n";
  }
  if (const std::string breached = Breached(c); !breached.empty()) *out += "Missed: " + breached + ".\n";
  if (!c.held_by.empty()) {
    *out += "Held back by " + c.held_by + " since " + FormatTimestamp(c.held_since) + ".\n";
  }
  if (!c.silenced_by.empty()) *out += "Under silence " + c.silenced_by + ".\n";
  if (IsPaused(c)) *out += "Paused: " + c.paused_status_reason + ".\n";
  for (const EngagedRole& role : c.roles) {
    *out += "Takes part: " + role.name + " (" + role.reason + "), " + (role.person.empty() ? "nobody" : role.person) +
            (role.handoff_person.empty() ? std::string() : "; being handed to " + role.handoff_person) + ".\n";
  }
}

// An untouched case of one severity, run through the engine itself.
class Untouched {
 public:
  Untouched(const Policy& policy, uint8_t severity, Timestamp start) : policy_(policy), start_(start) {
    case_.id = {0, 1};
    case_.policy = policy.name;
    case_.severity = severity;
    case_.team = policy.levels.front().team;
    case_.opened_at = start;
  }

  std::string Run() {
    CaseContext opening{policy_, case_, start_, events_};
    StartEpisode(opening);
    text_ = policy_.severities[case_.severity].name + "\n";
    Line(start_, "opened at " + policy_.levels[0].name);
    UpdateNextDue(policy_, &case_);
    // A pack whose source gives no times says so instead of looking complete.
    if (case_.next_due == kNone) text_ += "            nothing fires: " + ReasonForNoDeadline(policy_, case_) + "\n";
    for (int i = 0; i < kMaxFirings && case_.next_due != kNone && case_.next_due <= start_ + kHorizon; ++i) {
      const Timestamp now = case_.next_due;
      CaseContext ctx{policy_, case_, now, events_};
      FireDue(ctx);
      UpdateNextDue(policy_, &case_);
      for (const CaseEvent& event : events_) Show(event);
      events_.clear();
    }
    if (repeats_ > kShownRepeats) {
      text_ += "           … and so on every " + Span(policy_.repeat_interval);
      const bool top = case_.level + 1u >= policy_.levels.size();
      if (top) text_ += ", " + std::to_string(policy_.repeat_max) + " times; then ever more seldom, at last once a day";
      text_ += "\n";
    }
    return text_;
  }

 private:
  void Line(Timestamp at, const std::string& what) {
    std::string span = Span(at - start_);
    span.insert(0, span.size() < 10 ? 10 - span.size() : 0, ' ');
    text_ += span + "  " + what + "\n";
  }

  void Show(const CaseEvent& event) {
    std::string what = Text(Name(event.type)) + ": " + event.reason;
    if (event.type == CaseEventType::kEscalated) {
      repeats_ = 0;
      const EscalationRecord& record = case_.escalations.back();
      what = "goes to " + policy_.levels[event.level_to].name + ": " + event.reason + " (" +
             (record.to_assignee.empty() ? "nobody" : record.to_assignee) +
             (record.nobody_on_shift ? ", nobody on shift" : "") + ")";
    }
    if (event.type == CaseEventType::kRenotified && ++repeats_ > kShownRepeats) return;
    Line(event.at, what);
  }

  const Policy& policy_;
  const Timestamp start_;
  Case case_;
  std::vector<CaseEvent> events_;
  std::string text_;
  size_t repeats_ = 0;
};

// One line an activity: the parts in the order R, A, C, I.
std::string ExplainRaci(const Policy& policy) {
  if (policy.raci.empty()) return {};
  std::string out = "\nWho has which part (R responsible, A accountable, C consulted, I informed)\n";
  for (const RaciSpec& activity : policy.raci) {
    out += "  " + activity.activity + ":";
    const std::pair<const char*, const std::vector<std::string>*> parts[] = {{" R ", &activity.responsible},
                                                                             {"; A ", &activity.accountable},
                                                                             {"; C ", &activity.consulted},
                                                                             {"; I ", &activity.informed}};
    for (const auto& [letter, parties] : parts) {
      for (size_t i = 0; i < parties->size(); ++i) out += (i == 0 ? letter : ", ") + (*parties)[i];
    }
    out += "\n";
  }
  return out;
}

}  // namespace

std::vector<Deadline> Deadlines(const Policy& policy, const Case& c) {
  std::vector<Deadline> list;
  AddClocks(policy, c, &list);
  AddLadder(policy, c, &list);
  if (IsPaused(c)) {
    const Duration left = std::max(Duration{0}, policy.max_pause - c.pause_total);
    list.push_back({c.pause_started + left, "the longest pause is over: clocks run again"});
  }
  if (c.next_repeat != kNone) list.push_back({c.next_repeat, "sent again, unless acknowledged"});
  if (const Timestamp at = AckTimeoutAt(policy, c); at != kNone) {
    list.push_back({at, "counts as unacknowledged, unless somebody acts"});
  }
  for (const FollowUp& follow_up : c.follow_ups) {
    if (follow_up.done == kNone && !follow_up.overdue_fired)
      list.push_back({follow_up.due, "follow-up " + follow_up.name + " is overdue"});
  }
  for (const EngagedRole& role : c.roles) {
    if (role.next_change != kNone) list.push_back({role.next_change, "shift change of " + role.name});
    if (role.handoff_due != kNone) list.push_back({role.handoff_due, "hand-off of " + role.name + " not accepted"});
  }
  if (c.status == CaseStatus::kResolved && policy.confirm_timeout > Duration{0}) {
    list.push_back({c.resolved_at + policy.confirm_timeout, "closes, unless somebody answers"});
  }
  std::stable_sort(list.begin(), list.end(), [](const Deadline& a, const Deadline& b) { return a.at < b.at; });
  return list;
}

std::string ReasonForNoDeadline(const Policy& policy, const Case& c) {
  if (!Deadlines(policy, c).empty()) return {};
  if (c.status == CaseStatus::kClosed) return "it is closed, and nothing is owed";
  if (c.status == CaseStatus::kResolved) return "it waits for confirmation, for which the policy sets no time";
  const std::string& severity = policy.severities[c.severity].name;
  const bool top = c.level + 1u >= policy.levels.size();
  return "every clock of " + severity + " has ended, was missed or is not set, and " +
         (top ? "it stands at the last level" : "no time leads from " + policy.levels[c.level].name + " further up");
}

std::string ExplainCase(const Policy& policy, const Case& c, Timestamp now) {
  std::string out;
  ExplainStanding(policy, c, now, &out);
  ExplainWhy(policy, c, &out);
  const auto list = Deadlines(policy, c);
  if (list.empty()) {
    out += "Nothing fires next: " + ReasonForNoDeadline(policy, c) + ".\n";
    return out;
  }
  out += "What fires next:\n";
  for (const Deadline& deadline : list) {
    const bool past = deadline.at <= now;
    out += "  " + FormatTimestamp(deadline.at) + "  " + (past ? "due now" : "in " + Span(deadline.at - now)) + "  " +
           deadline.what + "\n";
  }
  return out;
}

std::string ExplainPolicy(const Policy& policy, Timestamp start) {
  std::string out =
      "Policy " + policy.name + ": a case that nobody touches, opened at " + FormatTimestamp(start) + "\n";
  for (size_t severity = 0; severity < policy.severities.size(); ++severity) {
    out += "\n" + Untouched(policy, static_cast<uint8_t>(severity), start).Run();
  }
  return out + ExplainRaci(policy);
}

}  // namespace triaged
