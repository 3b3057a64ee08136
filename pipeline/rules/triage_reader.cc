#include <string>
#include <vector>

#include "pipeline/rules/rule_reader.h"

namespace triaged::rules {
namespace {

constexpr std::string_view kVerdicts[] = {"true_positive", "false_positive", "benign_true_positive", "needs_review"};

// A date lasts until its end, UTC.
std::optional<Timestamp> ReadExpiry(std::string_view text) {
  if (text.size() == 10) {
    const std::optional<Timestamp> begin = ParseTimestamp(std::string(text) + "T00:00:00Z");
    if (!begin) return std::nullopt;
    return *begin + std::chrono::hours(24);
  }
  return ParseTimestamp(text);
}

void ReadClose(const YamlNode& node, Triage* triage, SourceNotes* notes) {
  MapReader reader(notes->file(), node, "close", notes->diagnostics());
  triage->close_owner = reader.String("owner", {}, true);
  const std::string expires = reader.String("expires", {}, true);
  if (const YamlNode* at = reader.Node("expires"); at != nullptr) {
    triage->close_expires = ReadExpiry(expires);
    if (!triage->close_expires) {
      reader.ErrorAt(*at, "'" + expires + "' is neither a date (2027-12-31) nor an RFC 3339 time");
    }
  }
  reader.Finish();
  if (triage->verdict != Verdict::kFalsePositive) {
    notes->Error(PlaceOf(node), "only a rule with 'verdict: false_positive' may close",
                 "set the verdict, or remove 'close'");
  }
}

}  // namespace

Triage ReadTriage(const YamlNode& node, SourceNotes* notes) {
  Triage triage;
  if (!node.IsMap()) {
    notes->Error(PlaceOf(node), "'triage' must be a map", "for example 'triage: {verdict: needs_review}'");
    return triage;
  }
  MapReader reader(notes->file(), node, "triage", notes->diagnostics());
  if (reader.Has("verdict")) {
    const std::vector<std::string_view> names(std::begin(kVerdicts), std::end(kVerdicts));
    constexpr Verdict kByName[] = {Verdict::kTruePositive, Verdict::kFalsePositive, Verdict::kBenignTruePositive,
                                   Verdict::kNeedsReview};
    triage.verdict = kByName[reader.Choice("verdict", names, 0)];
  }
  triage.confidence = static_cast<int>(reader.Int("confidence", triage.confidence, 0, 100));
  triage.classification = reader.String("classification");
  if (reader.Has("severity")) triage.severity = reader.String("severity");
  triage.request = reader.String("request");
  triage.tags = reader.Strings("tags");
  triage.reason = reader.String("reason");
  if (const YamlNode* close = reader.Node("close"); close != nullptr) ReadClose(*close, &triage, notes);
  reader.Finish();
  return triage;
}

}  // namespace triaged::rules
