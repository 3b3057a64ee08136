#include "pipeline/rules/correlation_stream.h"

#include <algorithm>
#include <set>

#include "pipeline/base/utf8.h"

namespace triaged {
namespace {

using rules::Correlation;
using rules::CorrelationType;
using rules::CorrelationWindow;
using rules::Observation;

constexpr size_t kShownObservations = 20;
constexpr size_t kShownValueBytes = 80;

// Millionths as a decimal number.
std::string Decimal(CorrelationWindow::Wide millionths) {
  const CorrelationWindow::Wide size = millionths < 0 ? -millionths : millionths;
  const std::string text = (millionths < 0 ? "-" : "") + std::to_string(static_cast<int64_t>(size / 1'000'000));
  std::string part = std::to_string(1'000'000 + static_cast<int64_t>(size % 1'000'000)).substr(1);
  part.erase(part.find_last_not_of('0') + 1);
  return part.empty() ? text : text + "." + part;
}

std::string InWords(const rules::CorrelationSpec& spec) {
  const rules::CorrelationCondition& c = spec.condition;
  std::string words;
  const std::pair<const char*, const std::optional<int64_t>&> bounds[] = {{"gt", c.gt},   {"gte", c.gte}, {"lt", c.lt},
                                                                          {"lte", c.lte}, {"eq", c.eq},   {"neq", c.neq}};
  for (const auto& [name, bound] : bounds) {
    if (bound) words += (words.empty() ? "" : ", ") + std::string(name) + " " + Decimal(*bound);
  }
  return words.empty() ? "all " + std::to_string(spec.rules) + " rules" : words;
}

// What the condition is about, counted from what the window holds.
std::string Measured(const Correlation& correlation, const CorrelationWindow& window, const std::string& latest) {
  std::set<std::string> values;
  std::set<uint32_t> rules;
  uint32_t in_order = 0;
  size_t same = 0;
  CorrelationWindow::Wide sum = 0;
  for (const Observation& one : window.observations()) {
    values.insert(one.value);
    rules.insert(one.rule);
    in_order += one.rule == in_order ? 1 : 0;
    same += one.value == latest ? 1 : 0;
    sum += rules::ParseMillionths(one.value).value_or(0);
  }
  const std::string count = std::to_string(window.observations().size());
  const std::string of_rules = " of " + std::to_string(correlation.spec.rules) + " rules";
  switch (correlation.spec.type) {
    case CorrelationType::kEventCount: return count + " events";
    case CorrelationType::kValueCount: return std::to_string(values.size()) + " different values";
    case CorrelationType::kTemporal: return std::to_string(rules.size()) + of_rules;
    case CorrelationType::kTemporalOrdered: return std::to_string(in_order) + of_rules + " in order";
    case CorrelationType::kValueSum: return "sum " + Decimal(sum);
    case CorrelationType::kValueAverage: return "sum " + Decimal(sum) + " of " + count + " values";
    case CorrelationType::kValuePercentile: return std::to_string(same) + " of " + count + " values are '" + latest + "'";
  }
  return count;
}

std::string Shown(const std::string& value) {
  const std::string_view cut = CutAtCodePoint(value, kShownValueBytes);
  std::string text = " '";
  for (const char ch : cut) text.push_back(ch == '\0' ? '|' : ch);  // several fields
  return text + (cut.size() < value.size() ? "…'" : "'");
}

}  // namespace

void CorrelationStream::Take(const FieldTable& event, std::vector<uint32_t>* matched) {
  fired_ = false;
  notes_.clear();
  if (set_.empty()) return;
  if (const auto at = ParseTimestamp(event.First(field::kTimestamp))) at_ = *at;
  now_ = std::max(now_, at_);
  for (size_t i = 0; i < matched->size(); ++i) Feed(event, (*matched)[i], matched);
  std::erase_if(*matched, [this](uint32_t rule) { return !set_.StandsAlone(rule); });
  std::sort(matched->begin(), matched->end());
}

void CorrelationStream::Feed(const FieldTable& event, uint32_t rule, std::vector<uint32_t>* matched) {
  for (const auto& link : set_.LinksOf(rule)) {
    const Correlation& correlation = set_.all()[link.correlation];
    const rules::CorrelatedRule& part = correlation.rules[link.position];
    const auto group = rules::GroupKey(part, event);
    bool fires = false, held = false;
    if (group) {
      const std::string key = correlation.state_name + *group;
      table_.Expire(now_);
      const CorrelationWindow* before = table_.Find(key);
      held = before && before->held();
      fires = table_.Observe(correlation.spec, key, {at_, link.position, rules::ConditionValue(part, event)}, now_);
      table_.EndStep();
    }
    if (correlation.rule == watched_) Note(event, correlation, link.position, fires, held);
    if (fires && std::find(matched->begin(), matched->end(), correlation.rule) == matched->end()) {
      matched->push_back(correlation.rule);
    }
  }
}

void CorrelationStream::Note(const FieldTable& event, const Correlation& correlation, uint32_t position, bool fires,
                             bool held) {
  fired_ |= fires;
  const rules::CorrelatedRule& part = correlation.rules[position];
  const std::string counted = rules_.rules()[part.rule].id;
  std::string group, missing;
  for (size_t i = 0; i < part.group_by.size(); ++i) {
    const std::string_view value = event.First(part.group_by[i]);
    if (value.empty()) missing += (missing.empty() ? "" : ", ") + correlation.group_names[i];
    group += (group.empty() ? "" : ", ") + correlation.group_names[i] + "=" + std::string(value);
  }
  notes_ += "  " + counted + " matched";
  if (!missing.empty()) {
    notes_ += ", and does not count: the event has no " + missing + "\n";
    return;
  }
  if (!group.empty()) notes_ += ", group " + group;
  const std::string value = rules::ConditionValue(part, event);
  const CorrelationWindow* window = table_.Find(correlation.state_name + *rules::GroupKey(part, event));
  const auto same = [&](const Observation& one) { return one.at == at_ && one.rule == position; };
  const bool in = window && std::any_of(window->observations().begin(), window->observations().end(), same);
  if (!in) {
    notes_ += ", and does not count: " + std::string(window && window->observations().back().at - at_ >= correlation.spec.timespan
                                                         ? "it is a whole timespan older than the newest"
                                                         : "the event lacks the value that the condition looks at") + "\n";
    return;
  }
  notes_ += "\n    window: " + Measured(correlation, *window, value) +
            "; the condition (" + InWords(correlation.spec) + ") " +
            (fires                  ? "holds now: it fires"
             : window->held() && held ? "held already: it fires once"
             : window->held()         ? "holds"
                                      : "does not hold") +
            "\n" + InWindow(correlation, *window);
}

std::string CorrelationStream::InWindow(const Correlation& correlation, const CorrelationWindow& window) const {
  std::string text;
  const auto& all = window.observations();
  const size_t skipped = all.size() > kShownObservations ? all.size() - kShownObservations : 0;
  if (skipped > 0) text += "      … " + std::to_string(skipped) + " earlier ones\n";
  for (size_t i = skipped; i < all.size(); ++i) {
    text += "      " + FormatTimestamp(all[i].at) + " " + rules_.rules()[correlation.rules[all[i].rule].rule].id;
    text += (all[i].value.empty() ? "" : Shown(all[i].value)) + "\n";
  }
  return text;
}

std::string CorrelationStream::Explain() const {
  const Rule& rule = rules_.rules()[watched_];
  std::string text = rule.id + (fired_ ? " fires: " : " does not fire: ") + rule.title + "\n";
  return text + (notes_.empty() ? "  none of the rules that it counts matched\n" : notes_);
}

}  // namespace triaged
