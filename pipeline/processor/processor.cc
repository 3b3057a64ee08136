#include "pipeline/processor/processor.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "pipeline/base/check.h"
#include "pipeline/base/hash.h"
#include "pipeline/decide/commands.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/decide/escalation.h"
#include "pipeline/decide/holds.h"
#include "pipeline/decide/rearrange.h"
#include "pipeline/decide/take_alert.h"
#include "pipeline/processor/alert_parts.h"
#include "pipeline/processor/correlator.h"
#include "pipeline/processor/feeds.h"
#include "pipeline/processor/intake_headers.h"
#include "pipeline/processor/message_record.h"
#include "pipeline/processor/step_record.h"
#include "pipeline/report/archive.h"
#include "pipeline/report/report.h"

namespace triaged {
namespace {

constexpr std::string_view kForwardedHeader = "triaged.forwarded";
// Firing may make another deadline due at the same instant (the end of a pause, a level entered); it settles in a few.
constexpr int kMaxFireRounds = 8;

}  // namespace

struct Processor::Impl {
  Impl(ProcessorOptions o, std::shared_ptr<const Engine> e, CaseStore* s) : options(std::move(o)), store(s) {
    SetEngine(std::move(e));
  }

  void SetEngine(std::shared_ptr<const Engine> e) {
    engine = std::move(e);
    normaliser.emplace(engine->formats, engine->limits);
    scratch = engine->rules->NewScratch();
    correlator.SetEngine(*engine, options.partitions);
    feeds = std::make_unique<Feeds>(engine, store->partition(), options.partitions);
  }

  // ---- one step -------------------------------------------------------------------------------------------------
  Result<StepResult> Step(std::span<const InputRecord> inputs, StepTime time);
  Status MoveClock(Timestamp to, bool* fits);
  Status FireOne(const DueCase& due);
  Status FireWatch(Watch watch);
  std::optional<DueCase> NextPurge() const;
  Status Purge(CaseId id);
  Status FinishFeeds();
  Status TakeInput(const InputRecord& input);
  void Heartbeat(Timestamp before);
  Status FinishStep(StepTime time);

  // ---- inputs ---------------------------------------------------------------------------------------------------
  Status TakeAlertRecord(const InputRecord& input, const SentOn& sent_on);
  Status TakePart(const InputRecord& input, size_t index, const IntakeNote& note, const SentOn& sent_on, bool derived);
  Status TakeSignalRecord(const InputRecord& input);
  Status TakeMatch(const InputRecord& input, const SignalMatch& match);
  Status TakeDerived(const InputRecord& input);
  void TakeCorrelationsSentOn(const InputRecord& input);
  Status Decide(const IntakeNote& note, std::string_view raw, const SentOn& sent_on, bool derived);
  Status TakeCommandRecord(const InputRecord& input);
  Status TakeMessage(const InputRecord& input, const Result<Message>& read);
  Status TakeCaseMessage(const Message& message);
  Status TakeMergedContent(const Message& message);
  Status TakeSilence(const InputRecord& input, const Command& command, uint64_t id_hash);
  void RefuseCommand(const InputRecord& input, std::string_view reason, const std::string& message);
  bool ForwardCommand(const InputRecord& input, const Command& command);
  void DeadLetter(const InputRecord& input, std::string_view reason, const std::string& message, std::string_view stage);

  // ---- after a change of a case ---------------------------------------------------------------------------------
  const Policy& PolicyOf(const Case& c) const;
  void FitToPolicy(const Policy& policy, Case* c);
  void AfterChange(Case* c, bool standing_changed);
  void RenderEvents(const Case& c);
  void Settle();
  ReportContext ContextFor(const Policy& policy) const {
    return {&policy, options.application_id, engine->fingerprint, options.ocsf};
  }

  void Count(AlertOutcome outcome) {
    ++result.facts.balance.consumed;
    ++result.facts.balance.outcomes[static_cast<size_t>(outcome)];
  }

