// FormatTable: one alert format as data (configs/formats/*.yaml), compiled to nodes of the shared PathTrie.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/model/fields.h"
#include "pipeline/normalise/match_pattern.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/normalise/path_trie.h"

namespace triaged {

// A test on the values at one path: present (and not null), and every condition given holds.
struct FieldTest {
  PathTrie::Node node = PathTrie::kNone;
  std::vector<std::string> equals;    // any value is one of these
  std::vector<std::string> except;    // no value is one of these
  std::vector<std::string> contains;  // any value contains one of these
  std::vector<std::string> begins;    // any value begins with one of these, perhaps behind a syslog header
  bool absent = false;                // instead: the path must not be there
  bool presence() const { return equals.empty() && except.empty() && contains.empty() && begins.empty(); }
};

enum class FieldShape : uint8_t { kText, kList, kAddress };

// Where a field may come from. With `match`, values that it does not find are passed over; its first group, if it has
// one, is the value (a list of texts takes every find). With `words`, a value stands for another; those not named are passed over.
struct FieldSource {
  PathTrie::Node node = PathTrie::kNone;
  std::shared_ptr<const MatchPattern> match;
  std::map<std::string, std::string, std::less<>> words;
};

struct FieldMapping {
  FieldId id = kNoField;
  FieldShape shape = FieldShape::kText;
  std::vector<FieldSource> from;  // alternatives, first with a value wins
  bool all = false;               // instead: the values of all (of a list)
};

// A document inside a string: its keys appear below `into`, as if it had stood there. Read once the format is known.
enum class EmbeddedShape : uint8_t { kJson, kCef, kLeef };
struct Embedded {
  std::vector<PathTrie::Node> from;  // alternatives, the first that reads wins
  EmbeddedShape shape = EmbeddedShape::kJson;
  std::vector<PathTrie::Node> into;  // per alternative
};

// Where a severity may come from. `words` maps lower-cased texts to scores (also "1" for a scale of its own, and then
// other numbers are illegal) or to "unknown"; `bands` numbers from `min` up. Without either a number from 0 to 100 is
// the score itself, unless the scale is to be guessed: a stranger's 8 is more likely one of ten than of a hundred. `rule`
// is what the alert's provenance says: "rule.level >= 12", "severity = high".
inline constexpr int kSaysNothing = -1;
struct SeveritySource {
  PathTrie::Node node = PathTrie::kNone;
  struct Word {
    std::string text;
    int score = 0;
    std::string rule;
  };
  std::vector<Word> words;  // a handful
  struct Band {
    double min = 0;
    int score = 0;
    std::string rule;
  };
  std::vector<Band> bands;      // ascending
  bool numbers = true;          // a number that neither maps is a score
  std::vector<Band> of_ten;     // with `guess_scale`, of numbers up to 10; ascending
  std::string of_one;           // and the rule of those between 0 and 1
};

struct FormatTable {
  std::string name;
  std::string extends;     // the table it builds on, or ""
  int priority = 0;        // higher ones are tried first
  bool fallback = false;   // for what no table knows
  std::vector<std::vector<FieldTest>> markers;  // any of: all of
  std::vector<FieldMapping> fields;
  std::vector<PathTrie::Node> time;
  std::optional<Zone> zone;                     // of times that name none
  std::vector<std::vector<PathTrie::Node>> id;  // alternatives, each composed of all its parts
  std::vector<SeveritySource> severity;
  std::vector<std::vector<FieldTest>> not_alert, drill, update;  // any of: all of
  std::vector<PathTrie::Node> state;                             // the source's own state word (triaged.state)
  std::vector<std::pair<FieldId, std::string>> constants;        // where no path gave a value
  std::vector<Embedded> embedded;
  std::vector<PathTrie::Node> packed;                            // texts that may hold the alert itself
  bool enveloped = false;                                        // paths are read below `under`, too
  SplitSettings split;                                           // arrays of alerts that such records may hold

  // Made when all tables are read: which sources a node of the document serves. What is absent is never looked at, so a
  // long list of alternatives costs nothing. The lists that every alert asks are counted behind the fields.
  struct Use {
    uint32_t source = 0;  // of `sources`; of a list its element
    uint16_t slot = 0;    // a field, or behind them a list
  };
  enum List : uint8_t { kTimes, kIds, kSeverities, kListCount };
  size_t SlotOf(List list) const { return fields.size() + list; }
  std::vector<Use> uses;
  std::vector<uint32_t> first_use;  // by node, and one more: where its uses end

  // Of each field's sources what every alert asks, side by side.
  struct Source {
    PathTrie::Node node = PathTrie::kNone;
    FieldId id = kNoField;
    bool plain = false;  // a single text without `match` or `words`: the first value is taken as it is
    bool is_name = false;  // NamesEntity(id)
  };
  std::vector<Source> sources;         // of all fields, in their order
  std::vector<uint32_t> first_source;  // by field, and one more: where its sources end
  std::vector<std::pair<FieldId, Value>> constant_values;  // of `constants`
  std::vector<PathTrie::Node> telling;  // with `packed`: who has one of these is no courier

  // The same format where one of these holds, with some parts of its own. The first that holds is taken.
  std::vector<std::vector<FieldTest>> when;  // of a variant: any of: all of
  std::vector<FormatTable> variants;
};

class CompiledTables final : public FormatTables {
 public:
  bool HasFormat(std::string_view format) const override { return Find(format) != nullptr; }
  std::vector<std::string_view> FormatNames() const override;
  const FormatTable* Find(std::string_view format) const;

  const FieldCatalog* catalog = nullptr;
  PathTrie trie;
  std::vector<FormatTable> tables;  // by falling priority; the fallback last

  // Detection looks only at the tables one of whose markers is there, so its cost does not grow with their number.
  struct MarkerRef {
    uint32_t table = 0;
    uint32_t alternative = 0;
  };
  std::vector<std::vector<MarkerRef>> markers;  // by the first test's node
  std::vector<char> marked;                     // by node: whether it has any; few have, and each alert asks of all its nodes

  struct RawField {
    FieldId id;
    PathTrie::Node node;
  };
  std::vector<RawField> raw;        // fields that rules address by path
};

// Reads one table; its paths are added to `out->trie`.
FormatTable ReadFormatTable(const SourceFile& source, const YamlNode& node, CompiledTables* out, Diagnostics* diagnostics);

// Which ECS fields are lists, and which hold addresses (ECS 8.x field definitions).
FieldShape ShapeOf(FieldId id);
// Which fields name or identify somebody or something: cases and baselines are kept by them.
bool NamesEntity(FieldId id);

}  // namespace triaged
