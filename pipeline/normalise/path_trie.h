// PathTrie: every path that some format table or rule reads, as one tree over JSON keys.
//
// `a.b` and `a: {b}` walk the same nodes. A step may select among objects by the value of one of their keys:
// `evidence[@odata.type=#ip].ipAddress` is the address of those elements of `evidence` whose `@odata.type` is `#ip`.
// Built at load, immutable afterwards.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace triaged {

class PathTrie {
 public:
  using Node = uint32_t;
  static constexpr Node kRoot = 0;
  static constexpr Node kNone = 0xffffffff;

  PathTrie() { nodes_.resize(1); }

  // A step `[key=value]`: objects at the node that hold this value are walked at `node`, too.
  struct Selector {
    std::string key;
    std::string value;
    Node node = kNone;
  };

  // The node of a dotted path, made when it is new. Call Freeze() after the last Add.
  Node Add(std::string_view path);
  void Freeze();

  // The child of `node` by one literal key (without a dot), or kNone. Needs Freeze().
  Node Child(Node node, std::string_view key) const {
    const NodeData& data = nodes_[node];
    if (data.mask == 0) return kNone;
    const uint64_t hash = KeyHash(key);
    for (uint32_t i = static_cast<uint32_t>(hash) & data.mask;; i = (i + 1) & data.mask) {
      const Slot& slot = slots_[data.first_slot + i];
      if (slot.node == kNone) return kNone;
      if (slot.hash == hash && slot.key == key) return slot.node;
    }
  }
  // As Child, for a key that may itself be dotted.
  Node Descend(Node node, std::string_view key) const;

  std::span<const Selector> Selectors(Node node) const { return nodes_[node].selectors; }

  // Whether `node` is `above` or lies below it.
  bool IsBelow(Node node, Node above) const {
    while (node != above && node != kRoot) node = nodes_[node].parent;
    return node == above;
  }
  std::string_view Path(Node node) const { return nodes_[node].path; }
  size_t size() const { return nodes_.size(); }

 private:
  struct Slot {
    uint64_t hash = 0;
    std::string_view key;
    Node node = kNone;
  };
  struct NodeData {
    uint32_t first_slot = 0;
    uint32_t mask = 0;  // slots - 1; 0: no children
    Node parent = kRoot;
    std::string_view path;
    std::map<std::string_view, Node> children;  // while building
    std::vector<Selector> selectors;
  };

  Node AddKey(Node node, std::string_view key, std::string_view path);
  Node AddSelector(Node node, std::string_view text, std::string_view path);

  // Most keys of a document are wanted by nobody: a few bytes tell that quickly.
  static uint64_t KeyHash(std::string_view key);

  std::vector<NodeData> nodes_;
  std::vector<Slot> slots_;
  std::deque<std::string> texts_;
};

}  // namespace triaged
