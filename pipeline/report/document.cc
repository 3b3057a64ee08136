#include "pipeline/report/document.h"

#include <algorithm>
#include <array>

#include "pipeline/base/utf8.h"

namespace triaged {
namespace {

// Where readers find the schemas; the path below it is the file under configs/schemas.
constexpr std::string_view kSchemaBase = "https://triaged.example.org/schemas/";

//                                    evidence excerpt values text notes rules list
constexpr std::array<Budget, 10> kLadder = {
    {{kMaxEvidence, kMaxExcerptBytes, kMaxObservedPerField, kMaxTextBytes, kMaxTimeline, kMaxCaseRules, 256},
     {8, 128, 16, 1024, 200, 64, 256},
     {4, 0, 16, 1024, 200, 64, 256},
     {2, 0, 8, 1024, 200, 64, 256},
     {2, 0, 4, 1024, 200, 64, 128},
     {2, 0, 2, 1024, 50, 64, 64},
     {2, 0, 2, 512, 20, 32, 32},
     {1, 0, 1, 256, 10, 16, 16},
     {1, 0, 1, 64, 5, 8, 8},
     // The floor: what even the worst case fits (report_test.cc fills one).
     {1, 0, 0, 48, 4, 4, 4}}};

}  // namespace

Json Cutter::Text(std::string_view text) {
  if (text.size() <= budget_.text_bytes) return Json(std::string(text));
  Mark("texts");
  return Json(std::string(CutAtCodePoint(text, budget_.text_bytes)));
}

Json Cutter::TextOrNull(std::string_view text) { return text.empty() ? Json() : Text(text); }

Json Cutter::Texts(const std::vector<std::string>& texts, std::string_view what) {
  Json list = Json::array();
  const size_t count = Take(texts.size(), budget_.list, what);
  for (size_t i = 0; i < count; ++i) list.push_back(Text(texts[i]));
  return list;
}

size_t Cutter::Take(size_t have, size_t limit, std::string_view what) {
  if (have <= limit) return have;
  Mark(what);
  return limit;
}

Json Cutter::Truncated() const {
  Json list = Json::array();
  for (const std::string& what : cut_) list.push_back(what);
  return list;
}

Json TimeOrNull(Timestamp t) { return t == Timestamp{} ? Json() : Json(FormatTimestamp(t)); }

std::string LevelName(const ReportContext& context, size_t level) {
  if (context.policy && level < context.policy->levels.size()) return context.policy->levels[level].name;
  return "level-" + std::to_string(level);
}

std::string SeverityName(const ReportContext& context, size_t severity) {
  if (context.policy && severity < context.policy->severities.size()) return context.policy->severities[severity].name;
  return "severity-" + std::to_string(severity);
}

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json EnvelopeJson(const Envelope& envelope, std::string_view application_id) {
  Json event;
  event["specversion"] = "1.0";
  event["id"] = envelope.id;
  event["source"] = "/triaged/" + std::string(application_id);
  event["type"] = "io.triaged." + envelope.type + ".v1";
  event["subject"] = envelope.subject;
  event["time"] = FormatTimestamp(envelope.time);
  event["datacontenttype"] = "application/json";
  event["dataschema"] = std::string(kSchemaBase) + envelope.schema + ".json";
  auto optional = [&](const char* name, const std::string& value) {
    if (!value.empty()) event[name] = value;
  };
  optional("partitionkey", envelope.partition_key);
  optional("sequence", envelope.sequence);
  optional("severitytext", envelope.severity_text);
  optional("traceparent", envelope.traceparent);
  return event;
}

std::vector<Header> EnvelopeHeaders(const Json& event) {
  std::vector<Header> headers = {{"content-type", "application/cloudevents+json; charset=UTF-8"}};
  for (const auto& [name, value] : event.items()) {
    if (name == "data" || name == "datacontenttype") continue;
    headers.push_back({"ce_" + name, value.get<std::string>()});
  }
  return headers;
}

std::span<const Budget> BudgetLadder() { return kLadder; }

Rendered BuildWithin(size_t max_bytes, const Builder& build) {
  Rendered rendered;
  for (const Budget& budget : kLadder) {
    Cutter cutter(budget);
    rendered.json = build(&cutter);
    rendered.text = Dump(rendered.json);
    if (rendered.text.size() <= max_bytes) break;
  }
  return rendered;
}

std::string TwentyDigits(uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(20 - digits.size(), '0') + digits;
}

}  // namespace triaged
