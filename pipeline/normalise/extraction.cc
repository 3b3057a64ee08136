#include "pipeline/normalise/extraction.h"

#include <charconv>
#include <cstring>
#include <type_traits>

#include "pipeline/base/utf8.h"
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

bool IsNullWord(std::string_view text) {
  // Most values are longer than any of the words, and begin with no space.
  if (text.size() > 6 && text.front() != ' ' && text.front() != '\t' && text.back() != ' ' && text.back() != '\t') return false;
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  if (text.size() > 6) return false;
  if (!text.empty() && std::string_view("-Nn<(").find(text.front()) == std::string_view::npos) return false;
  constexpr std::string_view kWords[] = {"", "-", "--", "None", "none", "N/A", "n/a", "<NA>", "null", "NULL", "(null)", "<nil>"};
  for (std::string_view word : kWords) {
    if (text == word) return true;
  }
  return false;
}

Extraction::Extraction(const PathTrie& trie, NormaliseLimits limits) : trie_(trie), limits_(limits) {
  hits_.resize(64);
  static_assert(sizeof(Hit) == 64);
  static_assert(std::is_standard_layout_v<Hit>, "Next() relies on the first member's address");
  states_.resize(trie.size());
  touched_.resize(trie.size());
  blocks_.push_back(std::make_unique<char[]>(kMostRoom));
}

inline Extraction::NodeState& Extraction::Touch(PathTrie::Node node) {
  NodeState& state = states_[node];
  if (state.epoch != epoch_) {
    state = {epoch_, -1, -1};
    touched_[touched_count_++] = node;
  }
  return state;
}

inline void Extraction::AddHit(PathTrie::Node node, char kind, uint64_t bits) {
  if (hit_count_ == hits_.size()) hits_.resize(hits_.size() * 2);
  const auto index = static_cast<int32_t>(hit_count_);
  Hit& hit = hits_[hit_count_++];
  hit.value.unsigned_integer = bits;
  hit.node = node;
  hit.next = -1;
  hit.state = HitState::kRaw;
  hit.kind = kind;
  NodeState& state = Touch(node);
  if (state.first < 0) {
    state.first = index;
  } else {
    hits_[static_cast<size_t>(state.last)].next = index;
  }
  state.last = index;
}

std::optional<NormaliseFailure> Extraction::Read(std::string_view record) {
  hit_count_ = touched_count_ = 0;
  block_ = used_ = embedded_used_ = 0;
  quoted_ = false;
  if (++epoch_ == 0) {
    states_.assign(states_.size(), NodeState{});
    epoch_ = 1;
  }
  if (record.empty()) return Failure(NormaliseError::kEmpty, "the record has no value");
  if (record.size() > limits_.max_bytes) {
    return Failure(NormaliseError::kTooLarge, std::to_string(record.size()) + " bytes, the limit (limits.alert_bytes) is " +
                                                  std::to_string(limits_.max_bytes));
  }
  if (record.starts_with("\xef\xbb\xbf")) record.remove_prefix(3);
  const size_t first = record.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return Failure(NormaliseError::kEmpty, "nothing but white space");
  // Copied into a buffer of our own with the padding the parser reads beyond the end, zeroed (simdjson #1834).
  if (buffer_size_ < record.size() + simdjson::SIMDJSON_PADDING) {
    buffer_size_ = record.size() * 2 + simdjson::SIMDJSON_PADDING;
    buffer_ = std::make_unique<char[]>(buffer_size_);
  }
  std::memcpy(buffer_.get(), record.data(), record.size());
  std::memset(buffer_.get() + record.size(), 0, simdjson::SIMDJSON_PADDING);
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
  if (child == PathTrie::kNone) return;
  AddHit(child, '"', 0);
  Hit& hit = hits_[hit_count_ - 1];
  hit.value = Value(text, trie_.Path(child));
  hit.state = IsNullWord(text) ? HitState::kNothing : HitState::kValue;
}

void Extraction::WalkObject(const Tape& tape, size_t at, PathTrie::Node node) {
  const PathTrie::Children children = trie_.ChildrenOf(node);
  if (!children.empty()) {
    const size_t end = tape.End(at) - 1;
    size_t key = at + 1;
    while (key < end) {
      const PathTrie::Node child = trie_.Descend(node, children, PathTrie::OfPadded(tape.Text(key)));
      const size_t value = key + 1;
      const uint64_t word = tape.Word(value);
      if (Tape::KindOf(word) == '"') {  // most are
        if (child != PathTrie::kNone) AddHit(child, '"', tape.Place(word));
        key = value + 1;
        continue;
      }
      key = tape.Past(value);
      if (child != PathTrie::kNone) WalkValue(tape, value, child);
    }
  }
  if (trie_.HasSelectors(node)) WalkSelected(tape, at, node);
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
  switch (Tape::KindOf(word)) {
    case '"': return AddHit(node, '"', tape.Place(word));
    case '{':
      Touch(node);
      return WalkObject(tape, at, node);
    case '[':
      Touch(node);
      return WalkArray(tape, at, node);
    case 'n': return;
    case 't':
    case 'f': return AddHit(node, Tape::KindOf(word), 0);
    default: AddHit(node, Tape::KindOf(word), tape.Word(at + 1));
  }
}

void Extraction::Make(Hit* hit) {
  Value& value = hit->value;
  value.path = trie_.Path(hit->node);
  hit->state = HitState::kValue;
  if (hit->kind != '"') return MakeNumber(hit);
  value.kind = ValueKind::kString;
  value.text = Tape::TextAt(value.unsigned_integer);
  value.integer = 0;
  if (IsNullWord(value.text)) hit->state = HitState::kNothing;
}

void Extraction::MakeNumber(Hit* hit) {
  constexpr size_t kMostDigits = 32;
  Value& value = hit->value;
  const auto print = [&](auto number) {
    char* const digits = Room(kMostDigits);
    const auto end = std::to_chars(digits, digits + kMostDigits, number);
    used_ -= static_cast<size_t>(digits + kMostDigits - end.ptr);
    value.text = {digits, static_cast<size_t>(end.ptr - digits)};
  };
  switch (hit->kind) {
    case 'l':
      value.kind = ValueKind::kInteger;
      return print(value.integer);
    case 'u':
      value.kind = ValueKind::kUnsigned;
      return print(value.unsigned_integer);
    case 'd': {
      const uint64_t bits = value.unsigned_integer;
      value.kind = ValueKind::kDouble;
      std::memcpy(&value.real, &bits, sizeof value.real);
      return print(value.real);
    }
    default:
      value.kind = ValueKind::kBool;
      value.boolean = hit->kind == 't';
      value.text = value.boolean ? "true" : "false";
  }
}

}  // namespace triaged
