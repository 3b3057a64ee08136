#include "pipeline/normalise/format_table.h"

#include <algorithm>

namespace triaged {
namespace {

// What a table leaves out it takes from the one it extends; markers, priority, fallback and variants are always its own.
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
  if (!table->zone) table->zone = base.zone;
  if (!table->split.on()) table->split = base.split;
  if (table->embedded.empty()) table->embedded = base.embedded;
}

// A variant is its table but for what it says itself.
void CompleteVariants(FormatTable* table) {
  for (FormatTable& variant : table->variants) {
    variant.name = table->name;
    variant.enveloped = table->enveloped;
    Extend(&variant, *table);
  }
}

// Tables stand in their final order now: what refers to them by index.
void Index(CompiledTables* out) {
  out->markers.resize(out->trie.size());
  out->marked.resize(out->trie.size());
  for (uint32_t t = 0; t < out->tables.size(); ++t) {
    FormatTable& table = out->tables[t];
    for (uint32_t a = 0; a < table.markers.size(); ++a) {
      std::vector<FieldTest>& tests = table.markers[a];
      const auto first = std::find_if(tests.begin(), tests.end(), [](const FieldTest& test) { return !test.absent; });
      if (first == tests.end()) continue;
      out->markers[first->node].push_back({t, a});
      out->marked[first->node] = 1;
      // What reads no value is asked first: most tables of others fail by it.
      std::stable_partition(tests.begin(), tests.end(), [](const FieldTest& test) { return test.presence(); });
    }
  }
}

// The sources of all fields, side by side.
void LayOut(FormatTable* table) {
  for (const FieldMapping& mapping : table->fields) {
    table->first_source.push_back(static_cast<uint32_t>(table->sources.size()));
    for (const FieldSource& source : mapping.from) {
      const bool plain = mapping.shape == FieldShape::kText && !source.match && source.words.empty();
      table->sources.push_back({source.node, mapping.id, plain, NamesEntity(mapping.id)});
    }
  }
  table->first_source.push_back(static_cast<uint32_t>(table->sources.size()));
  for (const auto& [id, text] : table->constants) table->constant_values.emplace_back(id, Value(text));
  if (table->packed.empty()) return;
  for (const SeveritySource& source : table->severity) table->telling.push_back(source.node);
  for (const FormatTable::Source& source : table->sources) {
    constexpr FieldId kTelling[] = {field::kEventKind,         field::kEventCode,       field::kRuleId,
                                    field::kRuleName,          field::kThreatTacticId,  field::kThreatTacticName,
                                    field::kThreatTechniqueId, field::kThreatTechniqueName};
    const bool tells = std::find(std::begin(kTelling), std::end(kTelling), source.id) != std::end(kTelling);
    if (tells) table->telling.push_back(source.node);
  }
}

// By node what it serves.
void IndexUses(size_t nodes, FormatTable* table) {
  std::vector<std::vector<FormatTable::Use>> by_node(nodes);
  const auto use = [&](size_t slot, size_t element, PathTrie::Node node) {
    by_node[node].push_back({static_cast<uint32_t>(element), static_cast<uint16_t>(slot)});
  };
  for (size_t f = 0; f < table->fields.size(); ++f) {
    for (uint32_t s = table->first_source[f]; s < table->first_source[f + 1]; ++s) use(f, s, table->sources[s].node);
  }
  const auto slot = [&](FormatTable::List list) { return table->SlotOf(list); };
  for (size_t i = 0; i < table->time.size(); ++i) use(slot(FormatTable::kTimes), i, table->time[i]);
  for (size_t i = 0; i < table->severity.size(); ++i) use(slot(FormatTable::kSeverities), i, table->severity[i].node);
  for (size_t i = 0; i < table->id.size(); ++i) use(slot(FormatTable::kIds), i, table->id[i].front());
  for (const auto& uses : by_node) {
    table->first_use.push_back(static_cast<uint32_t>(table->uses.size()));
    table->uses.insert(table->uses.end(), uses.begin(), uses.end());
  }
  table->first_use.push_back(static_cast<uint32_t>(table->uses.size()));
}

// What is made of a table when all are read and the trie is whole.
void Complete(size_t nodes, FormatTable* table) {
  LayOut(table);
  IndexUses(nodes, table);
  for (FormatTable& variant : table->variants) Complete(nodes, &variant);
}

// Where a key of a table's document stands; of a document without it, where the document begins.
struct Place {
  Place(const YamlFile& yaml, const YamlNode& document, std::string_view key) {
    const YamlNode* const node = document.Find(key);
    const YamlNode& at = node ? *node : document;
    where = {yaml.source->name, at.line(), at.column()};
    snippet = SourceLine(*yaml.source, at.line());
  }
  SourceLocation where;
  std::string snippet;
};

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
    case field::kUserRoles:
    case field::kRelatedHosts:
    case field::kRelatedIp:
    case field::kRelatedUser:
    case field::kRelatedHash:
      return FieldShape::kList;
    case field::kHostIp:
    case field::kSourceIp:
    case field::kDestinationIp:
      return FieldShape::kAddress;
    default: return FieldShape::kText;
  }
}

