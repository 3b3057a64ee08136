// PathTrie: every path that some format table or rule reads, as one tree over JSON keys.
//
// `a.b` and `a: {b}` walk the same nodes. A step may select among objects by the value of one of their keys:
// `evidence[@odata.type=#ip].ipAddress` is the address of those elements of `evidence` whose `@odata.type` is `#ip`.
// Built at load, immutable afterwards.
#pragma once

#include <cstdint>
#include <cstring>
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

  PathTrie() : nodes_(1), hot_(1) {}
  // Movable only: views point into texts_.
  PathTrie(const PathTrie&) = delete;
  PathTrie& operator=(const PathTrie&) = delete;

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
    const Hot& parent = hot_[node];
    if (parent.mask == 0) return kNone;
    const uint64_t hash = KeyHash(key);
    for (uint32_t i = static_cast<uint32_t>(hash) & parent.mask;; i = (i + 1) & parent.mask) {
      const Slot slot = slots_[parent.first_slot + i];
      if (slot == kFree) return kNone;
      if ((slot ^ hash >> 32) & kTagMask) continue;
      const Node child = slot & ~kTagMask;
      const Hot& hot = hot_[child];
      if (hot.hash != hash || hot.size != key.size()) continue;
      // The hash of a key below eight bytes is one to one.
      if (key.size() < 8 || Same(hot.key, key.data(), key.size())) return child;
    }
  }
  // As Child, for a key that may itself be dotted. No single step has a dot in it, so what is found had none.
  Node Descend(Node node, std::string_view key) const {
    if (hot_[node].mask == 0) return kNone;
    const Node child = Child(node, key);
    return child == kNone && HasDot(key) ? DescendDotted(node, key) : child;
  }

  bool HasSelectors(Node node) const { return hot_[node].selectors; }
  std::span<const Selector> Selectors(Node node) const { return nodes_[node].selectors; }

  // Whether `node` is `above` or lies below it.
  bool IsBelow(Node node, Node above) const {
    while (node != above && node != kRoot) node = nodes_[node].parent;
    return node == above;
  }
  std::string_view Path(Node node) const { return hot_[node].path; }
  size_t size() const { return nodes_.size(); }

 private:
  // A child's number, and eight bits of its key's hash: most keys that nobody wants are known by them alone.
  using Slot = uint32_t;
  static constexpr Slot kTagMask = 0xff000000;
  static constexpr Slot kFree = 0xffffffff;  // no number: of so many paths the configuration would take a gigabyte

  // All that walking a document and making its values reads of a node: together, and apart from the rest.
  struct Hot {
    uint64_t hash = 0;         // of its key; a selector's node has none
    const char* key = nullptr;
    std::string_view path;
    uint32_t size = 0;         // of its key
    uint32_t first_slot = 0;   // of its children
    uint32_t mask : 31 = 0;    // slots - 1; 0: no children
    uint32_t selectors : 1 = 0;
  };
  struct NodeData {
    Node parent = kRoot;
    std::map<std::string_view, Node> children;  // while building
    std::vector<Selector> selectors;
  };

  Node MakeNode(Node parent, std::string_view path);
  Node AddKey(Node node, std::string_view key, std::string_view path);
  Node AddSelector(Node node, std::string_view text, std::string_view path);

  Node DescendDotted(Node node, std::string_view key) const;

  static uint64_t Load8(const char* at) {
    uint64_t word;
    std::memcpy(&word, at, sizeof word);
    return word;
  }
  static uint32_t Load4(const char* at) {
    uint32_t word;
    std::memcpy(&word, at, sizeof word);
    return word;
  }

  // Most keys of a document are wanted by nobody: its size, first and last eight bytes tell that quickly.
  static uint64_t KeyHash(std::string_view key) {
    uint64_t head = 0;
    uint64_t tail = 0;
    const size_t size = key.size();
    if (size >= 8) {
      head = Load8(key.data());
      tail = Load8(key.data() + size - 8);
    } else if (size >= 4) {
      head = static_cast<uint64_t>(Load4(key.data())) << 32 | Load4(key.data() + size - 4);
    } else {
      for (char ch : key) head = head << 8 | static_cast<unsigned char>(ch);
    }
    const uint64_t hash = (head ^ (tail * 0x9e3779b97f4a7c15) ^ size) * 0xd1b54a32d192ed03;
    return hash ^ (hash >> 32);
  }

  // Keys are short: overlapping words instead of a call.
  static bool Same(const char* a, const char* b, size_t size) {
    if (size > 16) return std::memcmp(a, b, size) == 0;
    if (size >= 8) return Load8(a) == Load8(b) && Load8(a + size - 8) == Load8(b + size - 8);
    if (size >= 4) return Load4(a) == Load4(b) && Load4(a + size - 4) == Load4(b + size - 4);
    for (size_t i = 0; i < size; ++i) {
      if (a[i] != b[i]) return false;
    }
    return true;
  }

  static bool HasDot(std::string_view key) {
    if (key.size() > 16) return std::memchr(key.data(), '.', key.size()) != nullptr;
    constexpr uint64_t kOnes = 0x0101010101010101;
    // A byte of `word` is a dot where `with` has a zero byte.
    const auto dotted = [](uint64_t word) {
      const uint64_t with = word ^ (kOnes * '.');
      return ((with - kOnes) & ~with & (kOnes * 0x80)) != 0;
    };
    if (key.size() >= 8) return dotted(Load8(key.data())) || dotted(Load8(key.data() + key.size() - 8));
    for (char ch : key) {
      if (ch == '.') return true;
    }
    return false;
  }

  std::vector<NodeData> nodes_;
  std::vector<Hot> hot_;  // by node; before Freeze() it knows but the path
  std::vector<Slot> slots_;
  std::deque<std::string> texts_;
};

}  // namespace triaged
