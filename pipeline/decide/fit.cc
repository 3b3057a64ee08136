#include "pipeline/decide/fit.h"

#include <algorithm>

namespace triaged {

bool FitToPolicy(const Policy& policy, Case* c) {
  bool changed = false;
  const auto put = [&changed](auto* place, auto value) {
    changed |= *place != value;
    *place = value;
  };
  const auto mildest = static_cast<uint8_t>(policy.severities.size() - 1);
  for (uint8_t* severity : {&c->severity, &c->verdict_severity, &c->silenced_severity, &c->undo.severity,
                            &c->undo.verdict_severity}) {
    put(severity, std::min(*severity, mildest));
  }
  put(&c->level, std::min(c->level, static_cast<uint8_t>(policy.levels.size() - 1)));
  for (size_t level = policy.levels.size(); level < kMaxCaseLevels; ++level) {
    put(&c->level_due[level], Timestamp{});
    put(&c->undo.level_due[level], Timestamp{});
  }
  if (policy.repeat_interval <= Duration{0}) {
    put(&c->next_repeat, Timestamp{});
    put(&c->undo.next_repeat, Timestamp{});
  }
  return changed;
}

}  // namespace triaged
