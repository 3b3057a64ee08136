// The compiled tables of an Enrichment, between its sources. Not for others.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/enrich/enrichment.h"
#include "pipeline/enrich/network.h"
#include "pipeline/enrich/text_index.h"

namespace triaged::enrich {

inline constexpr uint32_t kAmbiguous = kNone - 1;  // two records have this key: it finds neither

// Texts of records are numbers in Tables::texts; kNone: not stated. A list of texts is a range of Tables::lists.
struct ListRange {
  uint32_t begin = 0;
  uint32_t count = 0;
};

struct AssetRecord {
  uint32_t name = kNone, owner = kNone, department = kNone, criticality = kNone, environment = kNone, zone = kNone;
  uint32_t from = kNone;  // "enrichment:assets.csv:12"
};

struct IdentityRecord {
  uint32_t name = kNone, domain = kNone, full_name = kNone, department = kNone, criticality = kNone;
  ListRange roles;
  bool privileged = false, vip = false;
  uint32_t from = kNone;
};

struct NetworkRecord {
  uint32_t name = kNone, zone = kNone;
  uint32_t from = kNone;
};

struct AttackRecord {
  uint32_t id = kNone, name = kNone;
  ListRange tactics;  // of ids; empty for a tactic
  uint32_t from = kNone;
};

inline constexpr int64_t kNeverExpires = std::numeric_limits<int64_t>::max();

// One value of one list. Lists that have the same value are chained.
struct Indicator {
  int64_t expires_ms = kNeverExpires;
  uint32_t list = 0;
  uint32_t text = kNone;         // of a network, as written
  uint32_t description = kNone;
  uint32_t confidence = kNone;
  uint32_t next = kNone;         // the same value in another list
  bool subdomains = false;
};

struct IndicatorList {
  uint32_t feed = kNone;
  uint32_t from = kNone;  // "enrichment:feed.txt"
};

// Keys to records of some kind: the key's number is the index of its record.
struct KeyTable {
  TextIndex keys;
  std::vector<uint32_t> records;

  uint32_t Find(std::string_view key) const {
    const uint32_t number = keys.Find(key);
    return number == kNone ? kNone : records[number];
  }
  // The record that has the key already, or `record`.
  uint32_t Add(std::string_view key, uint32_t record) {
    const uint32_t number = keys.Add(key);
    if (number == records.size()) records.push_back(record);
    return records[number];
  }
  void Set(std::string_view key, uint32_t record) { records[keys.Add(key)] = record; }
  void Finish() {
    keys.Finish();
    records.shrink_to_fit();
  }
  size_t MemoryBytes() const { return keys.MemoryBytes() + records.capacity() * sizeof(uint32_t); }
};

struct IndicatorTable {
  KeyTable addresses, domains, hashes;  // to the first of a chain of entries
  NetworkTable networks;
  std::vector<Indicator> entries;
  std::vector<IndicatorList> lists;

  bool Empty() const { return entries.empty(); }
  size_t MemoryBytes() const {
    return addresses.MemoryBytes() + domains.MemoryBytes() + hashes.MemoryBytes() + networks.MemoryBytes() +
           entries.capacity() * sizeof(Indicator);
  }
};

struct Tables final : public Enrichment {
  void Apply(Alert* alert) const override;
  size_t MemoryBytes() const override;

  std::string_view Text(uint32_t number) const { return number == kNone ? std::string_view() : texts.Text(number); }

  TextIndex texts;
  std::vector<uint32_t> lists;

  std::vector<AssetRecord> assets;
  KeyTable asset_names;        // names, aliases and ids as the files have them
  KeyTable asset_short_names;  // first labels of fully qualified names
  KeyTable asset_addresses;
  NetworkTable asset_networks;

  std::vector<IdentityRecord> identities;
  KeyTable identity_keys;      // names, "domain\name", e-mail addresses, ids

  std::vector<NetworkRecord> networks;
  NetworkTable network_table;

  IndicatorTable indicators, known_good;

  std::vector<AttackRecord> attack;
  KeyTable attack_ids;
};

}  // namespace triaged::enrich
