#include "pipeline/model/case_event.h"

#include "pipeline/base/check.h"

namespace triaged {
namespace {

constexpr std::string_view kNames[] = {
#define TRIAGED_X(id, name) name,
    TRIAGED_CASE_EVENTS(TRIAGED_X)
#undef TRIAGED_X
};
static_assert(std::size(kNames) == kCaseEventTypeCount);

}  // namespace

std::string_view Name(CaseEventType type) {
  const auto index = static_cast<size_t>(type);
  TRIAGED_CHECK(index < kCaseEventTypeCount);
  return kNames[index];
}

}  // namespace triaged
