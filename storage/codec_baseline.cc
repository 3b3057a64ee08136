// Blocks of a baseline as records: the table's marks, then entries. What a kind of entry never has is not written.
#include "storage/codec.h"
#include "storage/frame.h"
#include "storage/wire.h"

namespace triaged {
namespace {

bool IsPair(BaselineKind kind) {
  return kind == BaselineKind::kRuleOnHost || kind == BaselineKind::kRuleOfUser || kind == BaselineKind::kUserOnHost ||
         kind == BaselineKind::kSourceOnHost;
}
bool IsCounted(BaselineKind kind) {
  return kind == BaselineKind::kRule || kind == BaselineKind::kHost || kind == BaselineKind::kRuleOnHost;
}
bool HasRecent(BaselineKind kind) { return kind == BaselineKind::kRule || kind == BaselineKind::kHost; }

uint64_t Below(WireReader* reader, uint64_t limit) {
  const uint64_t value = reader->Varint();
  if (value > limit) reader->Fail();
  return value;
}

void WriteEntry(const BaselineEntry& entry, uint64_t touched_before, WireWriter* writer) {
  const BaselineKind kind = entry.key.kind;
  writer->Byte(static_cast<uint8_t>(kind));
  writer->Fixed64(entry.key.first);
  if (IsPair(kind)) writer->Fixed64(entry.key.second);
  writer->Zigzag(static_cast<int64_t>(entry.touched - touched_before));
  writer->Varint(entry.first_minute);
  writer->Varint(entry.hour);
  if (IsCounted(kind)) {
    writer->Varint(entry.mean);
    writer->Varint(entry.count);
    writer->Varint(entry.previous);
  }
  if (kind == BaselineKind::kRule) writer->Varint(entry.members);
  if (!HasRecent(kind)) return;
  for (const uint16_t recent : entry.recent) writer->Varint(recent);
}

BaselineEntry ReadEntry(uint64_t touched_before, WireReader* reader) {
  BaselineEntry entry;
  const uint8_t kind = reader->Byte();
  if (kind < 1 || kind > kBaselineKinds) reader->Fail();
  entry.key.kind = static_cast<BaselineKind>(kind);
  entry.key.first = reader->Fixed64();
  if (IsPair(entry.key.kind)) entry.key.second = reader->Fixed64();
  entry.touched = touched_before + static_cast<uint64_t>(reader->Zigzag());
  entry.first_minute = static_cast<uint32_t>(Below(reader, UINT32_MAX));
  entry.hour = static_cast<uint32_t>(Below(reader, UINT32_MAX));
  if (IsCounted(entry.key.kind)) {
    entry.mean = Below(reader, uint64_t{1} << 52);
    entry.count = static_cast<uint32_t>(Below(reader, UINT32_MAX));
    entry.previous = static_cast<uint32_t>(Below(reader, UINT32_MAX));
  }
  if (entry.key.kind == BaselineKind::kRule) entry.members = static_cast<uint32_t>(Below(reader, UINT32_MAX));
  if (!HasRecent(entry.key.kind)) return entry;
  for (uint16_t& recent : entry.recent) recent = static_cast<uint16_t>(Below(reader, UINT16_MAX));
  return entry;
}

}  // namespace

std::string EncodeBaselineBlock(const BaselineBlock& block) {
  TRIAGED_CHECK(block.entries.size() <= kMaxBaselineBlockEntries);
  std::string out = BeginFrame(RecordKind::kBaseline, 24 + block.entries.size() * 32);
  WireWriter writer(&out);
  writer.Varint(block.marks.next_touch);
  writer.Varint(block.marks.oldest_touch);
  writer.Varint(block.marks.since_minute);
  writer.Varint(block.marks.clock_hour);
  writer.Varint(block.entries.size());
  uint64_t touched = 0;
  for (const BaselineEntry& entry : block.entries) {
    WriteEntry(entry, touched, &writer);
    touched = entry.touched;
  }
  EndFrame(&out);
  return out;
}

Result<BaselineBlock> DecodeBaselineBlock(std::string_view frame) {
  constexpr size_t kMinEntryBytes = 12;
  auto payload = OpenFrame(RecordKind::kBaseline, frame);
  if (!payload) return payload.error();
  WireReader reader(*payload);
  BaselineBlock block;
  block.marks.next_touch = reader.Varint();
  block.marks.oldest_touch = reader.Varint();
  block.marks.since_minute = static_cast<uint32_t>(Below(&reader, UINT32_MAX));
  block.marks.clock_hour = static_cast<uint32_t>(Below(&reader, UINT32_MAX));
  const uint64_t count = reader.Varint();
  if (!reader.ok() || count > kMaxBaselineBlockEntries || count > reader.remaining() / kMinEntryBytes) {
    return DamagedRecord(RecordKind::kBaseline, "bad header");
  }
  uint64_t touched = 0;
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    block.entries.push_back(ReadEntry(touched, &reader));
    touched = block.entries.back().touched;
  }
  if (!reader.Done()) return DamagedRecord(RecordKind::kBaseline, "malformed payload");
  return block;
}

}  // namespace triaged
