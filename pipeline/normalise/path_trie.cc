#include "pipeline/normalise/path_trie.h"

#include <algorithm>

namespace triaged {

PathTrie::Node PathTrie::MakeNode(Node parent, std::string_view path) {
  nodes_.emplace_back().parent = parent;
  const std::string& text = texts_.emplace_back(path);
  Hot& hot = hot_.emplace_back();
  hot.path = text.data();
  hot.path_size = static_cast<uint32_t>(text.size());
  return static_cast<Node>(nodes_.size() - 1);
}

PathTrie::Node PathTrie::AddKey(Node node, std::string_view key, std::string_view path) {
  const auto found = nodes_[node].children.find(key);
  if (found != nodes_[node].children.end()) return found->second;
  const Node fresh = MakeNode(node, path);
  nodes_[node].children.emplace(texts_.emplace_back(key), fresh);
  return fresh;
}

PathTrie::Node PathTrie::AddSelector(Node node, std::string_view text, std::string_view path) {
  const size_t equals = text.find('=');
  const std::string_view key = text.substr(0, equals);
  const std::string_view value = text.substr(equals + 1);
  for (const Selector& selector : nodes_[node].selectors) {
    if (selector.key == key && selector.value == value) return selector.node;
  }
  const Node fresh = MakeNode(node, path);
  nodes_[node].selectors.push_back({std::string(key), std::string(value), fresh});
  return fresh;
}

PathTrie::Node PathTrie::Add(std::string_view path) {
  Node node = kRoot;
  size_t at = 0;
  while (at <= path.size()) {
    size_t end = path.find_first_of(".[", at);
    // A bracket is a selector only when it is one: `[key=value]`; else it belongs to the key.
    size_t closed = std::string_view::npos;
    while (end != std::string_view::npos && path[end] == '[') {
      closed = path.find(']', end);
      const size_t equals = path.find('=', end);
      if (closed != std::string_view::npos && equals < closed) break;
      closed = std::string_view::npos;
      end = path.find_first_of(".[", end + 1);
    }
    if (end == std::string_view::npos) end = path.size();
    node = AddKey(node, path.substr(at, end - at), path.substr(0, end));
    if (closed != std::string_view::npos) {
      node = AddSelector(node, path.substr(end + 1, closed - end - 1), path.substr(0, closed + 1));
      end = closed + 1;
    }
    at = end + 1;
  }
  return node;
}

void PathTrie::Freeze() {
  slots_.clear();
  for (size_t n = 0; n < nodes_.size(); ++n) {
    const NodeData& data = nodes_[n];
    Hot& hot = hot_[n];
    hot.selectors = !data.selectors.empty();
    if (data.children.empty()) continue;
    uint32_t size = 2;
    while (size < data.children.size() * 2) size *= 2;
    hot.first_slot = static_cast<uint32_t>(slots_.size());
    hot.mask = size - 1;
    slots_.resize(slots_.size() + size, kFree);
    Slot* const slots = slots_.data() + hot.first_slot;
    for (const auto& [text, child] : data.children) {
      const Key key = Of(text);
      hot_[child].head = key.head;
      hot_[child].tail = key.tail;
      hot_[child].key = key.data;
      hot_[child].size = static_cast<uint32_t>(key.size);
      hot.deep = hot.deep || !nodes_[child].children.empty();
      const uint64_t hash = Hash(key);
      uint32_t i = static_cast<uint32_t>(hash) & hot.mask;
      while (slots[i] != kFree) i = (i + 1) & hot.mask;
      slots[i] = (static_cast<uint32_t>(hash >> 32) & kTagMask) | child;
    }
  }
}

PathTrie::Node PathTrie::DescendDotted(Node node, std::string_view key) const {
  size_t at = 0;
  while (true) {
    const size_t dot = std::min(key.find('.', at), key.size());
    node = ChildrenOf(node).Find(Of(key.substr(at, dot - at)));
    if (node == kNone || dot == key.size()) return node;
    at = dot + 1;
  }
}

}  // namespace triaged
