#include "pipeline/decide/case_view.h"

#include <algorithm>

#include "pipeline/report/report.h"

namespace triaged {

uint64_t RiskOf(const Case& c) {
  uint64_t total = 0;
  for (const RiskBucket& bucket : c.risk) total += bucket.score;
  return total;
}

CaseView::CaseView(const Policy& policy, const Case& c) {
  fields_.Reset(field::kCaseFieldCount);
  for (FieldId id : policy.criteria_fields) Fill(id, policy, c);
}

void CaseView::AddText(FieldId id, std::string_view text) {
  if (!text.empty()) fields_.Add(id, Value(text));
}

void CaseView::AddNumber(FieldId id, uint64_t number) {
  Value value(texts_.emplace_back(std::to_string(number)));
  value.kind = ValueKind::kUnsigned;
  value.unsigned_integer = number;
  fields_.Add(id, value);
}

void CaseView::AddBool(FieldId id, bool flag) {
  Value value(flag ? "true" : "false");
  value.kind = ValueKind::kBool;
  value.boolean = flag;
  fields_.Add(id, value);
}

void CaseView::AddObserved(const Case& c, FieldId id, FieldId observed) {
  for (const Observed& seen : c.observed) {
    if (seen.field == observed) AddText(id, seen.value);
  }
}

void CaseView::Fill(FieldId id, const Policy& policy, const Case& c) {
  auto add_all = [&](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) AddText(id, text);
  };
  switch (static_cast<field::CaseField>(id)) {
    case field::kCaseSeverity: return AddText(id, policy.severities[c.severity].name);
    case field::kCaseStatus: return AddText(id, Name(c.status));
    case field::kCaseLevel: return AddText(id, policy.levels[c.level].name);
    case field::kCaseVerdict: return AddText(id, Name(c.verdict));
    case field::kCaseVerdictConfidence: return AddNumber(id, c.verdict_confidence);
    case field::kCaseVerdictBy: return AddText(id, c.verdict_by);
    case field::kCaseClassification: return AddText(id, c.classification);
    case field::kCaseIncident: return AddText(id, c.incident);
    case field::kCaseRequest: return add_all(c.requests);
    case field::kCaseTags: return add_all(c.tags);
    case field::kCaseRules:
      for (const RuleVote& vote : c.votes) AddText(id, vote.rule_id);
      return;
    case field::kCaseAlertCount: return AddNumber(id, c.alert_count);
    case field::kCaseDistinctHost: return AddNumber(id, c.hosts.Count());
    case field::kCaseDistinctUser: return AddNumber(id, c.users.Count());
    case field::kCaseDistinctSource: return AddNumber(id, c.source_addresses.Count());
    case field::kCaseDistinctTechnique: return AddNumber(id, c.techniques_seen.Count());
    case field::kCaseTactics: return add_all(c.tactics);
    case field::kCaseTechniques: return add_all(c.techniques);
    case field::kCaseSources: return add_all(c.sources);
    case field::kCaseMissing:
      for (std::string_view w : MissingWs(c)) AddText(id, w);
      return;
    case field::kCaseOwner: return AddText(id, c.assignee);
    case field::kCaseTeam: return AddText(id, c.team);
    case field::kCaseReopenCount: return AddNumber(id, c.reopen_count);
    case field::kCaseAcknowledged: return AddBool(id, c.acknowledged);
    case field::kCaseRecurrence: return AddNumber(id, c.recurrence);
    case field::kCaseResolutionFailures: return AddNumber(id, c.resolution_failures);
    case field::kCaseSeverityRaised: return AddBool(id, c.severity_raised);
    case field::kCaseRisk: return AddNumber(id, RiskOf(c));
    case field::kCaseRoles:
      for (const EngagedRole& role : c.roles) AddText(id, role.name);
      return;
    case field::kCaseContained: return AddBool(id, c.contained);
    case field::kCaseBreached:
      return AddBool(id, std::any_of(c.clocks.begin(), c.clocks.end(), [](const Clock& clock) { return clock.breached; }));
    case field::kCaseSeverityScore:
      if (c.max_score >= 0) AddNumber(id, static_cast<uint64_t>(c.max_score));
      return;
    case field::kCaseAssetCriticality: return AddObserved(c, id, field::kAssetCriticality);
    case field::kCaseIdentityCriticality: return AddObserved(c, id, field::kIdentityCriticality);
    case field::kCaseDrill: return AddBool(id, c.drill);
    case field::kCaseFieldCount: return;
  }
}

}  // namespace triaged
