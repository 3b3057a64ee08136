// triagectl: the client and offline tool.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "daemon/config.h"
#include "daemon/ctl.h"

namespace triaged {
namespace {

// Which option of a command verb fills which field of Command.
struct CommandOptions {
  Command command;
  std::string case_id;
  std::string verdict;
  uint64_t expected_version = 0;
  CLI::Option* version_option = nullptr;
};

struct VerbHelp {
  CommandAction action;
  const char* help;
};
constexpr VerbHelp kVerbs[] = {
    {CommandAction::kAck, "acknowledge: stops the acknowledge clock and re-notification"},
    {CommandAction::kAssign, "assign to a person (--to)"},
    {CommandAction::kVerdict, "give the verdict (--verdict, --reason)"},
    {CommandAction::kSetSeverity, "set the severity (--severity)"},
    {CommandAction::kEscalate, "escalate to the next level, or --to LEVEL (--reason)"},
    {CommandAction::kDeescalate, "move down a level, or --to LEVEL (--reason)"},
    {CommandAction::kNote, "add a note (--text)"},
    {CommandAction::kClassify, "classify (--incident none|minor|major, --classification)"},
    {CommandAction::kWait, "wait for information (--reason)"},
    {CommandAction::kHold, "put on hold (--reason)"},
    {CommandAction::kResume, "resume after wait or hold"},
    {CommandAction::kResolve, "resolve (--reason)"},
    {CommandAction::kConfirm, "answer a resolution (--answer confirmed_fixed|still_has_issues|needs_more_info)"},
    {CommandAction::kClose, "close (--reason)"},
    {CommandAction::kReopen, "reopen (--reason)"},
    {CommandAction::kContain, "contained: the damage no longer grows"},
    {CommandAction::kUpdate, "those affected were told (--text); the next word is due an interval later"},
    {CommandAction::kFollowUp, "a follow-up or regulatory report is done (--name)"},
    {CommandAction::kEngage, "engage a role beside the ladder (--name, --reason)"},
    {CommandAction::kDisengage, "release a role beside the ladder (--name, --reason)"},
    {CommandAction::kAcceptHandoff, "take over a role that is handed on (--name)"},
    {CommandAction::kUndo, "take the last command back (--reason)"},
    {CommandAction::kMerge, "merge the case away (--into CASE, --reason)"},
    {CommandAction::kSplit, "split alerts off into a new case (--alerts ID…, --reason)"},
    {CommandAction::kTag, "state a fact that criteria, guards and roles read (--name, --reason)"},
    {CommandAction::kUntag, "take a fact back that was stated (--name, --reason)"},
};

// An argument of some commands that is a text.
struct VerbArgument {
  const char* flag;
  std::string Command::*target;
  bool required;
  std::vector<CommandAction> actions;
  const char* help;
};

std::vector<VerbArgument> VerbArguments() {
  using enum CommandAction;
  return {
      {"--to", &Command::to, false, {kAssign}, "person of the roster (default: oneself)"},
      {"--to", &Command::to, false, {kEscalate, kDeescalate}, "level of the policy (default: the next one)"},
      {"--reason", &Command::reason, false,
       {kVerdict, kSetSeverity, kEscalate, kDeescalate, kWait, kHold, kResolve, kClose, kReopen, kContain, kFollowUp, kEngage,
        kDisengage, kUndo, kMerge, kSplit, kTag, kUntag},
       "why; stands in the case's timeline"},
      {"--name", &Command::name, true, {kFollowUp}, "which follow-up, or which regulatory clock, of the policy"},
      {"--name", &Command::name, true, {kEngage, kDisengage, kAcceptHandoff}, "role of the policy"},
      {"--name", &Command::name, true, {kTag, kUntag}, "the fact: a tag that the policy knows"},
      {"--into", &Command::into, true, {kMerge}, "case that takes this one's content, as in 3-17"},
      {"--text", &Command::text, true, {kNote}, "the note"},
      {"--text", &Command::text, true, {kUpdate}, "what those affected were told"},
      {"--text", &Command::text, false, {kEscalate}, "what is asked of the receiver"},
      {"--severity", &Command::severity, true, {kSetSeverity}, "severity of the policy"},
      {"--incident", &Command::incident, false, {kClassify}, "none, minor or major"},
      {"--classification", &Command::classification, false, {kClassify}, "a label of one's own"},
      {"--answer", &Command::answer, true, {kConfirm}, "confirmed_fixed, still_has_issues or needs_more_info"},
  };
}

void AddVerbOptions(CLI::App* verb, CommandOptions* options) {
  verb->add_option("case", options->case_id, "case id, as in 3-17")->required();
  verb->add_option("--actor", options->command.actor, "who acts")->required();
  verb->add_option("--role", options->command.role, "as which role of the policy")->required();
  options->version_option = verb->add_option("--expected-version", options->expected_version,
                                             "refuse if the case has changed since this version");
  verb->add_option("--id", options->command.id, "command id; a repeated one is applied once (default: random)");
  const CommandAction action = options->command.action;
  for (const VerbArgument& argument : VerbArguments()) {
    if (std::find(argument.actions.begin(), argument.actions.end(), action) == argument.actions.end()) continue;
    verb->add_option(argument.flag, options->command.*argument.target, argument.help)->required(argument.required);
  }
  if (action == CommandAction::kSplit) {
    verb->add_option("--alerts", options->command.alerts, "ids of the alerts that go into the new case")->required();
  }
  if (action == CommandAction::kVerdict) {
    verb->add_option("--verdict", options->verdict, "true_positive, false_positive, benign_true_positive or needs_review")
        ->required();
    verb->add_option("--confidence", options->command.confidence, "how sure, in percent")
        ->check(CLI::Range(0, 100))
        ->capture_default_str();
  }
}

int RunVerb(const std::string& config_path, CommandOptions options) {
  const auto id = ParseCaseId(options.case_id);
  if (!id) {
    std::fprintf(stderr, "triagectl: '%s' is not a case id (partition-sequence, as in 3-17)\n",
                 options.case_id.c_str());
    return kExitUsage;
  }
  options.command.case_id = *id;
  if (options.version_option->count() > 0) options.command.expected_version = options.expected_version;
  if (!options.verdict.empty()) {
    const auto verdict = ParseVerdict(options.verdict);
    if (!verdict) {
      std::fprintf(stderr,
                   "triagectl: '%s' is no verdict: true_positive, false_positive, benign_true_positive, needs_review\n",
                   options.verdict.c_str());
      return kExitUsage;
    }
    options.command.verdict = *verdict;
  }
  return SendCommand(config_path, options.command);
}

// handoff, report and drill.
class ReportVerbs {
 public:
  void Add(CLI::App* app) {
    handoff_ = app->add_subcommand("handoff", "a case, or a shift (--from, --to), in words for who takes over");
    handoff_->add_option("case", handoff_options_.case_id, "case id, as in 3-17; without one: the digest of a shift");
    handoff_options_.style.name = "handoff";
    handoff_->add_option("--template", handoff_options_.style.name, "template of a case")->capture_default_str();
    handoff_->add_option("--from", handoff_options_.from, "begin of the shift, RFC 3339");
    handoff_->add_option("--to", handoff_options_.to, "its end");
    AddStyle(handoff_, &handoff_options_.input, &handoff_options_.style, {"md", "json", "text"});

    report_ = app->add_subcommand("report", "figures of a time: rates against goals, causes, rules, load, SLA");
    report_->add_option("--from", report_options_.from, "begin, RFC 3339")->required();
    report_->add_option("--to", report_options_.to, "end, not included")->required();
    report_->add_option("--period", report_options_.period, "cut it at the borders of months or quarters")
        ->check(CLI::IsMember({"month", "quarter"}));
    CLI::Option* cases = report_->add_flag("--cases", report_options_.cases, "a list of the single cases instead");
    report_->add_option("--status", report_options_.status, "only those of this status")->needs(cases);
    report_->add_option("--severity", report_options_.severity, "only those of this severity")->needs(cases);
    AddStyle(report_, &report_options_.input, &report_options_.style, {"md", "json", "text", "html"});

    drill_ = app->add_subcommand("drill", "run drills and compare with what they expect: in virtual time, or --live");
    drill_->add_option("files", drill_options_.files, "drills, in the timeline format")->required();
    CLI::Option* live = drill_->add_flag("--live", drill_options_.live, "against the running daemon, in real time");
    drill_->add_option("--topic", drill_options_.topic, "alert topic to send to (default: the first)")->needs(live);
    drill_->add_option("--tolerance", drill_options_.tolerance, "how much earlier or later an event may be")
        ->needs(live)
        ->capture_default_str();
    drill_->add_option("--until", drill_options_.until, "leave out lines later than this (h:mm)")->needs(live);
    drill_->add_option("--format", drill_options_.format, "of the answer")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
  }