  ProcessorOptions options;
  CaseStore* store;
  std::shared_ptr<const Engine> engine;
  std::optional<Normaliser> normaliser;
  AlertParts parts;
  std::unique_ptr<RuleScratch> scratch;
  Correlator correlator;
  std::unique_ptr<Feeds> feeds;

  // Of the step in hand; the containers keep their memory.
  StepResult result;
  Progress progress;
  std::vector<CaseEvent> events;
  Surroundings around;
  std::vector<uint32_t> matched;
  Group group;
  std::set<CaseId> to_publish;
  StepTrace trace;
};

// A case outlives reloads: a policy that lost it is answered by the first one, a level that vanished by the highest left.
const Policy& Processor::Impl::PolicyOf(const Case& c) const {
  const Policy* policy = engine->FindPolicy(c.policy);
  return policy ? *policy : *engine->policies.front();
}

void Processor::Impl::FitToPolicy(const Policy& policy, Case* c) {
  if (c->level >= policy.levels.size()) c->level = static_cast<uint8_t>(policy.levels.size() - 1);
  if (c->severity >= policy.severities.size()) c->severity = static_cast<uint8_t>(policy.severities.size() - 1);
  for (size_t level = policy.levels.size(); level < kMaxCaseLevels; ++level) c->level_due[level] = Timestamp{};
}

void Processor::Impl::RenderEvents(const Case& c) {
  const Policy& policy = PolicyOf(c);
  const ReportContext context = ContextFor(policy);
  for (const CaseEvent& event : events) {
    result.outputs.push_back(CaseEventRecord(event, c, context));
    StepFacts::Event fact;
    fact.type = event.type;
    fact.case_id = c.id;
    fact.policy = c.policy;
    fact.reason = event.reason;
    fact.level_from = event.level_from;
    fact.level_to = event.level_to;
    fact.severity = c.severity;
    fact.clock = event.clock;
    fact.since_opened = event.at - c.opened_at;
    if (event.escalation < c.escalations.size()) {
      fact.nobody_on_shift = c.escalations[event.escalation].nobody_on_shift;
    }
    result.facts.events.push_back(std::move(fact));
  }
  events.clear();
}

// Documents: at once when the standing changed, else at most one per interval (ARCHITECTURE, Speed).
void Processor::Impl::AfterChange(Case* c, bool standing_changed) {
  const Policy& policy = PolicyOf(*c);
  if (standing_changed) {
    c->next_publish = Timestamp{};
    c->published_at = progress.clock;
    to_publish.insert(c->id);
  } else if (c->next_publish == Timestamp{}) {
    c->next_publish = std::max(progress.clock, c->published_at + policy.document_interval);
  }
  UpdateNextDue(policy, c);
  store->MarkChanged(c);
  if (!events.empty()) RenderEvents(*c);
}

// What an input or deadline did to other cases, and what it has to say to other partitions.
void Processor::Impl::Settle() {
  for (ChangedCase& other : std::exchange(around.others, {})) {
    events = std::move(other.events);
    AfterChange(other.c, /*standing_changed=*/true);
  }
  for (Message& message : std::exchange(around.messages, {})) {
    result.outputs.push_back(MessageRecord(std::move(message)));
  }
}

Status Processor::Impl::FireWatch(Watch watch) {
  ++result.facts.timers_fired;
  if (watch.id.starts_with(kFeedWatch)) {
    if (Status fired = feeds->Fire(watch, progress.clock, &around); !fired) return fired;
    Settle();
  } else {
    store->EraseWatch(watch.id);  // no escalation of the rule within the window: nothing to remember
  }
  return {};
}

Status Processor::Impl::FinishFeeds() {
  if (feeds->MustArm(store->watches())) ++result.facts.timers_fired;  // so that the step counts
  if (Status heard = feeds->Finish(progress.clock, &around); !heard) return heard;
  Settle();
  return {};
}

Status Processor::Impl::FireOne(const DueCase& due) {
  auto found = store->Find(due.id);
  if (!found) return found.error();
  Case* c = *found;
  TRIAGED_CHECK(c != nullptr);
  const Policy& policy = PolicyOf(*c);
  FitToPolicy(policy, c);
  // Everything of this case that the clock has passed fires at once: several overdue levels fold into one escalation.
  CaseContext ctx{policy, *c, progress.clock, events, &around};
  bool publish = false;
  for (int round = 0; c->next_due != Timestamp{} && c->next_due <= progress.clock; ++round) {
    TRIAGED_CHECK(round < kMaxFireRounds);  // a deadline must be gone once it fired, else it would fire for ever
    FireDue(ctx);
    if (c->next_publish != Timestamp{} && c->next_publish <= progress.clock) {
      c->next_publish = Timestamp{};
      publish = true;
    }
    UpdateNextDue(policy, c);
  }
  const size_t first = result.facts.events.size();
  AfterChange(c, publish || ctx.standing_changed);
  for (size_t i = first; i < result.facts.events.size(); ++i) result.facts.events[i].overdue = progress.clock - due.at;
  ++result.facts.timers_fired;
  Settle();
  return {};
}

// Which closed case leaves next, and when.
std::optional<DueCase> Processor::Impl::NextPurge() const {
  if (options.keep_closed <= Duration{0}) return std::nullopt;
  auto next = store->NextResting();
  if (next) next->at += options.keep_closed;
  return next;
}

// A closed case leaves with the step's transaction: the archive has it exactly once, and its document ends.
Status Processor::Impl::Purge(CaseId id) {
  auto found = store->Find(id);
  if (!found) return found.error();
  Case* c = *found;
  TRIAGED_CHECK(c != nullptr);
  if (options.archive) {
    const Policy& policy = PolicyOf(*c);
    FitToPolicy(policy, c);
    if (Status kept = AddToArchive(*c, progress.clock, ContextFor(policy), store, &result.outputs); !kept) return kept;
  }
  OutputRecord ends;
  ends.topic = OutputTopic::kCases;
  ends.key = ToString(id);
  result.outputs.push_back(std::move(ends));
  to_publish.erase(id);
  ++result.facts.purged;
  ++result.facts.timers_fired;
  return store->Erase(c);
}

// Moves the clock to `to` and fires what is due by then, in the order (deadline, case id). `fits` is false when the
// limit of a step was reached first: the rest fires in the next step, before any input.
Status Processor::Impl::MoveClock(Timestamp to, bool* fits) {
  progress.clock = std::max(progress.clock, to);
  while (true) {
    const auto due = store->NextDue();
    const Watch* watch = store->watches().Next();
    const auto purge = NextPurge();
    const Timestamp due_at = due ? due->at : Timestamp::max();
    const Timestamp watch_at = watch ? watch->due : Timestamp::max();
    const Timestamp purge_at = purge ? purge->at : Timestamp::max();
    const bool watch_first = watch_at < due_at;
    const bool purge_first = purge_at < std::min(due_at, watch_at);
    if (std::min({due_at, watch_at, purge_at}) > progress.clock) break;
    if (result.facts.timers_fired >= options.max_timers || (purge_first && result.facts.purged >= options.max_purges)) {
      *fits = false;
      return {};
    }
    Status fired = purge_first ? Purge(purge->id) : watch_first ? FireWatch(*watch) : FireOne(*due);
    if (!fired) return fired;
  }
  *fits = true;
  return {};
}

void Processor::Impl::DeadLetter(const InputRecord& input, std::string_view reason, const std::string& message,
                                 std::string_view stage) {
  result.outputs.push_back(DeadLetterRecord(input, reason, message, stage));
  result.facts.dead_letters.push_back(
      {std::string(reason), std::string(input.topic), message, input.partition, input.offset});
}

Status Processor::Impl::TakeAlertRecord(const InputRecord& input, const SentOn& sent_on) {
  // Its own partition took a derived alert as a signal.
  const bool derived = sent_on.hops > 0 && KindOf(input) == SignalKind::kDerived;
  IntakeNote note{input.topic, input.partition, input.offset, input.timestamp, {}};
  if (input.input_class != InputClass::kAlert) {
    const auto read = ReadIntakeHeaders(input);
    if (!read) {
      DeadLetter(input, "foreign_record", "not written by stage one; only triaged may produce to its intake topic", "decide");
      if (!derived) Count(AlertOutcome::kDeadLettered);
      return {};
    }
    note = *read;
  }
  TopicSettings settings;  // of a record of stage one: it is one alert, whose format is known
  const TopicSettings& topic = engine->topics.Of(note.topic);
  const bool first = input.input_class == InputClass::kAlert;
  if (!first) {
    settings.format = note.format;
    settings.zone = topic.zone;
  }
  const std::string_view record = input.value.value_or(std::string_view());
  const size_t count = first ? parts.Cut(record, topic, note.record_time, &*normaliser)
                             : parts.Take(record, settings, note.record_time, &*normaliser);
  for (size_t index = 0; index < count; ++index) {
    if (Status taken = TakePart(input, index, note, sent_on, derived); !taken) return taken;
  }
  return {};
}

Status Processor::Impl::TakePart(const InputRecord& input, size_t index, const IntakeNote& note, const SentOn& sent_on,
                                 bool derived) {
  const auto refuse = [&](std::string_view reason, const std::string& message) {
    DeadLetter(parts.AsRecord(input, index), reason, message, "decide");
    if (!derived) Count(AlertOutcome::kDeadLettered);
    return Status{};
  };
  if (const auto failure = parts.Read(index)) return refuse(Name(failure->reason), failure->message);
  const Alert& alert = normaliser->alert();
  if (!alert.is_alert) {
    if (!derived) Count(AlertOutcome::kNotAnAlert);
    return {};
  }
  // Again, not handed over by stage one: what is known is that of the engine this step records, so a replay repeats it.
  engine->Enrich(&normaliser->alert());
  if (sent_on.hops == 0) feeds->Hear(note.topic, alert.source);
  if (input.input_class != InputClass::kAlert) FindGroup(*engine, *input.key, &group);
  if (input.input_class == InputClass::kAlert || !group.rule) ChooseGroup(*engine, alert, &group);
  if (!group.policy) return refuse("no_policy", "no configured policy wants this alert; add one without `when`");
  matched.clear();
  engine->rules->Evaluate(alert.fields, scratch.get(), &matched);
  if (sent_on.hops > 0) {
    TakeCorrelationsSentOn(input);
  } else if (!correlator.empty() && !WasSeen(alert, *group.policy, progress.clock, store)) {
    correlator.Take(alert, progress.clock, store, &matched, &result.outputs);
  } else {
    correlator.TakeAgain(&matched);
  }
  return Decide(note, parts.bytes(index), sent_on, derived);
}

// What fired where the alert was first decided on; nothing counts a second time.
void Processor::Impl::TakeCorrelationsSentOn(const InputRecord& input) {
  correlator.TakeAgain(&matched);
  for (const rules::Correlation& one : engine->rules->correlations().all()) {
    if (IsDerivedFrom(input, engine->rules->rules()[one.rule].id)) matched.push_back(one.rule);
  }
  std::sort(matched.begin(), matched.end());
}

// Decides on the normaliser's alert and what it matched. A derived one is in no balance, which is over the users' alerts.
Status Processor::Impl::Decide(const IntakeNote& note, std::string_view raw, const SentOn& sent_on, bool derived) {
  result.facts.rule_hits.insert(result.facts.rule_hits.end(), matched.begin(), matched.end());
  const IncomingAlert incoming{normaliser->alert(), matched, engine->rules->rules(), note.topic, note.partition,
                               note.offset, note.record_time, raw};
  auto decided = TakeAlert(incoming, group, sent_on, progress.clock, &around, &events);
  if (!decided) return decided.error();
  if (!derived) Count(decided->outcome);
  if (decided->forward_to) {
    std::vector<Header>& headers = around.messages.back().headers;
    headers = IntakeHeaders(note);
    std::vector<std::string_view> fired;
    for (const rules::Correlation& one : engine->rules->correlations().all()) {
      if (std::binary_search(matched.begin(), matched.end(), one.rule)) fired.push_back(engine->rules->rules()[one.rule].id);
    }
    AddCorrelationHeaders(fired, derived, &headers);
  }
  if (decided->changed) AfterChange(decided->changed, decided->standing_changed);
  Settle();
  return {};
}

Status Processor::Impl::TakeSignalRecord(const InputRecord& input) {
  const SignalKind kind = KindOf(input);
  if (kind == SignalKind::kDerived) return TakeDerived(input);
  const auto match = kind == SignalKind::kMatch ? ReadMatch(input) : std::nullopt;
  if (match) return TakeMatch(input, *match);
  DeadLetter(input, "foreign_record", "no signal; only triaged may produce to its signals topic", "decide");
  return {};
}

// Counts a match; when its correlation fires, the derived alert goes to the partition of its case.
Status Processor::Impl::TakeMatch(const InputRecord& input, const SignalMatch& match) {
  const rules::Correlation* fired = correlator.TakeMatch(match, *input.key, progress.clock, store);
  if (!fired) return {};
  const Rule& rule = engine->rules->rules()[fired->rule];
  const std::string id = rule.id + "-" + std::to_string(store->partition()) + "-" + std::to_string(input.offset) + "-" +
                         std::to_string(ToUnixMillis(match.at));
  std::string json = DerivedAlert(rule, match, id);
  if (const auto failure = normaliser->Normalise(json, kDerivedFormat, match.at)) {
    DeadLetter(input, Name(failure->reason), "the alert derived from this match: " + failure->message, "decide");
    return {};
  }
  engine->Enrich(&normaliser->alert());
  ChooseGroup(*engine, normaliser->alert(), &group);
  if (!group.policy) {
    DeadLetter(input, "no_policy", "no configured policy wants the alert derived from this match", "decide");
    return {};
  }
  result.outputs.push_back(DerivedRecord(rule, std::move(json), group.key, options.partitions));
  return {};
}

Status Processor::Impl::TakeDerived(const InputRecord& input) {
  if (const auto failure = normaliser->Normalise(*input.value, kDerivedFormat, input.timestamp)) {
    DeadLetter(input, Name(failure->reason), failure->message, "decide");
    return {};
  }
  engine->Enrich(&normaliser->alert());
  const Alert& alert = normaliser->alert();
  FindGroup(*engine, *input.key, &group);
  if (!group.rule) ChooseGroup(*engine, alert, &group);
  if (!group.policy) {
    DeadLetter(input, "no_policy", "no configured policy wants this derived alert", "decide");
    return {};
  }
  matched.clear();
  engine->rules->Evaluate(alert.fields, scratch.get(), &matched);
  const auto& all = engine->rules->correlations().all();
  const auto from = std::find_if(all.begin(), all.end(), [&](const rules::Correlation& one) {
    return IsDerivedFrom(input, engine->rules->rules()[one.rule].id);
  });
  if (from != all.end() && !WasSeen(alert, *group.policy, progress.clock, store)) {
    correlator.TakeDerived(alert, from->rule, progress.clock, store, &matched, &result.outputs);
  } else {
    correlator.TakeAgain(&matched);
  }
  const IntakeNote note{input.topic, input.partition, input.offset, input.timestamp, kDerivedFormat};
  return Decide(note, *input.value, {}, /*derived=*/true);
}

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
  std::vector<CaseId> released;
  if (const auto refused = ApplySilence(*engine, command, progress.clock, store, &released)) {
    RefuseCommand(input, Name(refused->refusal), refused->message);
    return {};
  }
  ++result.facts.balance.commands_applied;
  for (CaseId id : released) {
    auto found = store->Find(id);
    if (!found) return found.error();
    const Policy& policy = PolicyOf(**found);
    FitToPolicy(policy, *found);
    CaseContext ctx{policy, **found, progress.clock, events, &around};
    BreakSilence(ctx, "taken back by " + command.actor);
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
  auto found = store->Find(command->case_id);
  if (!found) return found.error();
  Case* c = *found;
  if (!c) {
    RefuseCommand(input, Name(Refusal::kUnknownCase), "there is no case " + ToString(command->case_id));
    return {};
  }
  store->Remember({id_hash, progress.clock, command->case_id.sequence, -1, 0});
  const Policy& policy = PolicyOf(*c);
  FitToPolicy(policy, c);
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
    case MessageKind::kSeparate: return TakeCaseMessage(*read);
  }
  return {};
}

