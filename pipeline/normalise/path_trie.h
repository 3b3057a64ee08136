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
  // A child's number, and eight bits of its key's hash: most keys that nobody wants are known by them alone.
  using Slot = uint32_t;
  static constexpr Slot kTagMask = 0xff000000;
  static constexpr Slot kFree = 0xffffffff;  // no number: of so many paths the configuration would take a gigabyte

  // All that walking a document and making its values reads of a node: a cache line, apart from the rest.
  struct alignas(64) Hot {
    uint64_t head = 0, tail = 0;  // of its key, as in Key; a selector's node has none
    const char* key = nullptr;
    const char* path = nullptr;
    uint32_t path_size = 0;
    uint32_t size = 0;            // of its key
    uint32_t first_slot = 0;      // of its children
    uint32_t mask = 0;            // slots - 1; 0: no children
    bool deep = false;            // a child has children
    bool selectors = false;
  };

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

  // A key of a document, with its first and last eight bytes (of a shorter one, all of them twice): most are wanted by
  // nobody, and these tell.
  struct Key {
    const char* data;
    size_t size;
    uint64_t head, tail;
  };
  static Key Of(std::string_view text) {
    if (text.size() >= 8) return {text.data(), text.size(), Load8(text.data()), Load8(text.data() + text.size() - 8)};
    // Both ends, or three bytes that overlap: what they share is the same in each.
    const size_t size = text.size();
    const char* const data = text.data();
    const auto byte = [&](size_t at) { return uint64_t{static_cast<unsigned char>(data[at])} << at * 8; };
    uint64_t word = 0;
    if (size >= 4) {
      word = Load4(data) | Load4(data + size - 4) << (size - 4) * 8;
    } else if (size > 0) {
      word = byte(0) | byte(size / 2) | byte(size - 1);
    }
    return {data, size, word, word};
  }
  // As Of, without a branch, for texts behind which eight bytes may be read.
  static Key OfPadded(std::string_view text) {
    const size_t size = text.size();
    const uint64_t kept = size >= 8 ? ~uint64_t{0} : (uint64_t{1} << (size * 8 & 63)) - 1;
    return {text.data(), size, Load8(text.data()) & kept, Load8(text.data() + (size >= 8 ? size - 8 : 0)) & kept};
  }

  static uint64_t Hash(const Key& key) {
    const uint64_t hash = (key.head ^ (key.tail * 0x9e3779b97f4a7c15) ^ key.size) * 0xd1b54a32d192ed03;
    return hash ^ (hash >> 32);
  }

  // Where the children of a node are looked up; kept while the keys of an object are read. Needs Freeze().
  class Children {
   public:
    // The child by one literal key (without a dot), or kNone.
    Node Find(const Key& key) const {
      if (mask_ == 0) return kNone;
      const uint64_t hash = Hash(key);
      for (uint32_t i = static_cast<uint32_t>(hash) & mask_;; i = (i + 1) & mask_) {
        const Slot slot = slots_[i];
        if (slot == kFree) return kNone;
        if ((slot ^ hash >> 32) & kTagMask) continue;
        const Node child = slot & ~kTagMask;
        if (Same(hot_[child], key)) return child;
      }
    }
    bool empty() const { return mask_ == 0; }
    // Whether a key with a dot in it may lead somewhere.
    bool deep() const { return deep_; }

   private:
    friend class PathTrie;
    const Slot* slots_;
    const Hot* hot_;
    uint32_t mask_;
    bool deep_;
  };
  Children ChildrenOf(Node node) const {
    const Hot& hot = hot_[node];
    Children children;
    children.slots_ = slots_.data() + hot.first_slot;
    children.hot_ = hot_.data();
    children.mask_ = hot.mask;
    children.deep_ = hot.deep;
    return children;
  }
  // The child of `node` by a key that may itself be dotted. No single step has a dot in it, so what is found had none.
  Node Descend(Node node, const Children& children, const Key& key) const {
    const Node child = children.Find(key);
    return child == kNone && children.deep() && HasDot(key) ? DescendDotted(node, {key.data, key.size}) : child;
  }
  Node Descend(Node node, std::string_view key) const { return Descend(node, ChildrenOf(node), Of(key)); }

  bool HasSelectors(Node node) const { return hot_[node].selectors; }
  std::span<const Selector> Selectors(Node node) const { return nodes_[node].selectors; }

  // Whether `node` is `above` or lies below it.
  bool IsBelow(Node node, Node above) const {
    while (node != above && node != kRoot) node = nodes_[node].parent;
    return node == above;
  }
  std::string_view Path(Node node) const { return {hot_[node].path, hot_[node].path_size}; }
  size_t size() const { return nodes_.size(); }

 private:
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

  static uint64_t Load4(const char* at) {
    uint32_t word;
    std::memcpy(&word, at, sizeof word);
    return word;
  }

  static bool Same(const Hot& hot, const Key& key) {
    if (hot.head != key.head || hot.tail != key.tail || hot.size != key.size) return false;
    return key.size <= 16 || std::memcmp(hot.key + 8, key.data + 8, key.size - 16) == 0;
  }

  static bool HasDot(const Key& key) {
    constexpr uint64_t kOnes = 0x0101010101010101;
    // A byte of `word` is a dot where `with` has a zero byte.
    const auto dotted = [](uint64_t word) {
      const uint64_t with = word ^ (kOnes * '.');
      return ((with - kOnes) & ~with & (kOnes * 0x80)) != 0;
    };
    if (dotted(key.head) || dotted(key.tail)) return true;
    return key.size > 16 && std::memchr(key.data + 8, '.', key.size - 16) != nullptr;
  }

  std::vector<NodeData> nodes_;
  std::vector<Hot> hot_;  // by node; before Freeze() it knows but the path
  std::vector<Slot> slots_;
  std::deque<std::string> texts_;
};

}  // namespace triaged
