#include "pipeline/processor/intake_headers.h"

#include <charconv>

namespace triaged {
namespace {

constexpr std::string_view kTopic = "triaged.topic";
constexpr std::string_view kPartition = "triaged.partition";
constexpr std::string_view kOffset = "triaged.offset";
constexpr std::string_view kTimestamp = "triaged.timestamp";
constexpr std::string_view kFormat = "triaged.format";

template <typename T>
bool ReadNumber(std::string_view text, T* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::vector<Header> IntakeHeaders(const InputRecord& input, std::string_view format) {
  return IntakeHeaders(IntakeNote{input.topic, input.partition, input.offset, input.timestamp, format});
}

std::vector<Header> IntakeHeaders(const IntakeNote& note) {
  return {{std::string(kTopic), std::string(note.topic)},
          {std::string(kPartition), std::to_string(note.partition)},
          {std::string(kOffset), std::to_string(note.offset)},
          {std::string(kTimestamp), std::to_string(ToUnixMillis(note.record_time))},
          {std::string(kFormat), std::string(note.format)}};
}

std::optional<IntakeNote> ReadIntakeHeaders(const InputRecord& input) {
  IntakeNote note;
  int found = 0;
  int64_t millis = 0;
  for (const auto& [name, value] : input.headers) {
    if (name == kTopic) found += !value.empty(), note.topic = value;
    if (name == kPartition) found += ReadNumber(value, &note.partition);
    if (name == kOffset) found += ReadNumber(value, &note.offset);
    if (name == kTimestamp) found += ReadNumber(value, &millis);
    if (name == kFormat) note.format = value;
  }
  note.record_time = FromUnixMillis(millis);
  if (found != 4 || !input.key) return std::nullopt;
  return note;
}

}  // namespace triaged
