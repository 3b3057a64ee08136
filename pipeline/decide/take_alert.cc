#include "pipeline/decide/take_alert.h"

#include <algorithm>

#include "pipeline/base/hash.h"
#include "pipeline/decide/alarm.h"
#include "pipeline/decide/beside.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/decide/holds.h"

namespace triaged {
namespace {

class Taking {
 public:
  Taking(const IncomingAlert& incoming, const Group& group, const SentOn& sent_on, Timestamp now, Surroundings* around,
         std::vector<CaseEvent>* events)
      : incoming_(incoming), group_(group), sent_on_(sent_on), now_(now), partition_(around->store->partition()),
        around_(around), store_(around->store), events_(events) {}

  Result<AlertDecision> Take();

 private:
  Result<std::optional<AlertDecision>> TakeSeen(const SeenEntry& seen);
  Result<AlertDecision> TakeClosable(const Rule& rule);
  Result<AlertDecision> TakeGrouped();
  bool Holds(const Case* c, CaseId from) const;
  AlertDecision Forward(const Case* c, CaseId to) const;
  AlertDecision Open(const std::string& key, const Case* previous, std::string reason);
  AlertDecision Into(Case* c, AlertOutcome outcome, bool counted);
  void CarryOn(const Case& previous, Case* fresh) const;
  bool ChoosesAlerts(std::string_view id) const;
  void ApplySilences(CaseContext& ctx) const;
  void Remember(const AlertDecision& decision);
  bool InReviewSample() const;

