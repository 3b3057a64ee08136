// CaseStore: the state of one partition as the processor sees it. Implemented by storage/PartitionStore; an interface
// because the core must not know RocksDB.
//
// All changes of a step are staged: they become visible to Find at once, and durable only when the owner commits the
// step after its Kafka transaction (or drops them). Cases are handed out by pointer and stay valid until the step ends
// (commit or discard). Not thread-safe: one partition, one thread.
//
// A read that failed ends the step, also when whoever asked went on without the answer: the store then refuses to hand
// out the staged changes, so that nothing decided on it is ever committed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"
#include "pipeline/baseline/table.h"
#include "pipeline/model/case.h"
#include "pipeline/model/ids.h"
#include "pipeline/model/records.h"
#include "pipeline/model/silence.h"
#include "pipeline/rules/correlation_table.h"
#include "pipeline/model/watch.h"

namespace triaged {

// SeenEntry::case_sequence of an alert that was sent on to the partition its case is in.
inline constexpr uint64_t kSentOnSequence = ~uint64_t{0};

// What is remembered of an alert or command id for the dedup window.
struct SeenEntry {
  uint64_t id_hash = 0;
  Timestamp at{};               // logical clock when first seen
  uint64_t case_sequence = 0;   // 0: it went into no case; or kSentOnSequence
  int16_t score = -1;
  uint16_t state_hash = 0;      // of the source's own state word (triaged.state)
  bool operator==(const SeenEntry&) const = default;
};

struct DueCase {
  Timestamp at{};
  CaseId id;
};

class CaseStore {
 public:
  virtual ~CaseStore() = default;

  virtual int32_t partition() const = 0;

  // The case, or nullptr. Find… may be called at any time within a step.
  virtual Result<Case*> Find(CaseId id) = 0;
  // The newest case opened under this grouping key, or nullptr.
  virtual Result<Case*> FindByKey(std::string_view key) = 0;
  // Takes a new case in and makes it the newest of its key. Its id must be new.
  virtual Case* Insert(Case c) = 0;
  // Must be called after each change of a case that Find handed out (cheap; once or many times a step). Reads
  // c->next_due for the due index and c->key for the key index (only Insert and this write them).
  virtual void MarkChanged(Case* c) = 0;
  // Takes a case away that Find handed out in this step: with its evidence, and with its grouping key when that leads to
  // it. From then on it is not found; the pointer stays valid until the step ends.
  virtual Status Erase(Case* c) = 0;

  virtual void PutEvidenceRaw(CaseId id, uint8_t slot, std::string_view raw) = 0;
  virtual Result<std::optional<std::string>> GetEvidenceRaw(CaseId id, uint8_t slot) = 0;

  // Dedup memory. The pointer is valid until the next call. Remember() replaces an entry of the same hash.
  virtual const SeenEntry* FindSeen(uint64_t id_hash) = 0;
  virtual void Remember(const SeenEntry& entry) = 0;
  // Forgets entries first seen before `before`; called at most once a step. The store may forget earlier ones when
  // its limit is reached, and counts that.
  virtual void ForgetSeenBefore(Timestamp before) = 0;

  // The partition's silences. Put adds or replaces (at most kMaxSilences; the caller checks), Erase takes one away.
  virtual const SilenceTable& silences() const = 0;
  virtual void PutSilence(SilenceRule rule) = 0;
  virtual void EraseSilence(std::string_view id) = 0;

  // The partition's correlation windows. What a step changes in the table is staged with it; the reference is valid as
  // long as the store.
  virtual rules::CorrelationTable& correlations() = 0;
  // How rules and entities used to behave here; staged and restored as the correlations are.
  virtual BaselineTable& baseline() = 0;
  // Feeds and rules that are watched. Put adds or replaces; at most kMaxWatches, which the caller sees to.
  virtual const WatchTable& watches() const = 0;
  virtual void PutWatch(Watch watch) = 0;
  virtual void EraseWatch(std::string_view id) = 0;

  // A case as bytes, for a message to another partition, and back. An error says what is wrong with the bytes.
  virtual std::string Pack(const Case& c) const = 0;
  virtual Result<Case> Unpack(std::string_view packed) const = 0;

  // The earliest (next_due, id) of all cases, staged changes included.
  virtual std::optional<DueCase> NextDue() const = 0;
  // Of the closed cases for which nothing is armed, the one that rests longest (RestsSince, id).
  virtual std::optional<DueCase> NextResting() const = 0;

  virtual const Progress& progress() const = 0;
  virtual void SetProgress(Progress progress) = 0;

  // Visits every case in id order (tests, reports, metrics after a restore). Stops when the callback returns false.
  class Visitor {
   public:
    virtual ~Visitor() = default;
    virtual bool Visit(const Case& c) = 0;
  };
  virtual Status ForEachCase(Visitor* visitor) = 0;
};

}  // namespace triaged
