// The silence command over a whole partition: adding, taking back, and forgetting what expired long ago.
#include "pipeline/decide/commands.h"
#include "pipeline/decide/holds.h"

namespace triaged {
namespace {

constexpr Duration kKeepExpired = std::chrono::hours(24 * 7);  // to be listed as expired or unused

bool Permitted(const Engine& engine, const Command& command) {
  for (const auto& policy : engine.policies) {
    for (const RolePermissions& role : policy->roles) {
      if (role.role == command.role && (role.actions >> static_cast<unsigned>(command.action) & 1)) return true;
    }
  }
  return false;
}

void ForgetExpired(Timestamp now, CaseStore* store) {
  std::vector<std::string> expired;
  for (const auto& [id, rule] : store->silences().rules()) {
    if (rule.until + kKeepExpired <= now) expired.push_back(id);
  }
  for (const std::string& id : expired) store->EraseSilence(id);
}

// Every case that stands under the silence now, also one that is resolved or closed: it may come back. A case that does not
// come due keeps the name of a silence that is over, and the name may have been given anew. A full look through the
// partition, which is why only people may ask for it.
std::optional<RefusedCommand> GatherSilenced(std::string_view id, Timestamp now, CaseStore* store,
                                             SilencedCases* silenced) {
  struct Collect : CaseStore::Visitor {
    std::string_view id;
    Timestamp now{};
    std::vector<CaseId>* found = nullptr;
    bool Visit(const Case& c) override {
      if (c.silenced_by == id && IsSilenced(c, now)) found->push_back(c.id);
      return true;
    }
  } collect;
  collect.id = id;
  collect.now = now;
  collect.found = &silenced->cases;
  if (Status looked = store->ForEachCase(&collect); !looked) {
    return RefusedCommand{Refusal::kUnknownCase, looked.error().message};
  }
  return {};
}

}  // namespace

std::optional<RefusedCommand> ApplySilence(const Engine& engine, const Command& command, Timestamp now,
                                           CaseStore* store, SilencedCases* silenced) {
  if (command.action != CommandAction::kSilence) {
    return RefusedCommand{Refusal::kUnknownCase, "case 0 stands for a whole partition, which only `silence` is for"};
  }
  if (!Permitted(engine, command)) {
    return RefusedCommand{Refusal::kNotPermitted, "no policy lets role '" + command.role + "' silence"};
  }
  ForgetExpired(now, store);
  const SilenceRule* old = store->silences().Find(command.name);
  if (command.expire) {
    if (!old || old->until <= now) {
      return RefusedCommand{Refusal::kNothingToChange, "there is no silence '" + command.name + "' in force"};
    }
    SilenceRule ended = *old;
    ended.until = now;
    store->PutSilence(std::move(ended));
    return GatherSilenced(command.name, now, store, silenced);
  }
  if (*command.until <= now) return RefusedCommand{Refusal::kNothingToChange, "'until' has passed"};
  if (!old && store->silences().rules().size() >= kMaxSilences) {
    return RefusedCommand{Refusal::kTooMany, "there are " + std::to_string(kMaxSilences) + " silences already"};
  }
  SilenceRule rule;
  rule.id = command.name;
  rule.owner = command.actor;
  rule.reason = command.reason;
  rule.from = now;
  rule.until = *command.until;
  for (const auto& [name, value] : command.match) {
    const FieldId id = engine.alert_catalog->Find(name);
    if (id == kNoField || id >= engine.alert_catalog->normalised_size()) {
      return RefusedCommand{Refusal::kUnknownField, "there is no field '" + name + "'"};
    }
    rule.match.emplace_back(id, value);
  }
  if (rule.match.empty()) return RefusedCommand{Refusal::kUnknownField, "a silence over a partition needs `match`"};
  const bool in_force = old && old->until > now;
  silenced->freed = in_force && old->match != rule.match;
  store->PutSilence(std::move(rule));
  return in_force ? GatherSilenced(command.name, now, store, silenced) : std::nullopt;
}

}  // namespace triaged