  const IncomingAlert& incoming_;
  const Group& group_;
  const SentOn& sent_on_;
  const Timestamp now_;
  const int32_t partition_;
  Surroundings* around_;
  CaseStore* store_;
  std::vector<CaseEvent>* events_;
  uint64_t id_hash_ = 0;
};

uint64_t IdHash(const Alert& alert) { return StableHash64(alert.id, StableHash64(alert.source)); }

uint16_t StateHash(const Alert& alert) {
  const std::string_view state = alert.fields.First(field::kTriagedState);
  return state.empty() ? 0 : static_cast<uint16_t>(StableHash64(state) | 1);
}

Result<AlertDecision> Taking::Take() {
  const Alert& alert = incoming_.alert;
  id_hash_ = IdHash(alert);
  const SeenEntry* seen = store_->FindSeen(id_hash_);
  // What this partition sent on may come back: the merge it followed was refused.
  const bool comes_back = seen && seen->case_sequence == kSentOnSequence && sent_on_.hops > 0;
  if (seen && !comes_back && now_ - seen->at < group_.policy->dedup_window) {
    auto decided = TakeSeen(*seen);
    if (!decided) return decided.error();
    if (*decided) return **decided;
  }
  const Rule* closing = ClosingRule(*group_.policy, incoming_, now_);
  auto decision = closing && !InReviewSample() ? TakeClosable(*closing) : TakeGrouped();
  if (decision) Remember(*decision);  // also what is sent on: it must not count twice in a correlation here
  return decision;
}

// Seen within the window: a duplicate, unless it brings worse news or a new state about a case that is still open.
Result<std::optional<AlertDecision>> Taking::TakeSeen(const SeenEntry& seen) {
  const uint16_t state = StateHash(incoming_.alert);
  const bool news = incoming_.alert.score > seen.score || (state != 0 && state != seen.state_hash);
  if (!news) return std::optional<AlertDecision>(AlertDecision{AlertOutcome::kDuplicate, nullptr, false, {}});
  Case* c = nullptr;
  if (seen.case_sequence != 0 && seen.case_sequence != kSentOnSequence) {
    auto found = around_->Find({partition_, seen.case_sequence});
    if (!found) return found.error();
    c = *found;
  }
  // News about something closed, or of an alert that a reload gave to another policy: decided afresh.
  const bool takes_it = c && IsActive(*c) && &around_->engine->PolicyOf(*c) == group_.policy;
  if (!takes_it) return std::optional<AlertDecision>();
  AlertDecision decision = Into(c, AlertOutcome::kUpdated, /*counted=*/false);
  Remember(decision);
  return std::optional<AlertDecision>(decision);
}

// Closed alerts of one rule and group are documented together in a closed case of their own: nothing is armed, and no
// open case is ever touched.
Result<AlertDecision> Taking::TakeClosable(const Rule& rule) {
  const std::string key = group_.policy->name + "/auto-closed/" + rule.id + group_.key.substr(group_.policy->name.size());
  auto found = around_->FindByKey(key);
  if (!found) return found.error();
  const Timestamp time = WindowTime(incoming_.alert, now_);
  Case* c = *found;
  if (c && time - c->first_seen <= group_.rule->max && c->last_seen - time <= group_.rule->max) {
    return Into(c, AlertOutcome::kAutoClosed, /*counted=*/true);
  }
  Case fresh;
  fresh.id = {partition_, (*around_->next_case)++};
  fresh.key = key;
  fresh.policy = group_.policy->name;
  fresh.severity = group_.policy->SeverityFor(incoming_.alert);
  fresh.status = CaseStatus::kClosed;
  fresh.opened_at = fresh.episode_at = fresh.level_at = fresh.resolved_at = fresh.closed_at = now_;
  fresh.episode = 1;
  fresh.resolution = "auto_closed";
  fresh.close_rule = rule.id;
  fresh.verdict = Verdict::kFalsePositive;
  fresh.verdict_by = "rules";
  fresh.verdict_reason = rule.triage.reason.empty() ? rule.title : rule.triage.reason;
  fresh.team = group_.policy->levels.front().team;
  if (c) fresh.previous_case = ToString(c->id);
  AlertDecision decision = Into(store_->Insert(std::move(fresh)), AlertOutcome::kAutoClosed, /*counted=*/true);
  CaseContext ctx{*group_.policy, *decision.changed, now_, *events_, around_};
  AddToTimeline(ctx, "closed", "", "by rule " + rule.title + ", owner " + rule.triage.close_owner);
  CaseEvent& event = Emit(ctx, CaseEventType::kClosed, "auto_closed");
  event.detail = decision.changed->verdict_reason;
  decision.standing_changed = true;
  return decision;
}

// Whether `c` holds the content of `from`.
bool Taking::Holds(const Case* c, CaseId from) const {
  return c && std::find(c->merged_from.begin(), c->merged_from.end(), ToString(from)) != c->merged_from.end();
}

AlertDecision Taking::Forward(const Case* c, CaseId to) const {
  AlertDecision decision;
  decision.outcome = AlertOutcome::kForwarded;
  decision.forward_to = to;
  Message message;
  message.kind = MessageKind::kAlert;
  message.partition = to.partition;
  message.from = c ? c->id : sent_on_.into;
  message.to = to;
  message.text = group_.key;
  message.number = sent_on_.hops + 1;
  message.payload = std::string(incoming_.raw);
  around_->messages.push_back(std::move(message));
  return decision;
}

Result<AlertDecision> Taking::TakeGrouped() {
  auto found = around_->FindByKey(group_.key);
  if (!found) return found.error();
  Case* c = *found;
  if (!c && sent_on_.hops > 0) {
    auto named = around_->Find(sent_on_.into);
    if (!named) return named.error();
    c = *named;
    // That merge was refused here, and its answer is on the way to whom the alert goes back.
    if (!Holds(c, sent_on_.from) && sent_on_.hops < kMaxHops) return Forward(c, sent_on_.from);
  }
  // The key of a case that was merged away leads to where its content went. The chain ends: each merge went into a case
  // that was open, and the bound is for a damaged one.
  for (size_t i = 0; c && !c->merged_into.empty() && i < kMaxMergedCases; ++i) {
    const CaseId into = *ParseCaseId(c->merged_into);
    if (into.partition != partition_ && sent_on_.hops < kMaxHops) return Forward(c, into);
    if (into.partition != partition_) break;
    auto next = around_->Find(into);
    if (!next) return next.error();
    if (!*next) break;
    c = *next;
  }
  // A case of another policy than owns the alert since a reload is not decided on under this one's lists.
  if (c && &around_->engine->PolicyOf(*c) != group_.policy) c = nullptr;
  if (!c) return Open(group_.key, nullptr, group_.rule->name);
  switch (FitWindow(*group_.rule, *c, WindowTime(incoming_.alert, now_), now_)) {
    case WindowFit::kMerge: return Into(c, AlertOutcome::kMerged, /*counted=*/true);
    case WindowFit::kReopen: {
      CaseContext ctx{*group_.policy, *c, now_, *events_, around_};
      Reopen(ctx, "new_alert", "", "");
      AlertDecision decision = Into(c, AlertOutcome::kReopened, /*counted=*/true);
      decision.standing_changed = true;
      return decision;
    }
    case WindowFit::kNew: return Open(group_.key, c, "window_over");
    case WindowFit::kOverflow: return Open(group_.key, c, "overflow");
  }
  return AlertDecision{};
}

AlertDecision Taking::Open(const std::string& key, const Case* previous, std::string reason) {
  Case fresh;
  fresh.id = {partition_, (*around_->next_case)++};
  fresh.key = key;
  fresh.policy = group_.policy->name;
  fresh.severity = group_.policy->SeverityFor(incoming_.alert);
  fresh.team = group_.policy->levels.front().team;
  fresh.opened_at = now_;
  if (previous) CarryOn(*previous, &fresh);
  Case* c = store_->Insert(std::move(fresh));
  CaseContext ctx{*group_.policy, *c, now_, *events_, around_};
  StartEpisode(ctx);
  AddToTimeline(ctx, "opened", "", "by " + std::string(incoming_.alert.fields.First(field::kRuleName)));
  Emit(ctx, CaseEventType::kOpened, std::move(reason));
  AlertDecision decision = Into(c, AlertOutcome::kOpened, /*counted=*/true);
  AddFollowUps(ctx, FollowUpOn::kOpened);
  decision.standing_changed = true;
  return decision;
}

// What a case has from the one before it under its key.
void Taking::CarryOn(const Case& previous, Case* fresh) const {
  const Policy& policy = *group_.policy;
  fresh->previous_case = ToString(previous.id);
  if (policy.recurrence_window > Duration{0} && now_ - previous.opened_at <= policy.recurrence_window) {
    fresh->recurrence = previous.recurrence + 1;
  }
  if (policy.risk.window > Duration{0}) {
    fresh->risk = previous.risk;
    ForgetRisk(policy.risk, now_, &fresh->risk);
  }
}

// Whether `id` names what chooses alerts; a silence over one case covers all that joins it.
bool Taking::ChoosesAlerts(std::string_view id) const {
  const auto& windows = group_.policy->maintenance;
  return store_->silences().Find(id) != nullptr ||
         std::any_of(windows.begin(), windows.end(), [&](const MaintenanceSpec& window) { return window.name == id; });
}

// Silences and maintenance windows: what they cover is recorded and held back.
void Taking::ApplySilences(CaseContext& ctx) const {
  // A case that was there before, or that broke through, is no part of it.
  const bool fresh = ctx.c.alert_count == 1;
  if (const SilenceRule* rule = store_->silences().Match(incoming_.alert.fields, now_)) {
    SilenceRule hit = *rule;
    ++hit.hits;
    hit.last_hit = now_;
    ++ctx.c.suppressed_count;
    if (fresh) Silence(ctx, hit.id, hit.until, hit.reason + ", owner " + hit.owner);
    store_->PutSilence(std::move(hit));
    return;
  }
  for (const MaintenanceSpec& window : group_.policy->maintenance) {
    if (now_ < window.from || now_ >= window.to || !window.when->Matches(incoming_.alert.fields)) continue;
    ++ctx.c.suppressed_count;
    if (fresh) Silence(ctx, window.name, window.to, window.reason + ", owner " + window.owner);
    return;
  }
  const std::string& by = ctx.c.silenced_by;
  if (!by.empty() && ChoosesAlerts(by) && RaisesAlarm(ctx.policy, incoming_)) {
    BreakSilence(ctx, "an alert that it does not match");
  }
}

AlertDecision Taking::Into(Case* c, AlertOutcome outcome, bool counted) {
  CaseContext ctx{*group_.policy, *c, now_, *events_, around_};
  ctx.led_before = LeadingRule(*c);
  MergeAlert(ctx, incoming_, store_, counted);
  if (c->status != CaseStatus::kClosed) ApplySilences(ctx);
  // In a new episode everything is asked afresh, also what was true before.
  if (outcome == AlertOutcome::kReopened) ctx.facts_changed = true;
  if (ctx.facts_changed || std::binary_search(group_.policy->criteria_fields.begin(),
                                              group_.policy->criteria_fields.end(), field::kCaseAlertCount)) {
    AskCase(ctx);
  }
  return {outcome, c, ctx.standing_changed, {}};
}

void Taking::Remember(const AlertDecision& decision) {
  const uint64_t sequence = decision.forward_to ? kSentOnSequence : decision.changed ? decision.changed->id.sequence : 0;
  store_->Remember({id_hash_, now_, sequence, incoming_.alert.score, StateHash(incoming_.alert)});
}

bool Taking::InReviewSample() const {
  return static_cast<int>(id_hash_ % 100) < group_.policy->auto_close_review_percent;
}

}  // namespace

bool WasSeen(const Alert& alert, const Policy& policy, Timestamp now, CaseStore* store) {
  const SeenEntry* seen = store->FindSeen(IdHash(alert));
  return seen && now - seen->at < policy.dedup_window;
}

Result<AlertDecision> TakeAlert(const IncomingAlert& incoming, const Group& group, const SentOn& sent_on, Timestamp now,
                                Surroundings* around, std::vector<CaseEvent>* events) {
  return Taking(incoming, group, sent_on, now, around, events).Take();
}

}  // namespace triaged
