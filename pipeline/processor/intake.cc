#include "pipeline/base/hash.h"
#include "pipeline/decide/grouping.h"
#include "pipeline/processor/intake_headers.h"
#include "pipeline/processor/processor.h"
#include "pipeline/report/report.h"

namespace triaged {

struct Intake::Impl {
  Impl(ProcessorOptions o, std::shared_ptr<const Engine> e) : options(std::move(o)) { SetEngine(std::move(e)); }

  void SetEngine(std::shared_ptr<const Engine> e) {
    engine = std::move(e);
    normaliser.emplace(engine->formats, engine->limits);
    scratch = engine->rules->NewScratch();
  }

  void DeadLetter(const InputRecord& input, std::string_view reason, const std::string& message,
                  std::vector<OutputRecord>* outputs, StepFacts* facts) {
    outputs->push_back(DeadLetterRecord(input, reason, message, "intake"));
    facts->dead_letters.push_back(
        {std::string(reason), std::string(input.topic), message, input.partition, input.offset});
    Count(AlertOutcome::kDeadLettered, facts);
  }

  static void Count(AlertOutcome outcome, StepFacts* facts) {
    ++facts->balance.consumed;
    ++facts->balance.outcomes[static_cast<size_t>(outcome)];
  }

  ProcessorOptions options;
  std::shared_ptr<const Engine> engine;
  std::optional<Normaliser> normaliser;
  std::unique_ptr<RuleScratch> scratch;
  Group group;
};

Intake::Intake(ProcessorOptions options, std::shared_ptr<const Engine> engine)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(engine))) {}
Intake::~Intake() = default;

void Intake::SetEngine(std::shared_ptr<const Engine> engine) { impl_->SetEngine(std::move(engine)); }

void Intake::Take(const InputRecord& input, std::vector<OutputRecord>* outputs, StepFacts* facts) {
  Impl& impl = *impl_;
  const std::string_view value = input.value.value_or(std::string_view());
  if (const auto failure = impl.normaliser->Normalise(value, {}, input.timestamp)) {
    return impl.DeadLetter(input, Name(failure->reason), failure->message, outputs, facts);
  }
  const Alert& alert = impl.normaliser->alert();
  if (!alert.is_alert) return Impl::Count(AlertOutcome::kNotAnAlert, facts);
  impl.engine->Enrich(&impl.normaliser->alert());
  ChooseGroup(*impl.engine, alert, &impl.group);
  if (!impl.group.policy) {
    return impl.DeadLetter(input, "no_policy", "no configured policy wants this alert; add one without `when`", outputs,
                           facts);
  }
  OutputRecord record;
  record.topic = OutputTopic::kIntake;
  record.partition = PartitionForKey(impl.group.key, impl.options.partitions);
  record.key = impl.group.key;
  record.value = std::string(value);
  record.headers = IntakeHeaders(input, alert.format);
  outputs->push_back(std::move(record));
  Impl::Count(AlertOutcome::kForwarded, facts);
}

}  // namespace triaged