Status Processor::Impl::TakeMergedContent(const Message& message) {
  auto content = store->Unpack(message.payload);
  auto found = message.to.partition == store->partition() ? store->Find(message.to) : Result<Case*>(nullptr);
  if (!found) return found.error();
  if (!content || !*found) {
    RefuseMerged(message, Refusal::kUnknownCase,
                 content ? "there is no case " + ToString(message.to) : content.error().message, &around);
    Settle();
    return {};
  }
  const Policy& policy = PolicyOf(**found);
  FitToPolicy(policy, *found);
  FitToPolicy(policy, &*content);
  CaseContext ctx{policy, **found, progress.clock, events, &around};
  TakeMerged(ctx, message, *content, &around);
  AfterChange(*found, ctx.standing_changed);
  Settle();
  return {};
}

Status Processor::Impl::TakeCaseMessage(const Message& message) {
  auto found = message.to.partition == store->partition() ? store->Find(message.to) : Result<Case*>(nullptr);
  if (!found) return found.error();
  Case* c = *found;
  if (!c) return {};  // lost with its partition: there is nobody to tell
  const Policy& policy = PolicyOf(*c);
  FitToPolicy(policy, c);
  CaseContext ctx{policy, *c, progress.clock, events, &around};
  if (message.kind == MessageKind::kEvidence) TakeEvidence(ctx, message, store);
  if (message.kind == MessageKind::kMergeRefused) TakeMergeRefused(ctx, message, &around);
  if (message.kind == MessageKind::kSeparate) TakeSeparated(ctx, message, &around);
  AfterChange(c, ctx.standing_changed);
  Settle();
  return {};
}

