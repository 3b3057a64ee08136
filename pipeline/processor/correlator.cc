#include "pipeline/processor/correlator.h"

#include <algorithm>

#include "pipeline/decide/merge.h"

namespace triaged {

void Correlator::SetEngine(const Engine& engine) { set_ = &engine.rules->correlations(); }

void Correlator::Feed(const Alert& alert, uint32_t rule, Timestamp now, CaseStore* store,
                      std::vector<uint32_t>* matched) {
  for (const rules::CorrelationSet::Link& link : set_->LinksOf(rule)) {
    const rules::Correlation& correlation = set_->all()[link.correlation];
    const rules::CorrelatedRule& part = correlation.rules[link.position];
    const auto group = rules::GroupKey(part, alert.fields);
    if (!group) continue;
    rules::Observation observation{WindowTime(alert, now), link.position, rules::ConditionValue(part, alert.fields)};
    const std::string key = correlation.state_name + *group;
    if (!store->correlations().Observe(correlation.spec, key, std::move(observation), now)) continue;
    if (std::find(matched->begin(), matched->end(), correlation.rule) == matched->end()) {
      matched->push_back(correlation.rule);
    }
  }
}

void Correlator::Take(const Alert& alert, bool again, Timestamp now, CaseStore* store, std::vector<uint32_t>* matched) {
  if (set_->empty()) return;
  // Those that fire are appended, and may feed others in turn: each refers only to what stands before it.
  for (size_t i = 0; !again && i < matched->size(); ++i) Feed(alert, (*matched)[i], now, store, matched);
  std::erase_if(*matched, [this](uint32_t rule) { return !set_->StandsAlone(rule); });
  std::sort(matched->begin(), matched->end());
}

}  // namespace triaged
