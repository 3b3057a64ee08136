// What people ask for, and what other partitions say.
#include <algorithm>

#include "pipeline/base/hash.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/decide/fit.h"
#include "pipeline/decide/holds.h"
#include "pipeline/decide/rearrange.h"
#include "pipeline/processor/processor_impl.h"

namespace triaged {
namespace {

constexpr std::string_view kForwardedHeader = "triaged.forwarded";

}  // namespace

void Processor::Impl::RefuseCommand(const InputRecord& input, std::string_view reason, const std::string& message) {
  DeadLetter(input, reason, message, "command");
  ++result.facts.balance.commands_refused;
}

// A misdirected command is sent on once; a second miss means its partition does not exist here.
bool Processor::Impl::ForwardCommand(const InputRecord& input, const Command& command) {
  if (command.case_id.partition == store->partition()) return false;
  const bool again = std::any_of(input.headers.begin(), input.headers.end(),
                                 [](const auto& header) { return header.first == kForwardedHeader; });
  if (again || command.case_id.partition < 0 || command.case_id.partition >= options.partitions) return false;
  OutputRecord record;
  record.topic = OutputTopic::kCommands;
  record.partition = command.case_id.partition;
  record.key = ToString(command.case_id);
  record.value = std::string(*input.value);
  record.headers = {{std::string(kForwardedHeader), "1"}};
  result.outputs.push_back(std::move(record));
  ++result.facts.balance.commands_forwarded;
  return true;
}

// A silence is the partition's and no case's: no event, but a dead letter when it is refused.
Status Processor::Impl::TakeSilence(const InputRecord& input, const Command& command, uint64_t id_hash) {
  store->Remember({id_hash, progress.clock, 0, -1, 0});
  SilencedCases silenced;
  if (const auto refused = ApplySilence(*engine, command, progress.clock, store, &silenced)) {
    RefuseCommand(input, Name(refused->refusal), refused->message);
    return {};
  }
  ++result.facts.balance.commands_applied;
  for (CaseId id : silenced.cases) {
    auto found = around.Find(id);
    if (!found) return found.error();
    const Policy& policy = engine->PolicyOf(**found);
    CaseContext ctx{policy, **found, progress.clock, events, &around};
    if (silenced.freed) {
      BreakSilence(ctx, (command.expire ? "taken back by " : "replaced by ") + command.actor);
    } else {
      Silence(ctx, command.name, *command.until, command.reason + ", owner " + command.actor);
    }
    AfterChange(*found, /*standing_changed=*/true);
  }
  Settle();
  return {};
}

Status Processor::Impl::TakeCommandRecord(const InputRecord& input) {
  if (const auto message = ReadMessage(input)) return TakeMessage(input, *message);
  ++result.facts.balance.commands_consumed;
  const auto command = ParseCommand(input.value.value_or(std::string_view()));
  if (!command) {
    RefuseCommand(input, "invalid_command", command.error().message);
    return {};
  }
  if (ForwardCommand(input, *command)) return {};
  constexpr uint64_t kCommandSeed = 0x636f6d6d616e64;  // commands and alerts share the dedup memory, not their ids
  const uint64_t id_hash = StableHash64(command->id, kCommandSeed);
  if (store->FindSeen(id_hash)) {
    ++result.facts.balance.commands_duplicate;
    return {};
  }
  if (command->case_id.sequence == 0) return TakeSilence(input, *command, id_hash);
  auto found = around.Find(command->case_id);
  if (!found) return found.error();
  Case* c = *found;
  if (!c) {
    RefuseCommand(input, Name(Refusal::kUnknownCase), "there is no case " + ToString(command->case_id));
    return {};
  }
  store->Remember({id_hash, progress.clock, command->case_id.sequence, -1, 0});
  const Policy& policy = engine->PolicyOf(*c);
  CaseContext ctx{policy, *c, progress.clock, events, &around};
  if (const auto refused = ApplyCommand(ctx, *command, &around)) {
    RefuseCommand(input, Name(refused->refusal), refused->message);
    CaseEvent& event = Emit(ctx, CaseEventType::kCommandRefused, std::string(Name(refused->refusal)));
    event.actor = command->actor;
    event.command_id = command->id;
    event.detail = refused->message;
  } else {
    ++result.facts.balance.commands_applied;
    if (ctx.facts_changed) AskCase(ctx);
  }
  AfterChange(c, ctx.standing_changed);
  Settle();
  return {};
}

// ---- messages from other partitions -------------------------------------------------------------------------------

Status Processor::Impl::TakeMessage(const InputRecord& input, const Result<Message>& read) {
  if (!read) {
    DeadLetter(input, "invalid_message", read.error().message, "decide");
    return {};
  }
  switch (read->kind) {
    case MessageKind::kAlert: return TakeAlertRecord(input, {read->from, read->to, std::max<int64_t>(1, read->number)});
    case MessageKind::kFeedHeard: {
      if (Status told = feeds->Told(*read, progress.clock, &around); !told) return told;
      Settle();
      return {};
    }
    case MessageKind::kMerge: return TakeMergedContent(*read);
    case MessageKind::kEvidence:
    case MessageKind::kMergeRefused:
    case MessageKind::kSplitOff:
    case MessageKind::kSeparate: return TakeCaseMessage(*read);
  }
  return {};
}

Status Processor::Impl::TakeMergedContent(const Message& message) {
  auto content = store->Unpack(message.payload);
  auto found = message.to.partition == store->partition() ? around.Find(message.to) : Result<Case*>(nullptr);
  if (!found) return found.error();
  if (!content || !*found) {
    RefuseMerged(message, Refusal::kUnknownCase,
                 content ? "there is no case " + ToString(message.to) : content.error().message, &around);
    Settle();
    return {};
  }
  const Policy& policy = engine->PolicyOf(**found);
  FitToPolicy(policy, &*content);
  CaseContext ctx{policy, **found, progress.clock, events, &around};
  TakeMerged(ctx, message, *content, &around);
  AfterChange(*found, ctx.standing_changed);
  Settle();
  return {};
}

Status Processor::Impl::TakeCaseMessage(const Message& message) {
  auto found = message.to.partition == store->partition() ? around.Find(message.to) : Result<Case*>(nullptr);
  if (!found) return found.error();
  Case* c = *found;
  if (!c) return {};  // lost with its partition: there is nobody to tell
  const Policy& policy = engine->PolicyOf(*c);
  CaseContext ctx{policy, *c, progress.clock, events, &around};
  if (message.kind == MessageKind::kEvidence) TakeEvidence(ctx, message, store);
  if (message.kind == MessageKind::kMergeRefused) TakeMergeRefused(ctx, message, &around);
  if (message.kind == MessageKind::kSplitOff) TakeSplitOff(ctx, message, &around);
  if (message.kind == MessageKind::kSeparate) TakeSeparated(ctx, message, &around);
  AfterChange(c, ctx.standing_changed);
  Settle();
  return {};
}

}  // namespace triaged
