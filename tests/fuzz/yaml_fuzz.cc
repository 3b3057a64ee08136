// Any bytes as a YAML file: a tree within the limits or an error with a place, never a crash; and the map reader's
// getters, asked for every key, agree with the tree.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "pipeline/base/check.h"
#include "pipeline/base/utf8.h"
#include "pipeline/base/yaml.h"

namespace triaged {
namespace {

// Walks a tree; returns its nodes and keys.
size_t CheckNode(const YamlNode& node, int depth, int lines) {
  TRIAGED_CHECK(depth <= kYamlMaxDepth + 1);
  TRIAGED_CHECK(node.line() >= 1 && node.line() <= lines + 1 && node.column() >= 1);
  TRIAGED_CHECK(IsValidUtf8(node.scalar()));
  TRIAGED_CHECK(!(node.AsInt().has_value() && node.AsBool().has_value()));
  TRIAGED_CHECK(!node.AsInt().has_value() || node.AsDouble().has_value());
  size_t count = 1;
  for (const YamlNode& item : node.list()) count += CheckNode(item, depth + 1, lines);
  for (const YamlNode::Entry& entry : node.map()) {
    TRIAGED_CHECK(node.Find(entry.key) == &entry.value);  // a duplicate would find the first
    count += 1 + CheckNode(entry.value, depth + 1, lines);
  }
  return count;
}

void CheckReader(const YamlFile& file, const YamlNode& node) {
  Diagnostics diagnostics;
  MapReader reader(*file.source, node, "the file", &diagnostics);
  for (const YamlNode::Entry& entry : node.map()) {
    reader.String(entry.key);
    reader.Bool(entry.key, false);
    TRIAGED_CHECK(reader.Int(entry.key, 0, -5, 5) <= 5);
    TRIAGED_CHECK(reader.Double(entry.key, 0, -5, 5) <= 5);
    TRIAGED_CHECK(reader.Interval(entry.key, {}, {}, Duration(5000)) <= Duration(5000));
    TRIAGED_CHECK(reader.Bytes(entry.key, 0, 0, 1 << 20) <= 1 << 20);
    reader.Strings(entry.key);
    reader.Choice(entry.key, {"open", "closed"}, 0);
  }
  const size_t before = diagnostics.items().size();
  reader.Finish();
  TRIAGED_CHECK(diagnostics.items().size() == before);  // every key was asked for
  // A reader that asks for nothing reports every key (the 51st sums up the rest), or once that this is no map.
  MapReader strict(*file.source, node, "the file", &diagnostics);
  strict.Finish();
  const size_t expected = node.IsMap() ? std::min<size_t>(node.map().size(), 51) : node.IsNull() ? 0 : 1;
  TRIAGED_CHECK(diagnostics.items().size() == before + expected);
  TRIAGED_CHECK(IsValidUtf8(diagnostics.Render()));
}

}  // namespace
}  // namespace triaged

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace triaged;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Diagnostics diagnostics;
  const auto file = ParseYaml({"fuzz.yml", text}, &diagnostics);
  TRIAGED_CHECK(file.has_value() == !diagnostics.HasErrors());
  TRIAGED_CHECK(IsValidUtf8(diagnostics.Render()));
  if (!file) return 0;
  int lines = 1;
  for (char c : text) lines += c == '\n';
  size_t nodes = 0;
  for (const YamlNode& document : file->documents) {
    nodes += CheckNode(document, 1, lines);
    CheckReader(*file, document);
  }
  TRIAGED_CHECK(nodes <= kYamlMaxNodes);
  return 0;
}
