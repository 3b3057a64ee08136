// CaseContext: one case being decided on, at one instant. Passed down by every function of decide/.
//
// Pure: `now` is the partition's logical clock; nothing here reads a clock, logs or does I/O. Events are collected and
// rendered by the processor after the input is done, so all events of one input show the case as that input left it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/model/case.h"
#include "pipeline/model/case_event.h"
#include "pipeline/policy/policy.h"

namespace triaged {

struct Surroundings;

struct CaseContext {
  const Policy& policy;
  Case& c;
  Timestamp now;
  std::vector<CaseEvent>& events;
  // The partition around the case; null where nothing beside the case may be looked at or changed.
  Surroundings* around = nullptr;
  // What changed; the caller publishes the document and asks the criteria accordingly.
  bool standing_changed = false;  // status, level, severity, verdict, owner: the document is owed at once
  bool facts_changed = false;     // something a criterion may read (but alert_count, which changes each time)
  // Rules that gave the case new tags with the alert in hand, and which, in the order of the rule set.
  std::vector<std::pair<const Rule*, std::vector<std::string>>> tagged{};
  // What this input found, to tell news from what was there before: the severity and, only while the case takes an alert,
  // the rule that led it (LeadingRule).
  const uint8_t severity_before = c.severity;
  std::optional<std::string> led_before{};
};

// Appends an event of this case with the next sequence number; the caller fills in what is special.
CaseEvent& Emit(CaseContext& ctx, CaseEventType type, std::string reason);
// Appends to the bounded timeline.
void AddToTimeline(CaseContext& ctx, std::string_view what, std::string_view actor, std::string_view text);
// Marks a change of standing: version + 1, document owed.
void StandingChanged(CaseContext& ctx);
// `text` cut to kMaxTextBytes at a code point.
std::string Bounded(std::string_view text);

}  // namespace triaged
