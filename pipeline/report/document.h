// Document: what all renderings share: a JSON writer that cuts to a budget, and the CloudEvents envelope.
//
// A document is written with a Budget; when its bytes exceed the limit it is written again with the next smaller one
// of a ladder. What was really cut is named in "truncated", so no reader takes a part for the whole.
// Pure and deterministic: keys keep the order in which they are written. Thread-safety: values.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/case.h"
#include "pipeline/model/records.h"
#include "pipeline/report/json_writer.h"
#include "pipeline/report/report.h"

namespace triaged {

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

// The ladder, from everything down to what even the largest case fits: evidence goes first, then observed values,
// then notes.
std::span<const Budget> BudgetLadder();

// Writes JSON, cuts it to a budget and remembers what it cut.
class DocumentWriter : public JsonWriter {
 public:
  DocumentWriter(const Budget& budget, size_t max_bytes) : JsonWriter(max_bytes), budget_(budget) {}
  const Budget& budget() const { return budget_; }

  // Texts are cut at a code point. OrNull: null when there is nothing to say.
  void Text(std::string_view key, std::string_view text);
  void TextOrNull(std::string_view key, std::string_view text);
  void Texts(std::string_view key, const std::vector<std::string>& texts);
  void Time(std::string_view key, Timestamp t) { String(key, FormatTimestamp(t)); }
  void TimeOrNull(std::string_view key, Timestamp t);  // the zero time means "none" throughout the model
  void VerdictOrNull(std::string_view key, Verdict verdict);
  void ScoreOrNull(std::string_view key, int16_t score);

  // How many of `have` entries may be shown; fewer than all marks `what`.
  size_t Take(size_t have, size_t limit, std::string_view what);
  void Mark(std::string_view what) { cut_.emplace(what); }
  // The names of what was cut so far, sorted: write it last.
  void Truncated(std::string_view key);

 private:
  Budget budget_;
  std::set<std::string, std::less<>> cut_;
};

// Names from the policy; "level-3" or "severity-3" when the policy has no such index (or there is none).
std::string LevelName(const ReportContext& context, size_t level);
std::string SeverityName(const ReportContext& context, size_t severity);

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

// The event's JSON of at most `max_bytes` (the last rung's, if even that is longer); `write_data` writes the members of
// "data"; where something may be cut, Truncated() comes last.
using DataWriter = std::function<void(DocumentWriter*)>;
std::string EventText(const Envelope& envelope, std::string_view application_id, size_t max_bytes,
                      const DataWriter& write_data);
// content-type and the attributes as ce_* headers (CloudEvents Kafka protocol binding, structured mode), but for
// datacontenttype, which in that binding is the content-type header itself.
std::vector<Header> EventHeaders(const Envelope& envelope, std::string_view application_id);

// 20 decimal digits, so that texts sort like numbers (the CloudEvents "sequence" extension).
std::string TwentyDigits(uint64_t number);

}  // namespace triaged
