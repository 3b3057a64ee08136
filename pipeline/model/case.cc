#include "pipeline/model/case.h"

#include <algorithm>

#include <span>

#include "pipeline/base/check.h"

namespace triaged {
namespace {

// The names of each enum, in its order.
constexpr std::array<std::string_view, 5> kVerdictNames = {"", "false_positive", "benign_true_positive", "needs_review",
                                                           "true_positive"};
constexpr std::array<std::string_view, kCaseStatusCount> kStatusNames = {
    "open", "in_progress", "escalated", "waiting_for_info", "on_hold", "resolved", "closed"};
constexpr std::array<std::string_view, kClockKindCount> kClockKindNames = {
    "acknowledge", "resolve",          "receipt",                 "assign",          "contain",
    "next_update", "regulatory_early", "regulatory_notification", "regulatory_final"};
constexpr std::array<std::string_view, 4> kClockStateNames = {"idle", "running", "paused", "ended"};
constexpr std::array<std::string_view, 5> kEscalationKindNames = {"criterion", "time", "manual", "unacknowledged",
                                                                  "hard_limit"};

template <typename Enum>
std::string_view NameIn(std::span<const std::string_view> names, Enum value) {
  const auto index = static_cast<size_t>(value);
  TRIAGED_CHECK(index < names.size());
  return names[index];
}

template <typename Enum>
std::optional<Enum> ParseIn(std::span<const std::string_view> names, std::string_view text) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view Name(Verdict verdict) { return NameIn(kVerdictNames, verdict); }
std::string_view Name(CaseStatus status) { return NameIn(kStatusNames, status); }
std::string_view Name(ClockKind kind) { return NameIn(kClockKindNames, kind); }
std::string_view Name(ClockState state) { return NameIn(kClockStateNames, state); }
std::string_view Name(EscalationKind kind) { return NameIn(kEscalationKindNames, kind); }

// The empty text is no verdict that anybody can give: nullopt, though it is the name of kNone.
std::optional<Verdict> ParseVerdict(std::string_view text) {
  if (text.empty()) return std::nullopt;
  return ParseIn<Verdict>(kVerdictNames, text);
}

std::optional<CaseStatus> ParseCaseStatus(std::string_view text) { return ParseIn<CaseStatus>(kStatusNames, text); }

std::optional<ClockKind> ParseClockKind(std::string_view text) { return ParseIn<ClockKind>(kClockKindNames, text); }

int OcsfVerdictId(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNone: return 0;
    case Verdict::kFalsePositive: return 1;
    case Verdict::kTruePositive: return 2;
    case Verdict::kNeedsReview: return 4;
    case Verdict::kBenignTruePositive: return 5;
  }
  TRIAGED_CHECK(false && "a verdict outside its enum");
}

Timestamp RestsSince(const Case& c) {
  if (c.status != CaseStatus::kClosed || c.next_due != Timestamp{}) return Timestamp{};
  return std::max(c.closed_at, c.updated_at);
}

}  // namespace triaged