  // The exit code, when one of these was asked for.
  std::optional<int> Run(const std::string& config_path) const {
    if (*handoff_) return Handoff(config_path, handoff_options_);
    if (*report_) return Report(config_path, report_options_);
    if (*drill_) return Drill(config_path, drill_options_);
    return std::nullopt;
  }

 private:
  static void AddStyle(CLI::App* app, std::string* input, OutputStyle* style, std::vector<std::string> formats) {
    app->add_option("--input", *input, "NDJSON with case documents, - for standard input (default: the case topic)");
    app->add_option("--lang", style->language, "of the words")->check(CLI::IsMember({"en", "ja"}))->capture_default_str();
    app->add_option("--format", style->format, "of the answer")
        ->check(CLI::IsMember(std::move(formats)))
        ->capture_default_str();
    app->add_option("--zone", style->zone, "IANA zone of the times (default: the case's; of a digest UTC)");
    app->add_option("--templates", style->templates, "folder with templates of one's own");
  }

  CLI::App* handoff_ = nullptr;
  CLI::App* report_ = nullptr;
  CLI::App* drill_ = nullptr;
  HandoffOptions handoff_options_;
  ReportOptions report_options_;
  DrillOptions drill_options_;
};

// cases and case.
class CaseVerbs {
 public:
  void Add(CLI::App* app) {
    cases_ = app->add_subcommand("cases", "list open cases, the most urgent deadline first");
    cases_->add_option("--status", options_.status, "only those of this status");
    cases_->add_option("--severity", options_.severity, "only those of this severity");
    cases_->add_option("--level", options_.level, "only those at this level");
    cases_->add_option("--policy", options_.policy, "only those of this policy");
    cases_->add_option("--team", options_.team, "only those of this team");
    cases_->add_option("--assignee", options_.assignee, "only those that this person has");
    cases_->add_flag("--all", options_.all, "resolved and closed ones, too");
    case_ = app->add_subcommand("case", "show one case: standing, clocks, notes, the end of its timeline");
    case_->add_option("case", options_.case_id, "case id, as in 3-17")->required();
    for (CLI::App* sub : {cases_, case_}) {
      sub->add_option("--input", options_.input, "NDJSON with case documents, - for standard input (default: the case topic)");
      sub->add_option("--output", options_.output, "json and ndjson: the case documents")
          ->check(CLI::IsMember({"text", "json", "ndjson"}))
          ->capture_default_str();
    }
  }
  std::optional<int> Run(const std::string& config_path) const {
    if (*cases_) return Cases(config_path, options_);
    if (*case_) return ShowCase(config_path, options_);
    return std::nullopt;
  }

