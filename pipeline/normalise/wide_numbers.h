// Whole numbers beyond 64 bits: legal JSON (RFC 8259, section 6, sets no limit), which simdjson refuses to read.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace triaged {

// `json` with every whole number put in quotes that neither a signed nor an unsigned 64-bit integer holds, so that it is
// read as a text, digit for digit. nullopt: it has none. What was not JSON does not become it: a number stands where a text
// may stand, except for a key, and before a colon nothing is changed. One pass. Any thread.
std::optional<std::string> QuoteWideNumbers(std::string_view json);

}  // namespace triaged
