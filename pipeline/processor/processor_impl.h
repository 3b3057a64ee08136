// The parts that a step works with; internal to the processor. The step and its clock are in processor.cc, what comes
// of alerts and signals in processor_alerts.cc, of commands and messages in processor_commands.cc.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/baseline/fields.h"
#include "pipeline/decide/commands.h"
#include "pipeline/decide/take_alert.h"
#include "pipeline/processor/alert_parts.h"
#include "pipeline/processor/correlator.h"
#include "pipeline/processor/feeds.h"
#include "pipeline/processor/intake_headers.h"
#include "pipeline/processor/message_record.h"
#include "pipeline/processor/processor.h"
#include "pipeline/processor/step_record.h"
#include "pipeline/report/report.h"

namespace triaged {

struct Processor::Impl {
  Impl(ProcessorOptions o, std::shared_ptr<const Engine> e, CaseStore* s) : options(std::move(o)), store(s) {
    SetEngine(std::move(e));
  }

  void SetEngine(std::shared_ptr<const Engine> e) {
    engine = std::move(e);
    normaliser.emplace(engine->formats, engine->limits);
    scratch = engine->rules->NewScratch();
    correlator.SetEngine(*engine, options.partitions);
    baseline.emplace(engine->baseline, *engine->alert_catalog);
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
  void MatchRules(const Alert& alert);
  void TakeCorrelationsSentOn(const InputRecord& input);
  void TakeBaseline(bool seen);
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
  std::optional<BaselineFields> baseline;
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

}  // namespace triaged