Status Processor::Impl::TakeInput(const InputRecord& input) {
  const std::string source = SourceKey(input.topic, input.partition);
  auto [at, inserted] = progress.next.try_emplace(source, input.offset);
  if (input.offset < at->second) return {};  // taken before a rebalance: already decided
  trace.Taken(source, input.offset);
  at->second = input.offset + 1;
  if (input.input_class == InputClass::kCommand) return TakeCommandRecord(input);
  return input.input_class == InputClass::kSignal ? TakeSignalRecord(input) : TakeAlertRecord(input, {});
}

// One a minute and partition, only while caught up: its absence tells that this partition is dead or behind.
void Processor::Impl::Heartbeat(Timestamp before) {
  if (options.heartbeat_interval <= Duration{0}) return;
  const auto minute = [&](Timestamp t) { return ToUnixMillis(t) / options.heartbeat_interval.count(); };
  if (minute(progress.clock) == minute(before)) return;
  result.outputs.push_back(HeartbeatRecord(store->partition(), static_cast<uint64_t>(minute(progress.clock)),
                                           progress.clock, ContextFor(*engine->policies.front())));
}

Status Processor::Impl::FinishStep(StepTime time) {
  for (CaseId id : to_publish) {
    auto found = store->Find(id);
    if (!found) return found.error();
    result.outputs.push_back(CaseDocumentRecord(**found, progress.clock, ContextFor(PolicyOf(**found))));
  }
  Duration window{0};
  for (const auto& policy : engine->policies) window = std::max(window, policy->dedup_window);
  store->ForgetSeenBefore(progress.clock - window);
  progress.balance.Add(result.facts.balance);
  TRIAGED_CHECK(progress.balance.Adds());
  progress.fingerprint = engine->fingerprint;
  ++progress.steps;
  if (options.record_steps) {
    result.outputs.push_back(trace.Record(store->partition(), progress, time, result.more_due));
  }
  store->SetProgress(progress);
  return {};
}

