// PathTrie: every path that some format table or rule reads, as one tree over JSON keys.
//
// `a.b` and `a: {b}` walk the same nodes. A step may select among objects by the value of one of their keys:
// `evidence[@odata.type=#ip].ipAddress` is the address of those elements of `evidence` whose `@odata.type` is `#ip`.
// Built at load, immutable afterwards.
#pragma once

#include <algorithm>
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

  PathTrie() : nodes_(1), children_(1), paths_(1) {}
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

  // A key of a document, with its first eight bytes (zeros behind those of a shorter one) and a hash: most are wanted by
  // nobody, and these tell.
  struct Key {
    const char* data;
    size_t size;
    uint64_t head;
    uint64_t hash;  // the highest bits are mixed best
  };
  static Key Of(std::string_view text) {
    if (text.size() >= 8) return OfHead(text, Load8(text.data()));
    // Both ends, or three bytes that overlap: what they share is the same in each.
    const size_t size = text.size();
    const char* const data = text.data();
    const auto byte = [&](size_t at) { return uint64_t{static_cast<unsigned char>(data[at])} << at * 8; };
    if (size >= 4) return OfHead(text, Load4(data) | Load4(data + size - 4) << (size - 4) * 8);
    return OfHead(text, size == 0 ? 0 : byte(0) | byte(size / 2) | byte(size - 1));
  }
  // As Of, without a branch, for texts behind which eight bytes may be read.
  static Key OfPadded(std::string_view text) {
    return OfHead(text, Load8(text.data()) & kKept[std::min<size_t>(text.size(), 8)]);
  }

 private:
  // A child, or a free place among the children of a node.
  struct alignas(32) Slot {
    uint64_t head = 0;        // of its key, as in Key
    uint64_t tail = 0;        // the last eight bytes of a key of more
    const char* key = nullptr;
    uint32_t size = kFree;    // of its key
    Node node = kNone;
  };
  static constexpr uint32_t kFree = 0xffffffff;

 public:
  // Where the children of a node are looked up; kept while the keys of an object are read. Needs Freeze().
  class Children {
   public:
    // The child by one literal key (without a dot), or kNone.
    Node Find(const Key& key) const {
      for (const Slot* slot = slots_ + (key.hash >> shift_);; ++slot) {
        if (slot->head == key.head && slot->size == key.size && SameBehind(*slot, key)) return slot->node;
        if (slot->size == kFree) return kNone;
      }
    }
    bool empty() const { return slots_ == nullptr; }
    // Whether a key with a dot in it may lead somewhere.
    bool deep() const { return deep_; }
    // Whether objects at the node are walked at others, too: its Selectors().
    bool selectors() const { return selectors_; }

   private:
    friend class PathTrie;
    const Slot* slots_ = nullptr;
    uint8_t shift_ = 0;
    bool deep_ = false;  // a child has children
    bool selectors_ = false;
  };
  const Children& ChildrenOf(Node node) const { return children_[node]; }
  // The child of `node` by a key that may itself be dotted. No single step has a dot in it, so what is found had none.
  Node Descend(const Children& children, const Key& key) const {
    const Node child = children.Find(key);
    return child == kNone && children.deep() && HasDot(key) ? DescendDotted(children, {key.data, key.size}) : child;
  }
  Node Descend(Node node, std::string_view key) const {
    const Children& children = ChildrenOf(node);
    return children.empty() ? kNone : Descend(children, Of(key));
  }

  std::span<const Selector> Selectors(Node node) const { return nodes_[node].selectors; }

  std::string_view Path(Node node) const { return paths_[node]; }
  size_t size() const { return nodes_.size(); }

 private:
  struct NodeData {
    std::map<std::string_view, Node> children;  // while building
    std::vector<Selector> selectors;
  };
  Node MakeNode(std::string_view path);
  Node AddKey(Node node, std::string_view key, std::string_view path);
  Node AddSelector(Node node, std::string_view text, std::string_view path);

  Node DescendDotted(Children children, std::string_view key) const;
  // Appends the slots of a node's children.
  void PlaceChildren(const NodeData& data, Children* children);

  // By size: which bytes of a word belong to the key.
  static constexpr uint64_t kKept[9] = {0,          0xff,           0xffff,           0xffffff,          0xffffffff,
                                        0xffffffffff, 0xffffffffffff, 0xffffffffffffff, 0xffffffffffffffff};

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

  // The last byte tells numbered keys apart, whose heads are the same.
  static Key OfHead(std::string_view text, uint64_t head) {
    const auto last = text.empty() ? uint64_t{0} : uint64_t{static_cast<unsigned char>(text.back())};
    return {text.data(), text.size(), head, (head ^ last << 48 ^ text.size()) * 0xd1b54a32d192ed03};
  }

  // Whether what lies behind the head is the same; the sizes are.
  static bool SameBehind(const Slot& slot, const Key& key) {
    if (key.size <= 8) return true;
    for (size_t i = 8; i + 8 < key.size; i += 8) {
      if (Load8(slot.key + i) != Load8(key.data + i)) return false;
    }
    return slot.tail == Load8(key.data + key.size - 8);
  }

  static bool HasDot(const Key& key) {
    constexpr uint64_t kOnes = 0x0101010101010101;
    // A byte of `word` is a dot where `with` has a zero byte.
    const auto dotted = [](uint64_t word) {
      const uint64_t with = word ^ (kOnes * '.');
      return ((with - kOnes) & ~with & (kOnes * 0x80)) != 0;
    };
    if (dotted(key.head)) return true;
    for (size_t i = 8; i + 8 < key.size; i += 8) {
      if (dotted(Load8(key.data + i))) return true;
    }
    return key.size > 8 && dotted(Load8(key.data + key.size - 8));
  }

  std::vector<NodeData> nodes_;
  std::vector<Children> children_;         // by node, as paths_; of Freeze()
  std::vector<std::string_view> paths_;
  std::vector<Slot> slots_;                // of all nodes, at least one free behind those of each
  std::deque<std::string> texts_;
};

}  // namespace triaged
