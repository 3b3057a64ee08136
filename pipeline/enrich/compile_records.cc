// Assets, identities, networks and the ATT&CK table.
#include <algorithm>

#include "pipeline/enrich/compile.h"

namespace triaged::enrich {
namespace {

// False, and said, when the table is full.
bool HasRoom(const Sheet& sheet, size_t size, std::string_view what) {
  if (size < kMaxEnrichmentRecords) return true;
  if (size == kMaxEnrichmentRecords) {
    sheet.problems().Error(sheet.line(), "more than " + std::to_string(kMaxEnrichmentRecords) + " " + std::string(what));
  }
  return false;
}

std::string_view WithoutDot(std::string_view name) {
  if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);
  return name;
}

}  // namespace

ListRange Builder::List(const std::vector<std::string_view>& parts) {
  const ListRange range{static_cast<uint32_t>(tables_.lists.size()), static_cast<uint32_t>(parts.size())};
  for (std::string_view part : parts) tables_.lists.push_back(tables_.texts.Add(part));
  return range;
}

// A key of two records would be decided by the order of files: an error instead.
void Builder::AddAssetKey(const Sheet& sheet, std::string_view key, uint32_t record, KeyTable* table) {
  const uint32_t holder = table->Add(key, record);
  if (holder == record) return;
  sheet.problems().Error(sheet.line(), "this name or address is also that of " +
                                           std::string(tables_.Text(tables_.assets[holder].from)),
                         "each name and address belongs to one asset");
}

void Builder::AddAssetNames(const Sheet& sheet, uint32_t record) {
  std::vector<std::string_view> names = sheet.Parts("aliases", /*blanks=*/true);
  if (!sheet.Cell("name").empty()) names.push_back(sheet.Cell("name"));
  for (std::string_view name : names) {
    const std::string key = Lower(WithoutDot(name));
    AddAssetKey(sheet, key, record, &tables_.asset_names);
    const size_t dot = key.find('.');
    if (dot == std::string::npos || ParseAddressNumber(key)) continue;
    const std::string_view label = std::string_view(key).substr(0, dot);
    if (tables_.asset_short_names.Add(label, record) != record) tables_.asset_short_names.Set(label, kAmbiguous);
  }
  if (!sheet.Cell("id").empty()) AddAssetKey(sheet, Lower(sheet.Cell("id")), record, &tables_.asset_names);
}

void Builder::AddAssetPlaces(const Sheet& sheet, uint32_t record) {
  for (std::string_view text : sheet.Parts("address", /*blanks=*/true)) {
    const auto address = ParseAddressNumber(text);
    if (!address) {
      sheet.problems().Error(sheet.line(), "'" + std::string(text) + "' is no address", "networks have a column of their own");
      continue;
    }
    const auto bytes = address->Bytes();
    AddAssetKey(sheet, {bytes.data(), bytes.size()}, record, &tables_.asset_addresses);
  }
  for (std::string_view text : sheet.Parts("network", /*blanks=*/true)) {
    bool host_bits = false;
    const auto network = ParseNetwork(text, &host_bits);
    if (!network || host_bits) {
      sheet.problems().Error(sheet.line(), "'" + std::string(text) + "' is no network",
                             host_bits ? "bits are set beyond the prefix" : "as in 172.16.0.0/12 or 2001:db8::/32");
      continue;
    }
    tables_.asset_networks.Add(*network, record);
  }
}

void Builder::ReadAssets(FileProblems* problems) {
  Sheet sheet(problems);
  while (sheet.Next()) {
    if (!HasRoom(sheet, tables_.assets.size(), "assets")) return;
    if (sheet.Cell("name").empty() && sheet.Cell("address").empty() && sheet.Cell("network").empty()) {
      problems->Error(sheet.line(), "an asset needs a name, an address or a network");
      continue;
    }
    const auto record = static_cast<uint32_t>(tables_.assets.size());
    AssetRecord asset;
    asset.name = Text(sheet.Cell("name"));
    asset.owner = Text(sheet.Cell("owner"));
    asset.department = Text(sheet.Cell("department"));
    asset.criticality = Text(sheet.Criticality());
    asset.environment = Text(sheet.Cell("environment"));
    asset.zone = Text(sheet.Cell("zone"));
    asset.from = Text(problems->Provenance(sheet.line()));
    tables_.assets.push_back(asset);
    AddAssetNames(sheet, record);
    AddAssetPlaces(sheet, record);
  }
}