Result<StepResult> Processor::Impl::Step(std::span<const InputRecord> inputs, StepTime time) {
  result = StepResult{};
  events.clear();
  to_publish.clear();
  trace.Clear();
  feeds->Begin();
  progress = store->progress();
  around = Surroundings{store, &progress.next_case, options.partitions, {}, {}};
  const Timestamp clock_before = progress.clock;
  bool fits = true;
  for (const InputRecord& input : inputs) {
    if (Status moved = MoveClock(std::min(input.timestamp, time.broker_time), &fits); !moved) return moved.error();
    if (!fits) break;
    if (Status taken = TakeInput(input); !taken) return taken.error();
    ++result.taken;
  }
  if (fits && time.caught_up && result.taken == inputs.size()) {
    if (Status moved = MoveClock(time.broker_time, &fits); !moved) return moved.error();
    if (fits) Heartbeat(clock_before);
  }
  if (progress.clock != Timestamp{}) {
    if (Status finished = FinishFeeds(); !finished) return finished.error();
  }
  result.more_due = !fits;
  const bool idle = result.taken == 0 && result.facts.timers_fired == 0 && result.outputs.empty();
  if (!idle) {
    if (Status finished = FinishStep(time); !finished) return finished.error();
  }
  return std::move(result);
}

Processor::Processor(ProcessorOptions options, std::shared_ptr<const Engine> engine, CaseStore* store)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(engine), store)) {}
Processor::~Processor() = default;

