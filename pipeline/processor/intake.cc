#include "pipeline/base/hash.h"
#include "pipeline/decide/grouping.h"
#include "pipeline/processor/alert_parts.h"
#include "pipeline/processor/intake_headers.h"
#include "pipeline/processor/processor.h"
#include "pipeline/report/report.h"

namespace triaged {

struct Intake::Impl {
  Impl(ProcessorOptions o, std::shared_ptr<const Engine> e) : options(std::move(o)) { SetEngine(std::move(e)); }

  void SetEngine(std::shared_ptr<const Engine> e) {
    engine = std::move(e);
    normaliser.emplace(engine->formats, engine->limits);
  }

  void TakePart(const InputRecord& input, size_t index, std::vector<OutputRecord>* outputs, StepFacts* facts);

  void DeadLetter(const InputRecord& input, size_t index, std::string_view reason, const std::string& message,
                  std::vector<OutputRecord>* outputs, StepFacts* facts) {
    outputs->push_back(DeadLetterRecord(parts.AsRecord(input, index), reason, message, "intake"));
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
  AlertParts parts;
  Group group;
};

Intake::Intake(ProcessorOptions options, std::shared_ptr<const Engine> engine)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(engine))) {}
Intake::~Intake() = default;

void Intake::SetEngine(std::shared_ptr<const Engine> engine) { impl_->SetEngine(std::move(engine)); }

void Intake::Impl::TakePart(const InputRecord& input, size_t index, std::vector<OutputRecord>* outputs,
                            StepFacts* facts) {
  const auto failure = parts.Read(index);
  if (failure) return DeadLetter(input, index, Name(failure->reason), failure->message, outputs, facts);
  const Alert& alert = normaliser->alert();
  if (!alert.is_alert) return Count(AlertOutcome::kNotAnAlert, facts);
  engine->Enrich(&normaliser->alert());
  ChooseGroup(*engine, alert, &group);
  if (!group.policy) {
    return DeadLetter(input, index, "no_policy", "no configured policy wants this alert; add one without `when`", outputs,
                      facts);
  }
  OutputRecord record;
  record.topic = OutputTopic::kIntake;
  record.partition = PartitionForKey(group.key, options.partitions);
  record.key = group.key;
  record.value = std::string(parts.bytes(index));
  record.headers = IntakeHeaders(input, alert.read_by);
  outputs->push_back(std::move(record));
  Count(AlertOutcome::kForwarded, facts);
}

void Intake::Take(const InputRecord& input, std::vector<OutputRecord>* outputs, StepFacts* facts) {
  Impl& impl = *impl_;
  const size_t count = impl.parts.Cut(input.value.value_or(std::string_view()), impl.engine->topics.Of(input.topic),
                                      input.timestamp, &*impl.normaliser);
  for (size_t index = 0; index < count; ++index) impl.TakePart(input, index, outputs, facts);
}

}  // namespace triaged
