// triagectl check, normalize, replay, test: what needs no broker.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/ctl_load.h"
#include "daemon/replay.h"
#include "daemon/route_tests.h"
#include "daemon/timeline.h"
#include "pipeline/base/utf8.h"
#include "pipeline/normalise/explain.h"
#include "pipeline/processor/alert_parts.h"
#include "pipeline/report/ocsf.h"
#include "pipeline/report/report.h"
#include "pipeline/rules/correlation_set.h"

namespace triaged {
namespace {

// Calls `take` with each line of each input ("-" or none: stdin); false when an input cannot be read.
template <typename Take>
bool ForEachLine(const std::vector<std::string>& inputs, Take take) {
  const auto read = [&](std::istream& in) {
    std::string line;
    while (std::getline(in, line)) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!line.empty()) take(line);
    }
  };
  if (inputs.empty()) read(std::cin);
  for (const std::string& path : inputs) {
    if (path == "-") {
      read(std::cin);
      continue;
    }
    std::ifstream in(path, std::ios::binary);
    if (!in) {
      std::fprintf(stderr, "triagectl: cannot read %s: no such file, or no permission\n", path.c_str());
      return false;
    }
    read(in);
  }
  return true;
}

// What was read, in words.
std::string CheckEnrichment(const std::vector<std::string>& paths, Diagnostics* diagnostics) {
  const EnrichmentSources sources = ReadEnrichment(paths, diagnostics);
  const auto set = Enrichment::Compile(sources, diagnostics);
  if (!set) return {};
  return ", " + std::to_string(sources.inputs.size()) + " files, " + std::to_string(set->MemoryBytes() / 1024) +
         " KiB in memory";
}

bool CheckConfigFile(const std::string& path, Diagnostics* diagnostics) {
  const auto config = LoadConfig(path, diagnostics);
  return config && LoadEngine(*config, diagnostics);
}

// A line of the input: an envelope {at, alert} or {at, command}, with the `topic` it came from if it is to be another than
// the command line's, or a bare alert.
struct ReplayLine {
  std::optional<Timestamp> at;
  std::string bytes;
  std::string topic;
  bool command = false;
};

ReplayLine ReadReplayLine(const std::string& line) {
  ReplayLine result{std::nullopt, line, {}, false};
  const auto json = nlohmann::ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("at") || !json["at"].is_string()) return result;
  const bool named = json.contains("topic") && json["topic"].is_string();
  if (json.size() != (named ? 3 : 2)) return result;
  const char* kind = json.contains("alert") ? "alert" : json.contains("command") ? "command" : nullptr;
  const auto at = ParseTimestamp(json["at"].get_ref<const std::string&>());
  if (!kind || !at) return result;
  result.at = at;
  result.command = std::string_view(kind) == "command";
  result.bytes = json[kind].dump();
  if (named) result.topic = json["topic"].get<std::string>();
  return result;
}

void PrintOutputs(Replay& replay, const std::string& application_id) {
  for (const OutputRecord& record : replay.TakeOutputs()) {
    if (record.topic == OutputTopic::kEscalations) {
      std::cout << *record.value << '\n';
    } else if (record.topic == OutputTopic::kDeadLetter) {
      std::cout << DeadLetterJson(record, application_id) << '\n';
    }
  }
}

std::string XmlEscaped(std::string_view text) {
  std::string escaped;
  for (char ch : text) {
    switch (ch) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      default: escaped.push_back(ch);
    }
  }
  return escaped;
}

// ", 12 rules, 1 correlation" when they load.
std::string CheckRules(const std::string& config_path, const std::vector<SourceFile>& files, const std::string& mapping,
                       Diagnostics* diagnostics) {
  RuleOptions options;
  options.budget = BudgetOf(config_path);
  if (!mapping.empty()) {
    const std::vector<SourceFile> tables = ReadSources({mapping}, diagnostics);
    if (!tables.empty()) options.mapping = RuleMapping::Read(tables.front(), diagnostics);
  }
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const auto rules = RuleSet::Compile(files, &catalog, diagnostics, options);
  if (!rules) return {};
  const size_t correlations = rules->correlations().all().size();
  return ", " + std::to_string(rules->rules().size() - correlations) + " rules, " + std::to_string(correlations) +
         " correlations";
}

struct TestReport {
  int failed = 0;
  std::string cases;

  void Add(const std::string& name, const std::vector<std::string>& failures) {
    cases += "  <testcase name=\"" + XmlEscaped(name) + "\">";
    for (const std::string& failure : failures) cases += "<failure>" + XmlEscaped(failure) + "</failure>";
    cases += "</testcase>\n";
    if (!failures.empty()) ++failed;
  }
};

}  // namespace

int CheckFiles(const std::string& config_path, const std::string& what, const std::vector<std::string>& paths,
               const std::string& mapping) {
  Diagnostics diagnostics;
  std::string summary;
  if (what == "config") {
    for (const std::string& path : paths) CheckConfigFile(path, &diagnostics);
  } else if (what == "enrichment") {
    summary = CheckEnrichment(paths, &diagnostics);
  } else {
    const std::vector<SourceFile> files = ReadSources(paths, &diagnostics);
    FieldCatalog alerts(FieldCatalog::Taxonomy::kAlert);
    FieldCatalog cases(FieldCatalog::Taxonomy::kCase);
    if (what == "rules") summary = CheckRules(config_path, files, mapping, &diagnostics);
    if (what == "formats") FormatTables::Compile(files, alerts, &diagnostics);
    if (what == "policy") {
      for (const SourceFile& file : files) CompilePolicy(file, &alerts, &cases, &diagnostics);
    }
  }
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (diagnostics.HasErrors()) return kExitFailed;
  std::printf("ok: %zu %s%s\n", paths.size(), paths.size() == 1 ? "path" : "paths", summary.c_str());
  return kExitOk;
}

