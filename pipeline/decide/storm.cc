#include "pipeline/decide/storm.h"

#include <algorithm>

#include "pipeline/decide/absorb.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/decide/surroundings.h"

namespace triaged {
namespace {

// No grouping rule's name has a '!', so no alert is ever grouped under such a key.
constexpr std::string_view kStormKey = "/!storm/";

// What an escalation is counted under: the rule behind it, else the one that judged the case, else the detection that made
// the case's first alert.
std::string StormRule(const Case& c, std::string_view behind) {
  std::string rule = behind.empty() ? LeadingRule(c) : std::string(behind);
  if (!rule.empty()) return rule;
  for (const Observed& seen : c.observed) {
    if (seen.field == field::kRuleName) return seen.value;
  }
  return {};
}

bool Watched(const CaseContext& ctx) {
  return ctx.around && ctx.policy.storm.escalations > 0 &&
         ctx.c.key.find(kStormKey) == std::string::npos;
}

std::string StormKey(const Policy& policy, const std::string& rule) {
  return policy.name + std::string(kStormKey) + rule;
}

std::string WatchId(const CaseContext& ctx, const std::string& rule) {
  return std::string(kStormWatch) + ctx.policy.name + "/" + rule;
}

void MakeRoom(CaseStore* store) {
  if (store->watches().watches().size() < kMaxWatches) return;
  const Watch* quietest = nullptr;
  for (const auto& [id, watch] : store->watches().watches()) {
    if (id.starts_with(kStormWatch) && (!quietest || watch.due < quietest->due)) quietest = &watch;
  }
  if (quietest) store->EraseWatch(quietest->id);
}

// Notes one more escalation of the rule; as many as are allowed are enough to know.
void Note(CaseContext& ctx, const std::string& rule) {
  CaseStore* store = ctx.around->store;
  const StormSpec& spec = ctx.policy.storm;
  const std::string id = WatchId(ctx, rule);
  const Watch* known = store->watches().Find(id);
  if (!known) MakeRoom(store);
  Watch watch = known ? *known : Watch{id, {}, {}, {}, {}};
  std::erase_if(watch.times, [&](Timestamp at) { return at + spec.window <= ctx.now; });
  if (watch.times.size() >= spec.escalations) {
    watch.times.erase(watch.times.begin(), watch.times.end() - (spec.escalations - 1));
  }
  watch.times.push_back(ctx.now);
  watch.due = ctx.now + spec.window;
  store->PutWatch(std::move(watch));
}

// The window holds as many as are allowed: the next one is too many.
bool IsFull(const CaseContext& ctx, const std::string& rule) {
  const Watch* watch = ctx.around->store->watches().Find(WatchId(ctx, rule));
  if (!watch) return false;
  const auto within = std::count_if(watch->times.begin(), watch->times.end(),
                                    [&](Timestamp at) { return at + ctx.policy.storm.window > ctx.now; });
  return static_cast<uint32_t>(within) >= ctx.policy.storm.escalations;
}

Case* OpenStorm(CaseContext& ctx, const std::string& key, const std::string& rule, const Case* previous) {
  Case fresh;
  fresh.id = {ctx.c.id.partition, (*ctx.around->next_case)++};
  fresh.key = key;
  fresh.policy = ctx.policy.name;
  fresh.severity = ctx.c.severity;
  fresh.team = ctx.policy.levels.front().team;
  fresh.opened_at = ctx.now;
  fresh.first_seen = ctx.c.first_seen;
  fresh.drill = ctx.c.drill;
  if (previous) fresh.previous_case = ToString(previous->id);
  RuleVote vote;
  vote.rule_id = rule;
  const auto judged = std::find_if(ctx.c.votes.begin(), ctx.c.votes.end(),
                                   [&](const RuleVote& one) { return one.rule_id == rule; });
  vote.title = "Storm of " + (judged == ctx.c.votes.end() ? rule : judged->title);
  vote.reason = "more than " + std::to_string(ctx.policy.storm.escalations) + " escalations within " +
                FormatDuration(ctx.policy.storm.window);
  fresh.votes.push_back(std::move(vote));
  return ctx.around->store->Insert(std::move(fresh));
}

// Lists ctx.c in the storm case and moves that to where ctx.c was going.
void Fold(CaseContext& ctx, Case* storm, bool opened, uint8_t to_level, std::string_view what) {
  ChangedCase changed{storm, {}};
  CaseContext other{ctx.policy, *storm, ctx.now, changed.events};
  if (opened) {
    StartEpisode(other);
    AddToTimeline(other, "opened", "", storm->votes.front().reason);
    Emit(other, CaseEventType::kOpened, "storm").detail = storm->votes.front().reason;
  }
  AddSeen(ctx.c, storm);
  storm->last_seen = std::max(storm->last_seen, ctx.c.last_seen);
  storm->updated_at = ctx.now;
  const uint64_t folded = ++storm->votes.front().hits;
  AddToTimeline(other, "folded", "", ToString(ctx.c.id) + ": " + std::string(what));
  RaiseSeverity(other, ctx.c.severity, "storm");
  // Said at the first, and whenever there are twice as many: a storm that grows is news, each of its cases is not.
  if ((folded & (folded - 1)) == 0) {
    Emit(other, CaseEventType::kStorm, storm->votes.front().rule_id).detail =
        std::to_string(folded) + " escalations folded, the latest of case " + ToString(ctx.c.id);
  }
  if (to_level > storm->level && IsActive(*storm)) {
    Escalation escalation;
    escalation.to_level = to_level;
    escalation.kind = EscalationKind::kCriterion;
    escalation.reason = reason::kStorm;
    escalation.rule_id = storm->votes.front().rule_id;
    Escalate(other, escalation);
  }
  StandingChanged(other);
  ctx.around->others.push_back(std::move(changed));
}

// Whether what is going on now concerns a folded case beyond its storm. Another rule is behind it only when an alert says
// so, by its tags or by what leads the case since: at any other time the rule that gave a tag is no longer told, and the
// one that leads is another one all along, or by a person's word. What got worse now does, but not a storm that a person
// lowered.
bool IsNews(const CaseContext& ctx, const Case& storm, const std::string& key, std::string_view behind) {
  const bool worse = ctx.c.severity < ctx.severity_before && ctx.c.severity < storm.severity;
  if (worse || !ctx.led_before) return worse;
  return storm.key != key && (!behind.empty() || LeadingRule(ctx.c) != *ctx.led_before);
}

}  // namespace

std::optional<Hold> FoldIntoStorm(CaseContext& ctx, uint8_t to_level, std::string_view what, std::string_view behind) {
  // A hard limit ends every hold for the rest of the episode.
  const bool past_limit = ctx.c.hard_limit_due != Timestamp{} && ctx.c.hard_limit_due <= ctx.now;
  if (past_limit || !Watched(ctx)) return std::nullopt;
  const Timestamp until = ctx.now + ctx.policy.storm.window;
  const std::string rule = StormRule(ctx.c, behind);
  const std::string key = StormKey(ctx.policy, rule);
  if (ctx.c.held_by.starts_with(kStormHold)) {
    // Folded already, and counted: it waits as long as somebody has the storm in hand, unless this input is news.
    const auto id = ParseCaseId(std::string_view(ctx.c.held_by).substr(kStormHold.size()));
    auto found = id ? ctx.around->Find(*id) : Result<Case*>(nullptr);
    const Case* storm = found ? *found : nullptr;
    if (storm && IsActive(*storm) && !IsNews(ctx, *storm, key, behind)) return Hold{ctx.c.held_by, until};
  }
  if (rule.empty() || !IsFull(ctx, rule)) return std::nullopt;
  auto found = ctx.around->FindByKey(key);
  if (!found) return std::nullopt;  // in doubt, escalate
  Note(ctx, rule);
  const bool open = *found && IsActive(**found);
  Case* storm = open ? *found : OpenStorm(ctx, key, rule, *found);
  Fold(ctx, storm, !open, to_level, what);
  return Hold{std::string(kStormHold) + ToString(storm->id), until};
}

void CountForStorm(CaseContext& ctx, std::string_view behind) {
  if (!Watched(ctx)) return;
  if (const std::string rule = StormRule(ctx.c, behind); !rule.empty()) Note(ctx, rule);
}

}  // namespace triaged
