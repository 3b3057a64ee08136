// Tests of the notifier's routes, for `triagectl test`: which destinations an event goes to at a time.
//
//   notify: notify.yaml             # relative to this file
//   routes:
//     - name: criticals are telephoned at night
//       at: 2026-03-02T23:30:00Z    # by default 2026-03-02T08:00:00Z, a Monday
//       event: {severity: critical, level: L2, channel: [page]}
//       to: [phone, chat]           # in order; [] is nobody
//
// An event also has `event` (escalated), `first_level` (false), `team`, `policy`, `drill` (false).
//
// Secrets are not needed: where a file of one is absent, a stand-in is used. Nothing is sent.
#pragma once

#include <string>
#include <vector>

#include "pipeline/base/yaml.h"

namespace triaged {

// Whether a file of `triagectl test` is one of these, by its name (.yaml, .yml); any other is a timeline.
bool IsRouteTest(const std::string& path);

// "file:line: …" for each case that went elsewhere; errors of either file as diagnostics.
std::vector<std::string> RunRouteTests(const SourceFile& file);

}  // namespace triaged
