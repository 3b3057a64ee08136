// What the tables know of one alert.
#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "pipeline/enrich/tables.h"

namespace triaged::enrich {
namespace {

constexpr std::string_view kFieldNames[] = {
#define TRIAGED_X(id, name) name,
    TRIAGED_ALERT_FIELDS(TRIAGED_X)
#undef TRIAGED_X
};

constexpr size_t kMaxMatches = 8;  // assets, and identities, of one alert

// A name in lower case, without allocation; longer ones are in no table.
class LowerName {
 public:
  explicit LowerName(std::string_view text) {
    if (text.size() > buffer_.size()) return;
    std::transform(text.begin(), text.end(), buffer_.begin(),
                   [](char ch) { return ch >= 'A' && ch <= 'Z' ? static_cast<char>(ch - 'A' + 'a') : ch; });
    size_ = text.size();
    if (size_ > 1 && buffer_[size_ - 1] == '.') --size_;
  }
  std::string_view view() const { return {buffer_.data(), size_}; }

 private:
  std::array<char, 512> buffer_;
  size_t size_ = 0;
};

class Pass {
 public:
  Pass(const Tables& tables, Alert* alert) : t_(tables), alert_(*alert), fields_(alert->fields) {}

  void Run() {
    if (!t_.assets.empty() || !t_.networks.empty()) Places();
    if (!t_.identities.empty()) Identities();
    if (!t_.indicators.Empty() || !t_.known_good.Empty()) Indicators();
    if (!t_.attack.empty()) Attack();
    Related();
  }

 private:
  using Found = std::array<uint32_t, kMaxMatches>;

  // Values are copied: what is added may move them.
  template <typename Take>
  void ForEach(FieldId id, Take take) {
    for (size_t i = 0; i < fields_.Get(id).size(); ++i) {
      const Value value = fields_.Get(id)[i];
      take(value);
    }
  }
  void AddOnce(FieldId id, std::string_view text, std::string_view path) {
    if (text.empty()) return;
    const auto seen = fields_.Get(id);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& value) { return value.text == text; })) return;
    fields_.Append(id, Value(text, path));
  }
  void AddFlag(FieldId id, bool flag, std::string_view path) {
    if (!flag || fields_.Has(id)) return;
    Value value("true", path);
    value.kind = ValueKind::kBool;
    value.boolean = true;
    fields_.Append(id, value);
  }

  void Places();
  void TakeAsset(uint32_t record);
  void TakeNetwork(FieldId address, uint32_t asset, FieldId zone);
  uint32_t AssetByName(std::string_view name) const;
  uint32_t AssetByAddress(std::string_view text) const;
  uint32_t FirstAsset(std::initializer_list<FieldId> names, FieldId address);

  void Identities();
  uint32_t IdentityOf(FieldId field, std::string_view name) const;
  uint32_t IdentityIn(std::string_view domain, std::string_view name) const;
  void TakeIdentity(uint32_t record);

  void Indicators();
  void LookUpAddress(FieldId field, const Value& value);
  void LookUpDomain(FieldId field, const Value& value);
  void LookUpHash(FieldId field, const Value& value);
  bool Walk(const IndicatorTable& table, uint32_t head, bool below, FieldId field, std::string_view name,
            std::string_view type);
  bool WalkDomain(const IndicatorTable& table, std::string_view domain, FieldId field);

  void Attack();
  void Related();

  const Tables& t_;
  const Alert& alert_;
  FieldTable& fields_;
};

// ---- assets and networks --------------------------------------------------------------------------------------------

// As listed; else a fully qualified name by its first label, where that is listed alone; else a short name by the one
// fully qualified name that begins with it.
uint32_t Pass::AssetByName(std::string_view name) const {
  const LowerName lower(name);
  const std::string_view key = lower.view();
  uint32_t record = t_.asset_names.Find(key);
  if (record != kNone) return record;
  const size_t dot = key.find('.');
  if (dot == std::string_view::npos) {
    record = t_.asset_short_names.Find(key);
    return record == kAmbiguous ? kNone : record;
  }
  if (ParseAddressNumber(key)) return AssetByAddress(key);
  return t_.asset_names.Find(key.substr(0, dot));
}

uint32_t Pass::AssetByAddress(std::string_view text) const {
  const auto address = ParseAddressNumber(text);
  if (!address) return kNone;
  const auto bytes = address->Bytes();
  const uint32_t record = t_.asset_addresses.Find({bytes.data(), bytes.size()});
  if (record != kNone) return record;
  const uint32_t position = t_.asset_networks.Find(*address);
  return position == kNone ? kNone : t_.asset_networks.number(position);
}

