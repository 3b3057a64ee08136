// libFuzzer target: decoding arbitrary bytes never crashes, and what decodes encodes to the same bytes. The input is
// tried as it stands and as a payload inside a sound frame of each kind, since a fuzzer seldom guesses a checksum.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "storage/codec.h"
#include "storage/frame.h"

namespace triaged {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void Try(std::string_view frame) {
  // A frame of an older version decodes, and encodes to the current one.
  if (!frame.empty() && static_cast<uint8_t>(frame[0]) != kCodecVersion) {
    (void)DecodeCase(frame);
    return;
  }
  if (auto silence = DecodeSilence(frame)) Require(EncodeSilence(*silence) == frame);
  if (auto window = DecodeCorrelation(frame)) Require(EncodeCorrelation(*window) == frame);
  if (auto block = DecodeBaselineBlock(frame)) Require(EncodeBaselineBlock(*block) == frame);
  if (auto watch = DecodeWatch(frame)) Require(EncodeWatch(*watch) == frame);
  if (auto c = DecodeCase(frame)) Require(EncodeCase(*c) == frame);
  if (auto index = DecodeKeyIndex(frame)) Require(EncodeKeyIndex(*index) == frame);
  if (auto raw = DecodeEvidenceRaw(frame)) Require(EncodeEvidenceRaw(*raw) == frame);
  if (auto block = DecodeSeenBlock(frame)) Require(EncodeSeenBlock(*block) == frame);
  if (auto progress = DecodeProgress(frame)) Require(EncodeProgress(*progress) == frame);
  if (auto number = DecodeNumber(RecordKind::kPosition, frame)) {
    Require(EncodeNumber(RecordKind::kPosition, *number) == frame);
  }
  (void)DecodeCaseHead(frame);
}

}  // namespace
}  // namespace triaged

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace triaged;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Try(bytes);
  for (auto kind : {RecordKind::kCase, RecordKind::kKeyIndex, RecordKind::kSeenBlock, RecordKind::kProgress,
                    RecordKind::kPosition, RecordKind::kSilence, RecordKind::kCorrelation, RecordKind::kWatch,
                    RecordKind::kBaseline}) {
    std::string frame = BeginFrame(kind, size);
    frame += bytes;
    EndFrame(&frame);
    Try(frame);
  }
  return 0;
}
