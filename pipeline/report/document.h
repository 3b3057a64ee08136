// Document: what all renderings share: ordered JSON, texts and lists cut to a budget, and the CloudEvents envelope.
//
// Limits: a document is built with a Budget; when its bytes exceed the limit it is built again with the next smaller
// one of a ladder (RenderWithin). What was really cut is named in "truncated", so no reader takes a part for the whole.
// Pure and deterministic: keys keep the order in which they are added. Thread-safety: values.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/case.h"
#include "pipeline/report/report.h"

namespace triaged {

using Json = nlohmann::ordered_json;

// How much of each kind a document may show. Entries, but for the *_bytes.
struct Budget {
  size_t evidence = kMaxEvidence;
  size_t excerpt_bytes = kMaxExcerptBytes;
  size_t values = kMaxObservedPerField;  // of one observed field
  size_t text_bytes = kMaxTextBytes;     // of any one text
  size_t notes = kMaxTimeline;           // of the timeline, and of notes
  size_t rules = kMaxCaseRules;
  size_t list = 256;  // any other list
};

// Cuts to a budget and remembers what it cut.
class Cutter {
 public:
  explicit Cutter(const Budget& budget) : budget_(budget) {}
  const Budget& budget() const { return budget_; }

  // The text, cut at a code point. OrNull: null when it is empty.
  Json Text(std::string_view text);
  Json TextOrNull(std::string_view text);
  Json Texts(const std::vector<std::string>& texts, std::string_view what);
  // How many of `have` entries may be shown; fewer than all marks `what`.
  size_t Take(size_t have, size_t limit, std::string_view what);
  void Mark(std::string_view what) { cut_.emplace(what); }

  // Names of what was cut, sorted.
  Json Truncated() const;

 private:
  Budget budget_;
  std::set<std::string, std::less<>> cut_;
};

// RFC 3339 text, or null for the zero time, which means "none" throughout the model.
Json TimeOrNull(Timestamp t);
// Names from the policy; "level-3" or "severity-3" when the policy has no such index (or there is none).
std::string LevelName(const ReportContext& context, size_t level);
std::string SeverityName(const ReportContext& context, size_t severity);
// The bytes of a document. Bytes that are not UTF-8 become U+FFFD: a JSON text must be Unicode.
std::string Dump(const Json& json);

// The attributes of one CloudEvent (CloudEvents 1.0.2, Context Attributes); empty optional ones are left out.
struct Envelope {
  std::string id;
  std::string type;  // without "io.triaged." and ".v1"
  std::string subject;
  Timestamp time{};
  std::string schema;  // file name under configs/schemas without ".json"
  std::string partition_key;
  std::string sequence;
  std::string severity_text;
  std::string traceparent;
};
Json EnvelopeJson(const Envelope& envelope, std::string_view application_id);
// content-type and the attributes as ce_* headers (CloudEvents Kafka protocol binding, structured mode). `event` may
// carry data; it is skipped, and so is datacontenttype, which the binding's content-type header would contradict.
std::vector<Header> EnvelopeHeaders(const Json& event);

// The ladder of an event, and of the larger case document: evidence goes first, then observed values, then notes.
std::span<const Budget> BudgetLadder();
// Builds with each budget until the bytes fit; the last rung is returned as it is.
struct Rendered {
  Json json;
  std::string text;
};
using Builder = std::function<Json(Cutter*)>;
Rendered BuildWithin(size_t max_bytes, const Builder& build);

// 20 decimal digits, so that texts sort like numbers (the CloudEvents "sequence" extension).
std::string TwentyDigits(uint64_t number);

}  // namespace triaged
