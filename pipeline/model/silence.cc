#include "pipeline/model/silence.h"

#include <algorithm>

namespace triaged {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& ch : lower) {
    if (ch >= 'A' && ch <= 'Z') ch = static_cast<char>(ch - 'A' + 'a');
  }
  return lower;
}

bool Shows(const FieldTable& fields, FieldId id, std::string_view wanted) {
  const auto values = fields.Get(id);
  return std::any_of(values.begin(), values.end(), [&](const Value& value) {
    return value.text.size() == wanted.size() && Lower(value.text) == Lower(wanted);
  });
}

bool Matches(const SilenceRule& rule, const FieldTable& fields) {
  return std::all_of(rule.match.begin(), rule.match.end(),
                     [&](const auto& wanted) { return Shows(fields, wanted.first, wanted.second); });
}

}  // namespace

const SilenceRule* SilenceTable::Find(std::string_view id) const {
  const auto at = rules_.find(id);
  return at == rules_.end() ? nullptr : &at->second;
}

void SilenceTable::Put(SilenceRule rule) {
  Erase(rule.id);
  if (rule.match.empty()) return;
  auto& ids = index_[rule.match.front().first][Lower(rule.match.front().second)];
  ids.insert(std::lower_bound(ids.begin(), ids.end(), rule.id), rule.id);
  rules_.emplace(rule.id, std::move(rule));
}

void SilenceTable::Erase(std::string_view id) {
  const auto at = rules_.find(id);
  if (at == rules_.end()) return;
  const auto& [field, value] = at->second.match.front();
  auto& by_value = index_[field];
  auto ids = by_value.find(Lower(value));
  std::erase(ids->second, at->first);
  if (ids->second.empty()) by_value.erase(ids);
  if (by_value.empty()) index_.erase(field);
  rules_.erase(at);
}

const SilenceRule* SilenceTable::Match(const FieldTable& fields, Timestamp now) const {
  const SilenceRule* first = nullptr;
  for (const auto& [field, by_value] : index_) {
    for (const Value& value : fields.Get(field)) {
      const auto ids = by_value.find(Lower(value.text));
      if (ids == by_value.end()) continue;
      for (const std::string& id : ids->second) {
        if (first && first->id <= id) break;
        const SilenceRule& rule = rules_.find(id)->second;
        if (now >= rule.from && now < rule.until && Matches(rule, fields)) first = &rule;
      }
    }
  }
  return first;
}

}  // namespace triaged
