// A strict YAML reader: the only way configuration, policies, rules and format tables enter triaged.
//
// yaml-cpp accepts duplicate keys and expands aliases lazily, so a document of a kilobyte can explode when walked.
// This wrapper refuses anchors, aliases, tags, merge keys, duplicate keys, non-scalar keys and documents beyond
// kYamlMaxBytes / kYamlMaxDepth / kYamlMaxNodes, and keeps line and column of every node for diagnostics.
// Parsing is pure (bytes in, tree out); reading files is the caller's. Thread-safety: a parsed tree is immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/time.h"

namespace triaged {

inline constexpr size_t kYamlMaxBytes = 8 * 1024 * 1024;
inline constexpr int kYamlMaxDepth = 64;
inline constexpr size_t kYamlMaxNodes = 500'000;

// A file's name (for messages) and bytes.
struct SourceFile {
  std::string name;
  std::string text;
};

class YamlNode {
 public:
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };

  Kind kind() const { return kind_; }
  bool IsNull() const { return kind_ == Kind::kNull; }
  bool IsScalar() const { return kind_ == Kind::kScalar; }
  bool IsList() const { return kind_ == Kind::kList; }
  bool IsMap() const { return kind_ == Kind::kMap; }

  // The scalar's text. `quoted` tells "5" from 5: a quoted scalar is always a string.
  const std::string& scalar() const { return scalar_; }
  bool quoted() const { return quoted_; }

  // Core-schema readings of a plain scalar; nullopt when it is none.
  std::optional<bool> AsBool() const;      // true / false
  std::optional<int64_t> AsInt() const;    // decimal only
  std::optional<double> AsDouble() const;

  const std::vector<YamlNode>& list() const { return list_; }
  // Entries in document order; keys are unique.
  struct Entry;
  const std::vector<Entry>& map() const { return map_; }
  const YamlNode* Find(std::string_view key) const;  // nullptr when absent or not a map

  int line() const { return line_; }      // from 1
  int column() const { return column_; }  // from 1

 private:
  friend class YamlBuilder;
  Kind kind_ = Kind::kNull;
  bool quoted_ = false;
  int line_ = 0;
  int column_ = 0;
  std::string scalar_;
  std::vector<YamlNode> list_;
  std::vector<Entry> map_;
};

struct YamlNode::Entry {
  std::string key;
  int line = 0;  // of the key
  int column = 0;
  YamlNode value;
};

// All documents of one file, or none when `diagnostics` got an error.
struct YamlFile {
  std::shared_ptr<const SourceFile> source;
  std::vector<YamlNode> documents;
};
std::optional<YamlFile> ParseYaml(SourceFile file, Diagnostics* diagnostics);

// Reads one map strictly: each getter marks its key as known and reports a wrong type or range where it stands;
// Finish() reports every key nobody asked for, with a "did you mean". Missing required keys are errors at the map.
class MapReader {
 public:
  // `node` must outlive the reader. A null node reads as an empty map; any other non-map is an error.
  MapReader(const SourceFile& source, const YamlNode& node, std::string what, Diagnostics* diagnostics);

  const YamlNode* Node(std::string_view key, bool required = false);
  std::string String(std::string_view key, std::string fallback = {}, bool required = false);
  bool Bool(std::string_view key, bool fallback);
  int64_t Int(std::string_view key, int64_t fallback, int64_t min, int64_t max);
  double Double(std::string_view key, double fallback, double min, double max);
  Duration Interval(std::string_view key, Duration fallback, Duration min, Duration max);  // "15m"
  int64_t Bytes(std::string_view key, int64_t fallback, int64_t min, int64_t max);         // "64MiB", "900KiB", "1024"
  // A list of scalars; a single scalar reads as a list of one.
  std::vector<std::string> Strings(std::string_view key, bool required = false);
  // One of `choices`, returned as its index; the fallback index when absent.
  size_t Choice(std::string_view key, const std::vector<std::string_view>& choices, size_t fallback);

  bool Has(std::string_view key) const { return node_.Find(key) != nullptr; }
  void ErrorAt(const YamlNode& node, std::string message, std::string hint = {});
  void ErrorHere(std::string message, std::string hint = {});
  const SourceFile& source() const { return source_; }
  Diagnostics* diagnostics() const { return diagnostics_; }

  void Finish();

 private:
  const SourceFile& source_;
  const YamlNode& node_;
  std::string what_;
  Diagnostics* diagnostics_;
  std::set<std::string, std::less<>> known_;
};

// The text of line `line` (from 1) of a file, for snippets; cut to 160 bytes.
std::string SourceLine(const SourceFile& source, int line);

}  // namespace triaged
