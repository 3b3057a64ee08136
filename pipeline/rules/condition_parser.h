// Sigma condition expressions: `selection and not 1 of filter_*`.
//
//   or   := and { "or" and }
//   and  := not { "and" not }
//   not  := "not" not | "(" or ")" | count "of" ( "them" | glob ) | name
//   count := "all" | "any" | a number
//
// Keywords are case-insensitive. Source: Sigma rules specification 2.1, "Condition".
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "pipeline/rules/detection.h"

namespace triaged::rules {

inline constexpr int kMaxConditionDepth = 50;

// Parses the scalar `text`. `used[i]` is set for each selection that the condition reads. nullopt after errors.
std::optional<ConditionAst> ParseCondition(const YamlNode& text, const std::vector<std::string_view>& selections,
                                           std::vector<bool>* used, SourceNotes* notes);

}  // namespace triaged::rules