 private:
  CLI::App* cases_ = nullptr;
  CLI::App* case_ = nullptr;
  CasesOptions options_;
};

// oncall, explain and silence, the cases and the reports.
class PolicyVerbs {
 public:
  void Add(CLI::App* app) {
    on_call_ = app->add_subcommand("oncall", "who is on shift in each team");
    on_call_->add_option("--at", on_call_options_.at, "RFC 3339 time (default: now)");
    on_call_->add_option("--team", on_call_options_.team, "this team alone");
    on_call_->add_flag("--lint", on_call_options_.lint,
                       "also list gaps, fallbacks and people without contact that lie ahead");
    on_call_->add_option("--days", on_call_options_.days, "how far --lint looks")
        ->check(CLI::Range(1, 3660))
        ->capture_default_str();

    explain_ = app->add_subcommand("explain", "why a case stands where it does, and what fires next");
    explain_->add_option("case", explain_options_.case_id, "case id, as in 3-17");
    explain_->add_option("--policy", explain_options_.policy,
                         "instead: what this policy does to a case nobody touches");
    explain_->add_option("--at", explain_options_.at, "RFC 3339 time (default: now)");
    AddSilence(app);
    cases_.Add(app);
    reports_.Add(app);
  }

  // The exit code, when one of these was asked for.
  std::optional<int> Run(const std::string& config_path) const {
    if (*on_call_) return OnCall(config_path, on_call_options_);
    if (*explain_) return Explain(config_path, explain_options_);
    if (const auto exit_code = cases_.Run(config_path)) return exit_code;
    if (!*silence_) return reports_.Run(config_path);
    const std::string what = silence_->get_subcommands().front()->get_name();
    if (what == "list") return ListSilences(config_path);
    SilenceOptions options = silence_options_;
    options.command.expire = what == "expire";
    return SendSilence(config_path, options);
  }

