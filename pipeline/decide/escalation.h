// Escalation: moving a case up and down the ladder, asking the criteria, severity and verdict (DOMAIN.md, When to
// escalate; What an escalation does).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pipeline/decide/context.h"

namespace triaged {

struct Escalation {
  uint8_t to_level = 0;
  EscalationKind kind = EscalationKind::kCriterion;
  std::string reason;
  std::string requested;  // empty: what the rules ask, else the level's default
  std::string actor;
  std::string command_id;
  std::string rule_id;
};

// Sets level, team, owner on shift and status, writes the escalation record, restarts the acknowledge clock and emits
// `escalated`. Precondition: to_level is above the case's level and the case is active.
void Escalate(CaseContext& ctx, const Escalation& escalation);

// The rule behind an escalation: of those that voted for the case's verdict the surest, the first on a tie; "": none did.
std::string LeadingRule(const Case& c);

// Moves down, by a person: the level's team takes over again; clocks run on.
void Deescalate(CaseContext& ctx, uint8_t to_level, const std::string& reason, const std::string& actor,
                const std::string& command_id);

// Asks the policy's criteria from top to bottom; the first that applies escalates, unless a hold keeps it back. At most
// one per call.
void AskCriteria(CaseContext& ctx);
// Asks everything that reads the case's facts: what raises its severity, the criteria, the roles beside the ladder.
void AskCase(CaseContext& ctx);
// What closing does beside the ladder: follow-ups, and every role is released.
void AfterClosing(CaseContext& ctx);

// Raises the severity to at least `severity` (a smaller index is worse), also what undo would give back; deadlines are
// pulled in.
void RaiseSeverity(CaseContext& ctx, uint8_t severity, std::string_view reason);

// Recomputes the case's verdict from its votes, unless an analyst said it.
void RecomputeVerdict(CaseContext& ctx);

// Opens a new episode: level stays, clocks and matrix restart.
void Reopen(CaseContext& ctx, std::string_view reason, std::string_view actor, std::string_view command_id);

}  // namespace triaged
