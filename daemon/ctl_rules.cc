// triagectl rules: rules tried on events, without the rest of the pipeline.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/ctl_load.h"
#include "pipeline/baseline/fields.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/rules/correlation_set.h"
#include "pipeline/rules/correlation_stream.h"
#include "pipeline/rules/explain.h"
#include "pipeline/rules/raw_event.h"
#include "pipeline/rules/rules.h"

namespace triaged {
namespace {

// Where fields come from: the normaliser with the configured format tables, or the event's own JSON. Normalised events
// teach a baseline, one after the other, as alerts of one partition do.
class EventSource {
 public:
  // After the rules are compiled into `catalog`. nullopt when the format tables do not load.
  static std::optional<EventSource> Open(const std::string& config_path, bool raw, const FieldCatalog& catalog) {
    EventSource source;
    if (raw) {
      source.raw_ = std::make_unique<RawEventReader>(catalog);
      return source;
    }
    Diagnostics diagnostics;
    const auto config = LoadConfig(config_path, &diagnostics);
    std::shared_ptr<const FormatTables> tables;
    if (config) tables = FormatTables::Compile(ReadSources(config->formats, &diagnostics), catalog, &diagnostics);
    std::fputs(diagnostics.Render().c_str(), stderr);
    if (!tables) return std::nullopt;
    source.normaliser_ = std::make_unique<Normaliser>(tables, NormaliseLimits{});
    source.baseline_ = std::make_unique<BaselineFields>(config->baseline, catalog);
    if (!config->enrichment.empty()) {
      source.enrichment_ = Enrichment::Compile(ReadEnrichment(config->enrichment, &diagnostics), &diagnostics);
      if (!source.enrichment_) std::fputs(diagnostics.Render().c_str(), stderr);
    }
    return source;
  }

  // nullptr and `why` when the line is no event.
  const FieldTable* Read(const std::string& line, std::string* why) {
    if (raw_) {
      const Status status = raw_->Read(line);
      if (!status) *why = status.error().message;
      return status ? &raw_->fields() : nullptr;
    }
    if (const auto failure = normaliser_->Normalise(line, "", Timestamp{})) {
      *why = failure->message;
      return nullptr;
    }
    Alert& alert = normaliser_->alert();
    if (enrichment_) enrichment_->Apply(&alert);
    baseline_->Take(&alert, alert.event_time, /*seen=*/false, &memory_);
    memory_.EndStep();
    return &normaliser_->alert().fields;
  }

