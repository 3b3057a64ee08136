#include "pipeline/enrich/enrichment.h"

#include "pipeline/enrich/compile.h"
#include "pipeline/enrich/tables.h"

namespace triaged {
namespace enrich {

void Builder::FinishNetworks(NetworkTable* table, const std::vector<uint32_t>& from, Diagnostics* diagnostics) {
  for (const auto& [number, kept] : table->Finish()) {
    diagnostics->Error({}, std::string(tables_.Text(from[number])) + " names the same network as " +
                               std::string(tables_.Text(from[kept])),
                       {}, "each network stands in one place");
  }
}

void Builder::Finish(Diagnostics* diagnostics) {
  std::vector<uint32_t> from;
  for (const AssetRecord& asset : tables_.assets) from.push_back(asset.from);
  FinishNetworks(&tables_.asset_networks, from, diagnostics);
  from.clear();
  for (const NetworkRecord& network : tables_.networks) from.push_back(network.from);
  FinishNetworks(&tables_.network_table, from, diagnostics);
  for (const AttackRecord& technique : tables_.attack) {
    for (uint32_t i = 0; i < technique.tactics.count; ++i) {
      const std::string_view tactic = tables_.Text(tables_.lists[technique.tactics.begin + i]);
      if (tables_.attack_ids.Find(Lower(tactic)) != kNone) continue;
      diagnostics->Error({}, std::string(tables_.Text(technique.from)) + " names the tactic '" + std::string(tactic) +
                                 "', which no line of the table explains");
    }
  }
  FinishIndicators(&tables_.indicators);
  FinishIndicators(&tables_.known_good);
  for (KeyTable* keys : {&tables_.asset_names, &tables_.asset_short_names, &tables_.asset_addresses,
                         &tables_.identity_keys, &tables_.attack_ids}) {
    keys->Finish();
  }
  tables_.texts.Finish();
}

size_t Tables::MemoryBytes() const {
  size_t bytes = texts.MemoryBytes() + lists.capacity() * sizeof(uint32_t) + assets.capacity() * sizeof(AssetRecord) +
                 identities.capacity() * sizeof(IdentityRecord) + networks.capacity() * sizeof(NetworkRecord) +
                 attack.capacity() * sizeof(AttackRecord);
  for (const KeyTable* keys : {&asset_names, &asset_short_names, &asset_addresses, &identity_keys, &attack_ids}) {
    bytes += keys->MemoryBytes();
  }
  return bytes + asset_networks.MemoryBytes() + network_table.MemoryBytes() + indicators.MemoryBytes() +
         known_good.MemoryBytes();
}

}  // namespace enrich

std::shared_ptr<const Enrichment> Enrichment::Compile(const EnrichmentSources& sources, Diagnostics* diagnostics) {
  Diagnostics found;
  auto tables = std::make_shared<enrich::Tables>();
  enrich::Builder builder(tables.get());
  size_t bytes = 0;
  for (const EnrichmentInput& input : sources.inputs) {
    bytes += input.data.text.size();
    if (input.data.text.size() > kMaxEnrichmentFileBytes || bytes > kMaxEnrichmentBytes) {
      found.Error({input.data.name, 0, 0}, "enrichment files may have 256 MiB each and 1 GiB together");
      break;
    }
    enrich::FileProblems problems(input, &found);
    switch (input.spec.kind) {
      case EnrichmentKind::kAssets: builder.ReadAssets(&problems); break;
      case EnrichmentKind::kIdentities: builder.ReadIdentities(&problems); break;
      case EnrichmentKind::kNetworks: builder.ReadNetworks(&problems); break;
      case EnrichmentKind::kIndicators: builder.ReadIndicators(&problems, &tables->indicators); break;
      case EnrichmentKind::kKnownGood: builder.ReadIndicators(&problems, &tables->known_good); break;
      case EnrichmentKind::kAttack: builder.ReadAttack(&problems); break;
    }
  }
  builder.Finish(&found);
  diagnostics->Append(found);
  if (found.HasErrors()) return nullptr;
  return tables;
}

}  // namespace triaged
