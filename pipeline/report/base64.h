// Base64 with padding (RFC 4648, section 4), for bytes that no JSON string can hold.
#pragma once

#include <string>
#include <string_view>

namespace triaged {

std::string Base64(std::string_view bytes);

}  // namespace triaged
