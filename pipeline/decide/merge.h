// Merge: what an alert adds to a case: counts, entities with provenance, votes, evidence, severity.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "pipeline/decide/context.h"
#include "pipeline/model/alert.h"
#include "pipeline/model/records.h"
#include "pipeline/processor/case_store.h"
#include "pipeline/rules/rules.h"

namespace triaged {

// The last references of a case's evidence follow its newest alerts; what stands before them has its bytes kept.
inline constexpr size_t kLatestEvidence = 4;

// A slot for the bytes of one more piece of evidence; nullopt: there is room for no more bytes.
std::optional<uint8_t> FreeRawSlot(const std::vector<Evidence>& evidence);

// One alert on its way into a case: normalised, matched, and where it came from.
struct IncomingAlert {
  const Alert& alert;
  std::span<const uint32_t> matched;   // indexes into rules
  const std::vector<Rule>& rules;
  std::string_view topic;              // of the user's record, not of intake
  int32_t partition = 0;
  int64_t offset = 0;
  Timestamp record_time{};
  std::string_view raw;                // the alert's bytes
  bool rules_incomplete = false;       // some rules did not fit the alert's budget, so `matched` may lack some
};

// The tag of a case with such an alert: people must look for themselves. No rule closes the alert either.
inline constexpr std::string_view kRulesIncompleteTag = "rules_incomplete";

// The rules' word on one alert: the strongest vote; on a tie a true positive beats a false positive.
struct AlertVerdict {
  Verdict verdict = Verdict::kNone;
  const Rule* rule = nullptr;
};
AlertVerdict VerdictOf(const IncomingAlert& incoming);

// Adds the vote of a rule that has none there. When kMaxCaseRules are there, in the place of the weakest, by verdict and then
// confidence, the first of equals; but never of the very first, by which a storm's case is known. False: all are as strong.
bool KeepVote(RuleVote vote, std::vector<RuleVote>* votes);

// The event time that windows use: never after the clock, so one alert stamped 2099 splits no case.
Timestamp WindowTime(const Alert& alert, Timestamp now);

// Drops what has left the risk window.
void ForgetRisk(const RiskSpec& spec, Timestamp now, std::vector<RiskBucket>* buckets);

// Adds the alert. `counted`: false for an update of an alert already counted.
void MergeAlert(CaseContext& ctx, const IncomingAlert& incoming, CaseStore* store, bool counted);

}  // namespace triaged
