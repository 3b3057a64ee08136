#include "pipeline/decide/alarm.h"

#include <algorithm>

#include "pipeline/decide/case_view.h"

namespace triaged {
namespace {

// Whether something that the policy asks of a case holds of `told` and not of `untold`.
bool IsHeard(const Policy& policy, const Case& told, const Case& untold) {
  const CaseView with(policy, told);
  const CaseView without(policy, untold);
  const auto hears = [&](const auto& asked) {
    return asked.when->Matches(with.fields()) && !asked.when->Matches(without.fields());
  };
  return std::any_of(policy.criteria.begin(), policy.criteria.end(), hears) ||
         std::any_of(policy.raises.begin(), policy.raises.end(), hears) ||
         std::any_of(policy.engaged_roles.begin(), policy.engaged_roles.end(), [&](const RoleSpec& role) {
           return std::any_of(role.triggers.begin(), role.triggers.end(), hears);
         });
}

}  // namespace

bool RaisesAlarm(const Policy& policy, const IncomingAlert& incoming) {
  Case untold;
  untold.severity = policy.SeverityFor(incoming.alert);
  Case told = untold;
  for (uint32_t index : incoming.matched) {
    const Triage& triage = incoming.rules[index].triage;
    if (triage.verdict == Verdict::kFalsePositive) continue;
    if (triage.verdict == Verdict::kTruePositive) return true;
    const auto severity = triage.severity ? policy.SeverityIndex(*triage.severity) : std::nullopt;
    if (severity && *severity < untold.severity) return true;
    told.tags.insert(told.tags.end(), triage.tags.begin(), triage.tags.end());
    if (told.classification.empty()) told.classification = triage.classification;
  }
  return (!told.tags.empty() || !told.classification.empty()) && IsHeard(policy, told, untold);
}

const Rule* ClosingRule(const Policy& policy, const IncomingAlert& incoming, Timestamp now) {
  const AlertVerdict verdict = VerdictOf(incoming);
  if (verdict.verdict != Verdict::kFalsePositive || verdict.rule->triage.close_owner.empty()) return nullptr;
  const auto& expires = verdict.rule->triage.close_expires;
  const bool may = expires && *expires > now && !incoming.rules_incomplete && !RaisesAlarm(policy, incoming);
  return may ? verdict.rule : nullptr;
}

}  // namespace triaged
