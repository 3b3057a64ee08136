// Storm guard: more automatic escalations of one rule than the policy allows within its window are folded into one
// storm case, which lists them and is escalated in their place (DOMAIN.md, Alert → Case). Counted in each partition.
//
// A folded case stays where it is, held by "storm:<case>"; its hold is asked again after each window and lapses once
// nobody works on the storm case any more. News is counted as if the case had not been folded: an alert that another rule is
// behind, and a severity that gets worse, and worse than the storm's. A person's word on the case, its clocks and a storm
// that a person lowers are no news. Bypasses, hard limits and people's requests are never folded.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "pipeline/decide/context.h"
#include "pipeline/decide/holds.h"

namespace triaged {

inline constexpr std::string_view kStormHold = "storm:";

// Asked before an escalation to `to_level`; `what` names it, `behind` is the rule behind it ("": whichever judged the
// case). nullopt: there is no storm of that rule.
std::optional<Hold> FoldIntoStorm(CaseContext& ctx, uint8_t to_level, std::string_view what, std::string_view behind);
// An escalation went through.
void CountForStorm(CaseContext& ctx, std::string_view behind);

}  // namespace triaged
