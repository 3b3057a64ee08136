// Holds: what keeps an escalation back for a while: guards ("do not escalate") and silences. What is held is an event,
// and is examined again when the hold lapses (DOMAIN.md, When to escalate; Alert → Case, Suppression).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pipeline/decide/context.h"

namespace triaged {

struct Hold {
  std::string by;     // the guard's name, or "silence:<id>"
  Timestamp until{};  // when it is to be asked again
};

// Under which hold the case stands at ctx.now. Guards hold nothing once the hard limit has passed.
std::optional<Hold> HoldOf(CaseContext& ctx, bool guards_too);
// Remembers that something was held, and says so once for each hold.
void HoldBack(CaseContext& ctx, const Hold& hold, std::string_view what);
void ClearHold(CaseContext& ctx);

inline bool IsSilenced(const Case& c, Timestamp now) { return !c.silenced_by.empty() && now < c.silenced_until; }
// Puts the case under a silence until `until`; what waits for the end of the one it stands under waits for the new end.
// Only of an active case that is an event.
void Silence(CaseContext& ctx, std::string_view id, Timestamp until, std::string_view reason);
// Ends it for the case. Worse news breaks through: a higher severity, a new kind of entity, a true-positive verdict. `why`
// is shown.
void BreakSilence(CaseContext& ctx, std::string_view why);
void BreakSilenceByNews(CaseContext& ctx);
// The kinds of entity that the case has seen, as bits.
uint8_t EntityKinds(const Case& c);

}  // namespace triaged
