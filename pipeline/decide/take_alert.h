// TakeAlert: one alert's whole decision: seen before? closable? into which case? (DOMAIN.md, Alert → Case).
#pragma once

#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/decide/grouping.h"
#include "pipeline/decide/merge.h"
#include "pipeline/model/case_event.h"
#include "pipeline/model/records.h"
#include "pipeline/processor/case_store.h"

namespace triaged {

struct AlertDecision {
  AlertOutcome outcome = AlertOutcome::kMerged;
  Case* changed = nullptr;          // nullptr: no case was touched
  bool standing_changed = false;
};

// The alert's id was seen within the policy's dedup window: it is a duplicate, or news of what was counted already.
bool WasSeen(const Alert& alert, const Policy& policy, Timestamp now, CaseStore* store);

// `group` must have a policy and a rule. Events are appended for `changed`. `next_case` is the partition's sequence
// and is advanced when a case opens.
Result<AlertDecision> TakeAlert(const IncomingAlert& incoming, const Group& group, Timestamp now, int32_t partition,
                                uint64_t* next_case, CaseStore* store, std::vector<CaseEvent>* events);

}  // namespace triaged
