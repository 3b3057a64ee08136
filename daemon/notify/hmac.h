// HMAC-SHA256 in lower-case hexadecimal (RFC 2104). Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace triaged {

std::string HmacSha256Hex(std::string_view key, std::string_view text);

}  // namespace triaged
