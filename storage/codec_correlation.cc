// Correlation windows as records: whether the condition holds, until when to keep it, and the observations.
#include <deque>

#include "storage/codec.h"
#include "storage/frame.h"
#include "storage/wire.h"

namespace triaged {

std::string EncodeCorrelation(const rules::CorrelationWindow& window) {
  TRIAGED_CHECK(window.observations().size() <= rules::kMaxObservations);
  std::string out = BeginFrame(RecordKind::kCorrelation, 16 + window.observations().size() * 8);
  WireWriter writer(&out);
  writer.Byte(window.held() ? 1 : 0);
  writer.Zigzag(ToUnixMillis(window.keep_until()));
  writer.Varint(window.observations().size());
  int64_t previous = 0;  // they ascend: differences are short (modulo 2^64)
  for (const rules::Observation& one : window.observations()) {
    const int64_t at = ToUnixMillis(one.at);
    writer.Zigzag(static_cast<int64_t>(static_cast<uint64_t>(at) - static_cast<uint64_t>(previous)));
    writer.Varint(one.rule);
    writer.Bytes(one.value);
    previous = at;
  }
  EndFrame(&out);
  return out;
}

Result<rules::CorrelationWindow> DecodeCorrelation(std::string_view frame) {
  constexpr size_t kMinObservationBytes = 3;
  auto payload = OpenFrame(RecordKind::kCorrelation, frame);
  if (!payload) return payload.error();
  WireReader reader(*payload);
  const uint8_t held = reader.Byte();
  const Timestamp keep_until = FromUnixMillis(reader.Zigzag());
  const uint64_t count = reader.Varint();
  if (!reader.ok() || held > 1 || count > rules::kMaxObservations || count > reader.remaining() / kMinObservationBytes) {
    return DamagedRecord(RecordKind::kCorrelation, "bad header");
  }
  std::deque<rules::Observation> observations;
  uint64_t previous = 0;
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    rules::Observation one;
    previous += static_cast<uint64_t>(reader.Zigzag());
    one.at = FromUnixMillis(static_cast<int64_t>(previous));
    const uint64_t rule = reader.Varint();
    if (rule >= rules::kMaxCorrelatedRules) reader.Fail();
    one.rule = static_cast<uint32_t>(rule);
    one.value = reader.Bytes();
    if (one.value.size() > rules::kMaxCorrelationValueBytes) reader.Fail();
    if (i > 0 && one.at < observations.back().at) reader.Fail();
    observations.push_back(std::move(one));
  }
  if (!reader.Done()) return DamagedRecord(RecordKind::kCorrelation, "malformed payload");
  return rules::CorrelationWindow(std::move(observations), held == 1, keep_until);
}

}  // namespace triaged
