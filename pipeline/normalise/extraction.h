// Extraction: one pass over a JSON document that collects the values at the nodes of a PathTrie.
//
// The parser (simdjson DOM) validates the whole document. Arrays are transparent: an element is seen at the array's
// own node. A value is only converted when it is asked for, so what other tables would like to read costs a table next
// to nothing. All memory is reused; nothing is allocated per value once warm. One thread.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "pipeline/model/fields.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/normalise/path_trie.h"
#include "pipeline/normalise/tape.h"

namespace triaged {

// "-", "None", "N/A", "<NA>", "null", … and blank texts: a source's way to say there is nothing.
inline constexpr size_t kLongestNullWord = 6;
bool IsShortNullWord(std::string_view text);
inline bool IsNullWord(std::string_view text) {
  const auto blank = [](char ch) { return ch == ' ' || ch == '\t'; };
  // Most values are longer than any of the words, and neither begin nor end with a space.
  if (text.size() > kLongestNullWord && !blank(text.front()) && !blank(text.back())) return false;
  return IsShortNullWord(text);
}

class Extraction {
  enum class HitState : uint8_t { kRaw, kValue, kNothing };

 public:
  // A value of the document, at the node where it stands.
  struct Hit {
    std::string_view text;  // as in Value; of what is no string it is set when somebody asks for the value
    uint64_t bits = 0;      // of a number its bytes as in Value; of a truth value 0 or 1
    Hit* next = nullptr;    // at the same node
    PathTrie::Node node = PathTrie::kNone;
    ValueKind kind = ValueKind::kString;
    HitState state = HitState::kRaw;

    // Kind and number of what is no string.
    void CopyNumber(Value* to) const {
      to->kind = kind;
      switch (kind) {
        case ValueKind::kBool: to->boolean = bits != 0; break;
        case ValueKind::kDouble: std::memcpy(&to->real, &bits, sizeof to->real); break;
        default: to->unsigned_integer = bits;
      }
    }
  };

  // `trie` must outlive this.
  Extraction(const PathTrie& trie, NormaliseLimits limits);
  // Neither copied nor moved: ends_ points to nothing_.
  Extraction(const Extraction&) = delete;
  Extraction& operator=(const Extraction&) = delete;

  // Parses and walks `record`, which may be a value of the record before. Values are valid until the next call.
  std::optional<NormaliseFailure> Read(std::string_view record);

  // Parses `text`, a JSON object or array inside a string of the record, and walks it below `node`. False when it is
  // neither (broken or nested too deep): then nothing is added.
  bool ReadEmbedded(std::string_view text, PathTrie::Node node);
  // Adds one text at the path `key` below `node` (of key=value text). Both texts must live as long as the values.
  void AddText(PathTrie::Node node, std::string_view key, std::string_view text);

  // Whether the record or a document in it has a whole number beyond 64 bits: it became a text of its digits.
  bool quoted() const { return quoted_; }

  // The nodes that are present, in the order of the document.
  std::span<const PathTrie::Node> touched() const { return {touched_.data(), touched_count_}; }

  // Whether the path exists with anything but null.
  bool Present(PathTrie::Node node) const { return ends_[node].first != nullptr; }
  // The first value at the node, or nullptr. Null words and empty texts are no values.
  const Hit* First(PathTrie::Node node) { return Made(ends_[node].first); }
  const Hit* Next(const Hit* hit) { return Made(hit->next); }
  std::string_view Path(const Hit& hit) const { return trie_.Path(hit.node); }
  // The hit as a value of a field. Where it goes into one at once, FieldTable::Add(id, text, path) is quicker.
  Value ValueOf(const Hit& hit) const {
    Value value(hit.text, Path(hit));
    if (hit.kind != ValueKind::kString) hit.CopyNumber(&value);
    return value;
  }

  // Room for texts that must live as long as the values (notes, split addresses).
  std::string_view Keep(std::string_view text);
  // As much room to write them into, at most kMostRoom.
  static constexpr size_t kMostRoom = 64 * 1024;
  char* Room(size_t size) {
    if (used_ + size > kMostRoom) NextBlock();
    char* const at = blocks_[block_].get() + used_;
    used_ += size;
    return at;
  }

 private:
  // The hits at a node. Of one that is there without a value of its own, both are `nothing_`.
  struct Ends {
    Hit* first = nullptr;  // nullptr: the node is not there, and `last` is of another record
    Hit* last = nullptr;
  };
  static constexpr size_t kBlockHits = 64;
  // Parses `text` once more, after simdjson found a number in it that it cannot read.
  simdjson::error_code ParseQuoted(simdjson::dom::parser* parser, std::string_view text);
  // Each takes the place on the tape of what it walks.
  void WalkObject(const Tape& tape, size_t at, PathTrie::Node node);
  void WalkSelected(const Tape& tape, size_t at, PathTrie::Node node);
  void WalkArray(const Tape& tape, size_t at, PathTrie::Node node);
  void WalkValue(const Tape& tape, size_t at, PathTrie::Node node);
  Hit* AddHit(PathTrie::Node node, ValueKind kind);
  void AddString(PathTrie::Node node, std::string_view text);
  void AddOther(PathTrie::Node node, char kind, uint64_t bits);
  void Touch(PathTrie::Node node);
  // The first from `hit` on that is a value.
  const Hit* Made(Hit* hit) {
    for (; hit; hit = hit->next) {
      if (hit->state == HitState::kRaw) Make(hit);
      if (hit->state == HitState::kValue) return hit;
    }
    return nullptr;
  }
  void Make(Hit* hit) {
    hit->state = HitState::kValue;
    if (hit->kind != ValueKind::kString) return Print(hit);
    if (IsNullWord(hit->text)) hit->state = HitState::kNothing;
  }
  void NextBlock();
  void NextHits();
  void Print(Hit* hit);

  const PathTrie& trie_;
  NormaliseLimits limits_;
  simdjson::dom::parser parser_;
  std::vector<std::unique_ptr<simdjson::dom::parser>> embedded_;  // a document each, of this record
  size_t embedded_used_ = 0;
  bool quoted_ = false;
  std::unique_ptr<char[]> buffer_;
  size_t buffer_size_ = 0;
  std::vector<std::unique_ptr<Hit[]>> hits_;  // blocks of kBlockHits
  size_t hit_blocks_ = 0;                     // of them those of this record; what follows is room
  Hit* next_hit_ = nullptr;                   // in the last of these
  Hit* hits_end_ = nullptr;
  Hit nothing_;
  std::vector<Ends> ends_;               // by node
  std::vector<PathTrie::Node> touched_;  // room for every node
  size_t touched_count_ = 0;
  std::vector<std::unique_ptr<char[]>> blocks_;  // arena for number texts and kept texts
  size_t block_ = 0;
  size_t used_ = 0;
};

}  // namespace triaged
