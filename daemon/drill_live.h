// DrillLive: a drill against a running daemon, in real time. Its alerts are marked as a drill and go to the alert topic, its
// commands to the drill's own cases, and the events are read back from the escalation topic with read_committed.
//
// Nothing of it touches a case of others: a drill's alerts make cases of their own (decide/grouping.h), and a command
// that names no case of this run is refused. People are reached only through routes with `drill: true`.
//
// What cannot be asked of a running daemon is refused: `record` (raw bytes carry no mark), `partitions`, `retention`. The
// lines `start`, `matched` and `end` are passed over. Times are held by the events' own time, from the first event on.
#pragma once

#include <optional>
#include <string>

#include "daemon/config.h"
#include "daemon/timeline.h"
#include "pipeline/base/result.h"

namespace triaged {

struct LiveDrill {
  std::string topic;                // the alert topic; empty: the first that is named in full
  std::string run;                  // tells this run's alerts, cases and commands from all others
  Duration tolerance{30'000};       // an event may be so much earlier or later than its line says
  std::optional<Duration> until;    // later lines are left out
};

// Takes as long as the drill's last line and one tolerance per line that waits in vain. An Error: the file is wrong, or
// the broker cannot be reached.
Result<TimelineResult> RunLive(const SourceFile& file, const Config& config, const LiveDrill& live);

}  // namespace triaged