void Processor::SetEngine(std::shared_ptr<const Engine> engine) { impl_->SetEngine(std::move(engine)); }

Result<StepResult> Processor::Step(std::span<const InputRecord> inputs, StepTime time) {
  return impl_->Step(inputs, time);
}

std::optional<Timestamp> Processor::NextDeadline() const {
  std::optional<Timestamp> next;
  if (const auto due = impl_->store->NextDue()) next = due->at;
  const WatchTable& watches = impl_->store->watches();
  if (const Watch* watch = watches.Next()) next = next ? std::min(*next, watch->due) : watch->due;
  if (const auto purge = impl_->NextPurge()) next = next ? std::min(*next, purge->at) : purge->at;
  if (impl_->feeds->MustArm(watches)) next = impl_->store->progress().clock;
  if (impl_->options.heartbeat_interval > Duration{0}) {
    const int64_t interval = impl_->options.heartbeat_interval.count();
    const Timestamp beat = FromUnixMillis((ToUnixMillis(impl_->store->progress().clock) / interval + 1) * interval);
    next = next ? std::min(*next, beat) : beat;
  }
  return next;
}

void SortInputs(std::vector<InputRecord>* inputs) {
  std::stable_sort(inputs->begin(), inputs->end(), [](const InputRecord& a, const InputRecord& b) {
    return std::tie(a.timestamp, a.topic, a.partition, a.offset) < std::tie(b.timestamp, b.topic, b.partition, b.offset);
  });
}

}  // namespace triaged
