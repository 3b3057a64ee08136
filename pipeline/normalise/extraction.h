// Extraction: one pass over a JSON document that collects the values at the nodes of a PathTrie.
//
// The parser (simdjson DOM) validates the whole document. Arrays are transparent: an element is seen at the array's
// own node. A value is only converted when it is asked for, so what other tables would like to read costs a table next
// to nothing. All memory is reused; nothing is allocated per value once warm. One thread.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <deque>
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

class Extraction {
 public:
  // `trie` must outlive this.
  Extraction(const PathTrie& trie, NormaliseLimits limits);

  // Parses and walks `record`. Values are valid until the next call.
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
  bool Present(PathTrie::Node node) const { return states_[node].epoch == epoch_; }
  // The first value at the node, or nullptr. Null words and empty texts are no values.
  const Value* First(PathTrie::Node node) { return Present(node) ? Made(states_[node].first) : nullptr; }
  const Value* Next(const Value* value) { return Made(reinterpret_cast<const Hit*>(value)->next); }

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
  enum class HitState : uint8_t { kRaw, kValue, kNothing };
  struct Hit {
    Value value;  // first member: Next() goes from one to the other; before it is made, `integer` has the tape's bits
    PathTrie::Node node = PathTrie::kNone;
    int32_t next = -1;
    HitState state = HitState::kRaw;
    char kind = '"';       // as the tape has it
  };
  struct NodeState {
    uint32_t epoch = 0;  // the rest is of this record when it is the current one
    int32_t first = -1;
    int32_t last = -1;
  };

  // Parses `text` once more, after simdjson found a number in it that it cannot read.
  simdjson::error_code ParseQuoted(simdjson::dom::parser* parser, std::string_view text);
  // Each takes the place on the tape of what it walks.
  void WalkObject(const Tape& tape, size_t at, PathTrie::Node node);
  void WalkSelected(const Tape& tape, size_t at, PathTrie::Node node);
  void WalkArray(const Tape& tape, size_t at, PathTrie::Node node);
  void WalkValue(const Tape& tape, size_t at, PathTrie::Node node);
  void AddHit(PathTrie::Node node, char kind, uint64_t bits);
  NodeState& Touch(PathTrie::Node node);
  // The first hit from `index` on that is a value.
  const Value* Made(int32_t index) {
    while (index >= 0) {
      Hit& hit = hits_[static_cast<size_t>(index)];
      if (hit.state == HitState::kRaw) Make(&hit);
      if (hit.state == HitState::kValue) return &hit.value;
      index = hit.next;
    }
    return nullptr;
  }
  void NextBlock();
  void Make(Hit* hit);
  void MakeNumber(Hit* hit);

  const PathTrie& trie_;
  NormaliseLimits limits_;
  simdjson::dom::parser parser_;
  std::vector<std::unique_ptr<simdjson::dom::parser>> embedded_;  // a document each, of this record
  size_t embedded_used_ = 0;
  bool quoted_ = false;
  std::unique_ptr<char[]> buffer_;
  size_t buffer_size_ = 0;
  std::vector<Hit> hits_;  // the first hit_count_ are of this record; the others are room
  size_t hit_count_ = 0;
  std::vector<NodeState> states_;  // by node
  uint32_t epoch_ = 0;
  std::vector<PathTrie::Node> touched_;  // room for every node
  size_t touched_count_ = 0;
  std::vector<std::unique_ptr<char[]>> blocks_;  // arena for number texts and kept texts
  size_t block_ = 0;
  size_t used_ = 0;
};

// "-", "None", "N/A", "<NA>", "null", … and blank texts: a source's way to say there is nothing.
bool IsNullWord(std::string_view text);

}  // namespace triaged
