#include <algorithm>
#include <cctype>

#include "pipeline/normalise/format_table.h"

namespace triaged {
namespace {

// CEF's scale ("Implementing ArcSight CEF", revision 25, Severity): 0-3 low, 4-6 medium, 7-8 high, 9-10 very high; but 0 is
// nothing on either scale.
struct BandOfTen {
  double min;
  int score;
  const char* rule;
};
constexpr BandOfTen kOfTen[] = {{1, 21, ">= 1 of 10"}, {4, 47, ">= 4 of 10"}, {7, 73, ">= 7 of 10"}, {9, 99, ">= 9 of 10"}};

// Reads one table, or a variant of one. Paths are added to the trie as they are met.
class TableReader {
 public:
  TableReader(const SourceFile& source, const YamlNode& node, std::string what, CompiledTables* out, Diagnostics* diagnostics)
      : map_(source, node, std::move(what), diagnostics), out_(out) {}

  FormatTable Read();

 private:
  // Below `prefixes`, those of its table.
  FormatTable ReadVariant(const std::vector<std::string>& prefixes);
  void ReadVariants(FormatTable* table);
  // What variants may have of their own.
  void ReadMappings(FormatTable* table);
  bool IsPath(const YamlNode& where, const std::string& path);
  std::vector<PathTrie::Node> Nodes(const YamlNode& where, const std::string& path);
  std::vector<PathTrie::Node> Paths(const YamlNode& node);
  std::vector<PathTrie::Node> Paths(std::string_view key);
  std::vector<FieldSource> Sources(const YamlNode& node);
  std::vector<FieldSource> Source(const YamlNode& node);
  static void NameRules(const std::string& path, SeveritySource* source);
  std::vector<FieldSource> Named(const YamlNode& where, const std::string& path);
  std::vector<std::vector<FieldTest>> Tests(std::string_view key);
  std::vector<FieldTest> TestList(const YamlNode& node, const std::string& prefix);
  FieldTest Test(const YamlNode& node, const std::string& prefix);
  FieldId Field(const YamlNode& where, const std::string& name);
  void ReadFields(FormatTable* table);
  FieldMapping ReadField(FieldId id, const YamlNode& node);
  void ReadId(FormatTable* table);
  void ReadSeverity(FormatTable* table);
  std::vector<SeveritySource> ReadSeveritySource(const YamlNode& node);
  void ReadWords(const YamlNode& words, SeveritySource* source);
  void ReadEmbedded(FormatTable* table);
  void ReadConstants(FormatTable* table);
  std::vector<std::string> Texts(const YamlNode& node);

