#include "storage/codec.h"

#include "pipeline/base/hash.h"
#include "storage/frame.h"
#include "storage/wire.h"

namespace triaged {
namespace {

constexpr std::string_view kNewer = "of a newer release";  // in every such error, whatever is said around it

uint32_t Checksum(RecordKind kind, std::string_view payload) {
  const uint64_t hash = StableHash64(payload, static_cast<uint64_t>(kind));
  return static_cast<uint32_t>(hash ^ (hash >> 32));
}

}  // namespace

std::string BeginFrame(RecordKind kind, size_t payload_hint) {
  std::string out;
  out.reserve(kFrameHeaderBytes + payload_hint);
  out.push_back(static_cast<char>(kCodecVersion));
  out.push_back(static_cast<char>(kind));
  out.append(4, '\0');
  return out;
}

void EndFrame(std::string* frame) {
  const auto kind = static_cast<RecordKind>((*frame)[1]);
  const uint32_t checksum = Checksum(kind, std::string_view(*frame).substr(kFrameHeaderBytes));
  std::memcpy(frame->data() + 2, &checksum, sizeof checksum);
}

Error DamagedRecord(RecordKind kind, std::string_view what) {
  return EnvironmentError("damaged record of kind " + std::to_string(static_cast<int>(kind)) + ": " +
                          std::string(what));
}

Result<std::string_view> OpenFrame(RecordKind kind, std::string_view frame) {
  auto found = CheckFrame(frame);
  if (!found) return found.error();
  if (*found != kind) {
    return DamagedRecord(kind, "it claims to be of kind " + std::to_string(static_cast<int>(*found)));
  }
  return frame.substr(kFrameHeaderBytes);
}

Result<RecordKind> CheckFrame(std::string_view frame) {
  if (frame.size() < kFrameHeaderBytes) {
    return EnvironmentError("damaged record: " + std::to_string(frame.size()) + " bytes are no frame");
  }
  const auto version = static_cast<uint8_t>(frame[0]);
  const auto kind = static_cast<RecordKind>(frame[1]);
  uint32_t checksum = 0;
  std::memcpy(&checksum, frame.data() + 2, sizeof checksum);
  // The checksum covers the payload whatever the version, so a flipped version byte is told from a newer release only
  // by its value; both stop the reader.
  if (checksum != Checksum(kind, frame.substr(kFrameHeaderBytes))) return DamagedRecord(kind, "wrong checksum");
  if (version > kCodecVersion) {
    return Error{ErrorClass::kInvariant, "record " + std::string(kNewer) + ": format version " +
                                             std::to_string(version) + ", this release reads up to " + std::to_string(kCodecVersion) +
                                             "; upgrade triaged"};
  }
  if (version == 0) return DamagedRecord(kind, "format version 0");
  return kind;
}

bool IsNewerFormat(const Error& error) {
  return error.kind == ErrorClass::kInvariant && error.message.find(kNewer) != std::string::npos;
}

std::string EncodeKeyIndex(uint64_t sequence) {
  std::string out = BeginFrame(RecordKind::kKeyIndex, 10);
  WireWriter(&out).Varint(sequence);
  EndFrame(&out);
  return out;
}

Result<uint64_t> DecodeKeyIndex(std::string_view frame) {
  auto payload = OpenFrame(RecordKind::kKeyIndex, frame);
  if (!payload) return payload.error();
  WireReader reader(*payload);
  const uint64_t sequence = reader.Varint();
  if (!reader.Done()) return DamagedRecord(RecordKind::kKeyIndex, "malformed payload");
  return sequence;
}

std::string EncodeEvidenceRaw(std::string_view raw) {
  std::string out = BeginFrame(RecordKind::kEvidenceRaw, raw.size());
  out.append(raw);
  EndFrame(&out);
  return out;
}

Result<std::string> DecodeEvidenceRaw(std::string_view frame) {
  auto payload = OpenFrame(RecordKind::kEvidenceRaw, frame);
  if (!payload) return payload.error();
  return std::string(*payload);
}

std::string EncodeNumber(RecordKind kind, int64_t number) {
  std::string out = BeginFrame(kind, 10);
  WireWriter(&out).Zigzag(number);
  EndFrame(&out);
  return out;
}

Result<int64_t> DecodeNumber(RecordKind kind, std::string_view frame) {
  auto payload = OpenFrame(kind, frame);
  if (!payload) return payload.error();
  WireReader reader(*payload);
  const int64_t number = reader.Zigzag();
  if (!reader.Done()) return DamagedRecord(kind, "malformed payload");
  return number;
}

std::string EncodeSeenBlock(const std::vector<SeenEntry>& entries) {
  TRIAGED_CHECK(entries.size() <= kMaxSeenBlockEntries);
  std::string out = BeginFrame(RecordKind::kSeenBlock, entries.size() * 18 + 4);
  WireWriter writer(&out);
  writer.Varint(entries.size());
  uint64_t previous = 0;  // times of one step lie close together: differences are short (modulo 2^64)
  for (const SeenEntry& entry : entries) {
    const auto at = static_cast<uint64_t>(ToUnixMillis(entry.at));
    writer.Fixed64(entry.id_hash);
    writer.Zigzag(static_cast<int64_t>(at - previous));
    writer.Varint(entry.case_sequence);
    writer.Zigzag(entry.score);
    writer.Fixed16(entry.state_hash);
    previous = at;
  }
  EndFrame(&out);
  return out;
}

Result<std::vector<SeenEntry>> DecodeSeenBlock(std::string_view frame) {
  constexpr size_t kMinEntryBytes = 13;
  auto payload = OpenFrame(RecordKind::kSeenBlock, frame);
  if (!payload) return payload.error();
  WireReader reader(*payload);
  const uint64_t count = reader.Varint();
  if (!reader.ok() || count > kMaxSeenBlockEntries || count > reader.remaining() / kMinEntryBytes) {
    return DamagedRecord(RecordKind::kSeenBlock, "bad entry count");
  }
  std::vector<SeenEntry> entries(count);
  uint64_t previous = 0;
  for (SeenEntry& entry : entries) {
    entry.id_hash = reader.Fixed64();
    previous += static_cast<uint64_t>(reader.Zigzag());
    entry.at = FromUnixMillis(static_cast<int64_t>(previous));
    entry.case_sequence = reader.Varint();
    const int64_t score = reader.Zigzag();
    if (score < INT16_MIN || score > INT16_MAX) reader.Fail();
    entry.score = static_cast<int16_t>(score);
    entry.state_hash = reader.Fixed16();
  }
  if (!reader.Done()) return DamagedRecord(RecordKind::kSeenBlock, "malformed payload");
  return entries;
}

std::string EncodeProgress(const StoredProgress& stored) {
  const Progress& progress = stored.progress;
  TRIAGED_CHECK(progress.next.size() <= kMaxListItems);
  std::string out = BeginFrame(RecordKind::kProgress, 256);
  WireWriter writer(&out);
  writer.Bytes(progress.lineage);
  writer.Varint(progress.next.size());
  for (const auto& [source, offset] : progress.next) {
    writer.Bytes(source);
    writer.Zigzag(offset);
  }
  writer.Zigzag(ToUnixMillis(progress.clock));
  writer.Varint(progress.next_case);
  writer.Varint(progress.balance.consumed);
  writer.Byte(static_cast<uint8_t>(kAlertOutcomeCount));
  for (uint64_t count : progress.balance.outcomes) writer.Varint(count);
  writer.Varint(progress.balance.commands_consumed);
  writer.Varint(progress.balance.commands_applied);
  writer.Varint(progress.balance.commands_refused);
  writer.Varint(progress.balance.commands_duplicate);
  writer.Varint(progress.balance.commands_forwarded);
  writer.Bytes(progress.fingerprint);
  writer.Varint(progress.steps);
  writer.Zigzag(ToUnixMillis(stored.seen_horizon));
  writer.Varint(stored.next_seen_block);
  EndFrame(&out);
  return out;
}

Result<StoredProgress> DecodeProgress(std::string_view frame) {
  auto payload = OpenFrame(RecordKind::kProgress, frame);
  if (!payload) return payload.error();
  WireReader reader(*payload);
  StoredProgress stored;
  Progress& progress = stored.progress;
  progress.lineage = reader.Bytes();
  const uint64_t sources = reader.Varint();
  if (sources > kMaxListItems || sources > reader.remaining() / 2) reader.Fail();
  for (uint64_t i = 0; i < sources && reader.ok(); ++i) {
    std::string source(reader.Bytes());
    const int64_t offset = reader.Zigzag();
    // Ascending and unique, or the bytes would have another encoding.
    if (!progress.next.empty() && source <= progress.next.rbegin()->first) reader.Fail();
    progress.next.emplace_hint(progress.next.end(), std::move(source), offset);
  }
  progress.clock = FromUnixMillis(reader.Zigzag());
  progress.next_case = reader.Varint();
  progress.balance.consumed = reader.Varint();
  if (reader.Byte() != kAlertOutcomeCount) reader.Fail();
  for (uint64_t& count : progress.balance.outcomes) count = reader.Varint();
  progress.balance.commands_consumed = reader.Varint();
  progress.balance.commands_applied = reader.Varint();
  progress.balance.commands_refused = reader.Varint();
  progress.balance.commands_duplicate = reader.Varint();
  progress.balance.commands_forwarded = reader.Varint();
  progress.fingerprint = reader.Bytes();
  progress.steps = reader.Varint();
  stored.seen_horizon = FromUnixMillis(reader.Zigzag());
  stored.next_seen_block = reader.Varint();
  if (!reader.Done()) return DamagedRecord(RecordKind::kProgress, "malformed payload");
  return stored;
}

}  // namespace triaged
