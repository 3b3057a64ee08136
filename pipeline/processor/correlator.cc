#include "pipeline/processor/correlator.h"

#include <algorithm>
#include <set>

#include "pipeline/base/utf8.h"
#include "pipeline/decide/merge.h"

namespace triaged {
namespace {

// The fields that every alert that has them is grouped by, whatever else it shows; nullptr when there are none: the first
// policy or its first grouping rule is choosy.
const std::vector<FieldId>* SureGrouping(const Engine& engine) {
  const Policy& policy = *engine.policies.front();
  if (policy.when || policy.grouping.empty() || policy.grouping.front().when) return nullptr;
  return &policy.grouping.front().by;
}

bool Holds(const std::vector<FieldId>& all, const std::vector<FieldId>& some) {
  return std::all_of(some.begin(), some.end(),
                     [&](FieldId id) { return std::find(all.begin(), all.end(), id) != all.end(); });
}

// Drills are counted apart from real alerts.
constexpr std::string_view kDrillGroup = "/!drill";
constexpr std::string_view kDrillLabel = "labels.drill";

}  // namespace

void Correlator::SetEngine(const Engine& engine, int32_t partitions) {
  engine_ = &engine;
  set_ = &engine.rules->correlations();
  partitions_ = partitions;
  ways_.assign(set_->all().size(), {});
  const std::vector<FieldId>* grouping = SureGrouping(engine);
  // What chains need: a correlation refers only to what stands before it, so the last come first.
  std::vector<std::set<FieldId>> needed(ways_.size());
  for (size_t i = ways_.size(); i-- > 0;) {
    const rules::Correlation& correlation = set_->all()[i];
    for (const rules::CorrelationSet::Link& link : set_->LinksOf(correlation.rule)) {
      const rules::CorrelatedRule& part = set_->all()[link.correlation].rules[link.position];
      needed[i].insert(part.group_by.begin(), part.group_by.end());
      needed[i].insert(part.value.begin(), part.value.end());
      needed[i].insert(needed[link.correlation].begin(), needed[link.correlation].end());
    }
    ways_[i].beside_case = grouping != nullptr;
    for (const rules::CorrelatedRule& part : correlation.rules) {
      ways_[i].beside_case = ways_[i].beside_case && Holds(part.group_by, *grouping);
      std::vector<FieldId>& carried = ways_[i].carried.emplace_back(part.group_by);
      for (const FieldId id : needed[i]) {
        if (std::find(carried.begin(), carried.end(), id) == carried.end()) carried.push_back(id);
      }
      // Without a group there is no case that its values lead to: that of the alert that made it fire stands for it.
      if (part.group_by.empty() && grouping) {
        for (const FieldId id : *grouping) {
          if (std::find(carried.begin(), carried.end(), id) == carried.end()) carried.push_back(id);
        }
      }
    }
  }
}

OutputRecord Correlator::Signal(const Alert& alert, uint32_t correlation, uint32_t position,
                                rules::Observation observation, std::string key) const {
  SignalMatch match;
  match.correlation = set_->all()[correlation].state_name;
  match.position = position;
  match.at = observation.at;
  match.value = std::move(observation.value);
  if (alert.drill) match.fields.emplace_back(kDrillLabel, "true");  // what is derived from drills is one
  for (const FieldId id : ways_[correlation].carried[position]) {
    const std::string_view value = alert.fields.First(id);
    if (value.empty()) continue;
    match.fields.emplace_back(engine_->alert_catalog->Name(id), CutAtCodePoint(value, kMaxSignalValueBytes));
  }
  return MatchRecord(match, std::move(key), partitions_);
}

void Correlator::Feed(const Alert& alert, uint32_t rule, Timestamp now, CaseStore* store,
                      std::vector<uint32_t>* matched, std::vector<OutputRecord>* outputs) {
  for (const rules::CorrelationSet::Link& link : set_->LinksOf(rule)) {
    const rules::Correlation& correlation = set_->all()[link.correlation];
    const rules::CorrelatedRule& part = correlation.rules[link.position];
    const auto group = rules::GroupKey(part, alert.fields);
    if (!group) continue;
    rules::Observation observation{WindowTime(alert, now), link.position, rules::ConditionValue(part, alert.fields)};
    const std::string key = correlation.state_name + *group + (alert.drill ? std::string(kDrillGroup) : std::string());
    if (!ways_[link.correlation].beside_case) {
      outputs->push_back(Signal(alert, link.correlation, link.position, std::move(observation), key));
      continue;
    }
    const bool fires = store->correlations().Observe(correlation.spec, key, std::move(observation), now);
    if (fires && std::find(matched->begin(), matched->end(), correlation.rule) == matched->end()) {
      matched->push_back(correlation.rule);
    }
  }
}

void Correlator::Take(const Alert& alert, Timestamp now, CaseStore* store, std::vector<uint32_t>* matched,
                      std::vector<OutputRecord>* outputs) {
  // Those that fire are appended, and may feed others in turn: each refers only to what stands before it.
  for (size_t i = 0; i < matched->size(); ++i) Feed(alert, (*matched)[i], now, store, matched, outputs);
  TakeAgain(matched);
  std::sort(matched->begin(), matched->end());
}

void Correlator::TakeAgain(std::vector<uint32_t>* matched) const {
  std::erase_if(*matched, [this](uint32_t rule) { return !set_->StandsAlone(rule); });
}

void Correlator::TakeDerived(const Alert& alert, uint32_t correlation, Timestamp now, CaseStore* store,
                             std::vector<uint32_t>* matched, std::vector<OutputRecord>* outputs) {
  TakeAgain(matched);
  std::vector<uint32_t> fired = {correlation};
  Take(alert, now, store, &fired, outputs);
  matched->insert(matched->end(), fired.begin(), fired.end());
  std::sort(matched->begin(), matched->end());
}

const rules::Correlation* Correlator::TakeMatch(const SignalMatch& match, std::string_view key, Timestamp now,
                                                CaseStore* store) {
  const rules::Correlation* correlation = set_->FindState(match.correlation);
  if (!correlation || match.position >= correlation->rules.size()) return nullptr;
  rules::Observation observation{std::min(match.at, now), match.position, match.value};
  return store->correlations().Observe(correlation->spec, key, std::move(observation), now) ? correlation : nullptr;
}

}  // namespace triaged