  MapReader map_;
  CompiledTables* out_;
  std::vector<std::string> prefixes_ = {""};  // of `under`: every path is read below each of them
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

bool TableReader::IsPath(const YamlNode& where, const std::string& path) {
  if (path.empty() || path.front() == '.' || path.back() == '.' || path.find("..") != std::string::npos) {
    map_.ErrorAt(where, "'" + path + "' is not a path", "keys joined by dots: source.ip");
    return false;
  }
  // A bracket without a sign in it belongs to the key.
  for (size_t open = path.find('['); open != std::string::npos; open = path.find('[', open + 1)) {
    const size_t end = std::min(path.find('[', open + 1), path.size());
    if (path.find('=', open) >= end) continue;
    const size_t close = path.find(']', open);
    if (close < end && (close + 1 == path.size() || path[close + 1] == '.')) continue;
    map_.ErrorAt(where, "'" + path + "' has a selector that is not closed, or text behind it", "evidence[kind=ip].address");
    return false;
  }
  return true;
}

std::vector<PathTrie::Node> TableReader::Nodes(const YamlNode& where, const std::string& path) {
  std::vector<PathTrie::Node> nodes;
  if (!IsPath(where, path)) return nodes;
  for (const std::string& prefix : prefixes_) nodes.push_back(out_->trie.Add(prefix + path));
  return nodes;
}

std::vector<PathTrie::Node> TableReader::Paths(const YamlNode& node) {
  std::vector<PathTrie::Node> nodes;
  for (const std::string& path : Texts(node)) {
    for (PathTrie::Node one : Nodes(node, path)) nodes.push_back(one);
  }
  return nodes;
}

// A path, or {path, match, words}.
std::vector<FieldSource> TableReader::Source(const YamlNode& node) {
  std::vector<FieldSource> sources;
  FieldSource form;
  std::string path;
  if (node.IsScalar()) {
    path = node.scalar();
  } else {
    MapReader reader(map_.source(), node, "the source", map_.diagnostics());
    path = reader.String("path", {}, /*required=*/true);
    const std::string match = reader.String("match");
    if (!match.empty()) {
      std::string error;
      form.match = MatchPattern::Compile(match, &error);
      if (!form.match) reader.ErrorHere("`match` is no regular expression: " + error);
    }
    if (const YamlNode* words = reader.Node("words")) {
      for (const auto& entry : words->map()) form.words[entry.key] = entry.value.scalar();
    }
    reader.Finish();
    if (path.empty()) return sources;
  }
  for (PathTrie::Node one : Nodes(node, path)) {
    form.node = one;
    sources.push_back(form);
  }
  return sources;
}

std::vector<FieldSource> TableReader::Named(const YamlNode& where, const std::string& path) {
  std::vector<FieldSource> sources;
  for (PathTrie::Node node : Nodes(where, path)) sources.push_back({node, nullptr, {}});
  return sources;
}

std::vector<FieldSource> TableReader::Sources(const YamlNode& node) {
  if (!node.IsList()) return Source(node);
  std::vector<FieldSource> sources;
  for (const YamlNode& item : node.list()) {
    for (FieldSource& source : Source(item)) sources.push_back(std::move(source));
  }
  return sources;
}

std::vector<PathTrie::Node> TableReader::Paths(std::string_view key) {
  const YamlNode* node = map_.Node(key);
  return node ? Paths(*node) : std::vector<PathTrie::Node>();
}

FieldTest TableReader::Test(const YamlNode& node, const std::string& prefix) {
  FieldTest test;
  if (node.IsScalar()) {
    if (IsPath(node, node.scalar())) test.node = out_->trie.Add(prefix + node.scalar());
    return test;
  }
  MapReader reader(map_.source(), node, "the test", map_.diagnostics());
  const std::string path = reader.String("path", {}, /*required=*/true);
  if (!path.empty() && IsPath(node, path)) test.node = out_->trie.Add(prefix + path);
  test.equals = reader.Strings("equals");
  test.except = reader.Strings("except");
  test.contains = reader.Strings("contains");
  test.begins = reader.Strings("begins");
  test.absent = reader.Bool("absent", false);
  reader.Finish();
  return test;
}

std::vector<FieldTest> TableReader::TestList(const YamlNode& node, const std::string& prefix) {
  std::vector<FieldTest> tests;
  if (!node.IsList()) return {Test(node, prefix)};
  for (const YamlNode& item : node.list()) tests.push_back(Test(item, prefix));
  return tests;
}

// A list of alternatives; an alternative is one test, or a list of tests that must all hold (below one prefix).
std::vector<std::vector<FieldTest>> TableReader::Tests(std::string_view key) {
  std::vector<std::vector<FieldTest>> alternatives;
  const YamlNode* node = map_.Node(key);
  if (!node) return alternatives;
  for (const std::string& prefix : prefixes_) {
    if (!node->IsList()) {
      alternatives.push_back(TestList(*node, prefix));
      continue;
    }
    for (const YamlNode& item : node->list()) alternatives.push_back(TestList(item, prefix));
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
      if (id != kNoField) table->fields.push_back({id, ShapeOf(id), Named(*same, name), false});
    }
  }
  const YamlNode* fields = map_.Node("fields");
  if (!fields) return;
  if (!fields->IsMap()) return map_.ErrorAt(*fields, "`fields` maps ECS names to paths");
  for (const auto& entry : fields->map()) {
    const FieldId id = Field(entry.value, entry.key);
    if (id == kNoField) continue;
    table->fields.push_back(ReadField(id, entry.value));
  }
}

// A source, a list of them, or {all: [sources]}.
FieldMapping TableReader::ReadField(FieldId id, const YamlNode& node) {
  FieldMapping mapping{id, ShapeOf(id), {}, node.Find("all") != nullptr};
  if (mapping.all) {
    MapReader reader(map_.source(), node, "the field", map_.diagnostics());
    mapping.from = Sources(*reader.Node("all"));
    reader.Finish();
    if (mapping.shape != FieldShape::kList) map_.ErrorAt(node, "`all` is for fields that are lists");
  } else {
    mapping.from = Sources(node);
  }
  const auto has_words = [](const FieldSource& source) { return !source.words.empty(); };
  if (mapping.shape == FieldShape::kAddress && std::any_of(mapping.from.begin(), mapping.from.end(), has_words)) {
    map_.ErrorAt(node, "an address is no word of a list: `words` are for texts");
  }
  return mapping;
}

// Alternatives; each a path, or a list of paths that are joined. All parts come from below one prefix.
void TableReader::ReadId(FormatTable* table) {
  const YamlNode* node = map_.Node("id");
  if (!node) return;
  const std::vector<YamlNode> one = {*node};
  const std::vector<std::string> prefixes = prefixes_;
  for (const YamlNode& item : node->IsList() ? node->list() : one) {
    for (const std::string& prefix : prefixes) {
      prefixes_ = {prefix};
      if (auto parts = Paths(item); !parts.empty()) table->id.push_back(std::move(parts));
    }
  }
  prefixes_ = prefixes;
}

void TableReader::ReadEmbedded(FormatTable* table) {
  const YamlNode* node = map_.Node("embedded");
  if (!node) return;
  if (!node->IsList()) return map_.ErrorAt(*node, "`embedded` is a list: [{path: …, shape: json}]");
  constexpr size_t kMost = 64;
  if (node->list().size() > kMost) return map_.ErrorAt(*node, "more than " + std::to_string(kMost) + " embedded documents");
  for (const YamlNode& item : node->list()) {
    MapReader reader(map_.source(), item, "the embedded document", map_.diagnostics());
    Embedded embedded;
    const std::vector<std::string> paths = reader.Strings("path", /*required=*/true);
    embedded.shape = static_cast<EmbeddedShape>(reader.Choice("shape", {"json", "cef", "leef"}, 0));
    const std::string into = reader.String("into");
    if (!into.empty() && !IsPath(item, into)) continue;
    if (embedded.shape != EmbeddedShape::kJson && into.empty()) {
      reader.ErrorHere("`into` is missing: below which name do its keys appear?", "into: cef");
    }
    for (const std::string& path : paths) {
      for (PathTrie::Node from : Nodes(item, path)) {
        embedded.from.push_back(from);
        embedded.into.push_back(into.empty() ? from : out_->trie.Add(into));
      }
    }
    reader.Finish();
    table->embedded.push_back(std::move(embedded));
  }
}

// Words and their scores; a word that is a number makes the others illegal.
void TableReader::ReadWords(const YamlNode& words, SeveritySource* source) {
  if (!words.IsMap()) return map_.ErrorAt(words, "`words` maps texts to scores", "{high: 73}");
  for (const auto& entry : words.map()) {
    std::string text = entry.key;
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
    if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos) source->numbers = false;
    if (entry.value.IsScalar() && entry.value.scalar() == "unknown") {
      source->words.push_back({text, kSaysNothing, {}});
      continue;
    }
    const auto score = entry.value.AsInt();
    if (!score || *score < 0 || *score > 100) map_.ErrorAt(entry.value, "a score is a whole number from 0 to 100, or `unknown`");
    source->words.push_back({text, static_cast<int>(score.value_or(0)), {}});
  }
}

std::vector<SeveritySource> TableReader::ReadSeveritySource(const YamlNode& node) {
  SeveritySource source;
  MapReader reader(map_.source(), node, "the severity source", map_.diagnostics());
  const std::vector<std::string> paths = reader.Strings("path", /*required=*/true);
  if (const YamlNode* words = reader.Node("words")) ReadWords(*words, &source);
  if (const YamlNode* bands = reader.Node("bands")) {
    for (const YamlNode& item : bands->list()) {
      MapReader band(map_.source(), item, "the band", map_.diagnostics());
      const std::string min = band.String("min", "0");
      source.bands.push_back({band.Double("min", 0, -1e9, 1e9), static_cast<int>(band.Int("score", 0, 0, 100)), ">= " + min});
      band.Finish();
      if (source.bands.size() > 1 && source.bands[source.bands.size() - 2].min >= source.bands.back().min) {
        reader.ErrorAt(item, "bands must rise");
      }
    }
  }
  if (reader.Bool("guess_scale", false)) {
    if (!source.bands.empty()) reader.ErrorHere("`bands` are a scale; with `guess_scale` it is one of 10 or of 100");
    if (!source.numbers) reader.ErrorHere("`words` that are numbers are a scale; with `guess_scale` it is one of 10 or of 100");
    for (const auto& [min, score, rule] : kOfTen) source.of_ten.push_back({min, score, rule});
  }
  reader.Finish();
  std::vector<SeveritySource> sources;
  for (const std::string& path : paths) {
    for (PathTrie::Node one : Nodes(node, path)) {
      source.node = one;
      sources.push_back(source);
      NameRules(std::string(out_->trie.Path(one)), &sources.back());
    }
  }
  return sources;
}

// What the provenance of a score says.
void TableReader::NameRules(const std::string& path, SeveritySource* source) {
  for (auto& word : source->words) word.rule = path + " = " + word.text;
  for (auto& band : source->bands) band.rule = path + " " + band.rule;
  for (auto& band : source->of_ten) band.rule = path + " " + band.rule;
  source->of_one = path + " of 1";
}

void TableReader::ReadSeverity(FormatTable* table) {
  const YamlNode* node = map_.Node("severity");
  if (!node) return;
  if (!node->IsList()) return map_.ErrorAt(*node, "`severity` is a list of sources: [{path: …, words: …}]");
  for (const YamlNode& item : node->list()) {
    for (SeveritySource& source : ReadSeveritySource(item)) table->severity.push_back(std::move(source));
  }
}

void TableReader::ReadConstants(FormatTable* table) {
  const YamlNode* node = map_.Node("constants");
  if (!node) return;
  for (const auto& entry : node->map()) {
    const FieldId id = Field(entry.value, entry.key);
    if (!entry.value.IsScalar()) map_.ErrorAt(entry.value, "a constant is one text");
    if (id != kNoField) table->constants.emplace_back(id, entry.value.scalar());
  }
}

void TableReader::ReadMappings(FormatTable* table) {
  ReadFields(table);
  table->time = Paths("time");
  const std::string zone = map_.String("zone");
  if (!zone.empty() && !(table->zone = Zone::Find(zone))) {
    const auto near = DidYouMean(zone, Zone::Names());
    map_.ErrorAt(*map_.Node("zone"), "'" + zone + "' is no IANA time zone",
                 near.empty() ? "" : "did you mean '" + std::string(near) + "'?");
  }
  ReadId(table);
  ReadSeverity(table);
  table->not_alert = Tests("not_alert");
  table->drill = Tests("drill");
  table->update = Tests("update");
  table->state = Paths("state");
  ReadConstants(table);
}

FormatTable TableReader::ReadVariant(const std::vector<std::string>& prefixes) {
  prefixes_ = prefixes;
  FormatTable variant;
  variant.when = Tests("when");
  if (variant.when.empty()) map_.ErrorHere("`when` is missing: what tells this variant from the rest?");
  ReadMappings(&variant);
  map_.Finish();
  return variant;
}

void TableReader::ReadVariants(FormatTable* table) {
  const YamlNode* node = map_.Node("variants");
  if (!node) return;
  if (!node->IsList()) return map_.ErrorAt(*node, "`variants` is a list: [{when: …, fields: …}]");
  for (const YamlNode& item : node->list()) {
    TableReader reader(map_.source(), item, "the variant", out_, map_.diagnostics());
    table->variants.push_back(reader.ReadVariant(prefixes_));
  }
}

FormatTable TableReader::Read() {
  FormatTable table;
  table.name = map_.String("format", {}, /*required=*/true);
  map_.String("description");
  table.extends = map_.String("extends");
  table.priority = static_cast<int>(map_.Int("priority", 0, 0, 1000));
  table.fallback = map_.Bool("fallback", false);
  // Inside an envelope first: what stands around it is the courier's.
  table.enveloped = map_.Has("under");
  if (table.enveloped) prefixes_.clear();
  for (const std::string& path : map_.Strings("under")) {
    if (IsPath(*map_.Node("under"), path)) prefixes_.push_back(path + ".");
  }
  if (table.enveloped) prefixes_.push_back("");
  table.markers = Tests("markers");
  if (table.markers.empty() != table.fallback) {
    const std::string message = table.fallback ? "the fallback table takes what no other knows: it has no markers"
                                               : "`markers` are missing: how would a record of this format be known?";
    if (const YamlNode* markers = map_.Node("markers")) {
      map_.ErrorAt(*markers, message);
    } else {
      map_.ErrorHere(message);
    }
  }
  table.packed = Paths("packed");
  ReadMappings(&table);
  ReadVariants(&table);
  table.split.under = map_.Strings("split");
  table.split.envelope = map_.Strings("envelope");
  if (!table.split.envelope.empty() && table.split.under.empty()) {
    map_.ErrorHere("`envelope` names what stands around the alerts of a `split` path, and there is none");
  }
  ReadEmbedded(&table);
  map_.Finish();
  return table;
}

}  // namespace

FormatTable ReadFormatTable(const SourceFile& source, const YamlNode& node, CompiledTables* out, Diagnostics* diagnostics) {
  return TableReader(source, node, "the format table", out, diagnostics).Read();
}

}  // namespace triaged
