// The case record, and the silence beside it. One description of the fields (Walk…) serves writing and reading, so that the two cannot drift
// apart.
#include <algorithm>
#include <array>
#include <concepts>
#include <type_traits>

#include "storage/codec.h"
#include "storage/frame.h"
#include "storage/wire.h"

namespace triaged {
namespace {

constexpr std::array<std::string_view, field::kAlertFieldCount> kFieldNames = {
#define TRIAGED_X(id, name) name,
    TRIAGED_ALERT_FIELDS(TRIAGED_X)
#undef TRIAGED_X
};

struct NamedField {
  std::string_view name;
  FieldId id = kNoField;
};

constexpr auto kFieldsByName = [] {
  std::array<NamedField, kFieldNames.size()> fields;
  for (size_t i = 0; i < fields.size(); ++i) fields[i] = {kFieldNames[i], static_cast<FieldId>(i)};
  std::sort(fields.begin(), fields.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return fields;
}();

class CaseWriter {
 public:
  explicit CaseWriter(std::string* out) : wire_(out) {}

  void operator()(bool value) { wire_.Byte(value ? 1 : 0); }
  void operator()(uint8_t value) { wire_.Byte(value); }
  template <std::unsigned_integral T>
  void operator()(T value) {
    wire_.Varint(value);
  }
  template <std::signed_integral T>
  void operator()(T value) {
    wire_.Zigzag(value);
  }
  void operator()(const std::string& value) { wire_.Bytes(value); }
  void operator()(Timestamp value) { wire_.Zigzag(ToUnixMillis(value)); }
  void operator()(Duration value) { wire_.Zigzag(value.count()); }
  void operator()(const std::optional<uint8_t>& value) {
    (*this)(value.has_value());
    if (value) wire_.Byte(*value);
  }
  void operator()(const DistinctSketch& sketch) {
    wire_.Varint(sketch.hashes().size());
    for (uint64_t hash : sketch.hashes()) wire_.Fixed64(hash);
  }
  template <typename E>
  void Enum(E value, E last) {
    TRIAGED_CHECK(value <= last);
    wire_.Byte(static_cast<uint8_t>(value));
  }
  void Field(FieldId id) {
    TRIAGED_CHECK(id < kFieldNames.size() || id == kNoField);
    wire_.Bytes(id == kNoField ? std::string_view() : kFieldNames[id]);
  }
  template <typename Clocks, typename Walk>
  void LaterClocks(const Clocks& clocks, size_t first, Walk walk) {
    uint64_t mask = 0;
    for (size_t i = first; i < clocks.size(); ++i) mask |= uint64_t{clocks[i] != Clock{}} << i;
    wire_.Varint(mask);
    for (size_t i = first; i < clocks.size(); ++i) {
      if (mask >> i & 1) walk(*this, clocks[i]);
    }
  }
  template <typename T, typename Walk>
  void Optional(const T& value, bool present, Walk walk) {
    (*this)(present);
    if (present) walk(*this, value);
  }
  uint8_t version() const { return kCodecVersion; }
  template <typename T, typename Walk>
  void List(const std::vector<T>& list, Walk walk) {
    TRIAGED_CHECK(list.size() <= kMaxListItems);
    wire_.Varint(list.size());
    for (const T& item : list) walk(*this, item);
  }

 private:
  WireWriter wire_;
};

class CaseReader {
 public:
  CaseReader(std::string_view payload, uint8_t version) : wire_(payload), version_(version) {}
  uint8_t version() const { return version_; }
  WireReader& wire() { return wire_; }

  void operator()(bool& value) {
    const uint8_t byte = wire_.Byte();
    if (byte > 1) wire_.Fail();
    value = byte == 1;
  }
  void operator()(uint8_t& value) { value = wire_.Byte(); }
  template <std::unsigned_integral T>
  void operator()(T& value) {
    const uint64_t wide = wire_.Varint();
    value = static_cast<T>(wide);
    if (value != wide) wire_.Fail();
  }
  template <std::signed_integral T>
  void operator()(T& value) {
    const int64_t wide = wire_.Zigzag();
    value = static_cast<T>(wide);
    if (value != wide) wire_.Fail();
  }
  void operator()(std::string& value) { value = wire_.Bytes(); }
  void operator()(Timestamp& value) { value = FromUnixMillis(wire_.Zigzag()); }
  void operator()(Duration& value) { value = Duration(wire_.Zigzag()); }
  void operator()(std::optional<uint8_t>& value) {
    bool present = false;
    (*this)(present);
    value.reset();
    if (present) value = wire_.Byte();
  }
  void operator()(DistinctSketch& sketch) {
    const uint64_t size = wire_.Varint();
    if (size > DistinctSketch::kExact || size > wire_.remaining() / sizeof(uint64_t)) return wire_.Fail();
    std::vector<uint64_t> hashes(size);
    for (size_t i = 0; i < size; ++i) {
      hashes[i] = wire_.Fixed64();
      if (i > 0 && hashes[i] <= hashes[i - 1]) return wire_.Fail();
    }
    sketch.Restore(std::move(hashes));
  }
  template <typename E>
  void Enum(E& value, E last) {
    const uint8_t byte = wire_.Byte();
    if (byte > static_cast<uint8_t>(last)) return wire_.Fail();
    value = static_cast<E>(byte);
  }
  void Field(FieldId& id) {
    const std::string_view name = wire_.Bytes();
    id = kNoField;
    if (name.empty()) return;
    const auto found = std::lower_bound(kFieldsByName.begin(), kFieldsByName.end(), name,
                                        [](const NamedField& f, std::string_view n) { return f.name < n; });
    if (found == kFieldsByName.end() || found->name != name) return wire_.Fail();
    id = found->id;
  }
  template <typename Clocks, typename Walk>
  void LaterClocks(Clocks& clocks, size_t first, Walk walk) {
    const uint64_t mask = wire_.Varint();
    if (mask >> clocks.size() || mask & ((uint64_t{1} << first) - 1)) return wire_.Fail();
    for (size_t i = first; i < clocks.size(); ++i) {
      if (!(mask >> i & 1)) continue;
      walk(*this, clocks[i]);
      if (clocks[i] == Clock{}) wire_.Fail();
    }
  }
  template <typename T, typename Walk>
  void Optional(T& value, bool /*present*/, Walk walk) {
    bool present = false;
    (*this)(present);
    if (!present) return;
    walk(*this, value);
    if (value.action.empty()) wire_.Fail();
  }
  template <typename T, typename Walk>
  void List(std::vector<T>& list, Walk walk) {
    const uint64_t size = wire_.Varint();
    // Each item takes a byte at least: a forged count cannot make us reserve more than the input justifies.
    if (size > kMaxListItems || size > wire_.remaining()) return wire_.Fail();
    list.clear();
    list.reserve(std::min<uint64_t>(size, wire_.remaining() / 4 + 1));
    for (uint64_t i = 0; i < size && wire_.ok(); ++i) walk(*this, list.emplace_back());
  }

 private:
  WireReader wire_;
  uint8_t version_;
};

constexpr auto kPlain = [](auto& a, auto& item) { a(item); };

constexpr auto kVote = [](auto& a, auto& vote) {
  a(vote.rule_id), a(vote.title), a(vote.reason);
  a.Enum(vote.verdict, Verdict::kTruePositive);
  a(vote.confidence), a(vote.hits);
};

constexpr auto kObserved = [](auto& a, auto& observed) {
  a.Field(observed.field);
  a(observed.value), a(observed.alert_id), a(observed.path), a(observed.count);
};

constexpr auto kEvidence = [](auto& a, auto& evidence) {
  a(evidence.topic), a(evidence.partition), a(evidence.offset), a(evidence.alert_id), a(evidence.event_time);
  a(evidence.rule_name), a(evidence.message), a(evidence.score);
  a.Enum(evidence.verdict, Verdict::kTruePositive);
  a(evidence.excerpt), a(evidence.raw_slot);
};

constexpr auto kEscalation = [](auto& a, auto& record) {
  a(record.at), a(record.from_level), a(record.to_level);
  a.List(record.passed, kPlain);
  a.Enum(record.kind, EscalationKind::kHardLimit);
  a(record.reason), a(record.requested), a(record.from_assignee), a(record.to_assignee), a(record.to_team);
  a(record.nobody_on_shift), a(record.rule_id);
};

constexpr auto kTimeline = [](auto& a, auto& entry) { a(entry.at), a(entry.what), a(entry.actor), a(entry.text); };

// First in the record, so that a restore can read it alone.
template <typename A, typename C>
void WalkHead(A& a, C& c) {
  a(c.id.partition), a(c.id.sequence), a(c.next_due), a(c.policy);
  a.Enum(c.status, CaseStatus::kClosed);
  a(c.severity), a(c.level);
}

template <typename A, typename C>
void WalkStanding(A& a, C& c) {
  a(c.key), a(c.version), a(c.next_event), a(c.assignee), a(c.team), a(c.drill);
  a.Enum(c.verdict, Verdict::kTruePositive);
  a(c.verdict_confidence), a(c.verdict_by), a(c.verdict_reason), a(c.verdict_severity);
  a.List(c.votes, kVote);
  a(c.classification), a(c.incident);
  a.List(c.requests, kPlain), a.List(c.tags, kPlain);
}

template <typename A, typename C>
void WalkContents(A& a, C& c) {
  a(c.alert_count), a(c.suppressed_count), a(c.first_seen), a(c.last_seen), a(c.first_ingested), a(c.max_score);
  a(c.hosts), a(c.users), a(c.source_addresses), a(c.techniques_seen);
  a.List(c.sources, kPlain), a.List(c.techniques, kPlain), a.List(c.tactics, kPlain);
  a.List(c.observed, kObserved), a(c.observed_dropped);
  a.List(c.evidence, kEvidence), a(c.evidence_dropped);
}

template <typename A, typename C>
void WalkLife(A& a, C& c) {
  a(c.opened_at), a(c.episode_at), a(c.level_at), a(c.updated_at), a(c.last_action_at), a(c.resolved_at);
  a(c.closed_at), a(c.episode), a(c.reopen_count), a(c.resolution), a(c.close_rule), a(c.previous_case);
  a(c.paused_status_reason), a(c.pause_started), a(c.pause_total);
}

constexpr size_t kClocksOfVersion1 = 2;  // acknowledge and resolve

template <typename A, typename C>
void WalkClock(A& a, C& clock) {
  a.Enum(clock.state, ClockState::kEnded);
  a(clock.started), a(clock.due), a(clock.paused_at), a(clock.paused_total), a(clock.ended);
  a(clock.at_risk_fired), a(clock.breached);
}

template <typename A, typename C>
void WalkClocks(A& a, C& c) {
  for (size_t i = 0; i < kClocksOfVersion1; ++i) WalkClock(a, c.clocks[i]);
  a(c.acknowledged), a(c.acknowledged_by), a(c.acknowledged_at), a(c.repeats), a(c.next_repeat);
  for (auto& due : c.level_due) a(due);
  a.List(c.criteria_fired, kPlain);
  a(c.next_publish), a(c.published_at);
}

template <typename A, typename C>
void WalkHistory(A& a, C& c) {
  a.List(c.escalations, kEscalation), a(c.escalation_count);
  a.List(c.timeline, kTimeline), a(c.timeline_dropped);
  a.List(c.notes, kTimeline);
}

constexpr auto kFollowUp = [](auto& a, auto& f) {
  a(f.name), a(f.text), a(f.added), a(f.due), a(f.done), a(f.done_by), a(f.overdue_fired);
};

constexpr auto kEngagedRole = [](auto& a, auto& r) {
  a(r.name), a(r.reason), a(r.person), a(r.team), a(r.since), a(r.next_change);
  a(r.handoff_person), a(r.handoff_team), a(r.handoff_due);
};

constexpr auto kRiskBucket = [](auto& a, auto& bucket) { a(bucket.begin), a(bucket.score); };

// Most cases have two clocks: the others cost one byte each when they never ran, marked in a bit set before them. One
// encoding only: a marked clock is never the empty one (the reader checks).
template <typename A, typename C>
void WalkLaterClocks(A& a, C& c) {
  a(c.clocks[0].at_risk), a(c.clocks[1].at_risk);
  a.LaterClocks(c.clocks, kClocksOfVersion1, [](auto& inner, auto& clock) {
    WalkClock(inner, clock);
    inner(clock.at_risk);
  });
}

template <typename A, typename C>
void WalkUndo(A& a, C& undo) {
  a(undo.action), a(undo.command_id), a(undo.actor), a(undo.at);
  a.Enum(undo.status, CaseStatus::kClosed);
  a(undo.severity), a(undo.assignee);
  a.Enum(undo.verdict, Verdict::kTruePositive);
  a(undo.verdict_confidence), a(undo.verdict_by), a(undo.verdict_reason), a(undo.verdict_severity);
  a(undo.classification), a(undo.incident);
  for (auto& due : undo.level_due) a(due);
  a(undo.next_repeat), a(undo.other_case);
}

// What version 2 added.
template <typename A, typename C>
void WalkVersion2(A& a, C& c) {
  WalkLaterClocks(a, c);
  a(c.held_by), a(c.held_since), a(c.held_until), a(c.hard_limit_due), a(c.hard_limit_fired);
  a.List(c.follow_ups, kFollowUp), a.List(c.roles, kEngagedRole), a.List(c.roles_left, kPlain);
  a.List(c.risk, kRiskBucket), a(c.recurrence), a(c.resolution_failures), a(c.severity_raised), a(c.contained);
  a(c.last_update_at), a(c.silenced_by), a(c.silenced_until), a(c.silenced_severity), a(c.silenced_entities);
  a(c.merged_into), a.List(c.merged_from, kPlain);
  a.Optional(c.undo, !c.undo.action.empty(), [](auto& inner, auto& undo) { WalkUndo(inner, undo); });
}

template <typename A, typename C>
void WalkSilence(A& a, C& rule) {
  a(rule.id);
  a.List(rule.match, [](auto& inner, auto& wanted) { inner.Field(wanted.first), inner(wanted.second); });
  a(rule.owner), a(rule.reason), a(rule.from), a(rule.until), a(rule.hits), a(rule.last_hit);
}

template <typename A, typename C>
void WalkWatch(A& a, C& watch) {
  a(watch.id);
  a.List(watch.times, kPlain);
  a(watch.heard), a(watch.told), a(watch.due);
}

template <typename A, typename C>
void WalkCase(A& a, C& c) {
  WalkHead(a, c);
  WalkStanding(a, c);
  WalkContents(a, c);
  WalkLife(a, c);
  WalkClocks(a, c);
  WalkHistory(a, c);
  if (a.version() >= 2) WalkVersion2(a, c);
}

#if defined(__x86_64__) && defined(__GLIBCXX__)
// A reminder, not a promise: whoever adds a field to a case must add it to the walk above and raise kCodecVersion.
constexpr size_t kKnownCaseBytes = 2392;
static_assert(sizeof(Case) == kKnownCaseBytes, "Case has changed: extend the walk and kCodecVersion, then this number");
#endif

}  // namespace

std::string EncodeSilence(const SilenceRule& rule) {
  std::string out = BeginFrame(RecordKind::kSilence, 128);
  CaseWriter writer(&out);
  WalkSilence(writer, rule);
  EndFrame(&out);
  return out;
}

Result<SilenceRule> DecodeSilence(std::string_view frame) {
  auto payload = OpenFrame(RecordKind::kSilence, frame);
  if (!payload) return payload.error();
  CaseReader reader(*payload, static_cast<uint8_t>(frame[0]));
  SilenceRule rule;
  WalkSilence(reader, rule);
  // A silence that names no field would match everything or nothing.
  const bool named = !rule.match.empty() && std::none_of(rule.match.begin(), rule.match.end(),
                                                          [](const auto& wanted) { return wanted.first == kNoField; });
  if (!reader.wire().Done() || !named) return DamagedRecord(RecordKind::kSilence, "malformed payload");
  return rule;
}

std::string EncodeWatch(const Watch& watch) {
  std::string out = BeginFrame(RecordKind::kWatch, 64);
  CaseWriter writer(&out);
  WalkWatch(writer, watch);
  EndFrame(&out);
  return out;
}

Result<Watch> DecodeWatch(std::string_view frame) {
  auto payload = OpenFrame(RecordKind::kWatch, frame);
  if (!payload) return payload.error();
  CaseReader reader(*payload, static_cast<uint8_t>(frame[0]));
  Watch watch;
  WalkWatch(reader, watch);
  if (!reader.wire().Done()) return DamagedRecord(RecordKind::kWatch, "malformed payload");
  return watch;
}

std::string EncodeCase(const Case& c) {
  std::string out = BeginFrame(RecordKind::kCase, 1024);
  CaseWriter writer(&out);
  WalkCase(writer, c);
  EndFrame(&out);
  return out;
}

Result<Case> DecodeCase(std::string_view frame) {
  auto payload = OpenFrame(RecordKind::kCase, frame);
  if (!payload) return payload.error();
  CaseReader reader(*payload, static_cast<uint8_t>(frame[0]));
  Case c;
  WalkCase(reader, c);
  if (!reader.wire().Done()) return DamagedRecord(RecordKind::kCase, "malformed payload");
  return c;
}

Result<CaseHead> DecodeCaseHead(std::string_view frame) {
  auto payload = OpenFrame(RecordKind::kCase, frame);
  if (!payload) return payload.error();
  CaseReader reader(*payload, static_cast<uint8_t>(frame[0]));
  CaseHead head;
  WalkHead(reader, head);
  if (!reader.wire().ok()) return DamagedRecord(RecordKind::kCase, "malformed head");
  return head;
}

}  // namespace triaged
