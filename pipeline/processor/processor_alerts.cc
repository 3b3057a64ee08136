// What an alert, a match of a correlation and the alert derived from it come to.
#include <algorithm>

#include "pipeline/processor/baseline_headers.h"
#include "pipeline/processor/processor_impl.h"

namespace triaged {

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
  const bool seen = WasSeen(alert, *group.policy, progress.clock, store);
  // One that was sent on was held against the baseline of the partition it came to first.
  if (sent_on.hops > 0) {
    ReadBaselineHeaders(input, *engine->alert_catalog, &normaliser->alert());
  } else {
    TakeBaseline(seen);
  }
  MatchRules(alert);
  if (sent_on.hops > 0) {
    TakeCorrelationsSentOn(input);
  } else if (!correlator.empty() && !seen) {
    correlator.Take(alert, progress.clock, store, &matched, &result.outputs);
  } else {
    correlator.TakeAgain(&matched);
  }
  return Decide(note, parts.bytes(index), sent_on, derived);
}

void Processor::Impl::MatchRules(const Alert& alert) {
  matched.clear();
  engine->rules->Evaluate(alert.fields, scratch.get(), &matched);
  if (!scratch->over_limit) return;
  ++result.facts.over_rule_budget;
  std::vector<uint32_t>& given_up = result.facts.rules_given_up;
  given_up.insert(given_up.end(), scratch->given_up.begin(), scratch->given_up.end());
}

// Learns from the normaliser's alert and adds its baseline fields.
void Processor::Impl::TakeBaseline(bool seen) {
  Alert* alert = &normaliser->alert();
  baseline->Take(alert, WindowTime(*alert, progress.clock), seen, &store->baseline());
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
                               note.offset, note.record_time, raw, scratch->over_limit};
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
    AddBaselineHeaders(normaliser->alert(), *engine->alert_catalog, &headers);
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
  MatchRules(alert);
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

}  // namespace triaged
