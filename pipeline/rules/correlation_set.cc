#include "pipeline/rules/correlation_set.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "pipeline/base/hash.h"

namespace triaged::rules {

CorrelationSet::CorrelationSet(std::vector<Correlation> correlations, std::vector<uint32_t> helpers)
    : correlations_(std::move(correlations)), helpers_(std::move(helpers)) {
  for (uint32_t i = 0; i < correlations_.size(); ++i) {
    for (uint32_t position = 0; position < correlations_[i].rules.size(); ++position) {
      links_.push_back({correlations_[i].rules[position].rule, i, position});
    }
  }
  std::stable_sort(links_.begin(), links_.end(), [](const Link& a, const Link& b) { return a.rule < b.rule; });
}

const Correlation* CorrelationSet::FindState(std::string_view state_name) const {
  for (const Correlation& correlation : correlations_) {
    if (correlation.state_name == state_name) return &correlation;
  }
  return nullptr;
}

std::span<const CorrelationSet::Link> CorrelationSet::LinksOf(uint32_t rule) const {
  const auto before = [](const Link& link, uint32_t wanted) { return link.rule < wanted; };
  const auto begin = std::lower_bound(links_.begin(), links_.end(), rule, before);
  auto end = begin;
  while (end != links_.end() && end->rule == rule) ++end;
  return {begin, end};
}

bool CorrelationSet::StandsAlone(uint32_t rule) const {
  return !std::binary_search(helpers_.begin(), helpers_.end(), rule);
}

std::optional<std::string> GroupKey(const CorrelatedRule& rule, const FieldTable& fields) {
  std::string key;
  for (const FieldId id : rule.group_by) {
    const std::string_view text = fields.First(id);
    if (text.empty()) return std::nullopt;
    key.push_back('/');
    for (const char ch : text) {
      if (ch == '/' || ch == '%') {
        key += ch == '/' ? "%2F" : "%25";
      } else {
        key.push_back(ch >= 'A' && ch <= 'Z' ? static_cast<char>(ch - 'A' + 'a') : ch);
      }
    }
  }
  if (key.size() > kMaxGroupKeyBytes) {
    char hash[18];
    std::snprintf(hash, sizeof hash, "#%016llx", static_cast<unsigned long long>(StableHash64(key)));
    key.resize(kMaxGroupKeyBytes - 17);
    key += hash;
  }
  return key;
}

std::string ConditionValue(const CorrelatedRule& rule, const FieldTable& fields) {
  std::string value;
  for (const FieldId id : rule.value) {
    const std::string_view text = fields.First(id);
    if (text.empty()) return {};
    if (!value.empty()) value.push_back('\0');
    value += text;
  }
  return value;
}

}  // namespace triaged::rules
