// Surroundings: what a decision about one case may need beside it: the partition's store, other cases that change with
// it, and messages to the partitions that keep the rest.
//
// A message travels on the commands topic in the transaction of the step that sends it, and is taken once, as a command
// is; messages from one partition to another keep their order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/model/case.h"
#include "pipeline/model/case_event.h"
#include "pipeline/model/ids.h"
#include "pipeline/model/records.h"
#include "pipeline/policy/engine.h"
#include "pipeline/processor/case_store.h"

namespace triaged {

#define TRIAGED_MESSAGES(X)                                                                 \
  X(kMerge, "merge")                 /* `from` was merged away: its content (packed case) */ \
  X(kEvidence, "evidence")           /* the bytes of one alert of it */                     \
  X(kMergeRefused, "merge-refused")  /* the target could not take it: it is a case again */ \
  X(kSeparate, "separate")           /* the merge was taken back */                         \
  X(kSplitOff, "split-off")          /* an alert that `to` had brought was split off */     \
  X(kAlert, "alert")                 /* an alert whose case is kept there now */            \
  X(kFeedHeard, "feed-heard")        /* a feed spoke, told to the partition that watches it */

enum class MessageKind : uint8_t {
#define TRIAGED_X(id, name) id,
  TRIAGED_MESSAGES(TRIAGED_X)
#undef TRIAGED_X
};

struct Message {
  MessageKind kind = MessageKind::kMerge;
  int32_t partition = 0;       // where to
  CaseId from;                 // the case that speaks; of kAlert, that was asked first
  CaseId to;                   // the case that is spoken to
  std::string command_id;      // of the command behind it
  std::string actor;
  std::string reason;          // in words; kMergeRefused: the refusal's name
  std::string text;            // kEvidence, kSplitOff: alert id; kAlert: grouping key; kFeedHeard: watch id; kMergeRefused: why;
                               // kSeparate: "through" when `from` stays and only what went through it leaves
  int64_t number = 0;          // kEvidence, kSplitOff: offset; kSeparate: alerts; kAlert: hops; kFeedHeard: Unix milliseconds
  int64_t second = 0;          // kSeparate: suppressed alerts
  std::string payload;         // kMerge: packed case; kEvidence, kAlert: the alert's bytes
  std::vector<Header> headers; // kAlert: of the intake record
};

// Another case that changed, with its events.
struct ChangedCase {
  Case* c = nullptr;
  std::vector<CaseEvent> events;
};

struct Surroundings {
  // The case, or nullptr. A case is decided on only as these give it, never as the store does: it is fitted to its
  // policy (fit.h), which a reload may have changed under it.
  Result<Case*> Find(CaseId id) const;
  Result<Case*> FindByKey(std::string_view key) const;

  const Engine* engine = nullptr;
  CaseStore* store = nullptr;
  uint64_t* next_case = nullptr;  // the partition's sequence
  int32_t partitions = 1;         // of the application
  std::vector<ChangedCase> others;
  std::vector<Message> messages;
};

}  // namespace triaged
