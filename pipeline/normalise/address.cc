#include "pipeline/normalise/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>

namespace triaged {
namespace {

bool IsNumber(std::string_view text, unsigned max) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return false;
  unsigned value = 0;
  for (char ch : text) {
    if (ch < '0' || ch > '9') return false;
    value = value * 10 + static_cast<unsigned>(ch - '0');
  }
  return value <= max;
}

// Most address fields hold one of these. A part has no leading zero: octal for some readers, decimal for others.
bool IsIpv4(std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto digit = [&] { return at < end ? static_cast<unsigned char>(*at) - unsigned{'0'} : 10; };
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at == end || *at++ != '.')) return false;
    unsigned value = digit();
    if (value > 9) return false;
    ++at;
    for (unsigned next = digit(); next <= 9; next = digit()) {
      if (value == 0) return false;
      ++at;
      value = value * 10 + next;
      if (value > 255) return false;
    }
  }
  return at == end;
}

// A zone behind it ("fe80::1%eth0") is of the machine that wrote it, and no part of the address (RFC 4007, section 11).
std::string_view WithoutZone(std::string_view text) {
  const size_t percent = text.find('%');
  if (percent == std::string_view::npos) return text;
  const std::string_view zone = text.substr(percent + 1);
  const bool name = !zone.empty() && std::all_of(zone.begin(), zone.end(), [](unsigned char ch) {
    return std::isalnum(ch) || ch == '.' || ch == '_' || ch == '-' || ch == ':';
  });
  return name ? text.substr(0, percent) : text;
}

std::optional<Address> Ipv6(std::string_view text, std::string_view port) {
  text = WithoutZone(text);
  char copy[INET6_ADDRSTRLEN] = {};
  if (text.size() < 2 || text.size() >= sizeof copy || text.find(':') == std::string_view::npos) return std::nullopt;
  std::memcpy(copy, text.data(), text.size());
  Address address{text, port, true, {}};
  if (inet_pton(AF_INET6, copy, address.bytes.data()) != 1) return std::nullopt;
  return address;
}

// RFC 5952: lower case, no leading zeros, the longest row of zero groups (two at least, the first of equals) as `::`.
std::string Ipv6Text(const std::array<unsigned char, 16>& bytes) {
  const auto group = [&](int i) { return bytes[static_cast<size_t>(i) * 2] << 8 | bytes[static_cast<size_t>(i) * 2 + 1]; };
  int best = 8, best_end = 8;
  for (int i = 0; i < 8; ++i) {
    int end = i;
    while (end < 8 && group(end) == 0) ++end;
    if (end - i >= 2 && end - i > best_end - best) best = i, best_end = end;
    i = std::max(i, end);
  }
  std::string text;
  for (int i = 0; i < 8; ++i) {
    if (i == best) {
      text += "::";
      i = best_end - 1;
      continue;
    }
    if (i > 0 && i != best_end) text += ':';
    char digits[4];
    const auto end = std::to_chars(digits, digits + sizeof digits, group(i), 16).ptr;
    text.append(digits, end);
  }
  return text;
}

}  // namespace

std::string Address::ip() const {
  if (!v6) return std::string(written);
  constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(bytes.data(), kMapped, sizeof kMapped) != 0) return Ipv6Text(bytes);
  std::string text;
  for (size_t i = 12; i < 16; ++i) text.append(i > 12 ? "." : "").append(std::to_string(bytes[i]));
  return text;
}

std::optional<Address> ParseAddress(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (IsIpv4(text)) return Address{text, {}};
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && (rest.front() != ':' || !IsNumber(rest.substr(1), 65535))) return std::nullopt;
    return Ipv6(text.substr(1, end - 1), rest.substr(std::min<size_t>(rest.size(), 1)));
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  if (IsIpv4(text.substr(0, colon)) && IsNumber(text.substr(colon + 1), 65535)) {
    return Address{text.substr(0, colon), text.substr(colon + 1)};
  }
  return Ipv6(text, {});
}

}  // namespace triaged
