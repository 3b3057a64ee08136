// The list of enrichment files: a YAML file that says what each file is and how its columns are called
// (configs/README.md, Enrichment). Read strictly; the files themselves are read by the shell.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/time.h"
#include "pipeline/base/yaml.h"

namespace triaged {

enum class EnrichmentKind : uint8_t { kAssets, kIdentities, kNetworks, kIndicators, kKnownGood, kAttack };
std::string_view Name(EnrichmentKind kind);  // "assets", "identities", "networks", "indicators", "known_good", "attack"

struct EnrichmentSpec {
  EnrichmentKind kind = EnrichmentKind::kAssets;
  std::string file;                             // as written: relative to the list's folder
  char delimiter = ',';
  std::map<std::string, std::string, std::less<>> columns;      // our column → theirs; others of theirs are ignored then
  std::map<std::string, std::string, std::less<>> criticality;  // their word (lower case) → ours
  std::string feed;                             // name of an indicator or known-good list
  std::string confidence;                       // of indicators that state none; ECS word or ""
  std::optional<Timestamp> expires;             // of indicators that state none
  bool subdomains = false;                      // a domain stands for all names below it, too
  SourceLocation where;                         // of the entry, for messages
};

// One file of a list, read.
struct EnrichmentInput {
  EnrichmentSpec spec;
  SourceFile data;
};

// What the shell hands over: the lists, and every file they name, in order.
struct EnrichmentSources {
  std::vector<SourceFile> lists;
  std::vector<EnrichmentInput> inputs;
};

// The entries of one list. Problems go to `diagnostics`; what could be read is returned.
std::vector<EnrichmentSpec> ReadEnrichmentList(const SourceFile& list, Diagnostics* diagnostics);

namespace enrich {

// The columns that a kind knows; the first is required.
std::vector<std::string_view> ColumnsOf(EnrichmentKind kind);
// ECS's words for threat.indicator.confidence, or a number from 0 to 100 (STIX 2.1, appendix A); nullopt: neither.
std::optional<std::string_view> ParseConfidence(std::string_view text);
// RFC 3339, "2026-03-02 08:00:00" (UTC), or a day (its first instant, UTC).
std::optional<Timestamp> ParseExpiry(std::string_view text);
std::string Lower(std::string_view text);

}  // namespace enrich
}  // namespace triaged
