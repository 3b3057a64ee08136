#include "storage/codec.h"

#include <doctest/doctest.h>

#include <random>

#include "pipeline/base/hash.h"
#include "storage/frame.h"
#include "storage/wire.h"
#include "tests/unit/storage_random.h"

namespace triaged {
namespace {

using testing::Random;

uint64_t Seed() {
  static const uint64_t seed = std::random_device()();
  return seed;
}

// Bytes with a sound frame around them: what a decoder meets when only the payload is wrong.
std::string Framed(RecordKind kind, std::string_view payload) {
  std::string frame = BeginFrame(kind, payload.size());
  frame += payload;
  EndFrame(&frame);
  return frame;
}

std::string_view Payload(const std::string& frame) { return std::string_view(frame).substr(kFrameHeaderBytes); }

TEST_CASE("codec: random cases come back equal, and their bytes too") {
  CAPTURE(Seed());
  Random r(Seed());
  for (int i = 0; i < 500; ++i) {
    const Case c = testing::RandomCase(r, {static_cast<int32_t>(r.Below(1000)), r.Number()});
    const std::string bytes = EncodeCase(c);
    auto back = DecodeCase(bytes);
    REQUIRE(back.ok());
    REQUIRE(*back == c);
    REQUIRE(EncodeCase(*back) == bytes);
    auto head = DecodeCaseHead(bytes);
    REQUIRE(head.ok());
    REQUIRE(head->id == c.id);
    REQUIRE(head->next_due == c.next_due);
    REQUIRE(head->policy == c.policy);
    REQUIRE(std::tuple(head->status, head->severity, head->level) == std::tuple(c.status, c.severity, c.level));
  }
}

TEST_CASE("codec: an empty case") {
  auto back = DecodeCase(EncodeCase(Case{}));
  REQUIRE(back.ok());
  CHECK(*back == Case{});
}

TEST_CASE("codec: dedup blocks, progress, evidence, key index, numbers come back equal") {
  CAPTURE(Seed());
  Random r(Seed());
  for (int i = 0; i < 200; ++i) {
    auto entries = r.List(100, [&] { return testing::RandomSeen(r); });
    auto block = DecodeSeenBlock(EncodeSeenBlock(entries));
    REQUIRE(block.ok());
    REQUIRE(*block == entries);

    const StoredProgress stored{testing::RandomProgress(r), r.Time(), r.Number()};
    auto progress = DecodeProgress(EncodeProgress(stored));
    REQUIRE(progress.ok());
    REQUIRE(*progress == stored);

    const std::string raw = r.Text(1000);
    auto evidence = DecodeEvidenceRaw(EncodeEvidenceRaw(raw));
    REQUIRE(evidence.ok());
    REQUIRE(*evidence == raw);

    const uint64_t sequence = r.Number();
    auto index = DecodeKeyIndex(EncodeKeyIndex(sequence));
    REQUIRE(index.ok());
    REQUIRE(*index == sequence);

    const int64_t number = r.Signed();
    auto position = DecodeNumber(RecordKind::kPosition, EncodeNumber(RecordKind::kPosition, number));
    REQUIRE(position.ok());
    REQUIRE(*position == number);
  }
}

TEST_CASE("codec: every flipped bit and every cut of a record is noticed") {
  Random r(7);
  const std::string bytes = EncodeCase(testing::RandomCase(r, {3, 17}));
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    REQUIRE_FALSE(DecodeCase(damaged).ok());
  }
  for (size_t size = 0; size < bytes.size(); ++size) REQUIRE_FALSE(DecodeCase(bytes.substr(0, size)).ok());
  REQUIRE_FALSE(DecodeCase(bytes + "x").ok());
}

TEST_CASE("codec: a sound frame around a damaged payload is refused or re-encodes to itself") {
  CAPTURE(Seed());
  Random r(Seed());
  for (int i = 0; i < 5'000; ++i) {
    std::string payload(Payload(EncodeCase(testing::RandomCase(r, {0, 1}))));
    for (uint64_t n = 1 + r.Below(3); n > 0; --n) payload[r.Below(payload.size())] = static_cast<char>(r.Bits());
    if (r.OneIn(4)) payload.resize(r.Below(payload.size()));
    const std::string frame = Framed(RecordKind::kCase, payload);
    auto c = DecodeCase(frame);
    if (c.ok()) REQUIRE(EncodeCase(*c) == frame);
  }
}

TEST_CASE("codec: non-canonical payloads are refused") {
  CHECK(DecodeKeyIndex(Framed(RecordKind::kKeyIndex, std::string_view("\x05", 1))).ok());
  CHECK_FALSE(DecodeKeyIndex(Framed(RecordKind::kKeyIndex, std::string_view("\x85\x00", 2))).ok());  // overlong 5
  CHECK_FALSE(DecodeKeyIndex(Framed(RecordKind::kKeyIndex, std::string_view("\x05\x05", 2))).ok());  // trailing byte
  CHECK_FALSE(DecodeKeyIndex(Framed(RecordKind::kKeyIndex, std::string(10, '\xff'))).ok());          // beyond 64 bits
  CHECK_FALSE(DecodeKeyIndex(Framed(RecordKind::kKeyIndex, "")).ok());

  // Two sources out of order would have a second encoding.
  StoredProgress stored;
  stored.progress.next = {{"a/0", 1}, {"b/0", 2}};
  std::string payload(Payload(EncodeProgress(stored)));
  const size_t a = payload.find("a/0"), b = payload.find("b/0");
  REQUIRE(a < b);
  std::swap(payload[a], payload[b]);
  CHECK_FALSE(DecodeProgress(Framed(RecordKind::kProgress, payload)).ok());
}

TEST_CASE("codec: a forged count reserves no memory") {
  std::string payload;
  WireWriter writer(&payload);
  writer.Varint(UINT64_MAX);
  CHECK_FALSE(DecodeSeenBlock(Framed(RecordKind::kSeenBlock, payload)).ok());
}

TEST_CASE("codec: a record of a newer release is told from damage") {
  std::string frame = EncodeKeyIndex(5);
  frame[0] = static_cast<char>(kCodecVersion + 1);
  auto newer = DecodeKeyIndex(frame);
  REQUIRE_FALSE(newer.ok());
  CHECK(IsNewerFormat(newer.error()));
  CHECK(newer.error().message.find("upgrade") != std::string::npos);
  frame[0] = 0;
  auto zero = DecodeKeyIndex(frame);
  REQUIRE_FALSE(zero.ok());
  CHECK_FALSE(IsNewerFormat(zero.error()));
}

TEST_CASE("codec: a record of another kind is refused") {
  CHECK_FALSE(DecodeCase(EncodeKeyIndex(5)).ok());
  CHECK_FALSE(DecodeNumber(RecordKind::kPosition, EncodeNumber(RecordKind::kFormat, 1)).ok());
}

// The bytes outlive the release that wrote them: whoever changes them by accident must notice.
TEST_CASE("codec: a case of format version 1 is read: what version 2 added is empty") {
  Random r(7);
  for (int i = 0; i < 100; ++i) {
    Case c = testing::RandomCase(r, {1, 5});
    for (Clock& clock : c.clocks) clock.at_risk = Timestamp{};
    for (size_t k = 2; k < kClockKindCount; ++k) c.clocks[k] = Clock{};
    c.held_by.clear(), c.held_since = c.held_until = c.hard_limit_due = c.last_update_at = c.silenced_until = Timestamp{};
    c.hard_limit_fired = c.severity_raised = c.contained = false;
    c.follow_ups.clear(), c.roles.clear(), c.roles_left.clear(), c.risk.clear(), c.merged_from.clear();
    c.recurrence = c.resolution_failures = 0, c.silenced_severity = c.silenced_entities = 0;
    c.silenced_by.clear(), c.merged_into.clear(), c.undo = UndoState{};
    constexpr size_t kEmptyTail = 24;  // one zero byte for each part that version 2 added
    std::string frame = EncodeCase(c);
    REQUIRE(std::string_view(frame).substr(frame.size() - kEmptyTail) == std::string(kEmptyTail, '\0'));
    const std::string payload = frame.substr(kFrameHeaderBytes, frame.size() - kFrameHeaderBytes - kEmptyTail);
    std::string old = Framed(RecordKind::kCase, payload);
    old[0] = 1;
    const auto decoded = DecodeCase(old);
    REQUIRE(decoded.ok());
    CHECK(*decoded == c);
  }
}

TEST_CASE("codec: format version 2 is what it was") {
  CHECK(kCodecVersion == 2);
  Random r(20261121);
  std::string all;
  for (int i = 0; i < 50; ++i) {
    Case c = testing::RandomCase(r, {1, static_cast<uint64_t>(i)});
    c.observed = {{field::kHostName, 3, "db7", "a1", "host.name"}};  // field numbers may shift, names do not
    all += EncodeCase(c);
    all += EncodeProgress({testing::RandomProgress(r), r.Time(), r.Number()});
    all += EncodeSeenBlock(r.List(5, [&] { return testing::RandomSeen(r); }));
  }
  CHECK(StableHash64(all) == 6150023055791268386u);
}

TEST_CASE("balance: outcomes and commands add up or do not") {
  Balance b;
  b.consumed = 3;
  b.outcomes[static_cast<size_t>(AlertOutcome::kOpened)] = 1;
  b.outcomes[static_cast<size_t>(AlertOutcome::kForwarded)] = 2;
  b.commands_consumed = 4;
  b.commands_applied = b.commands_refused = b.commands_duplicate = b.commands_forwarded = 1;
  CHECK(b.Adds());
  Balance sum = b;
  sum.Add(b);
  CHECK(sum.consumed == 6);
  CHECK(sum.commands_forwarded == 2);
  CHECK(sum.Adds());
  ++sum.commands_refused;
  CHECK_FALSE(sum.Adds());
  CHECK(Name(AlertOutcome::kDeadLettered) == "dead_lettered");
  CHECK(SourceKey("alerts", 7) == "alerts/7");
}

}  // namespace
}  // namespace triaged
