// Addresses: what is an IP address, and what only stands in an address field. Nothing is guessed. Pure.
#pragma once

#include <optional>
#include <string_view>

namespace triaged {

struct Address {
  std::string_view ip;    // part of the input: an IPv4-mapped IPv6 address gives its IPv4 part
  std::string_view port;  // of "a.b.c.d:port" or "[v6]:port", else ""
};

// IPv4 in dotted decimal without leading zeros, IPv6 (RFC 4291 texts), either with a port. nullopt: no address.
std::optional<Address> ParseAddress(std::string_view text);

}  // namespace triaged
