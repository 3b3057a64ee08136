// FormatTable: one alert format as data (configs/formats/*.yaml), compiled to nodes of the shared PathTrie.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/model/fields.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/normalise/path_trie.h"

namespace triaged {

// A test on the values at one path.
struct FieldTest {
  PathTrie::Node node = PathTrie::kNone;
  std::vector<std::string> equals;   // any value is one of these (empty: presence is enough)
  std::vector<std::string> except;   // present, and no value is one of these
};

enum class FieldShape : uint8_t { kText, kList, kAddress };

struct FieldMapping {
  FieldId id = kNoField;
  FieldShape shape = FieldShape::kText;
  std::vector<PathTrie::Node> from;  // alternatives, first with a value wins
};

// Where a severity may come from. `words` maps lower-cased texts to scores (also "1" for a scale of its own), `bands`
// numbers from `min` up; a number that neither maps is the score itself when it lies within 0-100.
struct SeveritySource {
  PathTrie::Node node = PathTrie::kNone;
  std::map<std::string, int, std::less<>> words;
  struct Band {
    double min = 0;
    int score = 0;
  };
  std::vector<Band> bands;  // ascending
};

struct FormatTable {
  std::string name;
  int priority = 0;        // higher ones are tried first
  bool fallback = false;   // for what no table knows
  std::vector<std::vector<FieldTest>> markers;  // any of: all of
  std::vector<FieldMapping> fields;
  std::vector<PathTrie::Node> time;
  std::vector<std::vector<PathTrie::Node>> id;  // alternatives, each composed of all its parts
  std::vector<SeveritySource> severity;
  std::vector<std::vector<FieldTest>> not_alert, drill, update;  // any of: all of
  std::vector<PathTrie::Node> state;                             // the source's own state word (triaged.state)
  std::vector<std::pair<FieldId, std::string>> constants;        // where no path gave a value
};

class CompiledTables final : public FormatTables {
 public:
  bool HasFormat(std::string_view format) const override { return Find(format) != nullptr; }
  std::vector<std::string_view> FormatNames() const override;
  const FormatTable* Find(std::string_view format) const;

  const FieldCatalog* catalog = nullptr;
  PathTrie trie;
  std::vector<FormatTable> tables;  // by falling priority; the fallback last
  struct RawField {
    FieldId id;
    PathTrie::Node node;
  };
  std::vector<RawField> raw;        // fields that rules address by path
};

// Which ECS fields are lists, and which hold addresses (ECS 8.x field definitions).
FieldShape ShapeOf(FieldId id);

}  // namespace triaged
