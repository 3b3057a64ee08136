#include "pipeline/rules/raw_event.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace triaged {
namespace {

// Keys are short, and told apart by their length and ends.
struct KeyHash {
  size_t operator()(std::string_view key) const {
    uint64_t first = 0;
    uint64_t last = 0;
    if (key.size() >= 8) {
      std::memcpy(&first, key.data(), 8);
      std::memcpy(&last, key.data() + key.size() - 8, 8);
    } else {
      for (const char c : key) first = first << 8 | static_cast<unsigned char>(c);
    }
    const uint64_t mixed = (first ^ (last << 29 | last >> 35) ^ key.size()) * 0x9E3779B97F4A7C15u;
    return static_cast<size_t>(mixed ^ mixed >> 32);
  }
};

// What a key of an object leads to: a field, and the keys below.
struct Node {
  FieldId field = kNoField;
  std::unordered_map<std::string_view, Node, KeyHash> below;  // looked up only, never iterated; keys view the catalog's names
};

struct Hit {
  FieldId field;
  Value value;
};

}  // namespace

struct RawEventReader::Impl {
  explicit Impl(const FieldCatalog& catalog) : size(catalog.size()), hit_in(catalog.size(), 0) {
    for (size_t id = 0; id < catalog.size(); ++id) {
      std::string_view name = catalog.Name(static_cast<FieldId>(id));
      if (name == kEveryValue) every = static_cast<FieldId>(id);
      Node* node = &root;
      for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
        node = &node->below[name.substr(0, dot)];
        name.remove_prefix(dot + 1);
      }
      node->below[name].field = static_cast<FieldId>(id);
    }
  }

  static const Node* Step(const Node* node, std::string_view key) {
    const auto found = node->below.find(key);
    return found == node->below.end() ? nullptr : &found->second;
  }

  static const Node* Descend(const Node* node, std::string_view key) {
    if (const Node* found = Step(node, key)) return found;  // no name of a node has a dot
    for (size_t dot = key.find('.'); node != nullptr && dot != std::string_view::npos; dot = key.find('.')) {
      node = Step(node, key.substr(0, dot));
      key.remove_prefix(dot + 1);
    }
    return node == nullptr ? nullptr : Step(node, key);
  }

  void Walk(const Node* node, simdjson::dom::element element) {
    using simdjson::dom::element_type;
    switch (element.type()) {
      case element_type::OBJECT: {
        if (node == nullptr && every == kNoField) return;
        const simdjson::dom::object object = element.get_object().value_unsafe();
        for (const auto& [key, child] : object) Walk(node == nullptr ? nullptr : Descend(node, key), child);
        return;
      }
      case element_type::ARRAY: {
        if (node == nullptr && every == kNoField) return;
        const simdjson::dom::array array = element.get_array().value_unsafe();
        for (const simdjson::dom::element child : array) Walk(node, child);
        return;
      }
      default:
        break;
    }
    const bool addressed = node != nullptr && node->field != kNoField;
    if (!addressed && every == kNoField) return;
    const Value value = Scalar(element);
    if (addressed) {
      const bool again = std::exchange(hit_in[node->field], events) == events;
      scattered = scattered || (again && hits.back().field != node->field);
      hits.push_back({node->field, value});
    }
    if (every != kNoField) all.push_back(value);
  }

  std::string_view Number(const char* end, const std::array<char, 32>& digits) const {
    return {digits.data(), static_cast<size_t>(end - digits.data())};
  }

  std::array<char, 32>& Digits() {
    if (used == numbers.size()) numbers.emplace_back();
    return numbers[used++];
  }

  Value Scalar(simdjson::dom::element element) {
    using simdjson::dom::element_type;
    Value value;
    switch (element.type()) {
      case element_type::STRING:
        value.text = element.get_string().value_unsafe();
        break;
      case element_type::INT64: {
        auto& digits = Digits();
        value.kind = ValueKind::kInteger;
        value.integer = element.get_int64().value_unsafe();
        value.text = Number(std::to_chars(digits.data(), digits.data() + digits.size(), value.integer).ptr, digits);
        break;
      }
      case element_type::UINT64: {
        auto& digits = Digits();
        value.kind = ValueKind::kUnsigned;
        value.unsigned_integer = element.get_uint64().value_unsafe();
        value.text =
            Number(std::to_chars(digits.data(), digits.data() + digits.size(), value.unsigned_integer).ptr, digits);
        break;
      }
      case element_type::DOUBLE: {
        auto& digits = Digits();
        value.kind = ValueKind::kDouble;
        value.real = element.get_double().value_unsafe();
        value.text = Number(std::to_chars(digits.data(), digits.data() + digits.size(), value.real).ptr, digits);
        break;
      }
      case element_type::BOOL:
        value.kind = ValueKind::kBool;
        value.boolean = element.get_bool().value_unsafe();
        value.text = value.boolean ? "true" : "false";
        break;
      default:
        value.kind = ValueKind::kNull;
        value.text = "null";
    }
    return value;
  }

  const size_t size;
  FieldId every = kNoField;
  Node root;
  simdjson::dom::parser parser;
  std::vector<Hit> hits;
  std::vector<Value> all;        // for `every`
  std::vector<uint64_t> hit_in;  // field → the last event that has it
  uint64_t events = 0;
  bool scattered = false;        // some field's hits do not stand next to each other
  std::deque<std::array<char, 32>> numbers;  // never moves its elements
  size_t used = 0;
  FieldTable table;
};

RawEventReader::RawEventReader(const FieldCatalog& catalog) : impl_(std::make_unique<Impl>(catalog)) {}
RawEventReader::~RawEventReader() = default;

Status RawEventReader::Read(std::string_view json) {
  Impl& impl = *impl_;
  impl.hits.clear();
  impl.all.clear();
  impl.scattered = false;
  ++impl.events;
  impl.used = 0;
  simdjson::dom::element root;
  if (const auto error = impl.parser.parse(json.data(), json.size()).get(root)) {
    return BadInput(simdjson::error_message(error));
  }
  if (!root.is_object()) return BadInput("not a JSON object");
  impl.Walk(&impl.root, root);
  // A field table wants the values of a field next to each other; arrays of objects do not give them so.
  if (impl.scattered) {
    std::stable_sort(impl.hits.begin(), impl.hits.end(),
                     [](const Hit& a, const Hit& b) { return a.field < b.field; });
  }
  impl.table.Reset(impl.size);
  for (const Value& value : impl.all) impl.table.Add(impl.every, value);
  for (const Hit& hit : impl.hits) impl.table.Add(hit.field, hit.value);
  return {};
}

const FieldTable& RawEventReader::fields() const { return impl_->table; }

}  // namespace triaged
