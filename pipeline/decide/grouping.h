// Grouping: which policy owns an alert, and under which key it is put with others (DOMAIN.md, Grouping rules).
#pragma once

#include <string>

#include "pipeline/model/alert.h"
#include "pipeline/model/case.h"
#include "pipeline/policy/engine.h"

namespace triaged {

struct Group {
  const Policy* policy = nullptr;
  const GroupingRule* rule = nullptr;
  std::string key;  // "<policy>/<grouping rule>/<value>[/<value>…]", values lower-cased and escaped; of drills "/!drill[:run]" after it
};

// The first policy whose `when` matches, and its first grouping rule whose fields are all present. policy is nullptr
// when no policy wants the alert (a configuration without a catch-all).
void ChooseGroup(const Engine& engine, const Alert& alert, Group* group);

// Finds a group again from what stage one wrote into the intake record; nullptr members when it no longer exists.
void FindGroup(const Engine& engine, std::string_view key, Group* group);

enum class WindowFit {
  kMerge,     // an active case whose window takes the alert
  kReopen,    // resolved or closed, within the reopening time
  kNew,       // no case, or its window is over: a new case, linked to the old
  kOverflow,  // the case is full: a new linked one
};
// What was resolved or closed as a false positive is never reopened: its verdict is about what was known, and would clear
// what comes, too.
WindowFit FitWindow(const GroupingRule& rule, const Case& c, Timestamp time, Timestamp now);

}  // namespace triaged
