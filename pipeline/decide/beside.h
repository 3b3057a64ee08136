// Beside the ladder: follow-ups with due times, and roles that take part while they are needed (DOMAIN.md, Roles beside
// the ladder; What an escalation does, 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pipeline/decide/context.h"

namespace triaged {

// Adds what this occasion makes owed; once per name while it is open, and once per episode.
void AddFollowUps(CaseContext& ctx, FollowUpOn on);
// Marks an open follow-up, or ends a running regulatory clock, as done. False: there is none of that name.
bool FinishFollowUp(CaseContext& ctx, std::string_view name, const std::string& actor, const std::string& command_id);

// Engages a role; false when it already takes part or the case has no room for more.
bool Engage(CaseContext& ctx, uint8_t role, std::string_view reason, const std::string& actor,
            const std::string& command_id);
bool Disengage(CaseContext& ctx, std::string_view role, std::string_view reason, const std::string& actor,
               const std::string& command_id);
// All of them: the case is closed, or went into another.
void ReleaseRoles(CaseContext& ctx, std::string_view reason);
// Takes over a role that is being handed on; false when nothing is pending for it.
bool AcceptHandoff(CaseContext& ctx, std::string_view role, const std::string& actor, const std::string& command_id);
// Triggers (any) and exit criteria (all) of every role.
void AskRoles(CaseContext& ctx);

void FireBeside(CaseContext& ctx);
// The earliest deadline of these; zero: none.
Timestamp NextBeside(const Case& c);

}  // namespace triaged
