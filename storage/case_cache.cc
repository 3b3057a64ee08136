#include "storage/case_cache.h"

#include <algorithm>
#include <string>

#include "pipeline/base/check.h"

namespace triaged {
namespace {

// Sequences are dense; a multiplication spreads them (2^64 divided by the golden ratio).
uint64_t SpreadSequence(uint64_t sequence) {
  const uint64_t mixed = sequence * 0x9e3779b97f4a7c15u;
  return mixed ^ (mixed >> 32);
}

size_t HeapBytes(const std::string& text) { return text.capacity() > 15 ? text.capacity() + 1 : 0; }

// What a case holds outside itself; an estimate for metrics.
size_t HeapBytes(const Case& c) {
  size_t bytes = HeapBytes(c.key) + HeapBytes(c.policy) + HeapBytes(c.verdict_reason) + HeapBytes(c.assignee);
  for (const DistinctSketch* sketch : {&c.hosts, &c.users, &c.source_addresses, &c.techniques_seen}) {
    bytes += sketch->hashes().capacity() * sizeof(uint64_t);
  }
  bytes += (c.requests.capacity() + c.tags.capacity() + c.sources.capacity() + c.techniques.capacity() +
            c.tactics.capacity() + c.criteria_fired.capacity()) *
           sizeof(std::string);
  bytes += c.votes.capacity() * sizeof(RuleVote) + c.observed.capacity() * sizeof(Observed) +
           c.evidence.capacity() * sizeof(Evidence) + c.escalations.capacity() * sizeof(EscalationRecord) +
           (c.timeline.capacity() + c.notes.capacity()) * sizeof(TimelineEntry);
  for (const RuleVote& vote : c.votes)
    bytes += HeapBytes(vote.rule_id) + HeapBytes(vote.title) + HeapBytes(vote.reason);
  for (const Observed& o : c.observed) bytes += HeapBytes(o.value) + HeapBytes(o.alert_id) + HeapBytes(o.path);
  for (const Evidence& e : c.evidence) {
    bytes += HeapBytes(e.topic) + HeapBytes(e.alert_id) + HeapBytes(e.rule_name) + HeapBytes(e.message) +
             HeapBytes(e.excerpt);
  }
  for (const TimelineEntry& t : c.timeline) bytes += HeapBytes(t.what) + HeapBytes(t.actor) + HeapBytes(t.text);
  return bytes;
}

}  // namespace

CachedCase* CaseCache::FindSequence(uint64_t sequence) const {
  const uint64_t hash = SpreadSequence(sequence);
  const size_t mask = by_sequence_.size() - 1;
  for (size_t at = hash & mask; by_sequence_[at].value != nullptr; at = (at + 1) & mask) {
    if (by_sequence_[at].hash == hash && by_sequence_[at].value->id.sequence == sequence) return by_sequence_[at].value;
  }
  return nullptr;
}

CachedCase* CaseCache::FindKey(uint64_t key_hash, std::string_view key) const {
  const size_t mask = by_key_.size() - 1;
  for (size_t at = key_hash & mask; by_key_[at].value != nullptr; at = (at + 1) & mask) {
    if (by_key_[at].hash == key_hash && by_key_[at].value->key == key) return by_key_[at].value;
  }
  return nullptr;
}

CachedCase* CaseCache::Add(Case&& c, uint64_t key_hash) {
  auto cached = std::make_unique<CachedCase>(std::move(c), key_hash);
  cached->place = static_cast<uint32_t>(cases_.size());
  Put(&by_sequence_, cases_.size(), SpreadSequence(cached->id.sequence), cached.get());
  cases_.push_back(std::move(cached));
  return cases_.back().get();
}

void CaseCache::SetNewest(CachedCase* c) {
  CachedCase* old = FindKey(c->key_hash, c->key);
  if (old == c) return;
  if (old != nullptr) {
    Remove(&by_key_, old->key_hash, old);
    old->newest_of_key = false;
    --keyed_;
  }
  Put(&by_key_, keyed_, c->key_hash, c);
  c->newest_of_key = true;
  ++keyed_;
}

void CaseCache::ForgetKey(CachedCase* c) {
  if (!c->newest_of_key) return;
  Remove(&by_key_, c->key_hash, c);
  c->newest_of_key = false;
  --keyed_;
}

void CaseCache::Drop(CachedCase* c) {
  ForgetKey(c);
  Remove(&by_sequence_, SpreadSequence(c->id.sequence), c);
  const uint32_t place = c->place;
  TRIAGED_CHECK(place < cases_.size() && cases_[place].get() == c);
  cases_[place].swap(cases_.back());
  cases_[place]->place = place;
  cases_.pop_back();
}

void CaseCache::Clear() {
  cases_.clear();
  by_sequence_.assign(kMinSlots, {});
  by_key_.assign(kMinSlots, {});
  keyed_ = 0;
  hand_ = 0;
}

void CaseCache::Trim() {
  while (cases_.size() > capacity_) {
    if (hand_ >= cases_.size()) hand_ = 0;
    CachedCase* c = cases_[hand_].get();
    if (c->referenced) {
      c->referenced = false;
      ++hand_;
    } else {
      Drop(c);  // the last one takes its place and is looked at next
    }
  }
}

size_t CaseCache::bytes() const {
  constexpr size_t kSample = 64;
  size_t bytes = (by_sequence_.capacity() + by_key_.capacity()) * sizeof(Slot) +
                 cases_.size() * (sizeof(CachedCase) + sizeof(cases_[0]));
  if (cases_.empty()) return bytes;
  const size_t stride = std::max<size_t>(1, cases_.size() / kSample);
  size_t heap = 0, looked = 0;
  for (size_t i = 0; i < cases_.size(); i += stride, ++looked) heap += HeapBytes(*cases_[i]);
  return bytes + heap * cases_.size() / looked;
}

void CaseCache::Put(Table* table, size_t used, uint64_t hash, CachedCase* value) {
  const auto place = [](Table* t, Slot slot) {
    const size_t mask = t->size() - 1;
    size_t at = slot.hash & mask;
    while ((*t)[at].value != nullptr) at = (at + 1) & mask;
    (*t)[at] = slot;
  };
  if (2 * (used + 1) > table->size()) {
    Table bigger(table->size() * 2);
    for (const Slot& slot : *table) {
      if (slot.value != nullptr) place(&bigger, slot);
    }
    table->swap(bigger);
  }
  place(table, {hash, value});
}

// Linear probing without tombstones: slots behind the hole move into it where their home allows.
void CaseCache::Remove(Table* table, uint64_t hash, const CachedCase* value) {
  const size_t mask = table->size() - 1;
  size_t hole = hash & mask;
  while ((*table)[hole].value != value) {
    TRIAGED_CHECK((*table)[hole].value != nullptr);
    hole = (hole + 1) & mask;
  }
  for (size_t at = (hole + 1) & mask; (*table)[at].value != nullptr; at = (at + 1) & mask) {
    const size_t home = (*table)[at].hash & mask;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    (*table)[hole] = (*table)[at];
    hole = at;
  }
  (*table)[hole] = {};
}

}  // namespace triaged
