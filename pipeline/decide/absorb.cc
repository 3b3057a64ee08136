#include "pipeline/decide/absorb.h"

#include <algorithm>

#include "pipeline/decide/escalation.h"
#include "pipeline/decide/merge.h"

namespace triaged {
namespace {

// Adds what is not there yet, while there is room.
void AddTexts(const std::vector<std::string>& from, size_t limit, bool sorted, std::vector<std::string>* to) {
  for (const std::string& text : from) {
    if (std::find(to->begin(), to->end(), text) != to->end() || to->size() >= limit) continue;
    to->insert(sorted ? std::lower_bound(to->begin(), to->end(), text) : to->end(), text);
  }
}

void AddSketch(const DistinctSketch& from, DistinctSketch* to) {
  for (uint64_t hash : from.hashes()) to->Add(hash);
}

void AddObserved(const Case& from, Case* to) {
  to->observed_dropped += from.observed_dropped;
  for (const Observed& seen : from.observed) {
    auto begin = std::find_if(to->observed.begin(), to->observed.end(),
                              [&](const Observed& o) { return o.field >= seen.field; });
    auto end = std::find_if(begin, to->observed.end(), [&](const Observed& o) { return o.field != seen.field; });
    const auto same = std::find_if(begin, end, [&](const Observed& o) { return o.value == seen.value; });
    if (same != end) {
      same->count += seen.count;
    } else if (static_cast<size_t>(end - begin) >= kMaxObservedPerField) {
      ++to->observed_dropped;
    } else {
      to->observed.insert(end, seen);
    }
  }
}

void AddNotes(const Case& from, Case* to) {
  for (const TimelineEntry& note : from.notes) {
    if (to->notes.size() >= kMaxNotes) to->notes.erase(to->notes.begin());
    to->notes.push_back(note);
  }
  std::stable_sort(to->notes.begin(), to->notes.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
}

void AddVotes(const Case& from, Case* to) {
  for (const RuleVote& vote : from.votes) {
    const auto same =
        std::find_if(to->votes.begin(), to->votes.end(), [&](const auto& v) { return v.rule_id == vote.rule_id; });
    if (same != to->votes.end()) {
      same->hits += vote.hits;
    } else {
      KeepVote(vote, &to->votes);
    }
  }
}

}  // namespace

void AddSeen(const Case& from, Case* to) {
  AddSketch(from.hosts, &to->hosts), AddSketch(from.users, &to->users);
  AddSketch(from.source_addresses, &to->source_addresses), AddSketch(from.techniques_seen, &to->techniques_seen);
  AddTexts(from.sources, kMaxSources, true, &to->sources);
  AddTexts(from.techniques, kMaxTechniques, true, &to->techniques);
  AddTexts(from.tactics, kMaxTechniques, true, &to->tactics);
  AddTexts(from.tags, kMaxTechniques, true, &to->tags);
  AddTexts(from.requests, kMaxSources, false, &to->requests);
  AddObserved(from, to);
}

Status AddEvidence(const Case& from, const Evidence& evidence, CaseStore* store, Case* to) {
  // What was separated stays where it was, too: coming back, it is there already.
  const bool known = std::any_of(to->evidence.begin(), to->evidence.end(), [&](const Evidence& have) {
    return have.alert_id == evidence.alert_id && have.offset == evidence.offset &&
           have.partition == evidence.partition && have.topic == evidence.topic;
  });
  if (known) return {};
  if (to->evidence.size() >= kMaxEvidence) {
    ++to->evidence_dropped;
    return {};
  }
  Evidence copy = evidence;
  copy.raw_slot.reset();
  // Bytes from another partition come in messages of their own.
  const bool here = from.id.partition == to->id.partition;
  const auto slot = FreeRawSlot(to->evidence);
  if (here && evidence.raw_slot && slot && to->evidence.size() < kMaxEvidence - kLatestEvidence) {
    auto raw = store->GetEvidenceRaw(from.id, *evidence.raw_slot);
    if (!raw) return raw.error();
    copy.raw_slot = slot;
    store->PutEvidenceRaw(to->id, *copy.raw_slot, raw->value_or(std::string()));
  }
  to->evidence.push_back(std::move(copy));
  return {};
}

Status Absorb(CaseContext& target, const Case& from, CaseStore* store) {
  Case& c = target.c;
  if (from.alert_count > 0) {
    c.first_seen = c.alert_count > 0 ? std::min(c.first_seen, from.first_seen) : from.first_seen;
    c.last_seen = std::max(c.last_seen, from.last_seen);
  }
  c.alert_count += from.alert_count;
  c.suppressed_count += from.suppressed_count;
  c.max_score = std::max(c.max_score, from.max_score);
  AddSeen(from, &c);
  AddVotes(from, &c);
  AddNotes(from, &c);
  c.evidence_dropped += from.evidence_dropped;
  for (const Evidence& evidence : from.evidence) {
    if (Status added = AddEvidence(from, evidence, store, &c); !added) return added;
  }
  if (c.classification.empty()) c.classification = from.classification;
  RaiseSeverity(target, from.severity, "merged");
  RecomputeVerdict(target);
  StandingChanged(target);
  return {};
}

}  // namespace triaged
