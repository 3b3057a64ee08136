#include <algorithm>
#include <tuple>

#include "pipeline/base/check.h"
#include "pipeline/decide/deadlines.h"
#include "pipeline/processor/processor_impl.h"
#include "pipeline/report/archive.h"

namespace triaged {
namespace {

// Firing may make another deadline due at the same instant (the end of a pause, a level entered); it settles in a few.
constexpr int kMaxFireRounds = 8;

// Asks for the record that comes next while this one is decided on: it lies cold in the fetched batch. What is longer
// the processor then foresees by itself.
void FetchAhead(const InputRecord& record) {
  constexpr size_t kLine = 64;
  constexpr size_t kMaxBytes = 1024;
  const std::string_view bytes = record.value.value_or(std::string_view());
  for (size_t at = 0; at < std::min(bytes.size(), kMaxBytes); at += kLine) __builtin_prefetch(bytes.data() + at);
}

}  // namespace

void Processor::Impl::RenderEvents(const Case& c) {
  const Policy& policy = engine->PolicyOf(c);
  const ReportContext context = ContextFor(policy);
  for (const CaseEvent& event : events) {
    result.outputs.push_back(CaseEventRecord(event, c, context));
    StepFacts::Event fact;
    fact.type = event.type;
    fact.case_id = c.id;
    fact.policy = c.policy;
    fact.reason = event.reason;
    fact.level_to = event.level_to;
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
  const Policy& policy = engine->PolicyOf(*c);
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
  auto found = around.Find(due.id);
  if (!found) return found.error();
  Case* c = *found;
  TRIAGED_CHECK(c != nullptr);
  const Policy& policy = engine->PolicyOf(*c);
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
  auto found = around.Find(id);
  if (!found) return found.error();
  Case* c = *found;
  TRIAGED_CHECK(c != nullptr);
  if (options.archive) {
    const Policy& policy = engine->PolicyOf(*c);
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
    auto found = around.Find(id);
    if (!found) return found.error();
    result.outputs.push_back(CaseDocumentRecord(**found, progress.clock, ContextFor(engine->PolicyOf(**found))));
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
  around = Surroundings{engine.get(), store, &progress.next_case, options.partitions, {}, {}};
  const Timestamp clock_before = progress.clock;
  bool fits = true;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const InputRecord& input = inputs[i];
    if (i + 1 < inputs.size()) FetchAhead(inputs[i + 1]);
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
  const auto place = [](const InputRecord& input) { return std::tie(input.topic, input.partition, input.offset); };
  const auto before = [&](const InputRecord& a, const InputRecord& b) { return place(a) < place(b); };
  if (!std::is_sorted(inputs->begin(), inputs->end(), before)) std::stable_sort(inputs->begin(), inputs->end(), before);
  // A stamp may be older than the one before it (another broker leads, or a producer stamps): a record never overtakes
  // its source's earlier ones, which would then count as taken.
  std::vector<std::pair<Timestamp, size_t>> order;
  order.reserve(inputs->size());
  for (size_t i = 0; i < inputs->size(); ++i) {
    const InputRecord& input = (*inputs)[i];
    const InputRecord& last = (*inputs)[i > 0 ? i - 1 : 0];
    const bool follows = i > 0 && last.topic == input.topic && last.partition == input.partition;
    order.emplace_back(follows ? std::max(order.back().first, input.timestamp) : input.timestamp, i);
  }
  if (std::is_sorted(order.begin(), order.end())) return;
  std::sort(order.begin(), order.end());
  std::vector<InputRecord> sorted;
  sorted.reserve(inputs->size());
  for (const auto& [time, at] : order) sorted.push_back(std::move((*inputs)[at]));
  *inputs = std::move(sorted);
}

}  // namespace triaged
