#include "pipeline/normalise/extraction.h"

#include <charconv>
#include <cstring>
#include <type_traits>

#include "pipeline/base/utf8.h"
#include "pipeline/normalise/number_text.h"
#include "pipeline/normalise/wide_numbers.h"

namespace triaged {
namespace {

NormaliseFailure Failure(NormaliseError reason, std::string message) { return {reason, std::move(message)}; }

NormaliseFailure FromParser(simdjson::error_code code, int max_depth) {
  switch (code) {
    case simdjson::DEPTH_ERROR:
      return Failure(NormaliseError::kTooDeep, "nested deeper than " + std::to_string(max_depth) + " levels");
    case simdjson::UTF8_ERROR: return Failure(NormaliseError::kInvalidUtf8, "not valid UTF-8");
    case simdjson::EMPTY: return Failure(NormaliseError::kEmpty, "nothing but white space");
    default: return Failure(NormaliseError::kInvalidJson, simdjson::error_message(code));
  }
}

}  // namespace

bool IsShortNullWord(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  if (text.empty()) return true;
  if (text.size() > kLongestNullWord) return false;
  const auto is_one_of = [text](const auto&... words) { return ((text == words) || ...); };
  switch (text.front()) {
    case '-': return is_one_of("-", "--");
    case 'N': return is_one_of("None", "N/A", "NULL");
    case 'n': return is_one_of("none", "n/a", "null");
    case '<': return is_one_of("<NA>", "<nil>");
    case '(': return text == "(null)";
    case '\0': return text.size() == 1;
    default: return false;
  }
}

Extraction::Extraction(const PathTrie& trie, NormaliseLimits limits) : trie_(trie), limits_(limits) {
  nothing_.state = HitState::kNothing;
  ends_.resize(trie.size());
  touched_.resize(trie.size());
  blocks_.push_back(std::make_unique<char[]>(kMostRoom));
}

inline void Extraction::Touch(PathTrie::Node node) {
  if (ends_[node].first) return;
  ends_[node] = {&nothing_, &nothing_};
  touched_[touched_count_++] = node;
}

void Extraction::NextHits() {
  if (hit_blocks_ == hits_.size()) hits_.push_back(std::make_unique<Hit[]>(kBlockHits));
  next_hit_ = hits_[hit_blocks_++].get();
  hits_end_ = next_hit_ + kBlockHits;
}

inline Extraction::Hit* Extraction::AddHit(PathTrie::Node node, ValueKind kind) {
  if (next_hit_ == hits_end_) NextHits();
  Hit* const hit = next_hit_++;
  hit->next = nullptr;
  hit->node = node;
  hit->kind = kind;
  hit->state = HitState::kRaw;
  Ends& ends = ends_[node];
  if (!ends.first) {
    touched_[touched_count_++] = node;
    ends.first = hit;
  } else if (ends.first == &nothing_) {
    ends.first = hit;
  } else {
    ends.last->next = hit;
  }
  ends.last = hit;
  return hit;
}

inline void Extraction::AddString(PathTrie::Node node, std::string_view text) {
  AddHit(node, ValueKind::kString)->text = text;
}

// `kind` and `bits` as the tape has them; of null there is nothing to add.
inline void Extraction::AddOther(PathTrie::Node node, char kind, uint64_t bits) {
  switch (kind) {
    case 'l': AddHit(node, ValueKind::kInteger)->bits = bits; return;
    case 'u': AddHit(node, ValueKind::kUnsigned)->bits = bits; return;
    case 'd': AddHit(node, ValueKind::kDouble)->bits = bits; return;
    case 't':
    case 'f': AddHit(node, ValueKind::kBool)->bits = kind == 't'; return;
    default: return;
  }
}

std::optional<NormaliseFailure> Extraction::Read(std::string_view record) {
  for (PathTrie::Node node : touched()) ends_[node].first = nullptr;
  touched_count_ = hit_blocks_ = 0;
  next_hit_ = hits_end_ = nullptr;
  block_ = used_ = embedded_used_ = 0;
  quoted_ = false;
  if (record.empty()) return Failure(NormaliseError::kEmpty, "the record has no value");
  if (record.size() > limits_.max_bytes) {
    return Failure(NormaliseError::kTooLarge, std::to_string(record.size()) + " bytes, the limit (limits.alert_bytes) is " +
                                                  std::to_string(limits_.max_bytes));
  }
  if (record.starts_with("\xef\xbb\xbf")) record.remove_prefix(3);
  if (!record.starts_with('{') && record.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return Failure(NormaliseError::kEmpty, "nothing but white space");
  }
  // Copied into a buffer of our own with the padding the parser reads beyond the end, zeroed (simdjson #1834).
  if (buffer_size_ < record.size() + simdjson::SIMDJSON_PADDING) {
    buffer_size_ = record.size() * 2 + simdjson::SIMDJSON_PADDING;
    buffer_ = std::make_unique<char[]>(buffer_size_);
  }
  std::memcpy(buffer_.get(), record.data(), record.size());
  std::memset(buffer_.get() + record.size(), 0, simdjson::SIMDJSON_PADDING);
  record = {buffer_.get(), record.size()};  // it may have been a text of the document that goes now
  if (parser_.capacity() < record.size() || parser_.max_depth() != static_cast<size_t>(limits_.max_depth) + 1) {
    const size_t capacity = std::max(record.size() * 2, size_t{4096});
    if (const auto error = parser_.allocate(capacity, static_cast<size_t>(limits_.max_depth) + 1)) {
      return FromParser(error, limits_.max_depth);
    }
  }
  auto error = parser_.parse(buffer_.get(), record.size(), /*realloc_if_needed=*/false).error();
  if (error == simdjson::NUMBER_ERROR) error = ParseQuoted(&parser_, record);
  if (error) return FromParser(error, limits_.max_depth);
  const Tape tape(parser_.doc);
  if (tape.Kind(Tape::kRoot) != '{') return Failure(NormaliseError::kNotAnObject, "valid JSON, but not an object");
  WalkObject(tape, Tape::kRoot, PathTrie::kRoot);
  return std::nullopt;
}

simdjson::error_code Extraction::ParseQuoted(simdjson::dom::parser* parser, std::string_view text) {
  const auto quoted = QuoteWideNumbers(text);
  if (!quoted) return simdjson::NUMBER_ERROR;
  // The parser copies it, and the document keeps its texts: `quoted` may go.
  const auto error = parser->parse(quoted->data(), quoted->size(), /*realloc_if_needed=*/true).error();
  quoted_ = quoted_ || !error;
  return error;
}

bool Extraction::ReadEmbedded(std::string_view text, PathTrie::Node node) {
  // Most texts are no document: their first byte says so, and the parser is not asked.
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (text[first] != '{' && text[first] != '[')) return false;
  if (embedded_used_ == embedded_.size()) embedded_.push_back(std::make_unique<simdjson::dom::parser>());
  simdjson::dom::parser& parser = *embedded_[embedded_used_];
  const size_t depth = static_cast<size_t>(limits_.max_depth) + 1;
  if (parser.max_depth() != depth && parser.allocate(std::max(text.size(), size_t{4096}), depth)) return false;
  // The parser copies the text: it needs padding behind it.
  auto error = parser.parse(text.data(), text.size(), /*realloc_if_needed=*/true).error();
  if (error == simdjson::NUMBER_ERROR) error = ParseQuoted(&parser, text);
  if (error) return false;
  ++embedded_used_;
  WalkValue(Tape(parser.doc), Tape::kRoot, node);
  return true;
}