 private:
  void AddSilence(CLI::App* app) {
    silence_ = app->add_subcommand("silence", "hold the escalation of what matches back until an instant");
    silence_->require_subcommand(1);
    silence_->add_subcommand("list", "all silences, with hits; unused and expired ones are marked");
    CLI::App* add = silence_->add_subcommand("add", "add or replace one");
    CLI::App* expire = silence_->add_subcommand("expire", "take one back");
    for (CLI::App* sub : {add, expire}) {
      sub->add_option("--name", silence_options_.command.name, "its id")->required();
      sub->add_option("--actor", silence_options_.command.actor, "who acts; the owner of a new one")->required();
      sub->add_option("--role", silence_options_.command.role, "as which role of the policy")->required();
    }
    add->add_option("--match", silence_options_.match, "field=value, all of which an alert must show")->required();
    add->add_option("--reason", silence_options_.command.reason, "why")->required();
    add->add_option("--until", silence_options_.until, "RFC 3339 time")->required();
  }

  CLI::App* on_call_ = nullptr;
  CLI::App* explain_ = nullptr;
  CLI::App* silence_ = nullptr;
  OnCallOptions on_call_options_;
  ExplainOptions explain_options_;
  SilenceOptions silence_options_;
  CaseVerbs cases_;
  ReportVerbs reports_;
};

class BackupVerbs {
 public:
  void Add(CLI::App* app) {
    backup_ = app->add_subcommand("backup", "write each partition's store to one file; the daemon may be running");
    restore_ = app->add_subcommand("restore", "check backups and make stores of them; the daemon must be stopped");
    restore_->add_flag("--check", options_.check_only, "only check the files");
    for (CLI::App* sub : {backup_, restore_}) {
      sub->add_option("directory", options_.directory, "of the backup files")->required();
      sub->add_option("--partition", options_.partitions, "only these (default: all that are there)");
    }
  }
  std::optional<int> Run(const std::string& config_path) const {
    if (*backup_) return Backup(config_path, options_);
    if (*restore_) return Restore(config_path, options_);
    return std::nullopt;
  }

