// Enrichment: what files know about the Who and Where of an alert, and what ATT&CK knows about its techniques.
//
// Assets (by name, id, address, network), identities, networks, indicators of threat intelligence, known-good lists and
// the ATT&CK table are compiled from texts into one immutable set, which is part of the Engine: a reload swaps it with
// the rules, its bytes are part of the engine's fingerprint, and so a replay under the same engine repeats every value.
// Applied in both stages after normalising: grouping, rules, the urgency matrix and the Five Ws read the result.
//
// Names (hosts, users, domains, hashes) are compared without case in ASCII. Nothing is guessed: what fits two records
// fits none. A value that the alert states itself stays; what is added carries "enrichment:<file>:<line>" as its path.
// Indicators count while the alert's event time is before their expiry. Pure; thread-safe after Compile.
#pragma once

#include <memory>

#include "pipeline/base/diagnostics.h"
#include "pipeline/enrich/manifest.h"
#include "pipeline/model/alert.h"

namespace triaged {

// Limits over all files. A larger set is an error that names the limit.
inline constexpr size_t kMaxEnrichmentFileBytes = 256 * 1024 * 1024;
inline constexpr size_t kMaxEnrichmentBytes = 1024 * 1024 * 1024;
inline constexpr size_t kMaxEnrichmentRecords = 1'000'000;   // of assets, of identities, of networks
inline constexpr size_t kMaxIndicators = 2'000'000;          // of indicators, of known-good values
inline constexpr size_t kMaxEnrichmentCell = 1024;           // bytes of one cell

class Enrichment {
 public:
  // nullptr when `diagnostics` got an error; all problems of all files at once (at most 20 per file, then counted).
  static std::shared_ptr<const Enrichment> Compile(const EnrichmentSources& sources, Diagnostics* diagnostics);
  virtual ~Enrichment() = default;

  // Adds what is known. The values are views into this set, which must outlive them. No allocation beyond the alert's
  // own table.
  virtual void Apply(Alert* alert) const = 0;
  virtual size_t MemoryBytes() const = 0;
};

}  // namespace triaged
