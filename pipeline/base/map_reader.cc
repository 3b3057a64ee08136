#include <array>
#include <charconv>

#include "pipeline/base/utf8.h"
#include "pipeline/base/yaml.h"

namespace triaged {
namespace {

// A list of all keys helps only while it is short.
constexpr size_t kMaxKeysInHint = 12;
// More unknown keys than this mean that the map is something else; they are counted.
constexpr size_t kMaxUnknownKeys = 50;

// What stands there, for "must be …, not …".
std::string Describe(const YamlNode& node) {
  switch (node.kind()) {
    case YamlNode::Kind::kNull: return "nothing";
    case YamlNode::Kind::kList: return "a list";
    case YamlNode::Kind::kMap: return "a map";
    case YamlNode::Kind::kScalar: break;
  }
  constexpr size_t kShown = 60;
  const std::string_view text = CutAtCodePoint(node.scalar(), kShown);
  return "'" + std::string(text) + (text.size() < node.scalar().size() ? "…'" : "'") +
         (node.quoted() ? " in quotes" : "");
}

std::string Between(const std::string& min, const std::string& max) { return "between " + min + " and " + max; }

std::string Join(const std::vector<std::string_view>& words) {
  std::string text;
  for (std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

// "did you mean 'x'?", else all of a short list.
std::string Suggest(std::string_view word, const std::vector<std::string_view>& candidates, std::string_view label) {
  const std::string_view near = DidYouMean(word, candidates);
  if (!near.empty()) return "did you mean '" + std::string(near) + "'?";
  if (candidates.empty() || candidates.size() > kMaxKeysInHint) return {};
  return std::string(label) + ": " + Join(candidates);
}

struct ByteUnit {
  std::string_view name;
  int shift;
};
constexpr std::array<ByteUnit, 6> kByteUnits = {
    {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}};

std::optional<int64_t> ParseBytes(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  int64_t amount = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  for (const ByteUnit& unit : kByteUnits) {
    int64_t bytes = 0;
    if (text == unit.name && !__builtin_mul_overflow(amount, int64_t{1} << unit.shift, &bytes)) return bytes;
  }
  return std::nullopt;
}

std::string FormatBytes(int64_t bytes) {
  for (size_t i = kByteUnits.size(); i-- > 1;) {
    const int64_t unit = int64_t{1} << kByteUnits[i].shift;
    if (bytes >= unit && bytes % unit == 0) return std::to_string(bytes / unit) + std::string(kByteUnits[i].name);
  }
  return std::to_string(bytes);
}

std::string FormatDouble(double value) {
  std::array<char, 64> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return error == std::errc() ? std::string(buffer.data(), end) : std::string("?");
}

}  // namespace

MapReader::MapReader(const SourceFile& source, const YamlNode& node, std::string what, Diagnostics* diagnostics)
    : source_(source), node_(node), what_(std::move(what)), diagnostics_(diagnostics) {
  if (!node_.IsMap() && !node_.IsNull()) {
    ErrorHere(what_ + " must be a map (key: value), not " + Describe(node_));
  }
}

void MapReader::ErrorAt(const YamlNode& node, std::string message, std::string hint) {
  diagnostics_->Error({source_.name, node.line(), node.column()}, std::move(message), SourceLine(source_, node.line()),
                      std::move(hint));
}

void MapReader::ErrorHere(std::string message, std::string hint) {
  ErrorAt(node_, std::move(message), std::move(hint));
}

const YamlNode* MapReader::Node(std::string_view key, bool required) {
  known_.emplace(key);
  const YamlNode* node = node_.Find(key);
  // Something that is no map has been reported; that its keys are missing says nothing new.
  if (node == nullptr && required && (node_.IsMap() || node_.IsNull())) {
    ErrorHere("'" + std::string(key) + "' is missing in " + what_);
  }
  return node;
}

std::string MapReader::String(std::string_view key, std::string fallback, bool required) {
  const YamlNode* node = Node(key, required);
  if (node == nullptr) return fallback;
  if (!node->IsScalar()) {
    ErrorAt(*node, "'" + std::string(key) + "' must be text, not " + Describe(*node));
    return fallback;
  }
  if (required && node->scalar().empty()) {
    ErrorAt(*node, "'" + std::string(key) + "' must not be empty");
    return fallback;
  }
  return node->scalar();
}

bool MapReader::Bool(std::string_view key, bool fallback) {
  const YamlNode* node = Node(key);
  if (node == nullptr) return fallback;
  const auto value = node->AsBool();
  if (!value) ErrorAt(*node, "'" + std::string(key) + "' must be true or false, not " + Describe(*node));
  return value.value_or(fallback);
}

int64_t MapReader::Int(std::string_view key, int64_t fallback, int64_t min, int64_t max) {
  const YamlNode* node = Node(key);
  if (node == nullptr) return fallback;
  const auto value = node->AsInt();
  if (value && *value >= min && *value <= max) return *value;
  ErrorAt(*node, "'" + std::string(key) + "' must be a whole number " +
                     Between(std::to_string(min), std::to_string(max)) + ", not " + Describe(*node));
  return fallback;
}

double MapReader::Double(std::string_view key, double fallback, double min, double max) {
  const YamlNode* node = Node(key);
  if (node == nullptr) return fallback;
  const auto value = node->AsDouble();
  if (value && *value >= min && *value <= max) return *value;
  ErrorAt(*node, "'" + std::string(key) + "' must be a number " + Between(FormatDouble(min), FormatDouble(max)) +
                     ", not " + Describe(*node));
  return fallback;
}

Duration MapReader::Interval(std::string_view key, Duration fallback, Duration min, Duration max) {
  const YamlNode* node = Node(key);
  if (node == nullptr) return fallback;
  const auto value = node->IsScalar() ? ParseDuration(node->scalar()) : std::nullopt;
  if (value && *value >= min && *value <= max) return *value;
  ErrorAt(*node,
          "'" + std::string(key) + "' must be a duration " + Between(FormatDuration(min), FormatDuration(max)) +
              ", not " + Describe(*node),
          value ? "" : "durations have units, greatest first: 250ms, 30s, 15m, 4h, 7d, 1h30m");
  return fallback;
}

int64_t MapReader::Bytes(std::string_view key, int64_t fallback, int64_t min, int64_t max) {
  const YamlNode* node = Node(key);
  if (node == nullptr) return fallback;
  const auto value = node->IsScalar() ? ParseBytes(node->scalar()) : std::nullopt;
  if (value && *value >= min && *value <= max) return *value;
  ErrorAt(*node,
          "'" + std::string(key) + "' must be a size " + Between(FormatBytes(min), FormatBytes(max)) + ", not " +
              Describe(*node),
          value ? "" : "sizes are whole numbers of bytes, KiB, MiB, GiB or TiB: 1024, 900KiB, 64MiB");
  return fallback;
}

std::vector<std::string> MapReader::Strings(std::string_view key, bool required) {
  const YamlNode* node = Node(key, required);
  std::vector<std::string> texts;
  if (node == nullptr) return texts;
  if (node->IsScalar()) return {node->scalar()};
  if (node->IsMap()) {
    ErrorAt(*node, "'" + std::string(key) + "' must be a list of texts, not a map");
    return texts;
  }
  for (const YamlNode& item : node->list()) {
    if (item.IsScalar()) {
      texts.push_back(item.scalar());
    } else {
      ErrorAt(item, "'" + std::string(key) + "' must hold texts only, not " + Describe(item));
    }
  }
  if (required && node->list().empty()) ErrorAt(*node, "'" + std::string(key) + "' must not be empty");
  return texts;
}

size_t MapReader::Choice(std::string_view key, const std::vector<std::string_view>& choices, size_t fallback) {
  const YamlNode* node = Node(key);
  if (node == nullptr) return fallback;
  for (size_t i = 0; node->IsScalar() && i < choices.size(); ++i) {
    if (choices[i] == node->scalar()) return i;
  }
  const std::string_view near = node->IsScalar() ? DidYouMean(node->scalar(), choices) : std::string_view{};
  ErrorAt(*node, "'" + std::string(key) + "' must be one of " + Join(choices) + ", not " + Describe(*node),
          near.empty() ? "" : "did you mean '" + std::string(near) + "'?");
  return fallback;
}

void MapReader::Finish() {
  // Keys already there are no candidates for a misspelt one.
  std::vector<std::string_view> candidates;
  for (const std::string& key : known_) {
    if (node_.Find(key) == nullptr) candidates.push_back(key);
  }
  size_t unknown = 0;
  for (const YamlNode::Entry& entry : node_.map()) {
    if (known_.contains(entry.key) || ++unknown > kMaxUnknownKeys) continue;
    diagnostics_->Error({source_.name, entry.line, entry.column}, "unknown key '" + entry.key + "' in " + what_,
                        SourceLine(source_, entry.line), Suggest(entry.key, candidates, "further keys it may have"));
  }
  if (unknown > kMaxUnknownKeys) {
    ErrorHere(what_ + " has " + std::to_string(unknown - kMaxUnknownKeys) + " more unknown keys");
  }
}

}  // namespace triaged
