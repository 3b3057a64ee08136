#include "pipeline/rules/raw_event.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace triaged {
namespace {

// Keys are short, and told apart by their length and ends.
uint64_t HashOf(std::string_view key, uint32_t node) {
  uint64_t first = 0;
  uint64_t last = 0;
  if (key.size() >= 8) {
    std::memcpy(&first, key.data(), 8);
    std::memcpy(&last, key.data() + key.size() - 8, 8);
  } else {
    for (const char c : key) first = first << 8 | static_cast<unsigned char>(c);
  }
  const uint64_t mixed = (first ^ (last << 29 | last >> 35) ^ key.size() ^ uint64_t{node} << 40) * 0x9E3779B97F4A7C15u;
  return mixed ^ mixed >> 32;
}

// The names of a catalog as a tree of keys: what a key of an object leads to is a field, and a node with the keys below.
// One table for all nodes, open-addressed: a key of an event is one look-up, mostly of a key that nobody asked for.
class KeyTree {
 public:
  static constexpr uint32_t kNowhere = 0xffffffff;
  static constexpr uint32_t kRoot = 0;

  // `names` outlive the tree.
  void Add(std::string_view name, FieldId field) {
    uint32_t node = kRoot;
    for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
      node = Insert(node, name.substr(0, dot));
      name.remove_prefix(dot + 1);
    }
    fields_[Insert(node, name)] = field;
  }

  uint32_t Step(uint32_t node, std::string_view key) const {
    const uint64_t hash = HashOf(key, node);
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.below == kNowhere) return kNowhere;
      if (slot.hash == static_cast<uint32_t>(hash) && slot.node == node && slot.key == key) return slot.below;
    }
  }

  uint32_t Descend(uint32_t node, std::string_view key) const {
    const uint32_t found = Step(node, key);
    if (found != kNowhere) return found;  // no key of the tree has a dot
    const size_t first = key.find('.');
    if (first == std::string_view::npos) return kNowhere;
    for (size_t dot = first; node != kNowhere && dot != std::string_view::npos; dot = key.find('.')) {
      node = Step(node, key.substr(0, dot));
      key.remove_prefix(dot + 1);
    }
    return node == kNowhere ? kNowhere : Step(node, key);
  }

  FieldId field(uint32_t node) const { return fields_[node]; }

 private:
  struct Slot {
    std::string_view key;
    uint32_t node = 0;
    uint32_t hash = 0;
    uint32_t below = kNowhere;  // kNowhere: free
  };

  uint32_t Insert(uint32_t node, std::string_view key) {
    const uint32_t known = Step(node, key);
    if (known != kNowhere) return known;
    if (fields_.size() * 4 > slots_.size()) Grow();
    const auto below = static_cast<uint32_t>(fields_.size());
    fields_.push_back(kNoField);
    const uint64_t hash = HashOf(key, node);
    Put({key, node, static_cast<uint32_t>(hash), below});
    return below;
  }
  void Put(const Slot& slot) {
    size_t at = HashOf(slot.key, slot.node) & mask_;
    while (slots_[at].below != kNowhere) at = (at + 1) & mask_;
    slots_[at] = slot;
  }
  void Grow() {
    const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.below != kNowhere) Put(slot);
    }
  }

  std::vector<Slot> slots_{256};
  size_t mask_ = 255;
  std::vector<FieldId> fields_{kNoField};  // of each node
};

struct Hit {
  FieldId field;
  Value value;
};

}  // namespace

struct RawEventReader::Impl {
  explicit Impl(const FieldCatalog& catalog) : size(catalog.size()) {
    for (size_t id = 0; id < catalog.size(); ++id) {
      const std::string_view name = catalog.Name(static_cast<FieldId>(id));
      if (name == kEveryValue) every = static_cast<FieldId>(id);
      keys.Add(name, static_cast<FieldId>(id));
    }
  }

  void Walk(uint32_t node, simdjson::dom::element element) {
    using simdjson::dom::element_type;
    const bool nowhere = node == KeyTree::kNowhere;
    switch (element.type()) {
      case element_type::OBJECT: {
        if (nowhere && every == kNoField) return;
        const simdjson::dom::object object = element.get_object().value_unsafe();
        for (const auto& [key, child] : object) Walk(nowhere ? node : keys.Descend(node, key), child);
        return;
      }
      case element_type::ARRAY: {
        if (nowhere && every == kNoField) return;
        const simdjson::dom::array array = element.get_array().value_unsafe();
        for (const simdjson::dom::element child : array) Walk(node, child);
        return;
      }
      default:
        break;
    }
    const FieldId field = nowhere ? kNoField : keys.field(node);
    if (field == kNoField && every == kNoField) return;
    const Value value = Scalar(element);
    if (field != kNoField) Take(field, value);
    if (every != kNoField) all.push_back(value);
  }

  // A field table wants the values of a field next to each other. Arrays of objects do not give them so: from the first
  // that comes apart on, values are gathered in `hits`.
  void Take(FieldId field, const Value& value) {
    if (!scattered && table.Has(field) && table.present().back() != field) scattered = true;
    if (scattered) {
      hits.push_back({field, value});
    } else {
      table.Add(field, value);
    }
  }

  // Puts what was gathered behind the values that their fields have already.
  void Gather() {
    std::vector<Hit> ordered;
    for (const FieldId field : table.present()) {
      for (const Value& value : table.Get(field)) ordered.push_back({field, value});
    }
    ordered.insert(ordered.end(), hits.begin(), hits.end());
    std::stable_sort(ordered.begin(), ordered.end(), [](const Hit& a, const Hit& b) { return a.field < b.field; });
    table.Reset(size);
    for (const Hit& hit : ordered) table.Add(hit.field, hit.value);
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
  KeyTree keys;
  simdjson::dom::parser parser;
  std::vector<Value> all;        // for `every`
  std::vector<Hit> hits;         // what came once a field's values did not stand next to each other
  bool scattered = false;
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
  impl.used = 0;
  simdjson::dom::element root;
  if (const auto error = impl.parser.parse(json.data(), json.size()).get(root)) {
    return BadInput(simdjson::error_message(error));
  }
  if (!root.is_object()) return BadInput("not a JSON object");
  impl.table.Reset(impl.size);
  impl.Walk(KeyTree::kRoot, root);
  if (impl.scattered) impl.Gather();
  for (const Value& value : impl.all) impl.table.Add(impl.every, value);
  return {};
}

const FieldTable& RawEventReader::fields() const { return impl_->table; }

}  // namespace triaged
