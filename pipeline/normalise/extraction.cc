#include "pipeline/normalise/extraction.h"

#include <charconv>
#include <cstring>
#include <type_traits>

#include "pipeline/base/utf8.h"

namespace triaged {
namespace {

using simdjson::dom::element_type;

constexpr size_t kBlockBytes = 64 * 1024;

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
  static_assert(std::is_standard_layout_v<Hit>, "Next() relies on the first member's address");
  states_.resize(trie.size());
  touched_.resize(trie.size());
  blocks_.push_back(std::make_unique<char[]>(kBlockBytes));
}

inline Extraction::NodeState& Extraction::Touch(PathTrie::Node node) {
  NodeState& state = states_[node];
  if (state.epoch != epoch_) {
    state = {epoch_, -1, -1};
    touched_[touched_count_++] = node;
  }
  return state;
}

inline Extraction::Hit& Extraction::AddHit(PathTrie::Node node) {
  NodeState& state = Touch(node);
  if (hit_count_ == hits_.size()) hits_.resize(hits_.size() * 2 + 64);
  const auto index = static_cast<int32_t>(hit_count_);
  Hit& hit = hits_[hit_count_++];
  hit.node = node;
  hit.next = -1;
  hit.state = HitState::kRaw;
  if (state.first < 0) {
    state.first = index;
  } else {
    hits_[static_cast<size_t>(state.last)].next = index;
  }
  state.last = index;
  return hit;
}

std::optional<NormaliseFailure> Extraction::Read(std::string_view record) {
  hit_count_ = touched_count_ = 0;
  block_ = used_ = embedded_used_ = 0;
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
  simdjson::dom::element root;
  const auto error = parser_.parse(buffer_.get(), record.size(), /*realloc_if_needed=*/false).get(root);
  if (error) return FromParser(error, limits_.max_depth);
  simdjson::dom::object object;
  if (root.get(object)) return Failure(NormaliseError::kNotAnObject, "valid JSON, but not an object");
  WalkObject(object, PathTrie::kRoot);
  return std::nullopt;
}

bool Extraction::ReadEmbedded(std::string_view text, PathTrie::Node node) {
  if (embedded_used_ == embedded_.size()) embedded_.push_back(std::make_unique<simdjson::dom::parser>());
  simdjson::dom::parser& parser = *embedded_[embedded_used_];
  const size_t depth = static_cast<size_t>(limits_.max_depth) + 1;
  if (parser.max_depth() != depth && parser.allocate(std::max(text.size(), size_t{4096}), depth)) return false;
  // The parser copies the text: it needs padding behind it.
  const auto parsed = parser.parse(text.data(), text.size(), /*realloc_if_needed=*/true);
  if (parsed.error()) return false;
  const simdjson::dom::element root = parsed.value_unsafe();
  if (!root.is_object() && !root.is_array()) return false;
  ++embedded_used_;
  WalkValue(root, node);
  return true;
}

void Extraction::AddText(PathTrie::Node node, std::string_view key, std::string_view text) {
  const PathTrie::Node child = trie_.Descend(node, key);
  if (child == PathTrie::kNone) return;
  Hit& hit = AddHit(child);
  hit.value = Value(text, trie_.Path(child));
  hit.state = IsNullWord(text) ? HitState::kNothing : HitState::kValue;
}

void Extraction::WalkObject(simdjson::dom::object object, PathTrie::Node node) {
  for (const auto field : object) {
    const PathTrie::Node child = trie_.Descend(node, field.key);
    if (child != PathTrie::kNone) WalkValue(field.value, child);
  }
  if (trie_.HasSelectors(node)) WalkSelected(object, node);
}

void Extraction::WalkSelected(simdjson::dom::object object, PathTrie::Node node) {
  for (const PathTrie::Selector& selector : trie_.Selectors(node)) {
    const auto found = object.at_key(selector.key);
    if (found.error()) continue;
    const simdjson::dom::element value = found.value_unsafe();
    std::string_view text;
    int64_t number = 0;
    const bool holds = !value.get(text)     ? text == selector.value
                       : !value.get(number) ? std::to_string(number) == selector.value
                                            : false;
    if (!holds) continue;
    Touch(selector.node);
    WalkObject(object, selector.node);
  }
}

std::string_view Extraction::Keep(std::string_view text) {
  if (text.size() > kBlockBytes) text = CutAtCodePoint(text, kBlockBytes);
  if (used_ + text.size() > kBlockBytes) {
    if (++block_ == blocks_.size()) blocks_.push_back(std::make_unique<char[]>(kBlockBytes));
    used_ = 0;
  }
  char* at = blocks_[block_].get() + used_;
  std::memcpy(at, text.data(), text.size());
  used_ += text.size();
  return {at, text.size()};
}

void Extraction::WalkArray(simdjson::dom::array array, PathTrie::Node node) {
  for (const auto item : array) WalkValue(item, node);
}

void Extraction::WalkValue(simdjson::dom::element element, PathTrie::Node node) {
  switch (element.type()) {
    case element_type::OBJECT:
      Touch(node);
      return WalkObject(element.get_object().value_unsafe(), node);
    case element_type::ARRAY:
      Touch(node);
      WalkArray(element.get_array().value_unsafe(), node);
      return;
    case element_type::NULL_VALUE: return;
    default: AddHit(node).element = element;
  }
}

void Extraction::Make(Hit* hit) {
  Value& value = hit->value;
  value.path = trie_.Path(hit->node);
  value.kind = ValueKind::kString;
  hit->state = HitState::kValue;
  char digits[32];
  const auto keep_digits = [&](std::to_chars_result end) {
    value.text = Keep({digits, static_cast<size_t>(end.ptr - digits)});
  };
  switch (hit->element.type()) {
    case element_type::INT64:
      value.kind = ValueKind::kInteger;
      value.integer = hit->element.get_int64().value_unsafe();
      return keep_digits(std::to_chars(digits, digits + sizeof digits, value.integer));
    case element_type::UINT64:
      value.kind = ValueKind::kUnsigned;
      value.unsigned_integer = hit->element.get_uint64().value_unsafe();
      return keep_digits(std::to_chars(digits, digits + sizeof digits, value.unsigned_integer));
    case element_type::DOUBLE:
      value.kind = ValueKind::kDouble;
      value.real = hit->element.get_double().value_unsafe();
      return keep_digits(std::to_chars(digits, digits + sizeof digits, value.real));
    case element_type::BOOL:
      value.kind = ValueKind::kBool;
      value.boolean = hit->element.get_bool().value_unsafe();
      value.text = value.boolean ? "true" : "false";
      return;
    default:
      value.text = hit->element.get_string().value_unsafe();
      if (IsNullWord(value.text)) hit->state = HitState::kNothing;
  }
}

}  // namespace triaged
