#include "pipeline/normalise/format_table.h"

#include <algorithm>

namespace triaged {
namespace {

// Reads one table. Paths are added to the trie as they are met.
class TableReader {
 public:
  TableReader(const SourceFile& source, const YamlNode& node, CompiledTables* out, Diagnostics* diagnostics)
      : map_(source, node, "the format table", diagnostics), out_(out) {}

  FormatTable Read(std::string* extends);

 private:
  std::vector<PathTrie::Node> Paths(const YamlNode& node);
  std::vector<PathTrie::Node> Paths(std::string_view key);
  std::vector<std::vector<FieldTest>> Tests(std::string_view key);
  std::vector<FieldTest> TestList(const YamlNode& node);
  FieldTest Test(const YamlNode& node);
  FieldId Field(const YamlNode& where, const std::string& name);
  void ReadFields(FormatTable* table);
  void ReadId(FormatTable* table);
  void ReadSeverity(FormatTable* table);
  SeveritySource ReadSeveritySource(const YamlNode& node);
  void ReadConstants(FormatTable* table);
  std::vector<std::string> Texts(const YamlNode& node);

  MapReader map_;
  CompiledTables* out_;
};

std::vector<std::string> TableReader::Texts(const YamlNode& node) {
  std::vector<std::string> texts;
  if (node.IsScalar()) texts.push_back(node.scalar());
  for (const YamlNode& item : node.list()) {
    if (item.IsScalar()) {
      texts.push_back(item.scalar());
    } else {
      map_.ErrorAt(item, "expected a text");
    }
  }
  if (texts.empty() && !node.IsList()) map_.ErrorAt(node, "expected a text or a list of texts");
  return texts;
}

std::vector<PathTrie::Node> TableReader::Paths(const YamlNode& node) {
  std::vector<PathTrie::Node> nodes;
  for (const std::string& path : Texts(node)) {
    if (path.empty() || path.front() == '.' || path.back() == '.') {
      map_.ErrorAt(node, "'" + path + "' is not a path", "keys joined by dots: source.ip");
    } else {
      nodes.push_back(out_->trie.Add(path));
    }
  }
  return nodes;
}

std::vector<PathTrie::Node> TableReader::Paths(std::string_view key) {
  const YamlNode* node = map_.Node(key);
  return node ? Paths(*node) : std::vector<PathTrie::Node>();
}

FieldTest TableReader::Test(const YamlNode& node) {
  FieldTest test;
  if (node.IsScalar()) {
    test.node = out_->trie.Add(node.scalar());
    return test;
  }
  MapReader reader(map_.source(), node, "the test", map_.diagnostics());
  const std::string path = reader.String("path", {}, /*required=*/true);
  if (!path.empty()) test.node = out_->trie.Add(path);
  test.equals = reader.Strings("equals");
  test.except = reader.Strings("except");
  reader.Finish();
  return test;
}

std::vector<FieldTest> TableReader::TestList(const YamlNode& node) {
  std::vector<FieldTest> tests;
  if (!node.IsList()) return {Test(node)};
  for (const YamlNode& item : node.list()) tests.push_back(Test(item));
  return tests;
}

// A list of alternatives; an alternative is one test, or a list of tests that must all hold.
std::vector<std::vector<FieldTest>> TableReader::Tests(std::string_view key) {
  std::vector<std::vector<FieldTest>> alternatives;
  const YamlNode* node = map_.Node(key);
  if (!node) return alternatives;
  if (!node->IsList()) {
    alternatives.push_back(TestList(*node));
  } else {
    for (const YamlNode& item : node->list()) alternatives.push_back(TestList(item));
  }
  return alternatives;
}

FieldId TableReader::Field(const YamlNode& where, const std::string& name) {
  const FieldId id = out_->catalog->Find(name);
  if (id != kNoField && id < out_->catalog->normalised_size()) return id;
  const auto near = DidYouMean(name, out_->catalog->NormalisedNames());
  map_.ErrorAt(where, "'" + name + "' is no normalised field",
               near.empty() ? "" : "did you mean '" + std::string(near) + "'?");
  return kNoField;
}

void TableReader::ReadFields(FormatTable* table) {
  // Under their own names: most of ECS in tables of ECS documents.
  if (const YamlNode* same = map_.Node("same")) {
    for (const std::string& name : Texts(*same)) {
      const FieldId id = Field(*same, name);
      if (id != kNoField) table->fields.push_back({id, ShapeOf(id), {out_->trie.Add(name)}});
    }
  }
  const YamlNode* fields = map_.Node("fields");
  if (!fields) return;
  if (!fields->IsMap()) return map_.ErrorAt(*fields, "`fields` maps ECS names to paths");
  for (const auto& entry : fields->map()) {
    const FieldId id = Field(entry.value, entry.key);
    if (id != kNoField) table->fields.push_back({id, ShapeOf(id), Paths(entry.value)});
  }
}

void TableReader::ReadId(FormatTable* table) {
  const YamlNode* node = map_.Node("id");
  if (!node) return;
  if (!node->IsList()) {
    table->id.push_back(Paths(*node));
    return;
  }
  for (const YamlNode& item : node->list()) table->id.push_back(Paths(item));
}

SeveritySource TableReader::ReadSeveritySource(const YamlNode& node) {
  SeveritySource source;
  MapReader reader(map_.source(), node, "the severity source", map_.diagnostics());
  const std::string path = reader.String("path", {}, /*required=*/true);
  if (!path.empty()) source.node = out_->trie.Add(path);
  if (const YamlNode* words = reader.Node("words")) {
    for (const auto& entry : words->map()) {
      const auto score = entry.value.AsInt();
      if (!score || *score < 0 || *score > 100) reader.ErrorAt(entry.value, "a score is a whole number from 0 to 100");
      source.words[entry.key] = static_cast<int>(score.value_or(0));
    }
  }
  if (const YamlNode* bands = reader.Node("bands")) {
    for (const YamlNode& item : bands->list()) {
      MapReader band(map_.source(), item, "the band", map_.diagnostics());
      source.bands.push_back({band.Double("min", 0, -1e9, 1e9), static_cast<int>(band.Int("score", 0, 0, 100))});
      band.Finish();
      if (source.bands.size() > 1 && source.bands[source.bands.size() - 2].min >= source.bands.back().min) {
        reader.ErrorAt(item, "bands must rise");
      }
    }
  }
  reader.Finish();
  return source;
}

void TableReader::ReadSeverity(FormatTable* table) {
  const YamlNode* node = map_.Node("severity");
  if (!node) return;
  if (!node->IsList()) return map_.ErrorAt(*node, "`severity` is a list of sources: [{path: …, words: …}]");
  for (const YamlNode& item : node->list()) table->severity.push_back(ReadSeveritySource(item));
}

void TableReader::ReadConstants(FormatTable* table) {
  const YamlNode* node = map_.Node("constants");
  if (!node) return;
  for (const auto& entry : node->map()) {
    const FieldId id = Field(entry.value, entry.key);
    if (id != kNoField) table->constants.emplace_back(id, entry.value.scalar());
  }
}

FormatTable TableReader::Read(std::string* extends) {
  FormatTable table;
  table.name = map_.String("format", {}, /*required=*/true);
  map_.String("description");
  *extends = map_.String("extends");
  table.priority = static_cast<int>(map_.Int("priority", 0, 0, 1000));
  table.fallback = map_.Bool("fallback", false);
  table.markers = Tests("markers");
  if (table.markers.empty() != table.fallback) {
    map_.ErrorHere(table.fallback ? "the fallback table takes what no other knows: it has no markers"
                                  : "`markers` are missing: how would a record of this format be known?");
  }
  ReadFields(&table);
  table.time = Paths("time");
  ReadId(&table);
  ReadSeverity(&table);
  table.not_alert = Tests("not_alert");
  table.drill = Tests("drill");
  table.update = Tests("update");
  table.state = Paths("state");
  ReadConstants(&table);
  map_.Finish();
  return table;
}

// What a table leaves out it takes from the one it extends; markers, priority and fallback are always its own.
void Extend(FormatTable* table, const FormatTable& base) {
  for (const FieldMapping& mapping : base.fields) {
    const bool own = std::any_of(table->fields.begin(), table->fields.end(),
                                 [&](const FieldMapping& m) { return m.id == mapping.id; });
    if (!own) table->fields.push_back(mapping);
  }
  for (const auto& constant : base.constants) {
    const bool own = std::any_of(table->constants.begin(), table->constants.end(),
                                 [&](const auto& c) { return c.first == constant.first; });
    if (!own) table->constants.push_back(constant);
  }
  if (table->time.empty()) table->time = base.time;
  if (table->id.empty()) table->id = base.id;
  if (table->severity.empty()) table->severity = base.severity;
  if (table->not_alert.empty()) table->not_alert = base.not_alert;
  if (table->drill.empty()) table->drill = base.drill;
  if (table->update.empty()) table->update = base.update;
  if (table->state.empty()) table->state = base.state;
}

void CheckFallback(const CompiledTables& tables, Diagnostics* diagnostics) {
  const auto fallbacks = std::count_if(tables.tables.begin(), tables.tables.end(),
                                       [](const FormatTable& table) { return table.fallback; });
  if (fallbacks != 1) {
    diagnostics->Error({}, std::to_string(fallbacks) + " format tables say `fallback: true`; exactly one must", {},
                       "the shipped one is formats/generic.yaml");
  }
}

}  // namespace

FieldShape ShapeOf(FieldId id) {
  switch (id) {
    case field::kEventCategory:
    case field::kEventType:
    case field::kTags:
    case field::kRuleReference:
    case field::kHostMac:
    case field::kThreatTacticId:
    case field::kThreatTacticName:
    case field::kThreatTechniqueId:
    case field::kThreatTechniqueName:
      return FieldShape::kList;
    case field::kHostIp:
    case field::kSourceIp:
    case field::kDestinationIp:
      return FieldShape::kAddress;
    default: return FieldShape::kText;
  }
}

const FormatTable* CompiledTables::Find(std::string_view format) const {
  for (const FormatTable& table : tables) {
    if (table.name == format) return &table;
  }
  return nullptr;
}

std::vector<std::string_view> CompiledTables::FormatNames() const {
  std::vector<std::string_view> names;
  for (const FormatTable& table : tables) names.push_back(table.name);
  return names;
}

std::shared_ptr<const FormatTables> FormatTables::Compile(const std::vector<SourceFile>& files,
                                                          const FieldCatalog& catalog, Diagnostics* diagnostics) {
  auto compiled = std::make_shared<CompiledTables>();
  compiled->catalog = &catalog;
  std::vector<std::string> extends;
  const bool had_errors = diagnostics->HasErrors();
  for (const SourceFile& file : files) {
    const auto yaml = ParseYaml(file, diagnostics);
    if (!yaml) continue;
    for (const YamlNode& document : yaml->documents) {
      std::string base;
      FormatTable table = TableReader(*yaml->source, document, compiled.get(), diagnostics).Read(&base);
      if (compiled->Find(table.name)) {
        diagnostics->Error({file.name, document.line(), document.column()}, "two tables are named '" + table.name + "'");
      }
      compiled->tables.push_back(std::move(table));
      extends.push_back(std::move(base));
    }
  }
  const std::vector<FormatTable> originals = compiled->tables;
  for (size_t i = 0; i < compiled->tables.size(); ++i) {
    if (extends[i].empty()) continue;
    const auto base = std::find_if(originals.begin(), originals.end(),
                                   [&](const FormatTable& table) { return table.name == extends[i]; });
    if (base == originals.end()) {
      diagnostics->Error({}, "format '" + compiled->tables[i].name + "' extends '" + extends[i] + "', which is not loaded");
    } else {
      Extend(&compiled->tables[i], *base);
    }
  }
  CheckFallback(*compiled, diagnostics);
  std::stable_sort(compiled->tables.begin(), compiled->tables.end(), [](const FormatTable& a, const FormatTable& b) {
    return a.fallback != b.fallback ? b.fallback : a.priority > b.priority;
  });
  for (FieldId id = static_cast<FieldId>(catalog.normalised_size()); id < catalog.size(); ++id) {
    compiled->raw.push_back({id, compiled->trie.Add(catalog.Name(id))});
  }
  compiled->trie.Freeze();
  if (diagnostics->HasErrors() && !had_errors) return nullptr;
  return compiled;
}

}  // namespace triaged
