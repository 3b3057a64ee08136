#include "pipeline/normalise/path_trie.h"

#include <algorithm>
#include <bit>

namespace triaged {
namespace {

constexpr size_t kSlotsPerChild = 4;  // at least: most searches end where they begin

}  // namespace

PathTrie::Node PathTrie::MakeNode(std::string_view path) {
  nodes_.emplace_back();
  paths_.emplace_back(texts_.emplace_back(path));
  return static_cast<Node>(nodes_.size() - 1);
}

PathTrie::Node PathTrie::AddKey(Node node, std::string_view key, std::string_view path) {
  const auto found = nodes_[node].children.find(key);
  if (found != nodes_[node].children.end()) return found->second;
  const Node fresh = MakeNode(path);
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
  const Node fresh = MakeNode(path);
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
  children_.assign(nodes_.size(), Children{});
  slots_.clear();
  std::vector<size_t> firsts(nodes_.size());
  for (size_t n = 0; n < nodes_.size(); ++n) {
    children_[n].selectors_ = !nodes_[n].selectors.empty();
    if (nodes_[n].children.empty()) continue;
    firsts[n] = slots_.size();
    PlaceChildren(nodes_[n], &children_[n]);
  }
  for (size_t n = 0; n < nodes_.size(); ++n) {
    if (!nodes_[n].children.empty()) children_[n].slots_ = slots_.data() + firsts[n];
  }
}

void PathTrie::PlaceChildren(const NodeData& data, Children* children) {
  const size_t first = slots_.size();
  const int bits = std::bit_width(data.children.size() * kSlotsPerChild - 1);
  children->shift_ = static_cast<uint8_t>(64 - bits);
  slots_.resize(first + (size_t{1} << bits));
  for (const auto& [text, child] : data.children) {
    const Key key = Of(text);
    children->deep_ = children->deep_ || !nodes_[child].children.empty();
    size_t at = first + (key.hash >> children->shift_);
    while (at < slots_.size() && slots_[at].size != kFree) ++at;
    if (at == slots_.size()) slots_.emplace_back();
    const uint64_t tail = key.size > 8 ? Load8(key.data + key.size - 8) : 0;
    slots_[at] = {key.head, tail, key.data, static_cast<uint32_t>(key.size), child};
  }
  if (slots_.back().size != kFree) slots_.emplace_back();  // where a search ends at the latest
}

PathTrie::Node PathTrie::DescendDotted(Children children, std::string_view key) const {
  size_t at = 0;
  while (true) {
    const size_t dot = std::min(key.find('.', at), key.size());
    const Node node = children.Find(Of(key.substr(at, dot - at)));
    if (node == kNone || dot == key.size()) return node;
    children = ChildrenOf(node);
    if (children.empty()) return kNone;
    at = dot + 1;
  }
}

}  // namespace triaged
