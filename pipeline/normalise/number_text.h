// NumberText: a double as the shortest text that reads back as the same (std::to_chars), sooner for those that most
// alerts have. Pure.
#pragma once

#include <cstddef>

namespace triaged {

inline constexpr size_t kDoubleSize = 32;  // no shortest text of a double is longer

// Writes to `out`, which has room for kDoubleSize bytes; where the text ends.
char* PutDouble(double number, char* out);

}  // namespace triaged