void Extraction::AddText(PathTrie::Node node, std::string_view key, std::string_view text) {
  const PathTrie::Node child = trie_.Descend(node, key);
  if (child != PathTrie::kNone) AddString(child, text);
}

void Extraction::WalkObject(const Tape& tape, size_t at, PathTrie::Node node) {
  const PathTrie::Children children = trie_.ChildrenOf(node);
  if (!children.empty()) {
    const size_t end = tape.End(at) - 1;
    for (size_t key = at + 1; key < end;) {
      const PathTrie::Node child = trie_.Descend(children, PathTrie::OfPadded(tape.Text(key)));
      const size_t value = key + 1;
      const uint64_t word = tape.Word(value);
      const char kind = Tape::KindOf(word);
      if (kind == '"') {  // most are
        if (child != PathTrie::kNone) AddString(child, tape.TextOf(word));
        key = value + 1;
        continue;
      }
      if (Tape::IsContainer(kind)) {
        key = Tape::EndOf(word);
        if (child != PathTrie::kNone) WalkValue(tape, value, child);
        continue;
      }
      const bool number = Tape::IsNumber(kind);
      key = value + 1 + number;
      if (child != PathTrie::kNone) AddOther(child, kind, number ? tape.Word(value + 1) : 0);
    }
  }
  if (children.selectors()) WalkSelected(tape, at, node);
}

