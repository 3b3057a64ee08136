#include "pipeline/report/document.h"

#include <array>

#include "pipeline/base/utf8.h"

namespace triaged {
namespace {

// Where readers find the schemas; the path below it is the file under configs/schemas.
constexpr std::string_view kSchemaBase = "https://triaged.example.org/schemas/";
constexpr std::string_view kDataContentType = "datacontenttype";

// Evidence, excerpt bytes, values, text bytes, notes, rules, other lists.
constexpr std::array<Budget, 10> kLadder = {{
    {kMaxEvidence, kMaxExcerptBytes, kMaxObservedPerField, kMaxTextBytes, kMaxTimeline, kMaxCaseRules, 256},
    {8, 128, 16, 1024, 200, 64, 256},
    {4, 0, 16, 1024, 200, 64, 256},
    {2, 0, 8, 1024, 200, 64, 256},
    {2, 0, 4, 1024, 200, 64, 128},
    {2, 0, 2, 1024, 50, 64, 64},
    {2, 0, 2, 512, 20, 32, 32},
    {1, 0, 1, 256, 10, 16, 16},
    {1, 0, 1, 64, 5, 8, 8},
    {1, 0, 0, 48, 4, 4, 4},
}};

std::vector<Header> Attributes(const Envelope& envelope, std::string_view application_id) {
  std::vector<Header> attributes;
  attributes.reserve(12);
  auto add = [&](std::string_view name, std::string_view value) {
    attributes.push_back({std::string(name), SanitiseUtf8(value)});
  };
  auto add_optional = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) add(name, value);
  };
  add("specversion", "1.0");
  add("id", envelope.id);
  add("source", "/triaged/" + std::string(application_id));
  add("type", "io.triaged." + envelope.type + ".v1");
  add("subject", envelope.subject);
  add("time", FormatTimestamp(envelope.time));
  add(kDataContentType, "application/json");
  add("dataschema", std::string(kSchemaBase) + envelope.schema + ".json");
  add_optional("partitionkey", envelope.partition_key);
  add_optional("sequence", envelope.sequence);
  add_optional("severitytext", envelope.severity_text);
  add_optional("traceparent", envelope.traceparent);
  return attributes;
}

}  // namespace

std::span<const Budget> BudgetLadder() { return kLadder; }

void DocumentWriter::Text(std::string_view key, std::string_view text) {
  if (text.size() > budget_.text_bytes) {
    Mark("texts");
    text = CutAtCodePoint(text, budget_.text_bytes);
  }
  String(key, text);
}

void DocumentWriter::TextOrNull(std::string_view key, std::string_view text) {
  if (text.empty()) return Null(key);
  Text(key, text);
}

void DocumentWriter::Texts(std::string_view key, const std::vector<std::string>& texts) {
  Array(key, [&] {
    const size_t count = Take(texts.size(), budget_.list, key);
    for (size_t i = 0; i < count; ++i) Text({}, texts[i]);
  });
}

void DocumentWriter::TimeOrNull(std::string_view key, Timestamp t) {
  if (t == Timestamp{}) return Null(key);
  Time(key, t);
}

void DocumentWriter::VerdictOrNull(std::string_view key, Verdict verdict) {
  if (verdict == Verdict::kNone) return Null(key);
  String(key, Name(verdict));
}

void DocumentWriter::ScoreOrNull(std::string_view key, int16_t score) {
  if (score < 0) return Null(key);
  Int(key, score);
}

size_t DocumentWriter::Take(size_t have, size_t limit, std::string_view what) {
  if (have <= limit) return have;
  Mark(what);
  return limit;
}

void DocumentWriter::Truncated(std::string_view key) {
  Array(key, [&] {
    for (const std::string& what : cut_) String({}, what);
  });
}

std::string LevelName(const ReportContext& context, size_t level) {
  if (context.policy && level < context.policy->levels.size()) return context.policy->levels[level].name;
  return "level-" + std::to_string(level);
}

std::string SeverityName(const ReportContext& context, size_t severity) {
  if (context.policy && severity < context.policy->severities.size()) return context.policy->severities[severity].name;
  return "severity-" + std::to_string(severity);
}

std::string EventText(const Envelope& envelope, std::string_view application_id, size_t max_bytes,
                      const DataWriter& write_data) {
  const std::vector<Header> attributes = Attributes(envelope, application_id);
  for (size_t rung = 0;; ++rung) {
    const bool last = rung + 1 == kLadder.size();
    DocumentWriter writer(kLadder[rung], last ? SIZE_MAX : max_bytes);
    writer.Object({}, [&] {
      for (const Header& attribute : attributes) writer.String(attribute.name, attribute.value);
      writer.Object("data", [&] { write_data(&writer); });
    });
    if (!writer.overflow()) return writer.Finish();
  }
}

std::vector<Header> EventHeaders(const Envelope& envelope, std::string_view application_id) {
  std::vector<Header> headers = {{"content-type", "application/cloudevents+json; charset=UTF-8"}};
  for (Header& attribute : Attributes(envelope, application_id)) {
    if (attribute.name == kDataContentType) continue;
    headers.push_back({"ce_" + attribute.name, std::move(attribute.value)});
  }
  return headers;
}

std::string TwentyDigits(uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(20 - digits.size(), '0') + digits;
}

}  // namespace triaged