uint32_t Pass::FirstAsset(std::initializer_list<FieldId> names, FieldId address) {
  uint32_t record = kNone;
  for (FieldId id : names) {
    for (const Value& value : fields_.Get(id)) {
      if (record == kNone) record = AssetByName(value.text);
    }
  }
  for (const Value& value : fields_.Get(address)) {
    if (record == kNone) record = AssetByAddress(value.text);
  }
  return record;
}

void Pass::TakeAsset(uint32_t record) {
  if (record == kNone) return;
  const AssetRecord& asset = t_.assets[record];
  const std::string_view from = t_.Text(asset.from);
  AddOnce(field::kAssetName, t_.Text(asset.name), from);
  AddOnce(field::kAssetOwner, t_.Text(asset.owner), from);
  AddOnce(field::kAssetDepartment, t_.Text(asset.department), from);
  AddOnce(field::kAssetCriticality, t_.Text(asset.criticality), from);
  AddOnce(field::kAssetEnvironment, t_.Text(asset.environment), from);
  AddOnce(field::kAssetZone, t_.Text(asset.zone), from);
}

// The zone of one end: its asset's, else that of the smallest network around it that names one.
void Pass::TakeNetwork(FieldId address, uint32_t asset, FieldId zone) {
  if (zone != kNoField && asset != kNone) AddOnce(zone, t_.Text(t_.assets[asset].zone), t_.Text(t_.assets[asset].from));
  ForEach(address, [&](const Value& value) {
    const auto number = ParseAddressNumber(value.text);
    if (!number) return;
    uint32_t position = t_.network_table.Find(*number);
    if (position == kNone) return;
    const NetworkRecord& nearest = t_.networks[t_.network_table.number(position)];
    AddOnce(field::kNetworkName, t_.Text(nearest.name), t_.Text(nearest.from));
    for (; zone != kNoField && !fields_.Has(zone) && position != kNone; position = t_.network_table.around(position)) {
      const NetworkRecord& network = t_.networks[t_.network_table.number(position)];
      AddOnce(zone, t_.Text(network.zone), t_.Text(network.from));
    }
  });
}

void Pass::Places() {
  const uint32_t host = FirstAsset({field::kHostName, field::kHostId}, field::kHostIp);
  const uint32_t source = FirstAsset({field::kSourceDomain}, field::kSourceIp);
  const uint32_t destination = FirstAsset({field::kDestinationDomain}, field::kDestinationIp);
  // The host's own address names it; those of source and destination do not say which of them the alert is about.
  if (host != kNone && !fields_.Has(field::kHostName)) {
    AddOnce(field::kHostName, t_.Text(t_.assets[host].name), t_.Text(t_.assets[host].from));
  }
  for (uint32_t record : {host, source, destination}) TakeAsset(record);
  TakeNetwork(field::kHostIp, host, field::kAssetZone);
  TakeNetwork(field::kSourceIp, source, field::kSourceZone);
  TakeNetwork(field::kDestinationIp, destination, field::kDestinationZone);
}

// ---- identities -----------------------------------------------------------------------------------------------------

// `name` as one of `domain`; a domain may also be known by its first label (CORP for corp.example.com).
uint32_t Pass::IdentityIn(std::string_view domain, std::string_view name) const {
  std::array<char, 512> key;
  for (std::string_view shown : {domain, domain.substr(0, domain.find('.'))}) {
    if (shown.size() + name.size() + 1 > key.size()) return kNone;
    auto end = std::copy(shown.begin(), shown.end(), key.begin());
    *end++ = '\\';
    end = std::copy(name.begin(), name.end(), end);
    const uint32_t record = t_.identity_keys.Find({key.data(), static_cast<size_t>(end - key.begin())});
    if (record != kNone) return record;
  }
  // A list without domains has everybody of that name; one that names another domain means somebody else.
  const uint32_t record = t_.identity_keys.Find(name);
  return record < kAmbiguous && t_.identities[record].domain == kNone ? record : kNone;
}

