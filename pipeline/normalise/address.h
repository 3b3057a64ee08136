// Addresses: what is an IP address, and what only stands in an address field. Nothing is guessed. Pure.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace triaged {

struct Address {
  std::string_view written;  // part of the input
  std::string_view port;     // of "a.b.c.d:port" or "[v6]:port", else ""
  bool v6 = false;           // then its bytes are there
  std::array<unsigned char, 16> bytes{};

  // The same address is the same text however its source wrote it: IPv6 as RFC 5952 has it, an IPv4-mapped one as IPv4.
  std::string ip() const;
};

// IPv4 in dotted decimal without leading zeros, IPv6 (RFC 4291 texts; a zone behind it is left out), either with a port.
// nullopt: no address.
std::optional<Address> ParseAddress(std::string_view text);

}  // namespace triaged
