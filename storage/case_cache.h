// CaseCache: the decoded cases of one partition, found by sequence and by grouping key without an allocation.
//
// Cases touched in a step are pinned until it ends; between steps the cache is cut to its capacity, second chance
// first (a hand passes over the cases; those touched since it last came by are spared once). Addresses are stable
// while a case is cached. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/case.h"

namespace triaged {

// A cached case and what the store knows about it. The case comes first: a Case* that the store handed out is one of
// these.
struct CachedCase : Case {
  CachedCase(Case&& c, uint64_t hash) : Case(std::move(c)), key_hash(hash) {}

  uint64_t step = 0;           // the step that touched it last
  uint64_t key_hash;           // of Case::key, fixed when it entered the cache
  Timestamp indexed_due{};     // its entry in the due index; zero: none
  Timestamp committed_due{};   // what that was when the step began
  Timestamp indexed_rest{};    // the same, of closed cases that rest
  Timestamp committed_rest{};
  // Under which the store counts it; as committed.
  CaseStatus counted_status = status;
  uint8_t counted_severity = severity;
  uint8_t counted_level = level;
  uint32_t place = 0;          // in the cache's list
  bool changed = false;        // in this step
  bool inserted = false;       // in this step
  bool erased = false;         // in this step: not to be found any more
  bool newest_of_key = false;  // the key table points here
  bool referenced = false;     // since the hand last came by
};

class CaseCache {
 public:
  // Makes room up to `capacity` cases between steps; a step may go beyond.
  explicit CaseCache(size_t capacity) : capacity_(capacity), by_sequence_(kMinSlots), by_key_(kMinSlots) {}

  CachedCase* FindSequence(uint64_t sequence) const;
  CachedCase* FindKey(uint64_t key_hash, std::string_view key) const;

  // Precondition: no case of that sequence is cached.
  CachedCase* Add(Case&& c, uint64_t key_hash);
  // Makes it the case that FindKey gives for its key, in place of any other.
  void SetNewest(CachedCase* c);
  // Its key leads to it no longer.
  void ForgetKey(CachedCase* c);
  void Drop(CachedCase* c);
  void Clear();
  // Evicts down to the capacity. No case may be pinned by a caller.
  void Trim();

  size_t size() const { return cases_.size(); }
  size_t bytes() const;  // an estimate that walks over a sample of the cases

 private:
  static constexpr size_t kMinSlots = 256;
  struct Slot {
    uint64_t hash = 0;
    CachedCase* value = nullptr;
  };
  using Table = std::vector<Slot>;

  static void Put(Table* table, size_t used, uint64_t hash, CachedCase* value);
  static void Remove(Table* table, uint64_t hash, const CachedCase* value);

  const size_t capacity_;
  std::vector<std::unique_ptr<CachedCase>> cases_;
  Table by_sequence_;  // power-of-two sizes, linear probing, at most half full
  Table by_key_;
  size_t keyed_ = 0;
  size_t hand_ = 0;
};

}  // namespace triaged
