#include "pipeline/enrich/network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "pipeline/normalise/address.h"

namespace triaged::enrich {
namespace {

AddressNumber FromBytes(const unsigned char* bytes) {
  AddressNumber number;
  for (int i = 0; i < 8; ++i) {
    number.high = number.high << 8 | bytes[i];
    number.low = number.low << 8 | bytes[i + 8];
  }
  return number;
}

// The bits below the first `prefix` of 128.
AddressNumber HostMask(int prefix) {
  AddressNumber mask{~uint64_t{0}, ~uint64_t{0}};
  if (prefix >= 64) {
    mask.high = 0;
    mask.low = prefix == 128 ? 0 : ~uint64_t{0} >> (prefix - 64);
  } else if (prefix > 0) {
    mask.high = ~uint64_t{0} >> prefix;
  }
  return mask;
}

}  // namespace

std::array<char, 16> AddressNumber::Bytes() const {
  std::array<char, 16> bytes;
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(high >> (56 - 8 * i));
    bytes[i + 8] = static_cast<char>(low >> (56 - 8 * i));
  }
  return bytes;
}

std::optional<AddressNumber> ParseAddressNumber(std::string_view text) {
  const auto address = ParseAddress(text);
  if (!address || !address->port.empty()) return std::nullopt;
  const std::string ip = address->ip();
  char copy[INET6_ADDRSTRLEN] = {};
  if (ip.size() >= sizeof copy) return std::nullopt;
  std::memcpy(copy, ip.data(), ip.size());
  unsigned char bytes[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
  const bool v6 = ip.find(':') != std::string::npos;
  if (inet_pton(v6 ? AF_INET6 : AF_INET, copy, v6 ? bytes : bytes + 12) != 1) return std::nullopt;
  return FromBytes(bytes);
}

AddressNumber Network::Last() const {
  const AddressNumber mask = HostMask(prefix);
  return {first.high | mask.high, first.low | mask.low};
}

std::optional<Network> ParseNetwork(std::string_view text, bool* host_bits) {
  *host_bits = false;
  const size_t slash = text.find('/');
  const auto address = ParseAddressNumber(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return Network{*address, 128};
  const bool v4 = text.substr(0, slash).find(':') == std::string_view::npos;
  const std::string_view digits = text.substr(slash + 1);
  int prefix = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (!whole || prefix < 0 || prefix > (v4 ? 32 : 128)) return std::nullopt;
  Network network{*address, v4 ? prefix + 96 : prefix};
  const AddressNumber mask = HostMask(network.prefix);
  *host_bits = (address->high & mask.high) != 0 || (address->low & mask.low) != 0;
  network.first = {address->high & ~mask.high, address->low & ~mask.low};
  return network;
}

// Prefixes nest or are apart, so a sweep with a stack of the networks it stands in turns them into stretches.
std::vector<std::pair<uint32_t, uint32_t>> NetworkTable::Finish() {
  std::stable_sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
    return a.network.first != b.network.first ? a.network.first < b.network.first : a.network.prefix < b.network.prefix;
  });
  std::vector<std::pair<uint32_t, uint32_t>> repeated;
  size_t kept = 0;
  for (const Item& item : items_) {
    if (kept > 0 && items_[kept - 1].network == item.network) {
      repeated.emplace_back(item.number, items_[kept - 1].number);
    } else {
      items_[kept++] = item;
    }
  }
  items_.resize(kept);
  std::vector<uint32_t> open;
  const auto begin_stretch = [&](AddressNumber first, uint32_t position) {
    if (!edges_.empty() && edges_.back().first == first) edges_.pop_back();
    edges_.push_back({first, position});
  };
  const auto close = [&] {
    AddressNumber after = items_[open.back()].network.Last();
    open.pop_back();
    if (++after.low == 0 && ++after.high == 0) return;  // it reached the last address of all
    begin_stretch(after, open.empty() ? kNone : open.back());
  };
  for (uint32_t i = 0; i < items_.size(); ++i) {
    while (!open.empty() && items_[open.back()].network.Last() < items_[i].network.first) close();
    items_[i].parent = open.empty() ? kNone : open.back();
    begin_stretch(items_[i].network.first, i);
    open.push_back(i);
  }
  while (!open.empty()) close();
  items_.shrink_to_fit();
  edges_.shrink_to_fit();
  return repeated;
}

uint32_t NetworkTable::Find(const AddressNumber& address) const {
  const auto after = std::upper_bound(edges_.begin(), edges_.end(), address,
                                      [](const AddressNumber& a, const Edge& edge) { return a < edge.first; });
  return after == edges_.begin() ? kNone : std::prev(after)->position;
}

}  // namespace triaged::enrich