 private:
  std::unique_ptr<RawEventReader> raw_;
  std::unique_ptr<Normaliser> normaliser_;
  std::shared_ptr<const Enrichment> enrichment_;
  std::unique_ptr<BaselineFields> baseline_;
  BaselineTable memory_;
};

struct RuleInputs {
  std::vector<SourceFile> files;
  RuleOptions options;
};

RuleInputs ReadInputs(const std::string& config_path, const RuleEvalOptions& options, Diagnostics* diagnostics) {
  RuleInputs inputs;
  if (!options.raw) inputs.options.budget = BudgetOf(config_path);
  inputs.options.raw = options.raw;
  if (!options.mapping.empty()) {
    const std::vector<SourceFile> files = ReadSources({options.mapping}, diagnostics);
    if (!files.empty()) inputs.options.mapping = RuleMapping::Read(files.front(), diagnostics);
  }
  inputs.files = ReadSources(options.rules, diagnostics);
  return inputs;
}

// Calls `take(number, fields)` for each event; false when one was none.
template <typename Take>
bool ForEachEvent(EventSource* source, std::istream& in, Take take) {
  std::string line;
  std::string why;
  bool all_read = true;
  for (uint64_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (const FieldTable* fields = source->Read(line, &why)) {
      take(number, *fields);
      continue;
    }
    std::fprintf(stderr, "triagectl: line %llu is no event: %s\n", static_cast<unsigned long long>(number), why.c_str());
    all_read = false;
  }
  std::cout.flush();
  return all_read;
}

template <typename Take>
int RunEvents(const std::string& config_path, const RuleEvalOptions& options, const FieldCatalog& catalog, Take take) {
  auto source = EventSource::Open(config_path, options.raw, catalog);
  if (!source) return kExitFailed;
  if (options.events.empty() || options.events == "-") {
    return ForEachEvent(&*source, std::cin, take) ? kExitOk : kExitFailed;
  }
  std::ifstream in(options.events, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "triagectl: cannot read %s: no such file, or no permission\n", options.events.c_str());
    return kExitFailed;
  }
  return ForEachEvent(&*source, in, take) ? kExitOk : kExitFailed;
}

// The correlation `id` of the set, or nullopt.
std::optional<uint32_t> FindCorrelation(const RuleSet& rules, const std::string& id) {
  for (const rules::Correlation& one : rules.correlations().all()) {
    if (rules.rules()[one.rule].id == id) return one.rule;
  }
  return std::nullopt;
}

// Whether a correlation may have this id: only then are all rules compiled to explain it.
bool MayBeCorrelation(const std::vector<SourceFile>& files, const std::string& id) {
  return std::any_of(files.begin(), files.end(), [&](const SourceFile& file) {
    return file.text.find(id) != std::string::npos && file.text.find("correlation:") != std::string::npos;
  });
}

int ExplainCorrelation(const std::string& config_path, const RuleSet& rules, uint32_t correlation,
                       const FieldCatalog& catalog, const RuleEvalOptions& options) {
  const auto scratch = rules.NewScratch();
  std::vector<uint32_t> matched;
  CorrelationStream stream(rules);
  stream.Watch(correlation);
  return RunEvents(config_path, options, catalog, [&](uint64_t number, const FieldTable& fields) {
    matched.clear();
    rules.Evaluate(fields, scratch.get(), &matched);
    stream.Take(fields, &matched);
    std::cout << "line " << number << ": " << stream.Explain();
  });
}

}  // namespace

int EvalRules(const std::string& config_path, const RuleEvalOptions& options) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const RuleInputs inputs = ReadInputs(config_path, options, &diagnostics);
  std::shared_ptr<const RuleSet> rules;
  if (!diagnostics.HasErrors()) rules = RuleSet::Compile(inputs.files, &catalog, &diagnostics, inputs.options);
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (!rules) return kExitFailed;
  const auto scratch = rules->NewScratch();
  std::vector<uint32_t> matched;
  CorrelationStream stream(*rules);
  return RunEvents(config_path, options, catalog, [&](uint64_t number, const FieldTable& fields) {
    matched.clear();
    rules->Evaluate(fields, scratch.get(), &matched);
    stream.Take(fields, &matched);
    nlohmann::ordered_json result = {{"line", number}, {"rules", nlohmann::ordered_json::array()}};
    for (uint32_t rule : matched) result["rules"].push_back(rules->rules()[rule].id);
    std::cout << result.dump() << '\n';
  });
}

int ExplainRule(const std::string& config_path, const std::string& id, const RuleEvalOptions& options) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const RuleInputs inputs = ReadInputs(config_path, options, &diagnostics);
  if (!diagnostics.HasErrors() && MayBeCorrelation(inputs.files, id)) {
    Diagnostics of_all;
    const auto rules = RuleSet::Compile(inputs.files, &catalog, &of_all, inputs.options);
    if (!rules) std::fputs(of_all.Render().c_str(), stderr);
    if (!rules) return kExitFailed;
    if (const auto found = FindCorrelation(*rules, id)) {
      return ExplainCorrelation(config_path, *rules, *found, catalog, options);
    }
  }
  std::unique_ptr<const RuleExplainer> explainer;
  if (!diagnostics.HasErrors()) {
    explainer = RuleExplainer::Compile(inputs.files, id, &catalog, &diagnostics, inputs.options);
  }
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (!explainer) return kExitFailed;
  return RunEvents(config_path, options, catalog, [&](uint64_t number, const FieldTable& fields) {
    std::cout << "line " << number << ": " << explainer->Explain(fields);
  });
}

}  // namespace triaged
