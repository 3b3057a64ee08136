// Explain: in words why a case stands where it does, what fires next, and what a policy does to a case nobody touches.
// Derived from the same fields and the same engine that decide, so the words cannot tell another story.
// Pure; the texts are for people and may change between releases.
#pragma once

#include <string>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/case.h"
#include "pipeline/policy/policy.h"

namespace triaged {

struct Deadline {
  Timestamp at{};
  std::string what;  // "acknowledge clock breaches", "escalation to L2", "guard actively_worked_on is asked again" …
  bool operator==(const Deadline&) const = default;
};

// What is armed, by time. Document publication is no deadline of the case and left out.
std::vector<Deadline> Deadlines(const Policy& policy, const Case& c);
// Why nothing is armed; "" when something is.
std::string ReasonForNoDeadline(const Policy& policy, const Case& c);

std::string ExplainCase(const Policy& policy, const Case& c, Timestamp now);
// Minute by minute, an untouched case of each severity opened at `start`, for at most 30 days.
std::string ExplainPolicy(const Policy& policy, Timestamp start);
// The ladder as a Graphviz digraph.
std::string PolicyGraph(const Policy& policy);

}  // namespace triaged
