// Timeline: the one text format of scenarios, `triagectl test` and drills. Virtual time, one line an instant:
//
//   # a comment
//   partitions 2
//   retention 30d
//   start 2026-03-02T08:00:00Z
//   00:00 alert host=db7 rule="Credential dumping" severity=high    → opens 0-1
//   00:30                                                           → escalates 0-1 to L2: uncertain_verdict
//   00:35 ack 0-1 by otto as l2                                     → acknowledged 0-1: command
//   00:40 record not json                                           → dead letter: invalid_json
//   01:00                                                           → nothing
//   matched credential-dumping                                       # the rules that matched since the last such line
//   end 0-1 status=in_progress level=L2 alerts=1
//
// Times are h:mm or h:mm:ss since `start` and never go back. Alert attributes are ECS names, or host, user, source,
// rule, severity (low … critical, or 0–100), id, event_time, action, drill; `record` gives raw bytes. Of a command's
// arguments alerts=a,b is a list, match=field:value may stand several times. `retention`, before the first line: closed
// cases leave after resting that long, archived (`purges 0-1`); without it they stay. What stands after the arrow
// must be exactly the events of that line, in order, separated by `;` – and none may happen between lines unannounced.
// `matched` lists the ids of the rules that matched alerts since it last stood, each once,
// in any order, or `nothing`. The arrow is → or ->.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/base/yaml.h"
#include "pipeline/policy/engine.h"

namespace triaged {

// A line with what was expected of it and what happened.
struct TimelineStep {
  std::string at, action, expected, actual;
  std::string reached;  // of escalations: the person, and of which team
};

struct TimelineResult {
  int lines = 0;                      // with an expectation that was checked
  int events = 0;                     // that happened
  std::vector<TimelineStep> steps;
  std::vector<std::string> failures;  // "file:line: expected … but …"
};

// Runs one timeline over a fresh Replay, of one partition unless it says `partitions N` first. An Error means the text itself is wrong.
// `drill` marks every alert but raw records as one (labels.drill), and asks of every event that it says so.
Result<TimelineResult> RunTimeline(const SourceFile& file, std::shared_ptr<const Engine> engine,
                                   bool drill = false);

}  // namespace triaged
