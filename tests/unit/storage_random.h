// Random cases and progress records with every field set to something, from a seed; and a directory that removes
// itself.
#pragma once

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "pipeline/model/case.h"
#include "pipeline/model/records.h"
#include "pipeline/processor/case_store.h"

namespace triaged::testing {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Bits() { return engine_(); }
  uint64_t Below(uint64_t end) { return engine_() % end; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  // Any magnitude, and the extremes.
  uint64_t Number() {
    if (OneIn(20)) return UINT64_MAX;
    return engine_() >> Below(64);
  }
  int64_t Signed() { return static_cast<int64_t>(OneIn(2) ? Number() : ~Number()); }
  Timestamp Time() {
    return OneIn(4) ? Timestamp{} : FromUnixMillis(1'700'000'000'000 + static_cast<int64_t>(Below(1ull << 40)));
  }
  std::string Text(size_t max = 40) {
    std::string text(Below(max + 1), '\0');
    for (char& byte : text) byte = static_cast<char>(OneIn(10) ? Below(256) : 'a' + Below(26));
    return text;
  }
  template <typename Make>
  auto List(size_t max, Make make) {
    std::vector<decltype(make())> list(Below(max + 1));
    for (auto& item : list) item = make();
    return list;
  }
  std::vector<std::string> Texts(size_t max) {
    return List(max, [&] { return Text(); });
  }
  uint8_t Byte() { return static_cast<uint8_t>(Below(256)); }

 private:
  std::mt19937_64 engine_;
};

inline DistinctSketch RandomSketch(Random& r) {
  auto hashes = r.List(r.OneIn(10) ? DistinctSketch::kExact : 4, [&] { return r.Bits(); });
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  DistinctSketch sketch;
  sketch.Restore(std::move(hashes));
  return sketch;
}

inline TimelineEntry RandomEntry(Random& r) { return {r.Time(), r.Text(), r.Text(), r.Text(200)}; }

inline Evidence RandomEvidence(Random& r) {
  Evidence e;
  e.topic = r.Text(), e.partition = static_cast<int32_t>(r.Signed()), e.offset = r.Signed(), e.alert_id = r.Text();
  e.event_time = r.Time(), e.rule_name = r.Text(), e.message = r.Text(100), e.score = static_cast<int16_t>(r.Signed());
  e.verdict = static_cast<Verdict>(r.Below(5)), e.excerpt = r.Text(kMaxExcerptBytes);
  if (r.OneIn(2)) e.raw_slot = r.Byte();
  return e;
}

inline EscalationRecord RandomEscalation(Random& r) {
  EscalationRecord e;
  e.at = r.Time(), e.from_level = r.Byte(), e.to_level = r.Byte(), e.passed = r.List(3, [&] { return r.Byte(); });
  e.kind = static_cast<EscalationKind>(r.Below(5)), e.reason = r.Text(), e.requested = r.Text();
  e.from_assignee = r.Text(), e.to_assignee = r.Text(), e.to_team = r.Text(), e.nobody_on_shift = r.OneIn(2);
  e.rule_id = r.Text();
  return e;
}

inline UndoState RandomUndo(Random& r) {
  UndoState u;
  u.action = "x" + r.Text(), u.command_id = r.Text(), u.actor = r.Text(), u.at = r.Time();
  u.status = static_cast<CaseStatus>(r.Below(kCaseStatusCount)), u.severity = r.Byte(), u.assignee = r.Text();
  u.verdict = static_cast<Verdict>(r.Below(5)), u.verdict_confidence = r.Byte(), u.verdict_by = r.Text();
  u.verdict_reason = r.Text(), u.verdict_severity = r.Byte(), u.classification = r.Text(), u.incident = r.Text();
  for (Timestamp& due : u.level_due) due = r.Time();
  u.next_repeat = r.Time(), u.other_case = r.Text();
  return u;
}

// What codec version 2 added.
inline void RandomLaterParts(Random& r, Case* c) {
  for (Timestamp* t : {&c->held_since, &c->held_until, &c->hard_limit_due, &c->last_update_at, &c->silenced_until}) {
    *t = r.Time();
  }
  c->held_by = r.Text(), c->hard_limit_fired = r.OneIn(2);
  c->follow_ups = r.List(3, [&] {
    FollowUp f;
    f.name = r.Text(), f.text = r.Text(), f.added = r.Time(), f.due = r.Time(), f.done = r.Time();
    f.done_by = r.Text(), f.overdue_fired = r.OneIn(2);
    return f;
  });
  c->roles = r.List(3, [&] {
    EngagedRole e;
    e.name = r.Text(), e.reason = r.Text(), e.person = r.Text(), e.team = r.Text(), e.since = r.Time();
    e.next_change = r.Time(), e.handoff_person = r.Text(), e.handoff_team = r.Text(), e.handoff_due = r.Time();
    return e;
  });
  c->roles_left = r.Texts(3);
  c->risk = r.List(4, [&] {
    const Timestamp begin = r.Time();
    return RiskBucket{begin, static_cast<uint32_t>(r.Number())};
  });
  c->recurrence = static_cast<uint32_t>(r.Number()), c->resolution_failures = static_cast<uint32_t>(r.Number());
  c->severity_raised = r.OneIn(2), c->contained = r.OneIn(2), c->silenced_by = r.Text();
  c->silenced_severity = r.Byte(), c->silenced_entities = r.Byte(), c->merged_into = r.Text();
  c->merged_from = r.Texts(3);
  if (r.OneIn(2)) c->undo = RandomUndo(r);
}

inline Case RandomCase(Random& r, CaseId id) {
  Case c;
  c.id = id;
  c.key = r.Text(), c.policy = r.Text(), c.version = r.Number(), c.next_event = r.Number();
  c.status = static_cast<CaseStatus>(r.Below(kCaseStatusCount)), c.severity = r.Byte(), c.level = r.Byte();
  c.assignee = r.Text(), c.team = r.Text(), c.drill = r.OneIn(2), c.verdict = static_cast<Verdict>(r.Below(5));
  c.verdict_confidence = r.Byte(), c.verdict_by = r.Text(), c.verdict_reason = r.Text();
  c.verdict_severity = r.Byte();
  c.votes = r.List(4, [&] {
    return RuleVote{r.Text(), r.Text(), r.Text(), static_cast<Verdict>(r.Below(5)), r.Byte(), r.Number()};
  });
  c.classification = r.Text(), c.incident = r.Text(), c.requests = r.Texts(3), c.tags = r.Texts(3);
  c.alert_count = r.Number(), c.suppressed_count = r.Number(), c.first_seen = r.Time(), c.last_seen = r.Time();
  c.first_ingested = r.Time(), c.max_score = static_cast<int16_t>(r.Signed());
  c.hosts = RandomSketch(r), c.users = RandomSketch(r), c.source_addresses = RandomSketch(r);
  c.techniques_seen = RandomSketch(r);
  c.sources = r.Texts(3), c.techniques = r.Texts(3), c.tactics = r.Texts(3);
  c.observed = r.List(8, [&] {
    const auto id_or_none = static_cast<FieldId>(r.Below(field::kAlertFieldCount + 1));
    Observed seen;
    seen.field = id_or_none == field::kAlertFieldCount ? kNoField : id_or_none;
    seen.value = r.Text(), seen.alert_id = r.Text(), seen.path = r.Text(), seen.count = r.Number();
    return seen;
  });
  c.observed_dropped = r.Number();
  c.evidence = r.List(4, [&] { return RandomEvidence(r); });
  c.evidence_dropped = r.Number();
  for (Timestamp* t :
       {&c.opened_at, &c.episode_at, &c.level_at, &c.updated_at, &c.last_action_at, &c.resolved_at, &c.closed_at,
        &c.pause_started, &c.acknowledged_at, &c.next_repeat, &c.next_publish, &c.published_at, &c.next_due}) {
    *t = r.Time();
  }
  for (Timestamp& due : c.level_due) due = r.Time();
  c.episode = static_cast<uint32_t>(r.Number()), c.reopen_count = static_cast<uint32_t>(r.Number());
  c.resolution = r.Text(), c.close_rule = r.Text(), c.previous_case = r.Text(), c.paused_status_reason = r.Text();
  c.pause_total = Duration(r.Signed());
  for (Clock& clock : c.clocks) {
    clock = {static_cast<ClockState>(r.Below(4)),
             r.Time(),
             r.Time(),
             r.Time(),
             r.Time(),
             Duration(r.Signed()),
             r.Time(),
             r.OneIn(2),
             r.OneIn(2)};
  }
  c.acknowledged = r.OneIn(2), c.acknowledged_by = r.Text(), c.repeats = static_cast<uint32_t>(r.Number());
  c.criteria_fired = r.Texts(3);
  c.escalations = r.List(3, [&] { return RandomEscalation(r); });
  c.escalation_count = r.Number();
  c.timeline = r.List(6, [&] { return RandomEntry(r); });
  c.timeline_dropped = r.Number();
  c.notes = r.List(3, [&] { return RandomEntry(r); });
  RandomLaterParts(r, &c);
  return c;
}

inline SeenEntry RandomSeen(Random& r) {
  return {r.Bits(), r.Time(), r.Number(), static_cast<int16_t>(r.Signed()), static_cast<uint16_t>(r.Bits())};
}

inline Progress RandomProgress(Random& r) {
  Progress p;
  p.lineage = r.Text();
  for (uint64_t i = r.Below(5); i > 0; --i) {
    const std::string topic = r.Text();  // one draw a statement: the order of arguments is the compiler's choice
    p.next[SourceKey(topic, static_cast<int32_t>(i))] = r.Signed();
  }
  p.clock = r.Time(), p.next_case = r.Number();
  Balance& b = p.balance;
  for (uint64_t* n : {&b.consumed, &b.commands_consumed, &b.commands_applied, &b.commands_refused,
                      &b.commands_duplicate, &b.commands_forwarded}) {
    *n = r.Number();
  }
  for (uint64_t& n : b.outcomes) n = r.Number();
  p.fingerprint = r.Text(), p.steps = r.Number();
  return p;
}

// A fresh directory below the system's temporary one; removed with everything in it.
class TempDirectory {
 public:
  TempDirectory() {
    std::random_device device;
    do {
      path_ = std::filesystem::temp_directory_path() /
              ("triaged-store-" + std::to_string(device()) + std::to_string(device()));
    } while (!std::filesystem::create_directory(path_));
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace triaged::testing
