#include "pipeline/base/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <new>
#include <sstream>

#include "pipeline/base/utf8.h"

namespace triaged {
namespace {

// After this many problems of one file the rest is noise.
constexpr int kMaxReports = 50;
constexpr size_t kMaxSnippetBytes = 160;

// Put behind every text, and the empty document it begins is left out: yaml-cpp takes the end of the file for a missing
// closing quote, but refuses a document's beginning inside quotes. So no file that was cut off passes for a whole one.
constexpr std::string_view kSentinel = "---\n";

// Leaves yaml-cpp's parser from within an event; the reason is already in the diagnostics.
struct Stop {};

// The first control character, which YAML forbids; yaml-cpp even takes 0x04 for the end of the file and drops what
// follows. text.size(): none.
size_t FindControl(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f) return i;
  }
  return text.size();
}

SourceLocation LocationOf(const SourceFile& file, size_t offset) {
  SourceLocation where{file.name, 1, 1};
  for (size_t i = 0; i < offset && i < file.text.size(); ++i) {
    ++where.column;
    if (file.text[i] == '\n') {
      ++where.line;
      where.column = 1;
    }
  }
  return where;
}

}  // namespace

// Builds trees from yaml-cpp's events. Its node API would hide anchors and keep the last of two equal keys.
class YamlBuilder : public YAML::EventHandler {
 public:
  // `sentinel_line`: of kSentinel behind the text, from 0. Both pointers must outlive the builder.
  YamlBuilder(const SourceFile& source, int sentinel_line, Diagnostics* diagnostics)
      : source_(source), sentinel_line_(sentinel_line), diagnostics_(diagnostics) {}

  int reports() const { return reports_; }
  std::vector<YamlNode> TakeDocuments() { return std::move(documents_); }

  // Reports at a place counted from 0, as yaml-cpp does; stops the parse when there are too many.
  void Report(const YAML::Mark& mark, std::string message, std::string hint = {}) {
    const bool known = !mark.is_null();
    const int line = known ? mark.line + 1 : 0;
    diagnostics_->Error({source_.name, line, known ? mark.column + 1 : 0}, std::move(message),
                        SourceLine(source_, line), std::move(hint));
    if (++reports_ >= kMaxReports) throw Stop{};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    // yaml-cpp reads whatever follows a complete document as the next one. Only "---" begins one here, else a stray
    // line would vanish into a document of its own.
    at_sentinel_ = mark.line >= sentinel_line_;
    if (at_sentinel_ || documents_.empty()) return;
    if (mark.column != 0 || !LineBegins(mark.line, "---")) {
      Report(mark, "there is text behind the end of the document",
             "check the indentation, or begin a document with ---");
      throw Stop{};
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (at_sentinel_) return;
    RefuseAnchor(mark, anchor);
    if (ExpectsKey()) {
      Report(mark, "a map's key must be text", "put the key into quotes");
      throw Stop{};
    }
    Attach(NewNode(YamlNode::Kind::kNull, mark));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Report(mark, "aliases (*name) are not allowed", "write the value out, or quote it if it is text");
    throw Stop{};
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    RefuseAnchor(mark, anchor);
    if (tag != "?" && tag != "!") RefuseTag(mark, tag);
    if (ExpectsKey()) return SetKey(mark, value, tag == "!");
    YamlNode node = NewNode(YamlNode::Kind::kScalar, mark);
    node.scalar_ = value;
    node.quoted_ = tag == "!";  // yaml-cpp's mark of quoted and block scalars
    Attach(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map whose end has not come yet.
  struct Frame {
    YamlNode node;
    std::set<std::string, std::less<>> keys;  // of a map, to find duplicates in any size of map
    bool has_key = false;                     // the next node is the value of the last entry
  };

  // Whether the line (from 0) begins so. Lines are asked for in order, so that a file of many documents is read once.
  bool LineBegins(int line, std::string_view begin) {
    for (; cursor_line_ < line; ++cursor_line_) {
      const size_t end = source_.text.find('\n', cursor_);
      if (end == std::string::npos) return false;
      cursor_ = end + 1;
    }
    return source_.text.compare(cursor_, begin.size(), begin) == 0;
  }

  bool ExpectsKey() const { return !open_.empty() && open_.back().node.IsMap() && !open_.back().has_key; }

  void RefuseAnchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      Report(mark, "anchors (&name) are not allowed", "write the value out, or quote it if it is text");
    }
  }

  void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    Report(mark, "tags are not allowed: '" + SanitiseUtf8(tag.substr(0, 64)) + "'",
           "remove it; quotes make a value text");
  }

  // Keys count as well as values.
  void CountNode(const YAML::Mark& mark) {
    if (++nodes_ <= kYamlMaxNodes) return;
    Report(mark, "the file has more than " + std::to_string(kYamlMaxNodes) + " keys and values", "split it");
    throw Stop{};
  }

  YamlNode NewNode(YamlNode::Kind kind, const YAML::Mark& mark) {
    CountNode(mark);
    YamlNode node;
    node.kind_ = kind;
    node.line_ = mark.line + 1;
    node.column_ = mark.column + 1;
    return node;
  }

