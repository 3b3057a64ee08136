#include "pipeline/normalise/path_trie.h"

#include <cstring>

namespace triaged {

uint64_t PathTrie::KeyHash(std::string_view key) {
  uint64_t head = 0;
  uint64_t tail = 0;
  const size_t size = key.size();
  if (size >= 8) {
    std::memcpy(&head, key.data(), 8);
    std::memcpy(&tail, key.data() + size - 8, 8);
  } else if (size >= 4) {
    uint32_t low;
    uint32_t high;
    std::memcpy(&low, key.data(), 4);
    std::memcpy(&high, key.data() + size - 4, 4);
    head = static_cast<uint64_t>(low) << 32 | high;
  } else {
    for (char ch : key) head = head << 8 | static_cast<unsigned char>(ch);
  }
  uint64_t hash = (head ^ (tail * 0x9e3779b97f4a7c15) ^ size) * 0xd1b54a32d192ed03;
  return hash ^ (hash >> 32);
}

PathTrie::Node PathTrie::AddKey(Node node, std::string_view key, std::string_view path) {
  const auto found = nodes_[node].children.find(key);
  if (found != nodes_[node].children.end()) return found->second;
  const auto fresh = static_cast<Node>(nodes_.size());
  nodes_.emplace_back();
  nodes_.back().path = texts_.emplace_back(path);
  nodes_.back().parent = node;
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
  const auto fresh = static_cast<Node>(nodes_.size());
  nodes_.emplace_back();
  nodes_.back().path = texts_.emplace_back(path);
  nodes_.back().parent = node;
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
  for (NodeData& data : nodes_) {
    if (data.children.empty()) continue;
    uint32_t size = 2;
    while (size < data.children.size() * 2) size *= 2;
    data.first_slot = static_cast<uint32_t>(slots_.size());
    data.mask = size - 1;
    slots_.resize(slots_.size() + size);
    for (const auto& [key, child] : data.children) {
      const uint64_t hash = KeyHash(key);
      uint32_t i = static_cast<uint32_t>(hash) & data.mask;
      while (slots_[data.first_slot + i].node != kNone) i = (i + 1) & data.mask;
      slots_[data.first_slot + i] = {hash, key, child};
    }
  }
}

PathTrie::Node PathTrie::Descend(Node node, std::string_view key) const {
  size_t at = 0;
  while (true) {
    const void* found = key.size() > at ? std::memchr(key.data() + at, '.', key.size() - at) : nullptr;
    const size_t dot = found ? static_cast<size_t>(static_cast<const char*>(found) - key.data()) : key.size();
    node = Child(node, key.substr(at, dot - at));
    if (node == kNone || dot == key.size()) return node;
    at = dot + 1;
  }
}

}  // namespace triaged
