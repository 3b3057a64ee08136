#include "pipeline/decide/holds.h"

#include "pipeline/decide/case_view.h"

namespace triaged {
namespace {

// When the guard is asked again if it holds now; nullopt: it does not hold.
std::optional<Timestamp> HoldsUntil(const Guard& guard, CaseContext& ctx, std::optional<CaseView>* view) {
  const Case& c = ctx.c;
  if (!(guard.at_levels >> c.level & 1)) return std::nullopt;
  Timestamp until = ctx.now + guard.recheck;
  if (guard.acted_within > Duration{0}) {
    until = c.last_action_at + guard.acted_within;
    if (c.last_action_at == Timestamp{} || until <= ctx.now) return std::nullopt;
  }
  if (guard.when) {
    if (!*view) view->emplace(ctx.policy, c);
    if (!guard.when->Matches((*view)->fields())) return std::nullopt;
  }
  return until;
}

}  // namespace

std::optional<Hold> HoldOf(CaseContext& ctx, bool guards_too) {
  const Case& c = ctx.c;
  if (IsSilenced(c, ctx.now)) return Hold{"silence:" + c.silenced_by, c.silenced_until};
  const bool past_limit = c.hard_limit_due != Timestamp{} && c.hard_limit_due <= ctx.now;
  if (!guards_too || past_limit) return std::nullopt;
  std::optional<CaseView> view;
  for (const Guard& guard : ctx.policy.guards) {
    if (const auto until = HoldsUntil(guard, ctx, &view)) return Hold{guard.name, *until};
  }
  return std::nullopt;
}

void HoldBack(CaseContext& ctx, const Hold& hold, std::string_view what) {
  Case& c = ctx.c;
  c.held_until = hold.until;
  if (c.held_by == hold.by) return;
  c.held_by = hold.by;
  c.held_since = ctx.now;
  AddToTimeline(ctx, "escalation_held", "", std::string(what) + " held back by " + hold.by);
  CaseEvent& event = Emit(ctx, CaseEventType::kHeld, hold.by);
  event.detail = Bounded(what);
}

void ClearHold(CaseContext& ctx) {
  ctx.c.held_by.clear();
  ctx.c.held_since = ctx.c.held_until = Timestamp{};
}

uint8_t EntityKinds(const Case& c) {
  return static_cast<uint8_t>((c.hosts.Count() > 0 ? 1 : 0) | (c.users.Count() > 0 ? 2 : 0) |
                              (c.source_addresses.Count() > 0 ? 4 : 0));
}

namespace {

// What waits for the end of the silence waits for `end`, also what an undo would give back.
void MoveEnd(Case& c, Timestamp end) {
  if (c.held_by.starts_with("silence:")) c.held_until = end;
  for (Timestamp* repeat : {&c.next_repeat, &c.undo.next_repeat}) {
    if (*repeat != Timestamp{} && *repeat == c.silenced_until) *repeat = end;
  }
}

}  // namespace

void Silence(CaseContext& ctx, std::string_view id, Timestamp until, std::string_view reason) {
  Case& c = ctx.c;
  if (c.silenced_by == id && c.silenced_until == until) return;
  MoveEnd(c, until);
  c.silenced_by = std::string(id);
  c.silenced_until = until;
  c.silenced_severity = c.severity;
  c.silenced_entities = EntityKinds(c);
  AddToTimeline(ctx, "suppressed", "",
                "by " + c.silenced_by + " until " + FormatTimestamp(until) + ": " + std::string(reason));
  // Of what nobody works on, nothing is withheld: it stands under the silence only for the day that it comes back.
  if (IsActive(c)) Emit(ctx, CaseEventType::kSuppressed, c.silenced_by).detail = Bounded(reason);
}

void BreakSilence(CaseContext& ctx, std::string_view why) {
  Case& c = ctx.c;
  if (c.silenced_by.empty()) return;
  AddToTimeline(ctx, "suppression_broken", "", c.silenced_by + ": " + std::string(why));
  MoveEnd(c, ctx.now);  // what was held is examined at once
  c.silenced_by.clear();
  c.silenced_until = Timestamp{};
}

void BreakSilenceByNews(CaseContext& ctx) {
  Case& c = ctx.c;
  if (c.silenced_by.empty()) return;
  if (c.severity < c.silenced_severity) return BreakSilence(ctx, "higher severity");
  if (EntityKinds(c) & ~c.silenced_entities) return BreakSilence(ctx, "a new kind of entity");
  if (c.verdict == Verdict::kTruePositive) return BreakSilence(ctx, "true-positive verdict");
}

}  // namespace triaged
