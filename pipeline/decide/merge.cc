#include "pipeline/decide/merge.h"

#include <algorithm>
#include <array>

#include "pipeline/base/hash.h"
#include "pipeline/base/utf8.h"
#include "pipeline/decide/escalation.h"

namespace triaged {
namespace {

// The fields whose values the Five Ws name, ascending (case.observed is kept in this order).
constexpr std::array kObservedFields = {
    field::kEventAction,       field::kEventOutcome,      field::kEventSeverity,     field::kRuleId,
    field::kRuleName,          field::kRuleCategory,      field::kMessage,
    field::kHostName,          field::kHostId,            field::kHostIp,
    field::kUserName,          field::kUserDomain,        field::kUserId,
    field::kUserEmail,         field::kUserTargetName,    field::kSourceIp,
    field::kSourceAddress,     field::kSourceDomain,      field::kSourceUserName,
    field::kDestinationIp,     field::kDestinationPort,   field::kDestinationAddress,
    field::kDestinationDomain, field::kDestinationUserName,
    field::kProcessName,       field::kProcessExecutable, field::kProcessCommandLine,
    field::kProcessHashSha256, field::kProcessParentName, field::kFileName,
    field::kFilePath,          field::kFileHashSha256,    field::kUrlFull,
    field::kUrlDomain,         field::kDnsQuestionName,   field::kEmailFrom,
    field::kEmailSubject,      field::kThreatTacticName,  field::kCloudProvider,
    field::kCloudAccountId,    field::kCloudRegion,       field::kCloudResource,
    field::kContainerName,     field::kOrchestratorNamespace, field::kOrganizationId,
    field::kObserverVendor,    field::kObserverProduct,   field::kTraceparent,
    field::kUserFullName,      field::kUserRoles,         field::kNetworkName,
    field::kThreatFeedName,    field::kThreatIndicatorName, field::kAssetName,
    field::kAssetOwner,        field::kAssetDepartment,   field::kAssetCriticality,
    field::kAssetEnvironment,  field::kAssetZone,         field::kSourceZone,
    field::kDestinationZone,   field::kIdentityName,      field::kIdentityDepartment,
    field::kIdentityCriticality, field::kIdentityPrivileged, field::kIdentityVip,
    field::kKnownGood,
};
static_assert(std::is_sorted(kObservedFields.begin(), kObservedFields.end()));

constexpr size_t kFirstEvidence = 4;   // the first alerts of a case are always kept
constexpr size_t kKept = kMaxEvidence - kLatestEvidence;

// `begin` is where this field's values start in case.observed.
void Observe(Case& c, size_t begin, FieldId id, const Value& value, std::string_view alert_id) {
  const std::string_view text = CutAtCodePoint(value.text, kMaxTextBytes);
  size_t at = begin;
  for (; at < c.observed.size() && c.observed[at].field == id; ++at) {
    if (c.observed[at].value == text) {
      ++c.observed[at].count;
      return;
    }
  }
  if (at - begin >= kMaxObservedPerField) {
    ++c.observed_dropped;
    return;
  }
  Observed seen{id, 1, std::string(text), std::string(alert_id), Bounded(value.path)};
  c.observed.insert(c.observed.begin() + static_cast<std::ptrdiff_t>(at), std::move(seen));
}

void ObserveAll(Case& c, const Alert& alert) {
  size_t begin = 0;
  for (FieldId id : kObservedFields) {
    const auto values = alert.fields.Get(id);
    if (values.empty()) continue;
    while (begin < c.observed.size() && c.observed[begin].field < id) ++begin;
    for (const Value& value : values) Observe(c, begin, id, value, alert.id);
  }
}

bool InsertSorted(std::vector<std::string>* list, std::string_view text, size_t limit) {
  if (text.empty()) return false;
  auto at = std::lower_bound(list->begin(), list->end(), text);
  if ((at != list->end() && *at == text) || list->size() >= limit) return false;
  list->insert(at, Bounded(text));
  return true;
}

bool CountDistinct(DistinctSketch* sketch, const Alert& alert, std::initializer_list<FieldId> ids) {
  bool changed = false;
  for (FieldId id : ids) {
    for (const Value& value : alert.fields.Get(id)) changed |= sketch->Add(StableHash64(value.text));
  }
  return changed;
}

void CountEntities(CaseContext& ctx, const Alert& alert) {
  Case& c = ctx.c;
  bool changed = CountDistinct(&c.hosts, alert, {field::kHostName});
  changed |= CountDistinct(&c.users, alert, {field::kUserName});
  changed |= CountDistinct(&c.source_addresses, alert, {field::kSourceIp});
  changed |= CountDistinct(&c.techniques_seen, alert, {field::kThreatTechniqueId});
  changed |= InsertSorted(&c.sources, alert.source, kMaxSources);
  for (const Value& v : alert.fields.Get(field::kThreatTechniqueId)) {
    changed |= InsertSorted(&c.techniques, v.text, kMaxTechniques);
  }
  for (FieldId id : {field::kThreatTacticName, field::kThreatTacticId}) {
    for (const Value& v : alert.fields.Get(id)) changed |= InsertSorted(&c.tactics, v.text, kMaxTechniques);
  }
  if (changed) ctx.facts_changed = true;
}

// How much an alert tells: rules that call it real first, then its score.
int Telling(Verdict verdict, int16_t score) { return static_cast<int>(verdict) * 1000 + score; }

// Into the place of what is no longer kept: its texts' memory serves again.
void Keep(const IncomingAlert& incoming, Verdict verdict, Evidence* evidence) {
  const Alert& alert = incoming.alert;
  const auto bounded = [](std::string_view text) { return CutAtCodePoint(text, kMaxTextBytes); };
  evidence->score = alert.score;
  evidence->verdict = verdict;
  evidence->raw_slot.reset();
  evidence->topic.assign(incoming.topic);
  evidence->partition = incoming.partition;
  evidence->offset = incoming.offset;
  evidence->event_time = alert.event_time;
  evidence->alert_id.assign(bounded(alert.id));
  evidence->rule_name.assign(bounded(alert.fields.First(field::kRuleName)));
  evidence->message.assign(bounded(alert.fields.First(field::kMessage)));
  evidence->excerpt.assign(CutAtCodePoint(incoming.raw, kMaxExcerptBytes));
}

// The list is: the first kFirstEvidence, then the most telling, then the latest as references only.
void KeepEvidence(CaseContext& ctx, const IncomingAlert& incoming, Verdict verdict, CaseStore* store) {
  auto& list = ctx.c.evidence;
  auto store_raw = [&](Evidence& evidence, uint8_t slot) {
    evidence.raw_slot = slot;
    store->PutEvidenceRaw(ctx.c.id, slot, incoming.raw.substr(0, kMaxEvidenceRawBytes));
  };
  if (list.size() < kKept) {
    const uint8_t slot = *FreeRawSlot(list);
    Keep(incoming, verdict, &list.emplace_back());
    store_raw(list.back(), slot);
    return;
  }
  const auto weakest = std::min_element(
      list.begin() + kFirstEvidence, list.begin() + kKept, [](const Evidence& a, const Evidence& b) {
        return Telling(a.verdict, a.score) < Telling(b.verdict, b.score);
      });
  if (Telling(verdict, incoming.alert.score) > Telling(weakest->verdict, weakest->score)) {
    // After a split or merge a reference without bytes may stand here.
    const uint8_t slot = weakest->raw_slot ? *weakest->raw_slot : *FreeRawSlot(list);
    Keep(incoming, verdict, &*weakest);
    store_raw(*weakest, slot);
    ++ctx.c.evidence_dropped;
    return;
  }
  if (list.size() < kMaxEvidence) return Keep(incoming, verdict, &list.emplace_back());
  ++ctx.c.evidence_dropped;
  Evidence oldest = std::move(list[kKept]);
  Keep(incoming, verdict, &oldest);
  std::move(list.begin() + kKept + 1, list.end(), list.begin() + kKept);
  list.back() = std::move(oldest);
}

void CountVote(CaseContext& ctx, const Rule& rule) {
  auto& votes = ctx.c.votes;
  auto at = std::find_if(votes.begin(), votes.end(), [&](const RuleVote& v) { return v.rule_id == rule.id; });
  if (at != votes.end()) {
    ++at->hits;
    return;
  }
  const std::string& reason = rule.triage.reason.empty() ? rule.title : rule.triage.reason;
  RuleVote vote{rule.id, Bounded(rule.title), Bounded(reason), rule.triage.verdict.value_or(Verdict::kNone),
                static_cast<uint8_t>(rule.triage.confidence), 1};
  if (KeepVote(std::move(vote), &votes)) ctx.facts_changed = true;
}

// An alert counts with its strongest vote only: what weaker rules say of the same alert is no vote on the case. Returns the
// worst severity of `severity` and those that the rules give.
uint8_t ApplyRules(CaseContext& ctx, const IncomingAlert& incoming, const AlertVerdict& alert_verdict, uint8_t severity) {
  Case& c = ctx.c;
  if (incoming.rules_incomplete && InsertSorted(&c.tags, kRulesIncompleteTag, kMaxTechniques)) ctx.facts_changed = true;
  for (uint32_t index : incoming.matched) {
    const Rule& rule = incoming.rules[index];
    if (!rule.triage.verdict || &rule == alert_verdict.rule) CountVote(ctx, rule);
    if (rule.triage.verdict == Verdict::kFalsePositive) continue;
    std::vector<std::string> added;
    for (const std::string& tag : rule.triage.tags) {
      if (InsertSorted(&c.tags, tag, kMaxTechniques)) added.push_back(tag);
    }
    bool changed = !added.empty();
    if (changed) ctx.tagged.emplace_back(&rule, std::move(added));
    if (c.classification.empty() && !rule.triage.classification.empty()) {
      c.classification = rule.triage.classification;
      changed = true;
    }
    const std::string& request = rule.triage.request;
    if (!request.empty() && c.requests.size() < kMaxSources &&
        std::find(c.requests.begin(), c.requests.end(), request) == c.requests.end()) {
      c.requests.push_back(Bounded(request));
      changed = true;
    }
    if (changed) ctx.facts_changed = true;
    const auto given = rule.triage.severity ? ctx.policy.SeverityIndex(*rule.triage.severity) : std::nullopt;
    if (!given) continue;
    RaiseSeverity(ctx, *given, "rule");
    severity = std::min(severity, *given);
  }
  return severity;
}

// An analyst's verdict is final until new evidence of higher severity arrives, by its own or its rules' word: then it needs
// review.
void QuestionAnalystVerdict(CaseContext& ctx, uint8_t severity) {
  Case& c = ctx.c;
  if (c.verdict_by.empty() || c.verdict_by == "rules" || c.verdict == Verdict::kNeedsReview) return;
  if (severity >= c.verdict_severity) return;
  const Verdict from = c.verdict;
  c.verdict = Verdict::kNeedsReview;
  c.verdict_reason = "new evidence of higher severity than when " + c.verdict_by + " decided";
  c.verdict_by = "rules";
  AddToTimeline(ctx, "verdict_changed", "", c.verdict_reason);
  StandingChanged(ctx);
  CaseEvent& event = Emit(ctx, CaseEventType::kVerdictChanged, "new_evidence");
  event.detail = c.verdict_reason;
  event.verdict_from = from;
}

// What the alert adds to its entity's risk, and what that makes of the severity.
void AddRisk(CaseContext& ctx, const Alert& alert) {
  const RiskSpec& spec = ctx.policy.risk;
  if (spec.window <= Duration{0}) return;
  auto& buckets = ctx.c.risk;
  ForgetRisk(spec, ctx.now, &buckets);
  const auto length = std::max<int64_t>(1, spec.window.count() / static_cast<int64_t>(kMaxRiskBuckets));
  const Timestamp begin = FromUnixMillis(ToUnixMillis(ctx.now) / length * length);
  if (buckets.empty() || buckets.back().begin != begin) {
    if (buckets.size() >= kMaxRiskBuckets) buckets.erase(buckets.begin());
    buckets.push_back({begin, 0});
  }
  buckets.back().score += static_cast<uint32_t>(std::max<int16_t>(0, alert.score));
  uint64_t total = 0;
  for (const RiskBucket& bucket : buckets) total += bucket.score;
  for (size_t i = 0; i < ctx.c.severity; ++i) {
    if (spec.threshold[i] && total >= *spec.threshold[i]) return RaiseSeverity(ctx, static_cast<uint8_t>(i), "entity_risk");
  }
}

}  // namespace

std::optional<uint8_t> FreeRawSlot(const std::vector<Evidence>& evidence) {
  for (uint8_t slot = 0; slot < kKept; ++slot) {
    const bool used = std::any_of(evidence.begin(), evidence.end(), [&](const Evidence& e) { return e.raw_slot == slot; });
    if (!used) return slot;
  }
  return std::nullopt;
}

bool KeepVote(RuleVote vote, std::vector<RuleVote>* votes) {
  if (votes->size() < kMaxCaseRules) {
    votes->push_back(std::move(vote));
    return true;
  }
  const auto weaker = [](const RuleVote& a, const RuleVote& b) {
    return a.verdict != b.verdict ? a.verdict < b.verdict : a.confidence < b.confidence;
  };
  const auto weakest = std::min_element(votes->begin() + 1, votes->end(), weaker);
  if (!weaker(*weakest, vote)) return false;
  votes->erase(weakest);
  votes->push_back(std::move(vote));
  return true;
}

void ForgetRisk(const RiskSpec& spec, Timestamp now, std::vector<RiskBucket>* buckets) {
  std::erase_if(*buckets, [&](const RiskBucket& bucket) { return bucket.begin + spec.window <= now; });
}

AlertVerdict VerdictOf(const IncomingAlert& incoming) {
  AlertVerdict best;
  for (uint32_t index : incoming.matched) {
    const Rule& rule = incoming.rules[index];
    if (!rule.triage.verdict) continue;
    const bool stronger = !best.rule || rule.triage.confidence > best.rule->triage.confidence ||
                          (rule.triage.confidence == best.rule->triage.confidence && *rule.triage.verdict > best.verdict);
    if (stronger) best = {*rule.triage.verdict, &rule};
  }
  return best;
}

Timestamp WindowTime(const Alert& alert, Timestamp now) { return std::min(alert.event_time, now); }

void MergeAlert(CaseContext& ctx, const IncomingAlert& incoming, CaseStore* store, bool counted) {
  Case& c = ctx.c;
  const Alert& alert = incoming.alert;
  const Timestamp time = WindowTime(alert, ctx.now);
  if (c.alert_count == 0) {
    c.first_seen = c.last_seen = time;
    c.first_ingested = incoming.record_time;
  }
  c.first_seen = std::min(c.first_seen, time);
  c.last_seen = std::max(c.last_seen, time);
  c.updated_at = ctx.now;
  c.max_score = std::max(c.max_score, alert.score);
  if (alert.drill) c.drill = true;
  if (counted) ++c.alert_count;

  const size_t values = c.observed.size();
  ObserveAll(c, alert);
  const bool critical = alert.fields.Has(field::kAssetCriticality) || alert.fields.Has(field::kIdentityCriticality);
  if (critical && c.observed.size() > values) ctx.facts_changed = true;
  CountEntities(ctx, alert);
  const AlertVerdict alert_verdict = VerdictOf(incoming);
  KeepEvidence(ctx, incoming, alert_verdict.verdict, store);

  const uint8_t severity = ctx.policy.SeverityFor(alert);
  RaiseSeverity(ctx, severity, "alert");
  if (counted) AddRisk(ctx, alert);
  QuestionAnalystVerdict(ctx, ApplyRules(ctx, incoming, alert_verdict, severity));
  RecomputeVerdict(ctx);
}

}  // namespace triaged
