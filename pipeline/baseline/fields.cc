#include "pipeline/baseline/fields.h"

#include <algorithm>
#include <charconv>

#include "pipeline/base/check.h"
#include "pipeline/base/hash.h"

namespace triaged {
namespace {

constexpr size_t kLongestName = 256;  // what follows does not tell names apart

// Never 0, which stands for "none".
uint64_t HashName(std::string_view name, uint64_t seed) {
  if (name.empty()) return 0;
  std::array<char, kLongestName> lower;
  const std::string_view head = name.substr(0, lower.size());
  std::transform(head.begin(), head.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return StableHash64({lower.data(), head.size()}, seed) | 1;
}

std::string_view FirstOf(const FieldTable& fields, std::initializer_list<FieldId> ids) {
  for (const FieldId id : ids) {
    const std::string_view text = fields.First(id);
    if (!text.empty()) return text;
  }
  return {};
}

constexpr FieldId kFirstBaselineField = field::kBaselineReady;
constexpr FieldId kLastBaselineField = field::kBaselineSourceFirstSeenOnHost;

}  // namespace

BaselineSubject SubjectOf(const Alert& alert) {
  const FieldTable& fields = alert.fields;
  BaselineSubject subject;
  subject.rule = HashName(FirstOf(fields, {field::kRuleId, field::kRuleName}), StableHash64(alert.source));
  subject.host = HashName(FirstOf(fields, {field::kHostName, field::kHostId, field::kHostIp}), 0);
  const uint64_t domain = HashName(fields.First(field::kUserDomain), 0);
  subject.user = HashName(FirstOf(fields, {field::kUserName, field::kUserEmail, field::kUserId}), domain);
  subject.source = HashName(fields.First(field::kSourceIp), 0);
  return subject;
}

BaselineFields::BaselineFields(const BaselineSettings& settings, const FieldCatalog& catalog)
    : settings_(settings),
      decay_(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::hours>(settings.half_life).count())),
      catalog_(&catalog) {
  for (FieldId id = kFirstBaselineField; id <= kLastBaselineField; ++id) asked_ = asked_ || catalog.Asked(id);
}

void BaselineFields::Take(Alert* alert, Timestamp at, bool seen, BaselineTable* table) {
  seen |= alert->drill;  // an exercise asks what is usual, and teaches nothing
  if (!settings_.enabled() || (seen && !asked_)) return;
  const BaselineSubject subject = SubjectOf(*alert);
  if (!asked_) return table->Learn(settings_, decay_, subject, at);
  AddAll(seen ? table->Look(settings_, decay_, subject, at) : table->Observe(settings_, decay_, subject, at),
         &alert->fields);
}

void BaselineFields::AddNumber(FieldId id, std::optional<uint64_t> number, FieldTable* fields) {
  if (!number || !catalog_->Asked(id)) return;
  TRIAGED_CHECK(used_ < texts_.size());
  std::array<char, 20>& text = texts_[used_++];
  const auto end = std::to_chars(text.data(), text.data() + text.size(), *number).ptr;
  Value value({text.data(), static_cast<size_t>(end - text.data())});
  value.kind = ValueKind::kUnsigned;
  value.unsigned_integer = *number;
  fields->Add(id, value);
}

void BaselineFields::AddFlag(FieldId id, std::optional<bool> flag, FieldTable* fields) {
  if (!flag || !catalog_->Asked(id)) return;
  Value value(*flag ? "true" : "false");
  value.kind = ValueKind::kBool;
  value.boolean = *flag;
  fields->Add(id, value);
}

void BaselineFields::AddAll(const BaselineView& view, FieldTable* fields) {
  used_ = 0;
  const auto last_hour = [](const std::optional<BaselineRate>& rate) {
    return rate ? std::optional(rate->last_hour) : std::nullopt;
  };
  const auto percent = [](const std::optional<BaselineRate>& rate) { return rate ? rate->percent : std::nullopt; };
  AddFlag(field::kBaselineReady, view.ready, fields);
  AddNumber(field::kBaselineAge, view.age, fields);
  AddFlag(field::kBaselineRuleFirstSeen, view.new_rule, fields);
  AddFlag(field::kBaselineRuleFirstSeenOnHost, view.new_rule_on_host, fields);
  AddFlag(field::kBaselineRuleFirstSeenOnUser, view.new_rule_of_user, fields);
  AddNumber(field::kBaselineRuleAge, view.rule_age, fields);
  AddNumber(field::kBaselineRuleAgeOnHost, view.rule_on_host_age, fields);
  AddNumber(field::kBaselineRuleSeenOnHosts, view.hosts_of_rule, fields);
  AddNumber(field::kBaselineRuleCount1h, last_hour(view.rule_rate), fields);
  AddNumber(field::kBaselineRuleRateRatio, percent(view.rule_rate), fields);
  AddNumber(field::kBaselineHostAge, view.host_age, fields);
  AddNumber(field::kBaselineHostCount1h, last_hour(view.host_rate), fields);
  AddNumber(field::kBaselineHostRateRatio, percent(view.host_rate), fields);
  if (catalog_->Asked(field::kBaselineEntityFirstSeen)) {
    if (view.new_host.value_or(false)) fields->Add(field::kBaselineEntityFirstSeen, Value("host"));
    if (view.new_user.value_or(false)) fields->Add(field::kBaselineEntityFirstSeen, Value("user"));
    if (view.new_source.value_or(false)) fields->Add(field::kBaselineEntityFirstSeen, Value("source.ip"));
  }
  AddNumber(field::kBaselineEntityRules24h, view.rules_of_host, fields);
  AddFlag(field::kBaselineUserFirstSeenOnHost, view.new_user_on_host, fields);
  AddFlag(field::kBaselineSourceFirstSeenOnHost, view.new_source_on_host, fields);
}

}  // namespace triaged