  void SetKey(const YAML::Mark& mark, const std::string& key, bool quoted) {
    Frame& frame = open_.back();
    if (key == "<<" && !quoted) Report(mark, "merge keys (<<) are not allowed", "write the entries out");
    if (!frame.keys.insert(key).second) {
      int first = 0;
      for (const auto& entry : frame.node.map_) {
        if (first == 0 && entry.key == key) first = entry.line;
      }
      Report(mark, "the key '" + key + "' is there twice", "the first one is in line " + std::to_string(first));
    }
    CountNode(mark);
    YamlNode::Entry entry;
    entry.key = key;
    entry.line = mark.line + 1;
    entry.column = mark.column + 1;
    frame.node.map_.push_back(std::move(entry));
    frame.has_key = true;
  }

  void Open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    RefuseAnchor(mark, anchor);
    if (!tag.empty() && tag != "?") RefuseTag(mark, tag);
    if (ExpectsKey()) {
      Report(mark, "a map's key must be text, not a list or a map",
             "a value that begins with { or [ needs quotes");
      throw Stop{};
    }
    if (open_.size() >= static_cast<size_t>(kYamlMaxDepth)) {
      Report(mark, "lists and maps are nested deeper than " + std::to_string(kYamlMaxDepth) + " levels");
      throw Stop{};
    }
    open_.push_back({NewNode(kind, mark), {}, false});
  }

  void Close() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    Attach(std::move(node));
  }

  void Attach(YamlNode node) {
    if (open_.empty()) {
      documents_.push_back(std::move(node));
      return;
    }
    Frame& frame = open_.back();
    if (frame.node.IsList()) {
      frame.node.list_.push_back(std::move(node));
    } else {
      frame.node.map_.back().value = std::move(node);
      frame.has_key = false;
    }
  }

  const SourceFile& source_;
  const int sentinel_line_;
  Diagnostics* diagnostics_;
  bool at_sentinel_ = false;
  int reports_ = 0;
  size_t nodes_ = 0;
  int cursor_line_ = 0;
  size_t cursor_ = 0;  // where cursor_line_ begins
  std::vector<Frame> open_;
  std::vector<YamlNode> documents_;
};

namespace {

// What must hold before the parser sees the bytes.
bool CheckBytes(const SourceFile& file, Diagnostics* diagnostics) {
  if (file.text.size() > kYamlMaxBytes) {
    diagnostics->Error({file.name, 0, 0},
                       "the file has " + std::to_string(file.text.size()) + " bytes; at most " +
                           std::to_string(kYamlMaxBytes) + " are read",
                       {}, "split it");
    return false;
  }
  const size_t control = FindControl(file.text);
  const size_t invalid = FindInvalidUtf8(file.text);
  const size_t at = std::min(control, invalid);
  if (at == file.text.size()) return true;
  std::string message = control < invalid ? "control characters are not allowed" : "the file is not valid UTF-8";
  SourceLocation where = LocationOf(file, at);
  const int line = where.line;
  diagnostics->Error(std::move(where), std::move(message), SourceLine(file, line),
                     "save the file as UTF-8 text; in double quotes \\x1b writes a control character");
  return false;
}

void ReportSyntaxError(const YAML::Exception& error, const SourceFile& file, int lines, Diagnostics* diagnostics) {
  if (error.mark.line >= lines) {  // at the sentinel
    diagnostics->Error({file.name, lines, 0}, "the file ends inside a quoted text, a list or a map",
                       SourceLine(file, lines), "look for a missing quote or bracket");
    return;
  }
  const int line = error.mark.is_null() ? 0 : error.mark.line + 1;
  const int column = error.mark.is_null() ? 0 : error.mark.column + 1;
  const std::string text = SourceLine(file, line);
  const bool tab = text.substr(0, text.find_first_not_of(" \t")).find('\t') != std::string::npos;
  diagnostics->Error({file.name, line, column}, "this is no valid YAML: " + error.msg, text,
                     tab ? "a tab cannot indent: YAML takes spaces" : "");
}

}  // namespace

std::optional<YamlFile> ParseYaml(SourceFile file, Diagnostics* diagnostics) {
  if (!CheckBytes(file, diagnostics)) return std::nullopt;
  auto source = std::make_shared<const SourceFile>(std::move(file));
  std::string text = source->text;
  if (!text.empty() && text.back() != '\n') text += '\n';
  const auto lines = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  text += kSentinel;
  YamlBuilder builder(*source, lines, diagnostics);
  try {
    std::istringstream stream(std::move(text));
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop&) {
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    ReportSyntaxError(error, *source, lines, diagnostics);
    return std::nullopt;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    diagnostics->Error({source->name, 0, 0}, std::string("this is no valid YAML: ") + error.what());
    return std::nullopt;
  }
  if (builder.reports() > 0) return std::nullopt;
  return YamlFile{std::move(source), builder.TakeDocuments()};
}

std::string SourceLine(const SourceFile& source, int line) {
  if (line < 1) return {};
  const std::string& text = source.text;
  size_t begin = 0;
  for (int i = 1; i < line; ++i) {
    begin = text.find('\n', begin);
    if (begin == std::string::npos) return {};
    ++begin;
  }
  const size_t end = std::min(text.find('\n', begin), text.size());
  std::string_view cut = CutAtCodePoint(std::string_view(text).substr(begin, end - begin), kMaxSnippetBytes);
  if (!cut.empty() && cut.back() == '\r') cut.remove_suffix(1);
  std::string shown = SanitiseUtf8(cut);
  // A terminal must not obey what a file contains.
  for (char& c : shown) {
    if ((static_cast<uint8_t>(c) < 0x20 && c != '\t') || c == 0x7f) c = ' ';
  }
  return shown;
}

}  // namespace triaged
