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

// No single step has a dot in it, so a key with dots names one node only, as a key without does.
void PathTrie::KeysBelow(Node node, const std::string& prefix, std::vector<Entry>* found) {
  for (const auto& [step, child] : nodes_[node].children) {
    const std::string dotted = prefix + std::string(step);
    const Key key = Of(prefix.empty() ? step : std::string_view(texts_.emplace_back(dotted)));
    found->push_back({key.head, key.tail, key.data, static_cast<uint32_t>(key.size), child});
    KeysBelow(child, dotted + '.', found);
  }
}

void PathTrie::Freeze() {
  for (Node n = 0; n < nodes_.size(); ++n) {
    Hot& hot = hot_[n];
    hot.selectors = !nodes_[n].selectors.empty();
    std::vector<Entry> below;
    KeysBelow(n, {}, &below);
    if (below.empty()) continue;
    uint32_t size = 2;
    while (size < below.size() * 2) size *= 2;
    hot.first_slot = static_cast<uint32_t>(slots_.size());
    hot.mask = size - 1;
    slots_.resize(slots_.size() + size, kFree);
    Slot* const slots = slots_.data() + hot.first_slot;
    for (const Entry& entry : below) {
      const uint64_t hash = Hash({entry.key, entry.size, entry.head, entry.tail});
      uint32_t i = static_cast<uint32_t>(hash) & hot.mask;
      while (slots[i] != kFree) i = (i + 1) & hot.mask;
      slots[i] = (static_cast<uint32_t>(hash >> 32) & kTagMask) | static_cast<Slot>(entries_.size());
      entries_.push_back(entry);
    }
  }
}

}  // namespace triaged
