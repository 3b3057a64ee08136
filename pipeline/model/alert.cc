#include "pipeline/model/alert.h"

#include "pipeline/base/check.h"

namespace triaged {

std::string_view Name(AlertSeverity severity) {
  switch (severity) {
    case AlertSeverity::kUnknown: return "unknown";
    case AlertSeverity::kInformational: return "informational";
    case AlertSeverity::kLow: return "low";
    case AlertSeverity::kMedium: return "medium";
    case AlertSeverity::kHigh: return "high";
    case AlertSeverity::kCritical: return "critical";
  }
  TRIAGED_CHECK(false && "an alert severity outside its enum");
}

}  // namespace triaged