uint32_t Pass::IdentityOf(FieldId field, std::string_view name) const {
  const LowerName lower(name);
  const std::string_view key = lower.view();
  const size_t slash = key.rfind('\\');
  if (slash != std::string_view::npos) return IdentityIn(key.substr(0, slash), key.substr(slash + 1));
  if (field == field::kUserName && fields_.Has(field::kUserDomain) && key.find('@') == std::string_view::npos) {
    const LowerName domain(fields_.First(field::kUserDomain));
    return IdentityIn(domain.view(), key);
  }
  const uint32_t record = t_.identity_keys.Find(key);
  return record == kAmbiguous ? kNone : record;
}

void Pass::TakeIdentity(uint32_t record) {
  const IdentityRecord& identity = t_.identities[record];
  const std::string_view from = t_.Text(identity.from);
  AddOnce(field::kIdentityName, t_.Text(identity.name), from);
  AddOnce(field::kUserFullName, t_.Text(identity.full_name), from);
  AddOnce(field::kIdentityDepartment, t_.Text(identity.department), from);
  AddOnce(field::kIdentityCriticality, t_.Text(identity.criticality), from);
  for (uint32_t i = 0; i < identity.roles.count; ++i) {
    AddOnce(field::kUserRoles, t_.Text(t_.lists[identity.roles.begin + i]), from);
  }
  AddFlag(field::kIdentityPrivileged, identity.privileged, from);
  AddFlag(field::kIdentityVip, identity.vip, from);
}

void Pass::Identities() {
  Found found;
  size_t count = 0;
  for (FieldId id : {field::kUserName, field::kUserEmail, field::kUserId, field::kUserTargetName,
                     field::kSourceUserName, field::kDestinationUserName}) {
    for (const Value& value : fields_.Get(id)) {
      const uint32_t record = IdentityOf(id, value.text);
      if (record == kNone || count == found.size()) continue;
      if (std::find(found.begin(), found.begin() + count, record) == found.begin() + count) found[count++] = record;
    }
  }
  for (size_t i = 0; i < count; ++i) TakeIdentity(found[i]);
}

// ---- indicators -----------------------------------------------------------------------------------------------------

// The entries of one value that count now. `below`: the value is a name below the listed domain.
bool Pass::Walk(const IndicatorTable& table, uint32_t head, bool below, FieldId field, std::string_view name,
                std::string_view type) {
  bool any = false;
  const int64_t at = ToUnixMillis(alert_.event_time);
  for (uint32_t i = head; i != kNone; i = table.entries[i].next) {
    const Indicator& entry = table.entries[i];
    if (at >= entry.expires_ms || (below && !entry.subdomains)) continue;
    const IndicatorList& list = table.lists[entry.list];
    const std::string_view from = t_.Text(list.from);
    any = true;
    if (&table == &t_.known_good) {
      AddOnce(field::kKnownGood, t_.Text(list.feed), from);
      continue;
    }
    AddOnce(field::kThreatFeedName, t_.Text(list.feed), from);
    AddOnce(field::kThreatIndicatorType, type, from);
    AddOnce(field::kThreatIndicatorName, entry.text == kNone ? name : t_.Text(entry.text), from);
    AddOnce(field::kThreatIndicatorConfidence, t_.Text(entry.confidence), from);
    AddOnce(field::kThreatIndicatorDescription, t_.Text(entry.description), from);
    AddOnce(field::kThreatMatchedField, kFieldNames[field], from);
  }
  return any;
}

// What is known to be good is no indicator, whoever lists it: the alert says which list says so.
void Pass::LookUpAddress(FieldId field, const Value& value) {
  const auto address = ParseAddressNumber(value.text);
  if (!address) return;
  const auto bytes = address->Bytes();
  const std::string_view type = value.text.find(':') == std::string_view::npos ? "ipv4-addr" : "ipv6-addr";
  for (const IndicatorTable* table : {&t_.known_good, &t_.indicators}) {
    const uint32_t head = table->addresses.Find({bytes.data(), bytes.size()});
    bool any = Walk(*table, head, false, field, value.text, type);
    for (uint32_t at = table->networks.Find(*address); at != kNone; at = table->networks.around(at)) {
      any = Walk(*table, table->networks.number(at), false, field, value.text, type) || any;
    }
    if (any) return;
  }
}

