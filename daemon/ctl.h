// The subcommands of triagectl, one function each. They print results to stdout and diagnostics to stderr and return
// the exit code: 0 ok, 1 a check failed or a runtime error, 2 usage (CONTRACTS.md, Programs).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/model/command.h"

namespace triaged {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitConfig = 78;  // of the daemon: EX_CONFIG

// `what`: config, policy, rules, formats or enrichment; all problems of all files at once.
// `mapping`: the table that rules are checked with, or ""; `config_path`: what they may cost.
int CheckFiles(const std::string& config_path, const std::string& what, const std::vector<std::string>& paths,
               const std::string& mapping);

struct NormalizeOptions {
  std::string format;               // empty: detect
  std::string topic;                // empty: no topic's settings
  std::string record_time;          // RFC 3339, of all records; empty: the epoch
  bool strict = false;              // exit 1 when a line is no JSON object
  bool explain = false;             // print which table and which path gave each value instead
  bool ocsf = false;                // print OCSF Detection Findings instead
  bool enrich = false;              // add what the enrichment files know
  std::vector<std::string> inputs;  // empty: stdin
};
int Normalize(const std::string& config_path, const NormalizeOptions& options);

struct RuleEvalOptions {
  std::vector<std::string> rules;  // files or directories
  std::string events;              // NDJSON file; empty or "-": stdin
  std::string mapping;             // mapping table, or empty
  bool raw = false;                // fields address the event's own JSON; no configuration is read
};
// One JSON line per event: {"line": n, "rules": [ids]}, ids in the order of the rule set.
int EvalRules(const std::string& config_path, const RuleEvalOptions& options);
// Why the rule `id` matches each event, or does not: a line per part, with the values it was asked of.
int ExplainRule(const std::string& config_path, const std::string& id, const RuleEvalOptions& options);

struct ReplayOptions {
  std::string topic = "replay";     // the alert topic whose settings hold
  std::string until;                // RFC 3339, or empty
  bool cases = false;
  std::vector<std::string> inputs;
};
int RunReplay(const std::string& config_path, const ReplayOptions& options);

struct QualityCommand {
  std::string input;                // CSV, TSV or NDJSON, also .gz
  std::string labels;               // labels of NDJSON in a table of their own, or empty
  std::vector<std::string> columns; // label columns; the first one's labels must not be closed by rules
  std::vector<std::string> benign;  // labels that mean no attack
  std::string from, to;             // RFC 3339, or empty
  std::string within = "30m";       // how soon a step is to reach the next level
  std::string shift = "8h";
  std::string first_level_closes;   // how long after its opening the first level closes what it still has; empty: never
  bool json = false;
};
// What the configured pack and rules make of labelled alerts.
int Quality(const std::string& config_path, const QualityCommand& command);

// Runs timelines, and route tests (route_tests.h); `junit` is a file to write, or empty.
int RunTests(const std::string& config_path, const std::vector<std::string>& timelines, const std::string& junit);

// How a rendering looks.
struct OutputStyle {
  std::string name;                 // of the template
  std::string language = "en";      // or "ja"
  std::string format = "md";        // md, json or text; of a report also html
  std::string zone;                 // IANA
  std::string templates;            // folder; empty: beside the configuration, else the shipped ones
};
struct HandoffOptions {
  std::string case_id;              // empty: the digest of a shift
  std::string from, to;             // RFC 3339, of the shift
  std::string input;                // NDJSON with case documents; empty: the case topic
  OutputStyle style;
};
int Handoff(const std::string& config_path, const HandoffOptions& options);

struct ReportOptions {
  std::string from, to;             // RFC 3339
  std::string period;               // month or quarter; empty: the whole time at once
  bool cases = false;               // a list of single cases instead, by `status` and `severity` (empty: all)
  std::string status, severity;
  std::string input;                // NDJSON with case documents; empty: the case topic
  OutputStyle style;
};
int Report(const std::string& config_path, const ReportOptions& options);

struct DrillOptions {
  std::vector<std::string> files;   // in the timeline format
  std::string format = "text";      // or json
  bool live = false;                // against the running daemon, in real time (drill_live.h)
  std::string topic;                // live: the alert topic; empty: the first that is named in full
  std::string tolerance = "30s";    // live: how much earlier or later than its line an event may be
  std::string until;                // live: later lines (h:mm) are left out
};
// With every alert marked as a drill; exit 1 when something happened otherwise than expected.
int Drill(const std::string& config_path, const DrillOptions& options);

struct CasesOptions {
  std::string case_id;              // `case`: which one
  // `cases`: only those; empty: any, but of the status those that are neither resolved nor closed.
  std::string status, severity, level, policy, team, assignee;
  bool all = false;                 // resolved and closed ones, too
  std::string input;                // NDJSON with case documents; empty: the case topic
  std::string output = "text";      // json or ndjson: the documents themselves
};
// What is due first comes first.
int Cases(const std::string& config_path, const CasesOptions& options);
int ShowCase(const std::string& config_path, const CasesOptions& options);

struct OnCallOptions {
  std::string at;                   // RFC 3339, or empty: now
  std::string team;                 // empty: all
  bool lint = false;                // exit 1 for gaps, fallbacks, people without contact in the next days
  int days = 90;
};
int OnCall(const std::string& config_path, const OnCallOptions& options);

struct ExplainOptions {
  std::string case_id;              // read from the changelog
  std::string policy;               // or: what this policy does to a case nobody touches
  std::string at;                   // RFC 3339, or empty: now
};
int Explain(const std::string& config_path, const ExplainOptions& options);
struct SilenceOptions {
  Command command;                  // name, actor, role, match, reason, until, expire
  std::vector<std::string> match;   // "host.name=db7"
  std::string until;                // RFC 3339
};
// Writes the silence, or its end, to every partition.
int SendSilence(const std::string& config_path, SilenceOptions options);
int ListSilences(const std::string& config_path);
// `check policy --graph`: the ladder of each pack as Graphviz.
int GraphPolicies(const std::vector<std::string>& paths);

struct BackupOptions {
  std::string directory;            // N.backup per partition
  std::vector<int> partitions;      // empty: all
  bool check_only = false;          // restore: write nothing
};
int Backup(const std::string& config_path, const BackupOptions& options);
int Restore(const std::string& config_path, const BackupOptions& options);

int CreateTopics(const std::string& config_path);
int CheckTopics(const std::string& config_path);

// Puts one command on the commands topic. An empty id is made up (random).
int SendCommand(const std::string& config_path, Command command);

}  // namespace triaged