bool NamesEntity(FieldId id) {
  switch (id) {
    case field::kHostName:
    case field::kHostId:
    case field::kUserName:
    case field::kUserDomain:
    case field::kUserFullName:
    case field::kUserId:
    case field::kUserEmail:
    case field::kUserTargetName:
    case field::kSourceUserName:
    case field::kSourceDomain:
    case field::kDestinationUserName:
    case field::kDestinationDomain: return true;
    default: return false;
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
                                                          const FieldCatalog& catalog, Diagnostics* all) {
  Diagnostics found;
  auto compiled = std::make_shared<CompiledTables>();
  compiled->catalog = &catalog;
  std::vector<Place> names, bases;  // by table: where its name stands, and that of what it extends
  for (const SourceFile& file : files) {
    const auto yaml = ParseYaml(file, &found);
    if (!yaml) continue;
    for (const YamlNode& document : yaml->documents) {
      FormatTable table = ReadFormatTable(*yaml->source, document, compiled.get(), &found);
      names.emplace_back(*yaml, document, "format");
      bases.emplace_back(*yaml, document, "extends");
      if (const FormatTable* other = compiled->Find(table.name)) {
        const Place& first = names[static_cast<size_t>(other - compiled->tables.data())];
        found.Error(names.back().where, "two tables are named '" + table.name + "'", names.back().snippet,
                    "the other one is in " + first.where.file);
      }
      compiled->tables.push_back(std::move(table));
    }
  }
  const std::vector<FormatTable> originals = compiled->tables;
  for (size_t i = 0; i < compiled->tables.size(); ++i) {
    FormatTable& table = compiled->tables[i];
    const auto base = std::find_if(originals.begin(), originals.end(),
                                   [&](const FormatTable& other) { return other.name == table.extends; });
    if (base != originals.end()) {
      Extend(&table, *base);
    } else if (!table.extends.empty()) {
      const auto near = DidYouMean(table.extends, compiled->FormatNames());
      found.Error(bases[i].where, "'" + table.name + "' extends '" + table.extends + "', which is not loaded", bases[i].snippet,
                  near.empty() ? "load its file, too" : "did you mean '" + std::string(near) + "'?");
    }
    CompleteVariants(&table);
  }
  CheckFallback(*compiled, &found);
  all->Append(found);
  if (found.HasErrors()) return nullptr;  // a table with an error may name places that the trie does not have
  std::stable_sort(compiled->tables.begin(), compiled->tables.end(), [](const FormatTable& a, const FormatTable& b) {
    return a.fallback != b.fallback ? b.fallback : a.priority > b.priority;
  });
  for (FieldId id = static_cast<FieldId>(catalog.normalised_size()); id < catalog.size(); ++id) {
    compiled->raw.push_back({id, compiled->trie.Add(catalog.Name(id))});
  }
  compiled->trie.Freeze();
  Index(compiled.get());
  for (FormatTable& table : compiled->tables) Complete(compiled->trie.size(), &table);
  return compiled;
}

}  // namespace triaged