bool Pass::WalkDomain(const IndicatorTable& table, std::string_view domain, FieldId field) {
  bool any = false;
  for (std::string_view name = domain; !name.empty();) {
    const uint32_t number = table.domains.keys.Find(name);
    if (number != kNone) {
      any = Walk(table, table.domains.records[number], name.size() != domain.size(), field,
                 table.domains.keys.Text(number), "domain-name") || any;
    }
    const size_t dot = name.find('.');
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  return any;
}

void Pass::LookUpDomain(FieldId field, const Value& value) {
  std::string_view name = value.text;
  if (field == field::kEmailFrom) name.remove_prefix(std::min(name.rfind('@') + 1, name.size()));
  const LowerName lower(name);
  if (!WalkDomain(t_.known_good, lower.view(), field)) WalkDomain(t_.indicators, lower.view(), field);
}

void Pass::LookUpHash(FieldId field, const Value& value) {
  const LowerName lower(value.text);
  for (const IndicatorTable* table : {&t_.known_good, &t_.indicators}) {
    const uint32_t number = table->hashes.keys.Find(lower.view());
    if (number == kNone) continue;
    if (Walk(*table, table->hashes.records[number], false, field, table->hashes.keys.Text(number), "file")) return;
  }
}

void Pass::Indicators() {
  for (FieldId id : {field::kSourceIp, field::kDestinationIp, field::kHostIp}) {
    ForEach(id, [&](const Value& value) { LookUpAddress(id, value); });
  }
  for (FieldId id : {field::kSourceDomain, field::kDestinationDomain, field::kUrlDomain, field::kDnsQuestionName,
                     field::kEmailFrom}) {
    ForEach(id, [&](const Value& value) { LookUpDomain(id, value); });
  }
  for (FieldId id : {field::kProcessHashSha256, field::kProcessHashMd5, field::kFileHashSha256, field::kFileHashSha1,
                     field::kFileHashMd5}) {
    ForEach(id, [&](const Value& value) { LookUpHash(id, value); });
  }
}

// ---- ATT&CK and related ---------------------------------------------------------------------------------------------

// Names and tactics that the source left out. A technique of several tactics shows all of them: which one it served
// is not in the table.
void Pass::Attack() {
  const bool named = fields_.Has(field::kThreatTechniqueName);
  const bool tactics = fields_.Has(field::kThreatTacticId) || fields_.Has(field::kThreatTacticName);
  const auto find = [&](std::string_view id) {
    const LowerName lower(id);
    const uint32_t record = t_.attack_ids.Find(lower.view());
    const size_t dot = lower.view().find('.');
    return record != kNone || dot == std::string_view::npos ? record : t_.attack_ids.Find(lower.view().substr(0, dot));
  };
  const auto take_tactic = [&](std::string_view id, std::string_view from) {
    const uint32_t record = find(id);
    if (record != kNone) AddOnce(field::kThreatTacticName, t_.Text(t_.attack[record].name), from);
  };
  if (tactics && !fields_.Has(field::kThreatTacticName)) {
    ForEach(field::kThreatTacticId, [&](const Value& value) {
      const uint32_t record = find(value.text);
      if (record != kNone) take_tactic(value.text, t_.Text(t_.attack[record].from));
    });
  }
  ForEach(field::kThreatTechniqueId, [&](const Value& value) {
    const uint32_t number = find(value.text);
    if (number == kNone) return;
    const AttackRecord& technique = t_.attack[number];
    const std::string_view from = t_.Text(technique.from);
    if (!named) AddOnce(field::kThreatTechniqueName, t_.Text(technique.name), from);
    for (uint32_t i = 0; !tactics && i < technique.tactics.count; ++i) {
      const std::string_view tactic = t_.Text(t_.lists[technique.tactics.begin + i]);
      AddOnce(field::kThreatTacticId, tactic, from);
      take_tactic(tactic, from);
    }
  });
}

void Pass::Related() {
  const auto gather = [&](FieldId into, std::initializer_list<FieldId> ids) {
    for (FieldId id : ids) {
      ForEach(id, [&](const Value& value) { AddOnce(into, value.text, value.path); });
    }
  };
  gather(field::kRelatedIp, {field::kHostIp, field::kSourceIp, field::kDestinationIp});
  gather(field::kRelatedHosts, {field::kHostName, field::kSourceDomain, field::kDestinationDomain, field::kAssetName});
  gather(field::kRelatedUser, {field::kUserName, field::kUserTargetName, field::kSourceUserName,
                               field::kDestinationUserName, field::kIdentityName});
  gather(field::kRelatedHash, {field::kProcessHashSha256, field::kProcessHashMd5, field::kFileHashSha256,
                               field::kFileHashSha1, field::kFileHashMd5});
}

}  // namespace

void Tables::Apply(Alert* alert) const { Pass(*this, alert).Run(); }

}  // namespace triaged::enrich
