// Command: what a person asks of a case, as JSON on the commands topic (DOMAIN.md, Commands).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"
#include "pipeline/model/case.h"
#include "pipeline/model/ids.h"

namespace triaged {

#define TRIAGED_COMMANDS(X)         \
  X(kAck, "ack")                    \
  X(kAssign, "assign")              \
  X(kVerdict, "verdict")            \
  X(kSetSeverity, "set-severity")   \
  X(kEscalate, "escalate")          \
  X(kDeescalate, "de-escalate")     \
  X(kNote, "note")                  \
  X(kClassify, "classify")          \
  X(kWait, "wait")                  \
  X(kHold, "hold")                  \
  X(kResume, "resume")              \
  X(kResolve, "resolve")            \
  X(kConfirm, "confirm")            \
  X(kClose, "close")                \
  X(kReopen, "reopen")              \
  X(kContain, "contain")            \
  X(kUpdate, "update")              \
  X(kFollowUp, "follow-up")         \
  X(kEngage, "engage")              \
  X(kDisengage, "disengage")        \
  X(kAcceptHandoff, "accept-handoff") \
  X(kUndo, "undo")                  \
  X(kMerge, "merge")                \
  X(kSplit, "split")                \
  X(kSilence, "silence")           \
  X(kTag, "tag")                    \
  X(kUntag, "untag")

enum class CommandAction : uint8_t {
#define TRIAGED_X(id, name) id,
  TRIAGED_COMMANDS(TRIAGED_X)
#undef TRIAGED_X
};
std::string_view Name(CommandAction action);
std::optional<CommandAction> ParseCommandAction(std::string_view text);

// Largest command accepted, bytes.
inline constexpr size_t kMaxCommandBytes = 16 * 1024;
inline constexpr size_t kMaxSilenceMatches = 8;  // fields of one silence

// {"id": "…", "case_id": "3-17", "actor": "ada", "role": "l1", "action": "verdict", "expected_version": 4,
//  "time": "RFC3339", "arguments": {"verdict": "true_positive", "reason": "…"}}
// id, case_id, actor, role and action are required; unknown keys and arguments an action does not take are refused.
struct Command {
  std::string id;               // applied once
  CaseId case_id;
  std::string actor;
  std::string role;
  std::optional<Timestamp> time;             // as the sender says; for the record only
  std::optional<uint64_t> expected_version;
  CommandAction action = CommandAction::kNote;

  // Arguments (which action takes which: command.cc's table).
  std::string to;               // assign: person or ""; escalate, de-escalate: level, or "" for the next
  std::string reason;           // escalate, de-escalate, wait, hold, resolve, close, reopen, verdict, merge, split, undo …
  std::string text;             // note, update; escalate: what is asked of the receiver
  Verdict verdict = Verdict::kNone;
  int confidence = 100;         // verdict
  std::string severity;         // set-severity
  std::string incident;         // classify: none | minor | major
  std::string classification;   // classify: free label
  std::string answer;           // confirm: confirmed_fixed | still_has_issues | needs_more_info
  std::string name;             // follow-up: which (or a regulatory clock); engage, disengage, accept-handoff: the role;
                                // silence: its id
  std::string into;             // merge: the case that takes this one's content
  std::vector<std::string> alerts;  // split: ids of alerts that go into a new case; at most kMaxEvidence
  // silence: field → value, all of which an alert must show, and until when; expire: true takes it back.
  std::vector<std::pair<std::string, std::string>> match;
  std::optional<Timestamp> until;
  bool expire = false;
};

// Strict: the message says which key is wrong and what was expected. Never throws.
Result<Command> ParseCommand(std::string_view json);
// The bytes that ParseCommand reads back (triagectl, tests).
std::string CommandJson(const Command& command);

}  // namespace triaged
