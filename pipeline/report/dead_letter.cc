// Dead letters: the record that could not be taken, unchanged, with headers that say why (CONTRACTS.md, Dead letters).
#include <algorithm>
#include <array>
#include <charconv>

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

// Writes `name` as text, or `name`_base64 when the bytes are not UTF-8; null when there are none.
void WriteBytes(const std::string& name, const std::optional<std::string_view>& bytes, size_t limit,
                DocumentWriter* out) {
  if (!bytes) return out->Null(name);
  if (IsValidUtf8(*bytes)) return out->String(name, CutAtCodePoint(*bytes, limit));
  out->String(name + "_base64", Base64(bytes->substr(0, limit)));
}

void WriteHeaders(const std::vector<Header>& headers, size_t count, DocumentWriter* out) {
  out->Array("headers", [&] {
    const size_t shown = out->Take(count, kMaxShownHeaders, "headers");
    for (size_t i = 0; i < shown; ++i) {
      const Header& header = headers[i];
      out->Object({}, [&] {
        out->String("name", CutAtCodePoint(header.name, kMaxShownHeaderBytes));
        WriteBytes("value", header.value, kMaxShownHeaderBytes, out);
      });
      const bool whole = header.name.size() <= kMaxShownHeaderBytes && header.value.size() <= kMaxShownHeaderBytes;
      if (!whole) out->Mark("headers");
    }
  });
}

// A number from a header we wrote; null when it is none, so that a foreign record cannot break the line.
void WriteNumber(std::string_view key, std::string_view text, DocumentWriter* out) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return out->Null(key);
  out->Int(key, number);
}

// Key and value in the JSON line; the Kafka record keeps them whole.
void WriteOriginal(std::string_view name, const std::optional<std::string>& bytes, DocumentWriter* out) {
  WriteBytes(std::string(name), bytes, kMaxShownBytes, out);
  if (bytes && bytes->size() > kMaxShownBytes) out->Mark(name);
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
  // Several dead letters of one record must not share an id.
  for (const Header& header : headers) {
    if (header.name == kPartHeader) envelope.id += "/" + header.value;
  }
  envelope.type = "dead_letter";
  envelope.time = dead_letter.timestamp.value_or(Timestamp{});
  envelope.schema = "dead-letter.v1";
  return EventText(envelope, application_id, SIZE_MAX, [&](DocumentWriter* out) {
    for (const char* name : {"reason", "message", "stage", "topic"}) out->String(name, text(name));
    WriteNumber("partition", text("partition"), out);
    WriteNumber("offset", text("offset"), out);
    for (const char* name : {"timestamp", "version"}) out->String(name, text(name));
    WriteOriginal("key", dead_letter.key, out);
    WriteOriginal("value", dead_letter.value, out);
    if (dead_letter.value) {
      out->Unsigned("value_bytes", dead_letter.value->size());
    } else {
      out->Null("value_bytes");
    }
    WriteHeaders(headers, headers.size() - std::min(headers.size(), kAdded.size()), out);
    out->Truncated("truncated");
  });
}

}  // namespace triaged
