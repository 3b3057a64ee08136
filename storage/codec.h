// Codec: the bytes of every record that the store and the changelog hold.
//
// A record is a frame: version (1 byte), kind (1 byte), checksum of the payload (4 bytes, little-endian), payload. The
// same bytes stand in RocksDB and in the changelog. Every value has exactly one encoding, so comparing bytes compares
// states, and encode(decode(x)) == x.
//
// Decoding accepts any bytes and never crashes, reads out of bounds or allocates more than a small multiple of the
// input. Errors: a frame written by a newer release (kInvariant, see IsNewerFormat: whoever meets one must stop before it
// writes), or damage (any other); both say what was read.
// Pure and thread-safe.
//
// Changing the format: add fields at the end of a record, raise kCodecVersion, and let the reader skip them for frames
// of the older version. Fields of an alert are stored by name, so their numbers may change between releases.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"
#include "pipeline/baseline/entry.h"
#include "pipeline/model/case.h"
#include "pipeline/model/ids.h"
#include "pipeline/model/records.h"
#include "pipeline/processor/case_store.h"
#include "pipeline/rules/correlation.h"

namespace triaged {

// 2: clocks from the third on, and all of a case after its notes. A test builds a daemon that is one format ahead.
#ifndef TRIAGED_FORMATS_AHEAD
#define TRIAGED_FORMATS_AHEAD 0
#endif
inline constexpr uint8_t kCodecVersion = 2 + TRIAGED_FORMATS_AHEAD;
inline constexpr size_t kFrameHeaderBytes = 6;
inline constexpr size_t kMaxListItems = 65'536;         // of one list in a case or progress record
inline constexpr size_t kMaxSeenBlockEntries = 16'384;  // ≤ 35 bytes each: a block stays below 600 KiB
inline constexpr size_t kMaxBaselineBlockEntries = 8192;  // ≤ 75 bytes each: a block stays below 620 KiB

enum class RecordKind : uint8_t {
  kCase = 1,
  kKeyIndex = 2,
  kEvidenceRaw = 3,
  kSeenBlock = 4,
  kProgress = 5,
  kPosition = 6,   // store-local
  kFormat = 7,     // store-local
  kPartition = 8,  // store-local
  kSilence = 9,
  kCorrelation = 10,
  kWatch = 12,
  kBaseline = 13,
};

// The progress record, and with it what the store itself must remember between steps.
struct StoredProgress {
  Progress progress;
  Timestamp seen_horizon{};      // ids first seen before this are forgotten
  uint64_t next_seen_block = 1;  // number of the next dedup block
  bool operator==(const StoredProgress&) const = default;
};

// What a restore needs of a case: read without decoding the rest.
struct CaseHead {
  CaseId id;
  Timestamp next_due{};
  std::string policy;
  CaseStatus status = CaseStatus::kOpen;
  uint8_t severity = 0;
  uint8_t level = 0;
};

std::string EncodeCase(const Case& c);
Result<Case> DecodeCase(std::string_view frame);
Result<CaseHead> DecodeCaseHead(std::string_view frame);

// The sequence of the newest case of a grouping key.
std::string EncodeKeyIndex(uint64_t sequence);
Result<uint64_t> DecodeKeyIndex(std::string_view frame);

std::string EncodeEvidenceRaw(std::string_view raw);
Result<std::string> DecodeEvidenceRaw(std::string_view frame);

// At most kMaxSeenBlockEntries.
std::string EncodeSeenBlock(const std::vector<SeenEntry>& entries);
Result<std::vector<SeenEntry>> DecodeSeenBlock(std::string_view frame);

std::string EncodeSilence(const SilenceRule& rule);
Result<SilenceRule> DecodeSilence(std::string_view frame);

// At most kMaxObservations, ascending by time.
std::string EncodeCorrelation(const rules::CorrelationWindow& window);
Result<rules::CorrelationWindow> DecodeCorrelation(std::string_view frame);
std::string EncodeWatch(const Watch& watch);
Result<Watch> DecodeWatch(std::string_view frame);

// What one step changed in the baseline, and the table's marks after it.
struct BaselineBlock {
  BaselineMarks marks;
  std::vector<BaselineEntry> entries;  // at most kMaxBaselineBlockEntries
  bool operator==(const BaselineBlock&) const = default;
};
std::string EncodeBaselineBlock(const BaselineBlock& block);
Result<BaselineBlock> DecodeBaselineBlock(std::string_view frame);

std::string EncodeProgress(const StoredProgress& progress);
Result<StoredProgress> DecodeProgress(std::string_view frame);

// Store-local numbers: kPosition (a changelog offset, -1 for none), kFormat (a store format version), kPartition.
std::string EncodeNumber(RecordKind kind, int64_t number);
Result<int64_t> DecodeNumber(RecordKind kind, std::string_view frame);

// The kind of a sound frame (version known, checksum right); the payload is not looked into.
Result<RecordKind> CheckFrame(std::string_view frame);

// True when `error` is about a record or a store of a newer release: nothing but an upgrade helps, and what is there must
// not be thrown away.
bool IsNewerFormat(const Error& error);

}  // namespace triaged
