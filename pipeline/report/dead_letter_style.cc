#include "pipeline/report/dead_letter_style.h"

#include <charconv>
#include <string>
#include <string_view>
#include <utility>

namespace triaged {
namespace {

// The last one: a dead letter that was fed in again carries the older ones before ours.
std::string Error(const OutputRecord& record, std::string_view name) {
  const std::string wanted = "triaged.error." + std::string(name);
  for (size_t i = record.headers.size(); i-- > 0;) {
    if (record.headers[i].name == wanted) return record.headers[i].value;
  }
  return {};
}

int64_t Number(const std::string& text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string BigEndian(int64_t number, int bytes) {
  std::string out;
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    out += static_cast<char>((static_cast<uint64_t>(number) >> shift) & 0xff);
  }
  return out;
}

// Connect names classes; consumers group by them, and our reason is what they mean.
void AddConnect(OutputRecord* record) {
  for (const auto& [name, value] : {std::pair("topic", Error(*record, "topic")),
                                    {"partition", Error(*record, "partition")},
                                    {"offset", Error(*record, "offset")},
                                    {"connector.name", "triaged"},
                                    {"task.id", Error(*record, "partition")},
                                    {"stage", Error(*record, "stage")},
                                    {"class.name", "triaged"},
                                    {"exception.class.name", Error(*record, "reason")},
                                    {"exception.message", Error(*record, "message")}}) {
    record->headers.push_back({std::string("__connect.errors.") + name, value});
  }
}

void AddSpring(OutputRecord* record) {
  const int64_t timestamp = record->timestamp ? ToUnixMillis(*record->timestamp) : 0;
  for (const auto& [name, value] : {std::pair("original-topic", Error(*record, "topic")),
                                    {"original-partition", BigEndian(Number(Error(*record, "partition")), 4)},
                                    {"original-offset", BigEndian(Number(Error(*record, "offset")), 8)},
                                    {"original-timestamp", BigEndian(timestamp, 8)},
                                    {"exception-fqcn", Error(*record, "reason")},
                                    {"exception-message", Error(*record, "message")}}) {
    record->headers.push_back({std::string("kafka_dlt-") + name, value});
  }
}

}  // namespace

void AddDeadLetterHeaders(DeadLetterStyle style, OutputRecord* dead_letter) {
  if (style == DeadLetterStyle::kConnect) AddConnect(dead_letter);
  if (style == DeadLetterStyle::kSpring) AddSpring(dead_letter);
}

}  // namespace triaged
