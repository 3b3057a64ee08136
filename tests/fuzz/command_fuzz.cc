// Fuzz target: command bytes. What parses must print and read back to the same bytes; nothing may throw or crash.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "pipeline/base/check.h"
#include "pipeline/model/command.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace triaged;
  const auto command = ParseCommand({reinterpret_cast<const char*>(data), size});
  if (!command.ok()) {
    TRIAGED_CHECK(!command.error().message.empty());
    return 0;
  }
  const std::string printed = CommandJson(*command);
  const auto again = ParseCommand(printed);
  // Escapes may make the printed form longer than the limit; anything else must read back.
  if (printed.size() > kMaxCommandBytes) return 0;
  TRIAGED_CHECK(again.ok());
  TRIAGED_CHECK(CommandJson(*again) == printed);
  return 0;
}