int Normalize(const std::string& config_path, const NormalizeOptions& options) {
  const auto loaded = LoadConfigured(config_path);
  if (!loaded) return kExitFailed;
  if (!options.format.empty() && !loaded->engine->formats->HasFormat(options.format)) {
    std::fprintf(stderr, "triagectl: there is no format '%s'\n", options.format.c_str());
    return kExitUsage;
  }
  // Without Kafka there is no record time: unless one is given, an alert without a time of its own shows the epoch.
  const auto record_time = options.record_time.empty() ? Timestamp{} : ReadTime("--record-time", options.record_time);
  if (!record_time) return kExitUsage;
  Normaliser normaliser(loaded->engine->formats, loaded->engine->limits);
  AlertParts parts;
  TopicSettings topic = loaded->engine->topics.Of(options.topic);
  if (!options.format.empty()) topic.format = options.format;
  bool all_objects = true;
  const auto print_part = [&](size_t part) {
    if (const auto failure = parts.Read(part)) {
      all_objects = false;
      nlohmann::ordered_json error;
      error["triaged.error"] = {{"reason", Name(failure->reason)}, {"message", SanitiseUtf8(failure->message)}};
      std::cout << error.dump() << '\n';
    } else {
      if (options.enrich) loaded->engine->Enrich(&normaliser.alert());
      const auto print = options.explain ? ExplainedJson : options.ocsf ? OcsfDetectionFinding : NormalisedJson;
      std::cout << print(normaliser.alert(), *loaded->engine->alert_catalog) << '\n';
    }
  };
  const bool read = ForEachLine(options.inputs, [&](const std::string& line) {
    const size_t count = parts.Cut(line, topic, *record_time, &normaliser);
    for (size_t part = 0; part < count; ++part) print_part(part);
  });
  std::cout.flush();
  if (!read) return kExitFailed;
  return options.strict && !all_objects ? kExitFailed : kExitOk;
}

int RunReplay(const std::string& config_path, const ReplayOptions& options) {
  const auto loaded = LoadConfigured(config_path);
  if (!loaded) return kExitFailed;
  std::optional<Timestamp> until;
  if (!options.until.empty() && !(until = ReadTime("--until", options.until))) return kExitUsage;
  const std::string& application_id = loaded->config.application_id;
  const TopicSettings& topic = loaded->engine->topics.Of(options.topic);
  Replay replay(loaded->engine, application_id, loaded->config.kafka.partitions,
                loaded->config.ocsf);
  Status status = replay.Open();
  Normaliser normaliser(loaded->engine->formats, loaded->engine->limits);
  const bool read = ForEachLine(options.inputs, [&](const std::string& text) {
    if (!status) return;
    const ReplayLine line = ReadReplayLine(text);
    const Timestamp at = line.at ? *line.at : EventTimeOf(&normaliser, line.bytes, topic, replay.now());
    const std::string& from = line.topic.empty() ? options.topic : line.topic;
    status = line.command ? replay.TakeCommand(line.bytes, at) : replay.TakeAlert(line.bytes, at, from);
    PrintOutputs(replay, application_id);
  });
  if (status && until) status = replay.AdvanceTo(*until);
  PrintOutputs(replay, application_id);
  if (status && options.cases) {
    const auto documents = replay.CaseDocuments();
    if (!documents) status = documents.error();
    if (documents) {
      for (const std::string& document : *documents) std::cout << document << '\n';
    }
  }
  std::cout.flush();
  if (!status) std::fprintf(stderr, "triagectl: %s\n", status.error().message.c_str());
  return status && read ? kExitOk : kExitFailed;
}

int RunTests(const std::string& config_path, const std::vector<std::string>& timelines, const std::string& junit) {
  std::optional<Loaded> loaded;
  if (!std::all_of(timelines.begin(), timelines.end(), IsRouteTest)) {
    loaded = LoadConfigured(config_path);
    if (!loaded) return kExitFailed;
  }
  TestReport report;
  for (const std::string& path : timelines) {
    std::vector<std::string> failures;
    const auto file = ReadSourceFile(path);
    if (!file) {
      failures.push_back(file.error().message);
    } else if (IsRouteTest(path)) {
      failures = RunRouteTests(*file);
    } else if (auto result = RunTimeline(*file, loaded->engine)) {
      failures = result->failures;
    } else {
      failures.push_back(result.error().message);
    }
    for (const std::string& failure : failures) std::fprintf(stderr, "%s\n", failure.c_str());
    std::printf("%s %s\n", failures.empty() ? "ok  " : "FAIL", path.c_str());
    report.Add(path, failures);
  }
  if (!junit.empty()) {
    std::ofstream out(junit);
    out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"triagectl test\" tests=\"" << timelines.size()
        << "\" failures=\"" << report.failed << "\">\n" << report.cases << "</testsuite>\n";
    if (!out.flush()) {
      std::fprintf(stderr, "triagectl: cannot write %s\n", junit.c_str());
      return kExitFailed;
    }
  }
  return report.failed == 0 ? kExitOk : kExitFailed;
}

}  // namespace triaged
