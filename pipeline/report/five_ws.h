// FiveWs: Who, What, When, Where and Why of a case, each value with where it came from (DOMAIN.md, Verdict and report).
//
// A W that the case cannot answer is stated as {"known": false, "reason": "..."}. "Known" takes a value that answers
// the question: a user's domain alone names nobody, a sensor's vendor alone is no place.
#pragma once

#include <span>
#include <string_view>

#include "pipeline/model/fields.h"
#include "pipeline/report/document.h"

namespace triaged {

enum class W : uint8_t { kWho, kWhat, kWhen, kWhere, kWhy };
inline constexpr size_t kWCount = 5;
std::string_view Name(W w);  // "who" …

bool Answered(const Case& c, W w);
// Why an unanswered W is unknown, in words.
std::string_view UnknownReason(W w);

// One place of an observed field in the report. `answers`: a value of it alone answers the W.
struct WField {
  FieldId field;
  W w;
  const char* group;
  bool answers;
};
// All of them, by W and group, in the order they are shown.
std::span<const WField> WFields();
// The name of a normalised alert field.
std::string_view AlertFieldName(FieldId id);

void WriteFiveWs(std::string_view key, const Case& c, const ReportContext& context, DocumentWriter* out);

}  // namespace triaged
