#include "pipeline/decide/beside.h"

#include <algorithm>

#include "pipeline/decide/case_view.h"
#include "pipeline/decide/clocks.h"

namespace triaged {
namespace {

constexpr Timestamp kNone{};

EngagedRole* FindRole(Case& c, std::string_view name) {
  const auto at = std::find_if(c.roles.begin(), c.roles.end(), [&](const EngagedRole& r) { return r.name == name; });
  return at == c.roles.end() ? nullptr : &*at;
}

CaseEvent& EmitRole(CaseContext& ctx, CaseEventType type, const EngagedRole& role, std::string_view detail) {
  AddToTimeline(ctx, Name(type), "", role.name + ": " + std::string(detail));
  ctx.standing_changed = ctx.facts_changed = true;
  CaseEvent& event = Emit(ctx, type, role.name);
  event.detail = Bounded(detail);
  return event;
}

bool All(const std::vector<NamedCondition>& conditions, const FieldTable& fields) {
  return !conditions.empty() && std::all_of(conditions.begin(), conditions.end(), [&](const NamedCondition& condition) {
    return condition.when->Matches(fields);
  });
}

void FireHandoff(CaseContext& ctx, EngagedRole& role) {
  const auto index = ctx.policy.RoleIndex(role.name);
  if (!index) {  // a reload took the role away
    role.next_change = role.handoff_due = kNone;
    return;
  }
  const RoleSpec& spec = ctx.policy.engaged_roles[*index];
  if (role.handoff_due != kNone && role.handoff_due <= ctx.now) {
    role.handoff_due = kNone;
    EmitRole(ctx, CaseEventType::kRoleHandoff, role,
             "not accepted by " + role.handoff_person + " in time; " + (role.person.empty() ? "nobody" : role.person) +
                 " keeps it");
  }
  if (role.next_change == kNone || role.next_change > ctx.now) return;
  role.next_change = ctx.policy.roster->NextChange(spec.team, ctx.now).value_or(kNone);
  const OnShift shift = ctx.policy.roster->At(spec.team, ctx.now);
  if (shift.person.empty() || shift.person == role.person || shift.person == role.handoff_person) return;
  role.handoff_person = shift.person;
  role.handoff_team = shift.team;
  role.handoff_due = ctx.now + spec.accept_within;
  EmitRole(
      ctx, CaseEventType::kRoleHandoff, role,
      (role.person.empty() ? "nobody" : role.person) + " to " + shift.person + " (" + shift.team + "), to be accepted");
}

Timestamp Earlier(Timestamp a, Timestamp b) {
  if (a == kNone) return b;
  if (b == kNone) return a;
  return std::min(a, b);
}

}  // namespace

void AddFollowUps(CaseContext& ctx, FollowUpOn on) {
  Case& c = ctx.c;
  std::optional<CaseView> view;
  for (const FollowUpSpec& spec : ctx.policy.follow_ups) {
    if (spec.on != on) continue;
    const bool there = std::any_of(c.follow_ups.begin(), c.follow_ups.end(), [&](const FollowUp& f) {
      return f.name == spec.name && (f.done == kNone || f.added >= c.episode_at);
    });
    if (there) continue;
    if (spec.when && !view) view.emplace(ctx.policy, c);
    if (spec.when && !spec.when->Matches(view->fields())) continue;
    const auto due = DueAfter(spec.due, spec.calendar.get(), c.severity, ctx.now);
    if (!due) continue;
    if (c.follow_ups.size() >= kMaxFollowUps) {
      const auto done =
          std::find_if(c.follow_ups.begin(), c.follow_ups.end(), [](const auto& f) { return f.done != kNone; });
      if (done == c.follow_ups.end()) return;
      c.follow_ups.erase(done);
    }
    FollowUp follow_up;
    follow_up.name = spec.name;
    follow_up.text = Bounded(spec.text);
    follow_up.added = ctx.now;
    follow_up.due = *due;
    c.follow_ups.push_back(std::move(follow_up));
    AddToTimeline(ctx, "follow_up.added", "", spec.name + " due " + FormatTimestamp(*due));
    Emit(ctx, CaseEventType::kFollowUpAdded, spec.name).detail = Bounded(spec.text);
    ctx.standing_changed = true;
  }
}

bool FinishFollowUp(CaseContext& ctx, std::string_view name, const std::string& actor, const std::string& command_id) {
  bool found = false;
  if (const auto kind = ParseClockKind(name); kind && IsRegulatory(*kind)) {
    found = ClockOf(ctx.c, *kind).state == ClockState::kRunning;
    EndClock(ctx, *kind);
  }
  for (FollowUp& follow_up : ctx.c.follow_ups) {
    if (follow_up.name != name || follow_up.done != kNone) continue;
    follow_up.done = ctx.now;
    follow_up.done_by = actor;
    found = true;
  }
  if (!found) return false;
  AddToTimeline(ctx, "follow_up.done", actor, name);
  StandingChanged(ctx);
  CaseEvent& event = Emit(ctx, CaseEventType::kFollowUpDone, std::string(name));
  event.actor = actor;
  event.command_id = command_id;
  return true;
}

bool Engage(CaseContext& ctx, uint8_t role_index, std::string_view reason, const std::string& actor,
            const std::string& command_id) {
  Case& c = ctx.c;
  const RoleSpec& spec = ctx.policy.engaged_roles[role_index];
  if (FindRole(c, spec.name) || c.roles.size() >= kMaxEngagedRoles) return false;
  const OnShift shift = ctx.policy.roster->At(spec.team, ctx.now);
  EngagedRole role;
  role.name = spec.name;
  role.reason = Bounded(reason);
  role.person = shift.person;
  role.team = shift.team;
  role.since = ctx.now;
  if (spec.accept_within > Duration{0})
    role.next_change = ctx.policy.roster->NextChange(spec.team, ctx.now).value_or(kNone);
  c.roles.push_back(role);
  CaseEvent& event = EmitRole(ctx, CaseEventType::kRoleEngaged, role,
                              role.reason + ", " + (role.person.empty() ? "nobody on shift" : role.person));
  event.actor = actor;
  event.command_id = command_id;
  ++c.version;
  return true;
}

bool Disengage(CaseContext& ctx, std::string_view name, std::string_view reason, const std::string& actor,
               const std::string& command_id) {
  Case& c = ctx.c;
  EngagedRole* found = FindRole(c, name);
  if (!found) return false;
  const EngagedRole role = *found;
  c.roles.erase(c.roles.begin() + (found - c.roles.data()));
  if (c.roles_left.size() < kMaxEngagedRoles) c.roles_left.push_back(role.name);
  CaseEvent& event = EmitRole(ctx, CaseEventType::kRoleDisengaged, role, reason);
  event.actor = actor;
  event.command_id = command_id;
  ++c.version;
  return true;
}

void ReleaseRoles(CaseContext& ctx, std::string_view reason) {
  while (!ctx.c.roles.empty()) {
    const std::string name = ctx.c.roles.front().name;
    Disengage(ctx, name, reason, "", "");
  }
}

bool AcceptHandoff(CaseContext& ctx, std::string_view name, const std::string& actor, const std::string& command_id) {
  EngagedRole* role = FindRole(ctx.c, name);
  if (!role || role->handoff_person.empty()) return false;
  // Whoever accepts has it, also when a colleague does it for the one on shift.
  role->person = ctx.policy.roster->FindPerson(actor) ? actor : role->handoff_person;
  role->team = role->handoff_team;
  role->handoff_person.clear();
  role->handoff_team.clear();
  role->handoff_due = kNone;
  CaseEvent& event = EmitRole(ctx, CaseEventType::kRoleAccepted, *role, role->person + " (" + role->team + ")");
  event.actor = actor;
  event.command_id = command_id;
  ++ctx.c.version;
  return true;
}

void AskRoles(CaseContext& ctx) {
  Case& c = ctx.c;
  if (ctx.policy.engaged_roles.empty() || c.status == CaseStatus::kClosed) return;
  const CaseView view(ctx.policy, c);
  for (size_t i = 0; i < ctx.policy.engaged_roles.size(); ++i) {
    const RoleSpec& spec = ctx.policy.engaged_roles[i];
    if (const EngagedRole* role = FindRole(c, spec.name)) {
      if (role->since < ctx.now && All(spec.exit, view.fields())) Disengage(ctx, spec.name, "exit_criteria", "", "");
      continue;
    }
    if (!IsActive(c) || std::find(c.roles_left.begin(), c.roles_left.end(), spec.name) != c.roles_left.end()) continue;
    for (const NamedCondition& trigger : spec.triggers) {
      if (!trigger.when->Matches(view.fields())) continue;
      Engage(ctx, static_cast<uint8_t>(i), trigger.name, "", "");
      break;
    }
  }
}

void FireBeside(CaseContext& ctx) {
  for (FollowUp& follow_up : ctx.c.follow_ups) {
    if (follow_up.done != kNone || follow_up.overdue_fired || follow_up.due > ctx.now) continue;
    follow_up.overdue_fired = true;
    AddToTimeline(ctx, "follow_up.overdue", "", follow_up.name);
    Emit(ctx, CaseEventType::kFollowUpOverdue, follow_up.name).detail = follow_up.text;
    ctx.standing_changed = true;
  }
  for (EngagedRole& role : ctx.c.roles) FireHandoff(ctx, role);
}

Timestamp NextBeside(const Case& c) {
  Timestamp next = kNone;
  for (const FollowUp& follow_up : c.follow_ups) {
    if (follow_up.done == kNone && !follow_up.overdue_fired) next = Earlier(next, follow_up.due);
  }
  for (const EngagedRole& role : c.roles) next = Earlier(Earlier(next, role.next_change), role.handoff_due);
  return next;
}

}  // namespace triaged