// The same name in two domains is two people: alone it then finds neither.
bool Builder::AddIdentityKeys(const Sheet& sheet, uint32_t record) {
  const std::string name = Lower(sheet.Cell("name"));
  const std::string domain = Lower(sheet.Cell("domain"));
  bool taken = false;
  const auto add = [&](const std::string& key) {
    taken = taken || (!key.empty() && tables_.identity_keys.Add(key, record) != record);
  };
  if (domain.empty()) {
    add(name);
  } else {
    add(domain + "\\" + name);
    const uint32_t holder = tables_.identity_keys.Add(name, record);
    const bool other_domain = holder == kAmbiguous || tables_.identities[holder].domain != kNone;
    if (holder != record && other_domain) tables_.identity_keys.Set(name, kAmbiguous);
    taken = taken || (holder != record && !other_domain);
  }
  for (std::string_view email : sheet.Parts("email", /*blanks=*/true)) add(Lower(email));
  add(Lower(sheet.Cell("id")));
  return !taken;
}

void Builder::ReadIdentities(FileProblems* problems) {
  Sheet sheet(problems);
  while (sheet.Next()) {
    if (!HasRoom(sheet, tables_.identities.size(), "identities")) return;
    if (sheet.Cell("name").empty()) {
      problems->Error(sheet.line(), "an identity needs a name");
      continue;
    }
    const auto record = static_cast<uint32_t>(tables_.identities.size());
    IdentityRecord identity;
    identity.name = Text(sheet.Cell("name"));
    identity.domain = Text(Lower(sheet.Cell("domain")));
    identity.full_name = Text(sheet.Cell("full_name"));
    identity.department = Text(sheet.Cell("department"));
    identity.criticality = Text(sheet.Criticality());
    identity.roles = List(sheet.Parts("roles", /*blanks=*/false));
    identity.privileged = sheet.Flag("privileged");
    identity.vip = sheet.Flag("vip");
    identity.from = Text(problems->Provenance(sheet.line()));
    tables_.identities.push_back(identity);
    if (!AddIdentityKeys(sheet, record)) {
      problems->Error(sheet.line(), "this name, e-mail address or id is that of another identity already",
                      "people of the same name in two domains: fill the column domain");
    }
  }
}

void Builder::ReadNetworks(FileProblems* problems) {
  Sheet sheet(problems);
  while (sheet.Next()) {
    if (!HasRoom(sheet, tables_.networks.size(), "networks")) return;
    bool host_bits = false;
    const auto network = ParseNetwork(sheet.Cell("network"), &host_bits);
    if (!network || host_bits) {
      problems->Error(sheet.line(), "'" + std::string(sheet.Cell("network")) + "' is no network",
                      host_bits ? "bits are set beyond the prefix" : "as in 172.16.0.0/12 or 2001:db8::/32");
      continue;
    }
    const auto record = static_cast<uint32_t>(tables_.networks.size());
    tables_.networks.push_back(
        {Text(sheet.Cell("name")), Text(sheet.Cell("zone")), Text(problems->Provenance(sheet.line()))});
    tables_.network_table.Add(*network, record);
  }
}

void Builder::ReadAttack(FileProblems* problems) {
  Sheet sheet(problems);
  while (sheet.Next()) {
    if (!HasRoom(sheet, tables_.attack.size(), "techniques")) return;
    const std::string id = Lower(sheet.Cell("id"));
    if (id.empty() || sheet.Cell("name").empty()) {
      problems->Error(sheet.line(), "a tactic or technique needs an id and a name");
      continue;
    }
    const auto record = static_cast<uint32_t>(tables_.attack.size());
    tables_.attack.push_back({Text(sheet.Cell("id")), Text(sheet.Cell("name")),
                              List(sheet.Parts("tactics", /*blanks=*/true)), Text(problems->Provenance(sheet.line()))});
    if (tables_.attack_ids.Add(id, record) != record) problems->Error(sheet.line(), "'" + id + "' is listed twice");
  }
}

}  // namespace triaged::enrich
