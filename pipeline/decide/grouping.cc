#include "pipeline/decide/grouping.h"

#include <algorithm>

#include "pipeline/base/utf8.h"

namespace triaged {
namespace {

constexpr size_t kMaxKeyPart = 256;
constexpr std::string_view kDrillRun = "drill:";

// Names are compared without case in this field (hosts, users): one host must not make two cases.
void AppendKeyPart(std::string_view text, std::string* key) {
  key->push_back('/');
  for (char ch : CutAtCodePoint(text, kMaxKeyPart)) {
    if (ch == '/' || ch == '%') {
      *key += ch == '/' ? "%2F" : "%25";
    } else {
      key->push_back(ch >= 'A' && ch <= 'Z' ? static_cast<char>(ch - 'A' + 'a') : ch);
    }
  }
}

// A drill's alerts never meet real ones: a case is all exercise or not at all, so neither hides the other. Nor do they meet
// those of another run, where their ids name it: drill:RUN/…
void AppendDrill(const Alert& alert, std::string* key) {
  if (!alert.drill) return;
  const size_t slash = alert.id.find('/');
  const bool named = alert.id.starts_with(kDrillRun) && slash != std::string::npos;
  AppendKeyPart(named ? "!" + std::string(alert.id.substr(0, slash)) : std::string("!drill"), key);
}

bool ApplyRule(const Policy& policy, const GroupingRule& rule, const Alert& alert, std::string* key) {
  if (rule.when && !rule.when->Matches(alert.fields)) return false;
  for (FieldId id : rule.by) {
    if (alert.fields.First(id).empty()) return false;
  }
  key->assign(policy.name);
  AppendKeyPart(rule.name, key);
  for (FieldId id : rule.by) AppendKeyPart(alert.fields.First(id), key);
  return true;
}

std::string_view Part(std::string_view key, size_t index) {
  for (; index > 0; --index) {
    const size_t slash = key.find('/');
    if (slash == std::string_view::npos) return {};
    key.remove_prefix(slash + 1);
  }
  return key.substr(0, key.find('/'));
}

}  // namespace

void ChooseGroup(const Engine& engine, const Alert& alert, Group* group) {
  group->policy = nullptr;
  group->rule = nullptr;
  for (const auto& policy : engine.policies) {
    if (policy->when && !policy->when->Matches(alert.fields)) continue;
    for (const GroupingRule& rule : policy->grouping) {
      if (!ApplyRule(*policy, rule, alert, &group->key)) continue;
      group->policy = policy.get();
      group->rule = &rule;
      AppendDrill(alert, &group->key);
      return;
    }
    // Nothing to go by: alone under its own id, rather than lumped with strangers.
    group->policy = policy.get();
    group->rule = &policy->grouping.back();
    group->key.assign(policy->name);
    AppendKeyPart(group->rule->name, &group->key);
    AppendKeyPart(alert.id, &group->key);
    AppendDrill(alert, &group->key);
    return;
  }
}

void FindGroup(const Engine& engine, std::string_view key, Group* group) {
  group->key.assign(key);
  group->rule = nullptr;
  group->policy = engine.FindPolicy(Part(key, 0));
  if (!group->policy) return;
  for (const GroupingRule& rule : group->policy->grouping) {
    if (rule.name == Part(key, 1)) group->rule = &rule;
  }
}

WindowFit FitWindow(const GroupingRule& rule, const Case& c, Timestamp time, Timestamp now) {
  if (!IsActive(c)) {
    const Timestamp ended = c.closed_at != Timestamp{} ? std::min(c.closed_at, c.resolved_at) : c.resolved_at;
    const bool soon = rule.reopen > Duration{0} && now - ended < rule.reopen;
    return soon && c.verdict != Verdict::kFalsePositive ? WindowFit::kReopen : WindowFit::kNew;
  }
  const Timestamp first = std::min(c.first_seen, time);
  const Timestamp last = std::max(c.last_seen, time);
  const bool idle = time > c.last_seen && time - c.last_seen > rule.idle;
  const bool before = time < c.first_seen && c.first_seen - time > rule.idle;
  if (idle || before || last - first > rule.max) return WindowFit::kNew;
  return c.alert_count >= rule.max_alerts ? WindowFit::kOverflow : WindowFit::kMerge;
}

}  // namespace triaged
