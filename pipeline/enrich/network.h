// Addresses as numbers, networks (CIDR), and the table that finds the longest prefix an address lies in. Pure.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "pipeline/enrich/text_index.h"

namespace triaged::enrich {

// 128 bits; an IPv4 address is its IPv4-mapped IPv6 address (RFC 4291), so that both forms meet.
struct AddressNumber {
  uint64_t high = 0;
  uint64_t low = 0;
  auto operator<=>(const AddressNumber&) const = default;

  std::array<char, 16> Bytes() const;  // big-endian: a key of a TextIndex
};

// IPv4 in dotted decimal without leading zeros, or IPv6; no zone, no port. nullopt: something else.
std::optional<AddressNumber> ParseAddressNumber(std::string_view text);

struct Network {
  AddressNumber first;
  int prefix = 128;             // of 128: an IPv4 /24 is 120
  bool operator==(const Network&) const = default;
  AddressNumber Last() const;
};

// "172.16.0.0/12", "2001:db8::/32"; an address alone is the network of that one address. nullopt: something else.
// `host_bits` says that the text names an address inside the network instead of the network ("172.17.0.0/12").
std::optional<Network> ParseNetwork(std::string_view text, bool* host_bits);

// Networks, each with a number of the caller's, which may overlap: they nest. Immutable after Finish.
class NetworkTable {
 public:
  void Add(const Network& network, uint32_t number) { items_.push_back({network, number, kNone}); }
  // Call once, after the last Add. Of equal networks only the first stays; the others are returned (their number, and
  // that of the one that stayed).
  std::vector<std::pair<uint32_t, uint32_t>> Finish();

  // The smallest network around `address`, as a position for number() and around(); kNone: none.
  uint32_t Find(const AddressNumber& address) const;
  uint32_t number(uint32_t position) const { return items_[position].number; }
  uint32_t around(uint32_t position) const { return items_[position].parent; }  // the next larger one, or kNone
  size_t size() const { return items_.size(); }
  size_t MemoryBytes() const { return items_.capacity() * sizeof(Item) + edges_.capacity() * sizeof(Edge); }

 private:
  struct Item {
    Network network;
    uint32_t number = 0;
    uint32_t parent = kNone;
  };
  // From `first` up to the next edge the smallest network around an address is `position`.
  struct Edge {
    AddressNumber first;
    uint32_t position = kNone;
  };
  std::vector<Item> items_;  // by first address, larger networks first
  std::vector<Edge> edges_;  // ascending
};

}  // namespace triaged::enrich
