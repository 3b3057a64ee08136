// triagectl oncall, explain, and the graph of `check policy`: what a policy says, and what it does to a case.
#include <algorithm>
#include <cstdio>
#include <map>

#include "daemon/broker_client.h"
#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/ctl_load.h"
#include "daemon/explain_baseline.h"
#include "daemon/kafka_reader.h"
#include "pipeline/decide/explain.h"
#include "storage/codec.h"
#include "storage/keys.h"

namespace triaged {
namespace {

constexpr Duration kBound{15'000};
constexpr size_t kSliceRecords = 10'000;

void PrintShift(const Policy& policy, const std::string& team, Timestamp at) {
  const OnShift shift = policy.roster->At(team, at);
  const Person* person = policy.roster->FindPerson(shift.person);
  std::string line = team + "\t" + (person ? person->name + " <" + person->contact + ">" : "nobody on shift");
  if (shift.fell_back) line += "\tfallback: nobody on shift, team " + shift.team + " answers";
  if (!shift.fell_back && shift.team != team) line += "\tregion " + shift.team;
  if (!shift.also.empty()) line += "\tand " + shift.also;
  if (const auto next = policy.roster->NextChange(team, at)) line += "\tuntil at least " + FormatTimestamp(*next);
  std::printf("%s\n", line.c_str());
}

// Teams that a case is sent to: regions and fallbacks answer for others and may well be empty by themselves.
std::vector<std::string> AskedTeams(const Policy& policy) {
  std::vector<std::string> teams;
  const auto add = [&](const std::string& team) {
    if (std::find(teams.begin(), teams.end(), team) == teams.end()) teams.push_back(team);
  };
  for (const LevelSpec& level : policy.levels) add(level.team);
  for (const RoleSpec& role : policy.engaged_roles) add(role.team);
  return teams;
}

// What the roster's lint found, one line each; true when there was something.
bool PrintProblems(const Policy& policy, const std::vector<std::string>& teams, Timestamp from, Timestamp to) {
  const auto problems = policy.roster->Lint(teams, from, to);
  for (const RosterProblem& problem : problems) {
    const std::string when = FormatTimestamp(problem.from) + " to " + FormatTimestamp(problem.to);
    switch (problem.kind) {
      case RosterProblem::Kind::kGap:
        std::printf("gap\t%s\t%s\tnobody answers, not even a fallback\n", problem.team.c_str(), when.c_str());
        break;
      case RosterProblem::Kind::kFallback:
        std::printf("fallback\t%s\t%s\tnobody of the team is on shift\n", problem.team.c_str(), when.c_str());
        break;
      case RosterProblem::Kind::kNoContact:
        std::printf("no contact\t%s\t%s\ton shift first at %s\n", problem.team.c_str(), problem.person.c_str(),
                    FormatTimestamp(problem.from).c_str());
        break;
    }
  }
  return !problems.empty();
}

// Calls take(record) for every record of one partition's changelog, oldest first.
template <typename Take>
Status ReadChangelog(const Config& config, int32_t partition, Take take) {
  const TopicNames names = TopicNames::For(config.application_id);
  const auto probe = OffsetProbe::Make(config.kafka.bootstrap_servers, config.kafka.properties);
  if (!probe) return probe.error();
  const auto ends = (*probe)->Query({names.state, partition}, kBound);
  if (!ends) return ends.error();
  const auto reader = ChangelogReader::Make(config.kafka.bootstrap_servers, config.kafka.properties, names.state);
  if (!reader) return reader.error();
  if (Status opened = (*reader)->Open(partition, ends->low, ends->high); !opened) return opened;
  while (true) {
    const auto slice = (*reader)->Read(partition, kSliceRecords, kBound);
    if (!slice) return slice.error();
    for (const auto& record : slice->records) take(record);
    if (slice->at_end) return {};
    if (slice->records.empty()) return EnvironmentError("reading " + names.state + ": the broker sends nothing more");
  }
}

// A case and what its partition's baseline is read from.
struct CaseReading {
  std::optional<std::string> newest;
  BaselineRecords baseline;

  void Take(const ChangelogSlice::Record& record, CaseId id) {
    if (record.key == CaseKey(id.sequence)) newest = record.value;
    const std::string evidence = EvidenceKey(id.sequence, 0);
    const bool slot = record.key.size() == evidence.size() &&
                      record.key.compare(0, record.key.size() - 1, evidence, 0, evidence.size() - 1) == 0;
    if (slot) Put(static_cast<uint8_t>(record.key.back()), record.value, &baseline.alerts);
    if (const auto block = ParseNumberedKey(kBaselinePrefix, record.key)) Put(*block, record.value, &baseline.blocks);
  }

 private:
  template <typename Key>
  static void Put(Key key, const std::optional<std::string>& value, std::map<Key, std::string>* to) {
    to->erase(key);
    if (value) to->emplace(key, *value);
  }
};

// The newest state of one case.
Result<Case> ReadCase(const Config& config, CaseId id, BaselineRecords* baseline) {
  CaseReading reading;
  const Status read = ReadChangelog(config, id.partition,
                                    [&](const ChangelogSlice::Record& record) { reading.Take(record, id); });
  if (!read) return read.error();
  if (!reading.newest) return BadInput("there is no case " + ToString(id));
  *baseline = std::move(reading.baseline);
  return DecodeCase(*reading.newest);
}

// All silences; the hits of the partitions are added up.
Status ReadSilences(const Config& config, std::map<std::string, SilenceRule>* silences) {
  for (int32_t partition = 0; partition < config.kafka.partitions; ++partition) {
    std::map<std::string, SilenceRule> here;
    std::optional<Error> damaged;
    const Status read = ReadChangelog(config, partition, [&](const ChangelogSlice::Record& record) {
      if (!record.key.starts_with(kSilencePrefix)) return;
      const std::string id = record.key.substr(kSilencePrefix.size());
      if (!record.value) {
        here.erase(id);
      } else if (auto rule = DecodeSilence(*record.value)) {
        here[id] = std::move(*rule);
      } else {
        damaged = rule.error();
      }
    });
    if (!read) return read;
    if (damaged) return *damaged;
    for (auto& [id, rule] : here) {
      const auto [at, inserted] = silences->emplace(id, rule);
      if (!inserted) at->second.hits += rule.hits;
    }
  }
  return {};
}

std::string Shown(const SilenceRule& rule, Timestamp now) {
  const FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  std::string text = rule.id + "\t" +
                     (rule.until <= now ? "expired"
                      : rule.hits == 0  ? "unused"
                                        : "in force") +
                     "\tuntil " + FormatTimestamp(rule.until) + "\t" + std::to_string(rule.hits) + " hits\t";
  for (const auto& [field, value] : rule.match) text += std::string(catalog.Name(field)) + "=" + value + " ";
  return text + "\t" + rule.reason + "\tby " + rule.owner;
}

}  // namespace

int OnCall(const std::string& config_path, const OnCallOptions& options) {
  const auto loaded = LoadConfigured(config_path);
  const auto at = options.at.empty() ? WallTime() : ReadTime("--at", options.at);
  if (!loaded) return kExitFailed;
  if (!at) return kExitUsage;
  bool found = options.team.empty();
  bool problems = false;
  for (const auto& policy : loaded->engine->policies) {
    std::vector<std::string> teams;
    for (const std::string& team : policy->roster->Teams()) {
      if (options.team.empty() || team == options.team) teams.push_back(team);
    }
    if (teams.empty()) continue;
    found = true;
    std::printf("%s at %s\n", policy->name.c_str(), FormatTimestamp(*at).c_str());
    for (const std::string& team : teams) PrintShift(*policy, team, *at);
    if (!options.lint) continue;
    if (options.team.empty()) teams = AskedTeams(*policy);
    problems |= PrintProblems(*policy, teams, *at, *at + std::chrono::hours(24) * options.days);
  }
  if (!found) std::fprintf(stderr, "triagectl: no policy has a team '%s'\n", options.team.c_str());
  return found && !problems ? kExitOk : kExitFailed;
}

int Explain(const std::string& config_path, const ExplainOptions& options) {
  const auto loaded = LoadConfigured(config_path);
  const auto at = options.at.empty() ? WallTime() : ReadTime("--at", options.at);
  if (!loaded) return kExitFailed;
  if (!at) return kExitUsage;
  if (!options.policy.empty()) {
    const Policy* policy = loaded->engine->FindPolicy(options.policy);
    if (policy) std::fputs(ExplainPolicy(*policy, *at).c_str(), stdout);
    if (!policy) std::fprintf(stderr, "triagectl: there is no policy '%s'\n", options.policy.c_str());
    return policy ? kExitOk : kExitFailed;
  }
  const auto id = ParseCaseId(options.case_id);
  if (!id) {
    std::fprintf(stderr,
                 "triagectl: '%s' is not a case id (partition-sequence, as in 3-17); or ask for --policy NAME\n",
                 options.case_id.c_str());
    return kExitUsage;
  }
  if (loaded->config.kafka.embedded) {
    std::fprintf(stderr, "triagectl: %s uses the embedded broker, which lives in the daemon alone\n",
                 config_path.c_str());
    return kExitFailed;
  }
  BaselineRecords baseline;
  const auto c = ReadCase(loaded->config, *id, &baseline);
  if (!c) {
    std::fprintf(stderr, "triagectl: %s\n", c.error().message.c_str());
    return kExitFailed;
  }
  const Policy* policy = loaded->engine->FindPolicy(c->policy);
  if (!policy || c->level >= policy->levels.size() || c->severity >= policy->severities.size()) {
    std::fprintf(stderr, "triagectl: policy '%s' is not loaded, or lost the case's level\n", c->policy.c_str());
    return kExitFailed;
  }
  std::fputs(ExplainCase(*policy, *c, *at).c_str(), stdout);
  const auto usual = ExplainBaseline(*loaded, *c, baseline, *at);
  if (!usual) std::fprintf(stderr, "triagectl: the baseline: %s\n", usual.error().message.c_str());
  if (usual) std::fputs(usual->c_str(), stdout);
  return usual ? kExitOk : kExitFailed;
}

int SendSilence(const std::string& config_path, SilenceOptions options) {
  Diagnostics diagnostics;
  const auto config = LoadConfig(config_path, &diagnostics);
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (!config) return kExitFailed;
  Command& command = options.command;
  command.action = CommandAction::kSilence;
  for (const std::string& match : options.match) {
    const size_t equals = match.find('=');
    if (equals == std::string::npos) {
      std::fprintf(stderr, "triagectl: '%s' is not field=value\n", match.c_str());
      return kExitUsage;
    }
    command.match.emplace_back(match.substr(0, equals), match.substr(equals + 1));
  }
  if (!options.until.empty() && !(command.until = ReadTime("--until", options.until))) return kExitUsage;
  for (int32_t partition = 0; partition < config->kafka.partitions; ++partition) {
    command.case_id = {partition, 0};
    if (const int sent = SendCommand(config_path, command); sent != kExitOk) return sent;
  }
  return kExitOk;
}

int ListSilences(const std::string& config_path) {
  Diagnostics diagnostics;
  const auto config = LoadConfig(config_path, &diagnostics);
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (!config) return kExitFailed;
  std::map<std::string, SilenceRule> silences;
  if (const Status read = ReadSilences(*config, &silences); !read) {
    std::fprintf(stderr, "triagectl: %s\n", read.error().message.c_str());
    return kExitFailed;
  }
  for (const auto& [id, rule] : silences) std::printf("%s\n", Shown(rule, WallTime()).c_str());
  return kExitOk;
}

int GraphPolicies(const std::vector<std::string>& paths) {
  Diagnostics diagnostics;
  FieldCatalog alerts(FieldCatalog::Taxonomy::kAlert);
  FieldCatalog cases(FieldCatalog::Taxonomy::kCase);
  for (const SourceFile& file : ReadSources(paths, &diagnostics)) {
    const auto policy = CompilePolicy(file, &alerts, &cases, &diagnostics);
    if (policy) std::fputs(PolicyGraph(*policy).c_str(), stdout);
  }
  std::fputs(diagnostics.Render().c_str(), stderr);
  return diagnostics.HasErrors() ? kExitFailed : kExitOk;
}

}  // namespace triaged
