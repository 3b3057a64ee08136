// Commands: what people ask of a case. A refusal changes nothing and says why (DOMAIN.md, Statuses; Commands).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pipeline/decide/context.h"
#include "pipeline/model/command.h"

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
  kOtherPartition,      // merge: the two cases are kept in different partitions
};
std::string_view Name(Refusal refusal);

struct RefusedCommand {
  Refusal refusal;
  std::string message;
};

struct Rearranger;

// Applies `command` to ctx.c, or refuses. Never partially. Other cases that it changes are added to `rearranger`.
std::optional<RefusedCommand> ApplyCommand(CaseContext& ctx, const Command& command, Rearranger* rearranger);

}  // namespace triaged
