// Commands: what people ask of a case. A refusal changes nothing and says why (DOMAIN.md, Statuses; Commands).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/decide/context.h"
#include "pipeline/model/command.h"
#include "pipeline/policy/engine.h"
#include "pipeline/processor/case_store.h"

namespace triaged {

enum class Refusal : uint8_t {
  kUnknownCase,
  kStaleVersion,        // expected_version is not the case's
  kNotPermitted,        // the role may not do this
  kIllegalTransition,   // the case's status does not allow it
  kUnknownLevel,
  kUnknownSeverity,
  kUnknownPerson,
  kNothingToChange,
  kUnknownRole,
  kUnknownAlert,        // split: not among the case's evidence
  kUnknownField,        // silence: not a normalised field
  kTooMany,             // silence: kMaxSilences are there already; merge: kMaxMergedCases
};
std::string_view Name(Refusal refusal);

struct RefusedCommand {
  Refusal refusal;
  std::string message;
};

struct Surroundings;

// Cases that stand under a silence which a command ended, or gave anew under its name.
struct SilencedCases {
  std::vector<CaseId> cases;
  bool freed = true;  // it is over for them, or matches something else now; false: it ends when the command says
};

// A silence over all that match, for the partition of `store` (case sequence 0).
std::optional<RefusedCommand> ApplySilence(const Engine& engine, const Command& command, Timestamp now,
                                           CaseStore* store, SilencedCases* silenced);

// Applies `command` to ctx.c, or refuses. Never partially, but where the store cannot be read: that is answered as a
// refusal (kUnknownCase), which nobody sees, since the store lets no such step be committed (case_store.h). Other cases
// that it changes are added to `around`.
std::optional<RefusedCommand> ApplyCommand(CaseContext& ctx, const Command& command, Surroundings* around);

// An event that a command caused, with who gave it and why.
CaseEvent& EmitFor(CaseContext& ctx, const Command& command, CaseEventType type, std::string reason);

}  // namespace triaged
