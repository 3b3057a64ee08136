// Extraction: one pass over a JSON document that collects the values at the nodes of a PathTrie.
//
// The parser (simdjson DOM) validates the whole document. Arrays are transparent: an element is seen at the array's
// own node. All memory is reused; nothing is allocated per value once warm. One thread.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "pipeline/model/fields.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/normalise/path_trie.h"

namespace triaged {

class Extraction {
 public:
  Extraction(const PathTrie& trie, NormaliseLimits limits);

  // Parses and walks `record`. Values are valid until the next call.
  std::optional<NormaliseFailure> Read(std::string_view record);

  // Whether the path exists with anything but null.
  bool Present(PathTrie::Node node) const { return states_[node].epoch == epoch_; }
  // The first value at the node, or nullptr. Null words and empty texts are no values.
  const Value* First(PathTrie::Node node) const {
    const NodeState& state = states_[node];
    return state.epoch == epoch_ && state.first >= 0 ? &hits_[static_cast<size_t>(state.first)].value : nullptr;
  }
  const Value* Next(const Value* value) const {
    const int32_t next = reinterpret_cast<const Hit*>(value)->next;
    return next >= 0 ? &hits_[static_cast<size_t>(next)].value : nullptr;
  }

  // Room for texts that must live as long as the values (notes, split addresses).
  std::string_view Keep(std::string_view text);

 private:
  struct Hit {
    Value value;  // first member: Next() goes from one to the other
    int32_t next = -1;
  };
  struct NodeState {
    uint32_t epoch = 0;
    int32_t first = -1;
    int32_t last = -1;
  };

  void WalkObject(simdjson::dom::object object, PathTrie::Node node);
  void WalkValue(simdjson::dom::element element, PathTrie::Node node);
  void AddHit(PathTrie::Node node, const Value& value);
  NodeState& Touch(PathTrie::Node node);

  const PathTrie& trie_;
  NormaliseLimits limits_;
  simdjson::dom::parser parser_;
  std::unique_ptr<char[]> buffer_;
  size_t buffer_size_ = 0;
  std::vector<Hit> hits_;
  std::vector<NodeState> states_;
  uint32_t epoch_ = 0;
  std::vector<std::unique_ptr<char[]>> blocks_;  // arena for number texts and kept texts
  size_t block_ = 0;
  size_t used_ = 0;
};

// "-", "None", "N/A", "<NA>", "null", … and blank texts: a source's way to say there is nothing.
bool IsNullWord(std::string_view text);

}  // namespace triaged