void Extraction::WalkSelected(const Tape& tape, size_t at, PathTrie::Node node) {
  for (const PathTrie::Selector& selector : trie_.Selectors(node)) {
    const size_t end = tape.End(at) - 1;
    size_t key = at + 1;
    while (key < end && tape.Text(key) != selector.key) key = tape.Past(key + 1);
    if (key >= end) continue;
    const char kind = tape.Kind(key + 1);
    const bool holds = kind == '"' ? tape.Text(key + 1) == selector.value
                                   : kind == 'l' && std::to_string(static_cast<int64_t>(tape.Word(key + 2))) == selector.value;
    if (!holds) continue;
    Touch(selector.node);
    WalkObject(tape, at, selector.node);
  }
}

std::string_view Extraction::Keep(std::string_view text) {
  if (text.size() > kMostRoom) text = CutAtCodePoint(text, kMostRoom);
  char* const at = Room(text.size());
  std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

void Extraction::NextBlock() {
  if (++block_ == blocks_.size()) blocks_.push_back(std::make_unique<char[]>(kMostRoom));
  used_ = 0;
}

void Extraction::WalkArray(const Tape& tape, size_t at, PathTrie::Node node) {
  const size_t end = tape.End(at) - 1;
  for (size_t item = at + 1; item < end; item = tape.Past(item)) WalkValue(tape, item, node);
}

void Extraction::WalkValue(const Tape& tape, size_t at, PathTrie::Node node) {
  const uint64_t word = tape.Word(at);
  const char kind = Tape::KindOf(word);
  if (kind == '"') return AddString(node, tape.TextOf(word));
  if (!Tape::IsContainer(kind)) return AddOther(node, kind, Tape::IsNumber(kind) ? tape.Word(at + 1) : 0);
  Touch(node);
  if (kind == '{') return WalkObject(tape, at, node);
  WalkArray(tape, at, node);
}

void Extraction::Print(Hit* hit) {
  if (hit->kind == ValueKind::kBool) {
    hit->text = hit->bits != 0 ? "true" : "false";
    return;
  }
  char* const digits = Room(kDoubleSize);
  char* const last = digits + kDoubleSize;
  char* end = digits;
  if (hit->kind == ValueKind::kDouble) {
    double real;
    std::memcpy(&real, &hit->bits, sizeof real);
    end = PutDouble(real, digits);
  } else if (hit->kind == ValueKind::kInteger) {
    end = std::to_chars(digits, last, static_cast<int64_t>(hit->bits)).ptr;
  } else {
    end = std::to_chars(digits, last, hit->bits).ptr;
  }
  used_ -= static_cast<size_t>(last - end);
  hit->text = {digits, static_cast<size_t>(end - digits)};
}

}  // namespace triaged
