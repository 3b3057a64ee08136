// Dead letters: the record that could not be taken, unchanged, with headers that say why (CONTRACTS.md, Dead letters).
#include <algorithm>
#include <array>

#include "pipeline/base/utf8.h"
#include "pipeline/report/base64.h"
#include "pipeline/report/document.h"
#include "pipeline/report/report.h"

#ifndef TRIAGED_VERSION
#error "TRIAGED_VERSION is set by CMakeLists.txt for every target"
#endif

namespace triaged {
namespace {

// Of the original's value in the JSON line; the Kafka record keeps it whole.
constexpr size_t kMaxShownBytes = 64 * 1024;
constexpr size_t kMaxShownHeaders = 64;
constexpr size_t kMaxShownHeaderBytes = 1024;
// Of triaged.error.message.
constexpr size_t kMaxMessageBytes = 1024;

constexpr std::string_view kPrefix = "triaged.error.";
constexpr std::array<std::string_view, 8> kAdded = {"reason",    "message", "stage",     "topic",
                                                    "partition", "offset",  "timestamp", "version"};

// The value of the last header of that name: a dead letter fed in again carries the older ones before ours.
std::string_view LastHeader(const std::vector<Header>& headers, std::string_view name) {
  for (size_t i = headers.size(); i-- > 0;) {
    if (headers[i].name.starts_with(kPrefix) && std::string_view(headers[i].name).substr(kPrefix.size()) == name) {
      return headers[i].value;
    }
  }
  return {};
}

// Adds `name` as text, or `name`_base64 when the bytes are not UTF-8; null when there are none.
void AddBytes(Json* json, const std::string& name, const std::optional<std::string_view>& bytes, size_t limit) {
  if (!bytes) {
    (*json)[name] = nullptr;
    return;
  }
  if (IsValidUtf8(*bytes)) {
    (*json)[name] = std::string(CutAtCodePoint(*bytes, limit));
  } else {
    (*json)[name + "_base64"] = Base64(bytes->substr(0, limit));
  }
}

Json HeadersJson(const std::vector<Header>& headers, size_t count, Json* truncated) {
  Json list = Json::array();
  bool cut = count > kMaxShownHeaders;
  for (size_t i = 0; i < std::min(count, kMaxShownHeaders); ++i) {
    Json entry;
    entry["name"] = std::string(CutAtCodePoint(headers[i].name, kMaxShownHeaderBytes));
    AddBytes(&entry, "value", headers[i].value, kMaxShownHeaderBytes);
    cut |= headers[i].value.size() > kMaxShownHeaderBytes || headers[i].name.size() > kMaxShownHeaderBytes;
    list.push_back(std::move(entry));
  }
  if (cut) truncated->push_back("headers");
  return list;
}

// A number from a header we wrote; null when it is none, so that a foreign record cannot break the line.
Json NumberOrNull(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::string_view digits = negative ? text.substr(1) : text;
  if (digits.empty() || digits.size() > 18) return {};
  int64_t number = 0;
  for (char ch : digits) {
    if (ch < '0' || ch > '9') return {};
    number = number * 10 + (ch - '0');
  }
  return negative ? -number : number;
}

}  // namespace

OutputRecord DeadLetterRecord(const InputRecord& input, std::string_view reason, std::string_view message,
                              std::string_view stage) {
  OutputRecord record;
  record.topic = OutputTopic::kDeadLetter;
  if (input.key) record.key = std::string(*input.key);
  if (input.value) record.value = std::string(*input.value);
  record.timestamp = input.timestamp;
  record.headers.reserve(input.headers.size() + kAdded.size());
  for (const auto& [name, value] : input.headers) record.headers.push_back({std::string(name), std::string(value)});
  auto add = [&](std::string_view name, std::string value) {
    record.headers.push_back({std::string(kPrefix) + std::string(name), std::move(value)});
  };
  add("reason", std::string(reason));
  // Headers are UTF-8 by contract; a message may quote the bytes it complains about.
  add("message", std::string(CutAtCodePoint(SanitiseUtf8(message), kMaxMessageBytes)));
  add("stage", std::string(stage));
  add("topic", std::string(input.topic));
  add("partition", std::to_string(input.partition));
  add("offset", std::to_string(input.offset));
  add("timestamp", FormatTimestamp(input.timestamp));
  add("version", TRIAGED_VERSION);
  return record;
}

std::string DeadLetterJson(const OutputRecord& dead_letter, std::string_view application_id) {
  const auto& headers = dead_letter.headers;
  auto text = [&](std::string_view name) { return std::string(LastHeader(headers, name)); };
  Envelope envelope;
  envelope.subject = text("topic") + "/" + text("partition") + "/" + text("offset");
  envelope.id = "dead-letter/" + envelope.subject;
  envelope.type = "dead_letter";
  envelope.time = dead_letter.timestamp.value_or(Timestamp{});
  envelope.schema = "dead-letter.v1";
  Json json = EnvelopeJson(envelope, application_id);

  Json truncated = Json::array();
  Json d;
  d["reason"] = text("reason");
  d["message"] = text("message");
  d["stage"] = text("stage");
  d["topic"] = text("topic");
  d["partition"] = NumberOrNull(text("partition"));
  d["offset"] = NumberOrNull(text("offset"));
  d["timestamp"] = text("timestamp");
  d["version"] = text("version");
  AddBytes(&d, "key", dead_letter.key, kMaxShownBytes);
  AddBytes(&d, "value", dead_letter.value, kMaxShownBytes);
  d["value_bytes"] = dead_letter.value ? Json(dead_letter.value->size()) : Json();
  const size_t original = headers.size() >= kAdded.size() ? headers.size() - kAdded.size() : 0;
  d["headers"] = HeadersJson(headers, original, &truncated);
  if (dead_letter.key && dead_letter.key->size() > kMaxShownBytes) truncated.push_back("key");
  if (dead_letter.value && dead_letter.value->size() > kMaxShownBytes) truncated.push_back("value");
  d["truncated"] = std::move(truncated);
  json["data"] = std::move(d);
  return Dump(json);
}

}  // namespace triaged
