// Enrichment: a million indicators compiled and held, and what enriching costs an alert, next to normalising it.
//
// The limit: enriching against a million indicators, 100,000 assets and 10,000 networks takes at most kMaxRatio times
// what normalising the alert did, and the tables at most kMaxBytesPerIndicator each.
#include <cstdio>
#include <string>

#include "daemon/config.h"
#include "pipeline/enrich/enrichment.h"
#include "pipeline/normalise/normaliser.h"
#include "tests/bench/thread_clock.h"

namespace triaged {
namespace {

constexpr double kMaxRatio = 4.0;
constexpr size_t kMaxBytesPerIndicator = 160;
constexpr int kIndicators = 1'000'000;
constexpr int kAlerts = 100'000;
constexpr int kRounds = 3;

std::string Address(int i) {
  return std::to_string(1 + i % 200) + "." + std::to_string(i / 200 % 250) + "." + std::to_string(i / 50'000 % 250) + ".9";
}

EnrichmentInput Input(EnrichmentKind kind, std::string name, std::string text) {
  EnrichmentInput input;
  input.spec.kind = kind;
  input.spec.feed = "bench";
  input.data = {std::move(name), std::move(text)};
  return input;
}

// A third each of addresses, domains and SHA-256 hashes.
std::string Indicators() {
  std::string text;
  char hash[65];
  for (int i = 0; i < kIndicators; ++i) {
    switch (i % 3) {
      case 0: text += Address(i); break;
      case 1: text += "host-" + std::to_string(i) + ".evil.example"; break;
      default:
        std::snprintf(hash, sizeof hash, "%064x", static_cast<unsigned>(i));
        text += hash;
    }
    text += '\n';
  }
  return text;
}

std::string Assets() {
  std::string text = "name,address,owner,criticality,zone\n";
  for (int i = 0; i < 100'000; ++i) {
    text += "srv" + std::to_string(i) + ".corp.example,10." + std::to_string(i / 65'536) + "." +
            std::to_string(i / 256 % 256) + "." + std::to_string(i % 256) + ",owner" + std::to_string(i % 50) + ",high,z\n";
  }
  return text;
}

std::string Networks() {
  std::string text = "network,name,zone\n";
  for (int i = 0; i < 10'000; ++i) {
    text += "172." + std::to_string(16 + i / 4096) + "." + std::to_string(i / 16 % 256) + "." + std::to_string(i % 16 * 16) +
            "/28,net" + std::to_string(i) + ",zone" + std::to_string(i % 9) + "\n";
  }
  return text;
}

std::string AlertText(int i) {
  return R"({"@timestamp":"2026-03-02T08:00:00Z","ecs":{"version":"8.11"},"event":{"kind":"alert","id":"a)" + std::to_string(i) +
         R"(","severity":47},"rule":{"id":"r","name":"Odd connection"},"message":"connection to a rare destination",)" +
         R"("host":{"name":"SRV)" + std::to_string(i % 100'000) + R"(","ip":["172.16.3.5"]},"user":{"name":"emi"},)" +
         R"("source":{"ip":"10.0.3.7","port":50123},"destination":{"ip":")" + Address(i * 7) +
         R"(","port":443,"domain":"host-)" + std::to_string(i) + R"(.evil.example"},"threat":{"technique":{"id":["T1071.001"]}}})";
}

}  // namespace

int Bench() {
  Diagnostics diagnostics;
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const std::string configs = std::string(TRIAGED_SOURCE_DIR) + "/configs";
  const auto formats = FormatTables::Compile(ReadSources({configs + "/formats"}, &diagnostics), catalog, &diagnostics);
  EnrichmentSources sources = ReadEnrichment({configs + "/enrichment/attack.yaml"}, &diagnostics);
  sources.inputs.push_back(Input(EnrichmentKind::kIndicators, "intel.txt", Indicators()));
  const double begin = Now();
  const auto intel = Enrichment::Compile(sources, &diagnostics);
  const double intel_seconds = Now() - begin;
  sources.inputs.push_back(Input(EnrichmentKind::kAssets, "assets.csv", Assets()));
  sources.inputs.push_back(Input(EnrichmentKind::kNetworks, "networks.csv", Networks()));
  const auto set = Enrichment::Compile(sources, &diagnostics);
  if (!formats || !intel || !set) {
    std::fputs(diagnostics.Render().c_str(), stderr);
    return 1;
  }
  std::vector<std::string> alerts;
  for (int i = 0; i < kAlerts; ++i) alerts.push_back(AlertText(i));
  Normaliser normaliser(formats, {});
  double plain = 1e9, enriched = 1e9;
  size_t matched = 0;
  for (int round = 0; round < kRounds; ++round) {
    double start = Now();
    for (const std::string& text : alerts) {
      if (normaliser.Normalise(text, "ecs", Timestamp{})) return 1;
    }
    plain = std::min(plain, Now() - start);
    start = Now();
    matched = 0;
    for (const std::string& text : alerts) {
      if (normaliser.Normalise(text, "ecs", Timestamp{})) return 1;
      set->Apply(&normaliser.alert());
      matched += normaliser.alert().fields.Has(field::kThreatFeedName);
    }
    enriched = std::min(enriched, Now() - start);
  }
  const double ratio = (enriched - plain) / plain;
  const size_t per_indicator = intel->MemoryBytes() / kIndicators;
  std::printf("a million indicators: compiled in %.2f s, %zu bytes each; with 100,000 assets and 10,000 networks %zu MiB\n",
              intel_seconds, per_indicator, set->MemoryBytes() >> 20);
  std::printf("an alert: normalised in %.2f us, enriched in %.2f us more (%zu of %d matched); ratio %.2f, limit %.2f\n",
              plain / kAlerts * 1e6, (enriched - plain) / kAlerts * 1e6, matched, kAlerts, ratio, kMaxRatio);
  return ratio <= kMaxRatio && per_indicator <= kMaxBytesPerIndicator && matched > 0 ? 0 : 1;
}

}  // namespace triaged

int main() { return triaged::Bench(); }
