#include "daemon/input_place.h"

#include <charconv>

#include "pipeline/model/records.h"

namespace triaged {
namespace {

constexpr std::string_view kEnd = "end=";

}  // namespace

std::optional<LostInput> FindLostInput(const TopicPartition& source, int64_t next, BrokerClient::Watermarks marks) {
  const std::string where = SourceKey(source.topic, source.partition);
  if (next < marks.low) {
    return LostInput{where + ": records " + std::to_string(next) + " to " + std::to_string(marks.low - 1) +
                         " were removed before they were taken (retention, DeleteRecords)",
                     "raise the topic's retention, send them again if they are kept elsewhere, and start once with "
                     "--accept-data-loss to go on behind them",
                     marks.low};
  }
  if (next > marks.high) {
    return LostInput{where + ": it ends at " + std::to_string(marks.high) + ", and " + std::to_string(next) +
                         " was reached before: the topic was deleted and made anew, or truncated by an unclean election",
                     "find out which, and start once with --accept-data-loss to read it from its beginning",
                     marks.low};
  }
  return std::nullopt;
}

std::string EncodeEnd(int64_t end) { return std::string(kEnd) + std::to_string(end); }

std::optional<int64_t> DecodeEnd(std::string_view metadata) {
  if (!metadata.starts_with(kEnd)) return std::nullopt;
  int64_t end = 0;
  const char* last = metadata.data() + metadata.size();
  const auto parsed = std::from_chars(metadata.data() + kEnd.size(), last, end);
  if (parsed.ec != std::errc() || parsed.ptr != last) return std::nullopt;
  return end;
}

}  // namespace triaged
