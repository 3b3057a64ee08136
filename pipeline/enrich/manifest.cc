#include "pipeline/enrich/manifest.h"

#include <algorithm>
#include <charconv>

namespace triaged {
namespace {

constexpr std::string_view kKinds[] = {"assets", "identities", "networks", "indicators", "known_good", "attack"};
constexpr std::string_view kCriticalities[] = {"low", "medium", "high", "critical"};

std::string Joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (std::string_view word : words) text += (text.empty() ? "" : ", ") + std::string(word);
  return text;
}

// {ours: theirs}
void ReadColumns(MapReader& map, EnrichmentSpec* spec) {
  const YamlNode* node = map.Node("columns");
  if (!node) return;
  if (!node->IsMap()) return map.ErrorAt(*node, "`columns` maps our names to those of the file's header");
  const auto known = enrich::ColumnsOf(spec->kind);
  for (const auto& entry : node->map()) {
    if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
      const std::string_view near = DidYouMean(entry.key, known);
      map.ErrorAt(entry.value, "'" + entry.key + "' is no column of " + std::string(Name(spec->kind)),
                  near.empty() ? "known: " + Joined(known) : "did you mean '" + std::string(near) + "'?");
    } else if (!entry.value.IsScalar()) {
      map.ErrorAt(entry.value, "a column has one name in the file's header");
    } else {
      spec->columns[entry.key] = entry.value.scalar();
    }
  }
}

// {their word: ours}
void ReadCriticality(MapReader& map, EnrichmentSpec* spec) {
  const YamlNode* node = map.Node("criticality");
  if (!node) return;
  if (!node->IsMap()) return map.ErrorAt(*node, "`criticality` maps the file's words to low, medium, high, critical");
  for (const auto& entry : node->map()) {
    const std::string word = entry.value.IsScalar() ? entry.value.scalar() : std::string();
    if (std::find(std::begin(kCriticalities), std::end(kCriticalities), word) == std::end(kCriticalities)) {
      map.ErrorAt(entry.value, "'" + word + "' is no criticality", "one of low, medium, high, critical");
    } else {
      spec->criticality[enrich::Lower(entry.key)] = word;
    }
  }
}

void ReadListSettings(MapReader& map, EnrichmentSpec* spec) {
  spec->feed = map.String("feed");
  if (spec->feed.empty()) {
    const size_t slash = spec->file.rfind('/');
    spec->feed = spec->file.substr(slash == std::string::npos ? 0 : slash + 1);
    spec->feed.resize(std::min(spec->feed.size(), spec->feed.rfind('.')));
  }
  if (const YamlNode* node = map.Node("confidence")) {
    const auto confidence = enrich::ParseConfidence(map.String("confidence"));
    if (!confidence) map.ErrorAt(*node, "no confidence", "None, Low, Medium, High, or 0 to 100");
    spec->confidence = std::string(confidence.value_or(""));
  }
  if (const YamlNode* node = map.Node("expires")) {
    spec->expires = enrich::ParseExpiry(map.String("expires"));
    if (!spec->expires) map.ErrorAt(*node, "no time", "RFC 3339 (2026-12-31T00:00:00Z) or a day (2026-12-31)");
  }
  spec->subdomains = map.Bool("subdomains", false);
}

void ReadDelimiter(MapReader& map, EnrichmentSpec* spec) {
  const std::string delimiter = map.String("delimiter", ",");
  if (delimiter.size() == 1 && std::string_view(",;|\t").find(delimiter) != std::string_view::npos) {
    spec->delimiter = delimiter.front();
  } else {
    map.ErrorHere("`delimiter` is one of , ; | or a tab (\"\\t\")");
  }
}

EnrichmentSpec ReadEntry(const SourceFile& source, const YamlNode& node, Diagnostics* diagnostics) {
  EnrichmentSpec spec;
  spec.where = {source.name, node.line(), node.column()};
  MapReader map(source, node, "enrichment", diagnostics);
  map.Node("kind", /*required=*/true);
  spec.kind = static_cast<EnrichmentKind>(map.Choice("kind", {std::begin(kKinds), std::end(kKinds)}, 0));
  spec.file = map.String("file", {}, /*required=*/true);
  ReadDelimiter(map, &spec);
  ReadColumns(map, &spec);
  if (spec.kind == EnrichmentKind::kAssets || spec.kind == EnrichmentKind::kIdentities) ReadCriticality(map, &spec);
  if (spec.kind == EnrichmentKind::kIndicators || spec.kind == EnrichmentKind::kKnownGood) ReadListSettings(map, &spec);
  map.Finish();
  return spec;
}

}  // namespace

std::string_view Name(EnrichmentKind kind) { return kKinds[static_cast<size_t>(kind)]; }

std::vector<EnrichmentSpec> ReadEnrichmentList(const SourceFile& list, Diagnostics* diagnostics) {
  std::vector<EnrichmentSpec> specs;
  const auto yaml = ParseYaml(list, diagnostics);
  if (!yaml) return specs;
  if (yaml->documents.size() != 1) {
    diagnostics->Error({list.name, 1, 1}, "a list of enrichment files is one YAML document");
    return specs;
  }
  MapReader top(*yaml->source, yaml->documents.front(), "enrichment list", diagnostics);
  const YamlNode* entries = top.Node("enrichment", /*required=*/true);
  top.Finish();
  if (!entries) return specs;
  if (!entries->IsList()) {
    top.ErrorAt(*entries, "`enrichment` is a list of {kind, file, …}");
    return specs;
  }
  for (const YamlNode& node : entries->list()) specs.push_back(ReadEntry(*yaml->source, node, diagnostics));
  return specs;
}

namespace enrich {

std::vector<std::string_view> ColumnsOf(EnrichmentKind kind) {
  switch (kind) {
    case EnrichmentKind::kAssets:
      return {"name", "aliases", "id", "address", "network", "owner", "department", "criticality", "environment", "zone"};
    case EnrichmentKind::kIdentities:
      return {"name", "domain", "email", "id", "full_name", "department", "roles", "criticality", "privileged", "vip"};
    case EnrichmentKind::kNetworks: return {"network", "name", "zone"};
    case EnrichmentKind::kIndicators: return {"value", "confidence", "expires", "description"};
    case EnrichmentKind::kKnownGood: return {"value", "expires", "description"};
    case EnrichmentKind::kAttack: return {"id", "name", "tactics"};
  }
  return {};
}

std::optional<std::string_view> ParseConfidence(std::string_view text) {
  const std::string word = Lower(text);
  constexpr std::string_view kWords[] = {"Not Specified", "None", "Low", "Medium", "High"};
  for (std::string_view known : kWords) {
    if (Lower(known) == word) return known;
  }
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0 || number > 100) return std::nullopt;
  return kWords[number == 0 ? 1 : number < 30 ? 2 : number < 70 ? 3 : 4];
}

std::optional<Timestamp> ParseExpiry(std::string_view text) {
  if (text.size() == 10) return ParseTimestamp(std::string(text) + "T00:00:00Z");
  if (text.size() == 19 && (text[10] == ' ' || text[10] == 'T')) {
    return ParseTimestamp(std::string(text.substr(0, 10)) + "T" + std::string(text.substr(11)) + "Z");
  }
  return ParseTimestamp(text);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& ch : lower) {
    if (ch >= 'A' && ch <= 'Z') ch = static_cast<char>(ch - 'A' + 'a');
  }
  return lower;
}

}  // namespace enrich
}  // namespace triaged