 private:
  CLI::App* backup_ = nullptr;
  CLI::App* restore_ = nullptr;
  BackupOptions options_;
};

// `output`: "ecs" or "ocsf".
CLI::App* AddNormalize(CLI::App* app, NormalizeOptions* options, std::string* output) {
  CLI::App* normalize = app->add_subcommand("normalize", "print each alert as flat JSON with ECS names");
  normalize->add_option("--format", options->format, "format table to use (default: detect)");
  normalize->add_option("--topic", options->topic, "alert topic whose settings hold (format, zone, split)");
  normalize->add_option("--record-time", options->record_time,
                        "RFC 3339 time at which Kafka would have got the records: of alerts without a time, and for years left out");
  normalize->add_flag("--strict", options->strict, "exit with 1 when a line is no JSON object");
  normalize->add_flag("--explain", options->explain, "print which table, and which path gave each value");
  normalize->add_option("--output", *output, "ecs: flat JSON; ocsf: a Detection Finding")
      ->check(CLI::IsMember({"ecs", "ocsf"}))
      ->capture_default_str();
  normalize->add_flag("--enrich", options->enrich, "add what the configured enrichment files know");
  normalize->add_option("files", options->inputs, "NDJSON files (default: standard input)");
  return normalize;
}

CLI::App* AddReplay(CLI::App* app, ReplayOptions* options) {
  CLI::App* replay = app->add_subcommand("replay", "run the real pipeline in virtual time: NDJSON in, events out");
  replay->add_option("--until", options->until, "let deadlines fire up to this RFC 3339 time");
  replay->add_option("--topic", options->topic, "alert topic whose settings hold, where a line {at, topic, alert} names none");
  replay->add_flag("--cases", options->cases, "print the final case documents, too");
  replay->add_option("files", options->inputs, "NDJSON files (default: standard input)");
  return replay;
}

CLI::App* AddQuality(CLI::App* app, QualityCommand* command) {
  CLI::App* quality = app->add_subcommand("quality", "replay labelled alerts: which attack steps reach the next level, how "
                                                     "soon, and what else does");
  quality->add_option("file", command->input, "CSV, TSV or NDJSON, also .gz")->required();
  quality->add_option("--label-column", command->columns, "column (of NDJSON: key) with labels; may be repeated")
      ->required();
  quality->add_option("--benign", command->benign, "label that means no attack; may be repeated; empty ones do anyway");
  quality->add_option("--labels", command->labels, "labels of NDJSON in a CSV or TSV of their own, by its column `line`");
  quality->add_option("--from", command->from, "only alerts from this RFC 3339 time on");
  quality->add_option("--to", command->to, "only alerts before this RFC 3339 time");
  quality->add_option("--within", command->within, "how soon a step is to reach the next level")->capture_default_str();
  quality->add_option("--shift", command->shift, "length of a shift")->capture_default_str();
  quality->add_option("--first-level-closes", command->first_level_closes,
                      "let the first level close what it still has this long after its opening, as a false positive");
  quality->add_flag("--json", command->json, "print the report as JSON");
  return quality;
}

// `rules eval` and `rules explain`.
std::pair<const CLI::App*, const CLI::App*> AddRules(CLI::App* app, RuleEvalOptions* options, std::string* explained) {
  CLI::App* rules = app->add_subcommand("rules", "try rules on events");
  rules->require_subcommand(1);
  CLI::App* eval = rules->add_subcommand("eval", "print which rules match each event, one JSON line per event");
  CLI::App* explain = rules->add_subcommand("explain", "print why a rule matches each event, or does not");
  explain->add_option("--rule", *explained, "id of the rule")->required();
  for (CLI::App* sub : {eval, explain}) {
    // One path each time it is named: what follows it is the events.
    sub->add_option("--rules", options->rules, "rule file or directory; may be repeated")
        ->required()
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false);
    sub->add_flag("--raw", options->raw, "fields address the event's own JSON, not the normalised alert");
    sub->add_option("--mapping", options->mapping, "mapping table: names and logsources of another taxonomy");
    sub->add_option("events", options->events, "NDJSON file (default: standard input)");
  }
  return {eval, explain};
}

int Main(int argc, char** argv) {
  CLI::App app("triagectl: checks, replays and commands for triaged", "triagectl");
  app.set_version_flag("--version", "triagectl " TRIAGED_VERSION);
  app.require_subcommand(1);
  std::string config_path = DefaultConfigPath();
  app.add_option("--config.file", config_path, "configuration of the daemon")->capture_default_str();

  std::vector<std::string> paths;
  CLI::App* check = app.add_subcommand("check", "check files: all errors at once, with file, line and snippet");
  check->require_subcommand(1);
  for (const char* what : {"config", "policy", "rules", "formats", "enrichment"}) {
    check->add_subcommand(what)->add_option("files", paths, "files or directories")->required();
  }
  bool graph = false;
  check->get_subcommand("policy")->add_flag("--graph", graph, "print the ladder as Graphviz");

  std::string mapping;
  check->get_subcommand("rules")->add_option("--mapping", mapping, "mapping table that the rules are loaded with");

  PolicyVerbs policy_verbs;
  policy_verbs.Add(&app);
  BackupVerbs backup_verbs;
  backup_verbs.Add(&app);

  NormalizeOptions normalize_options;
  std::string normalize_output = "ecs";
  CLI::App* normalize = AddNormalize(&app, &normalize_options, &normalize_output);

  RuleEvalOptions eval_options;
  std::string explained_rule;
  const auto [eval, explain] = AddRules(&app, &eval_options, &explained_rule);

  ReplayOptions replay_options;
  const CLI::App* replay = AddReplay(&app, &replay_options);

  QualityCommand quality_command;
  CLI::App* quality = AddQuality(&app, &quality_command);

  std::string junit;
  CLI::App* test = app.add_subcommand("test", "run scenario timelines against the configured rules and policies, and tests of the notifier's routes");
  test->add_option("files", paths, "timeline files, and route tests (.yaml)")->required();
  test->add_option("--junit", junit, "write a JUnit report to this file");

  CLI::App* topics = app.add_subcommand("topics", "our own topics");
  topics->require_subcommand(1);
  CLI::App* create = topics->add_subcommand("create", "create those that are missing");
  topics->add_subcommand("check", "list those that are missing or wrongly configured");

  std::map<CLI::App*, CommandOptions> verbs;
  for (const VerbHelp& verb : kVerbs) {
    CLI::App* sub = app.add_subcommand(std::string(Name(verb.action)), verb.help);
    CommandOptions& options = verbs[sub];
    options.command.action = verb.action;
    AddVerbOptions(sub, &options);
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // CLI11's own codes are not ours: help and version are 0, everything else is usage.
    return app.exit(e) == 0 ? kExitOk : kExitUsage;
  }
  if (*check && graph) return GraphPolicies(paths);
  if (const auto exit_code = policy_verbs.Run(config_path)) return *exit_code;
  if (const auto exit_code = backup_verbs.Run(config_path)) return *exit_code;
  if (*check) return CheckFiles(config_path, check->get_subcommands().front()->get_name(), paths, mapping);
  normalize_options.ocsf = normalize_output == "ocsf";
  if (*normalize) return Normalize(config_path, normalize_options);
  if (*eval) return EvalRules(config_path, eval_options);
  if (*explain) return ExplainRule(config_path, explained_rule, eval_options);
  if (*replay) return RunReplay(config_path, replay_options);
  if (*quality) return Quality(config_path, quality_command);
  if (*test) return RunTests(config_path, paths, junit);
  if (*topics) return *create ? CreateTopics(config_path) : CheckTopics(config_path);
  for (const auto& [sub, options] : verbs) {
    if (*sub) return RunVerb(config_path, options);
  }
  return kExitUsage;
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
