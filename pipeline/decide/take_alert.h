// TakeAlert: one alert's whole decision: seen before? closable? into which case? (DOMAIN.md, Alert → Case).
#pragma once

#include <optional>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/decide/grouping.h"
#include "pipeline/decide/merge.h"
#include "pipeline/decide/surroundings.h"
#include "pipeline/model/case_event.h"
#include "pipeline/model/records.h"

namespace triaged {

struct AlertDecision {
  AlertOutcome outcome = AlertOutcome::kMerged;
  Case* changed = nullptr;          // nullptr: no case was touched
  bool standing_changed = false;
  // forwarded: the case that its key leads to is kept in another partition.
  std::optional<CaseId> forward_to;
};

// The alert's id was seen within the policy's dedup window: it is a duplicate, or news of what was counted already.
bool WasSeen(const Alert& alert, const Policy& policy, Timestamp now, CaseStore* store);

// An alert that another partition sent on, because its key leads to a case here.
struct SentOn {
  CaseId from;      // the case that was merged away
  CaseId into;
  int64_t hops = 0; // partitions that sent it on; 0: none did
};
inline constexpr int64_t kMaxHops = 8;  // then it is decided on where it is

// `group` must have a policy and a rule. Events are appended for `changed`.
Result<AlertDecision> TakeAlert(const IncomingAlert& incoming, const Group& group, const SentOn& sent_on, Timestamp now,
                                Surroundings* around, std::vector<CaseEvent>* events);

}  // namespace triaged
