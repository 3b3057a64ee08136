#include "pipeline/policy/engine.h"

#include <cstdio>

#include "pipeline/base/hash.h"

namespace triaged {
namespace {

std::string Fingerprint(const EngineSources& sources) {
  uint64_t hash = 0;
  for (const auto* files : {&sources.formats, &sources.rules, &sources.policies}) {
    for (const SourceFile& file : *files) hash = StableHash64(file.text, hash + 1);
  }
  if (sources.mapping) hash = StableHash64(sources.mapping->text, hash + 1);
  for (const SourceFile& list : sources.enrichment.lists) hash = StableHash64(list.text, hash + 1);
  for (const EnrichmentInput& input : sources.enrichment.inputs) hash = StableHash64(input.data.text, hash + 1);
  for (const TopicSettings& topic : sources.topics) {
    std::string text = topic.topic + '\n' + topic.format + '\n' + (topic.zone ? topic.zone->Format(Timestamp{}) : "");
    text += topic.split.values ? "\nvalues" : "";
    text += topic.split.array ? "\narray" : "";
    for (const std::string& path : topic.split.under) text += '\n' + path;
    hash = StableHash64(text, hash + 1);
  }
  const BaselineSettings& baseline = sources.baseline;
  hash = StableHash64(std::to_string(baseline.keys) + ' ' + FormatDuration(baseline.half_life) + ' ' +
                          FormatDuration(baseline.learn) + ' ' + FormatDuration(baseline.forget),
                      hash + 1);
  const RuleBudget& budget = sources.rule_budget;
  if (budget != RuleBudget{}) {
    hash = StableHash64(std::to_string(budget.rule) + ' ' + std::to_string(budget.set) + ' ' + std::to_string(budget.alert),
                        hash + 1);
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

// An alert's policy and group are chosen before it reaches the partition whose baseline it would be held against.
void RefuseBaseline(const Policy& policy, const FieldCatalog& catalog, Diagnostics* diagnostics) {
  std::vector<FieldId> read;
  if (policy.when) read = policy.when->fields();
  for (const GroupingRule& rule : policy.grouping) {
    read.insert(read.end(), rule.by.begin(), rule.by.end());
    if (rule.when) read.insert(read.end(), rule.when->fields().begin(), rule.when->fields().end());
  }
  for (const FieldId id : read) {
    if (!IsBaselineField(id)) continue;
    diagnostics->Error({}, "policy '" + policy.name + "': " + std::string(catalog.Name(id)) +
                               " is not known yet when policy and group are chosen",
                       {}, "read it in a rule, and the rule's tag in a criterion");
    return;
  }
}

}  // namespace

const Policy* Engine::FindPolicy(std::string_view name) const {
  for (const auto& policy : policies) {
    if (policy->name == name) return policy.get();
  }
  return nullptr;
}

const Policy& Engine::PolicyOf(const Case& c) const {
  const Policy* policy = FindPolicy(c.policy);
  return policy ? *policy : *policies.front();
}

std::shared_ptr<const Engine> CompileEngine(const EngineSources& sources, NormaliseLimits limits,
                                            Diagnostics* diagnostics) {
  auto engine = std::make_shared<Engine>();
  engine->alert_catalog = std::make_unique<FieldCatalog>(FieldCatalog::Taxonomy::kAlert);
  engine->case_catalog = std::make_unique<FieldCatalog>(FieldCatalog::Taxonomy::kCase);
  engine->limits = limits;
  engine->baseline = sources.baseline;
  RuleOptions options;
  options.budget = sources.rule_budget;
  if (sources.mapping) options.mapping = RuleMapping::Read(*sources.mapping, diagnostics);
  engine->rules = RuleSet::Compile(sources.rules, engine->alert_catalog.get(), diagnostics, options);
  for (const SourceFile& file : sources.policies) {
    auto policy = CompilePolicy(file, engine->alert_catalog.get(), engine->case_catalog.get(), diagnostics);
    if (policy && engine->FindPolicy(policy->name)) {
      diagnostics->Error({file.name, 1, 1}, "two policies are named '" + policy->name + "'");
    }
    if (policy && !engine->policies.empty() && !engine->policies.back()->when) {
      diagnostics->Warning({file.name, 1, 1}, "policy '" + policy->name + "' never gets an alert: '" +
                                                  engine->policies.back()->name + "', listed before it, takes every one",
                           {}, "give that one a `when`, or list it last");
    }
    if (policy) engine->policies.push_back(std::move(policy));
  }
  for (const auto& policy : engine->policies) RefuseBaseline(*policy, *engine->alert_catalog, diagnostics);
  if (sources.policies.empty()) diagnostics->Error({}, "no policy is configured", {}, "name at least one under `policies`");
  engine->formats = FormatTables::Compile(sources.formats, *engine->alert_catalog, diagnostics);
  if (!sources.enrichment.inputs.empty()) {
    engine->enrichment = Enrichment::Compile(sources.enrichment, diagnostics);
  }
  for (const TopicSettings& topic : sources.topics) {
    if (!engine->formats || topic.format.empty() || engine->formats->HasFormat(topic.format)) continue;
    const auto near = DidYouMean(topic.format, engine->formats->FormatNames());
    diagnostics->Error({}, "topic '" + topic.topic + "': there is no format '" + topic.format + "'", {},
                       near.empty() ? "" : "did you mean '" + std::string(near) + "'?");
  }
  engine->topics = TopicTable(sources.topics);
  engine->fingerprint = Fingerprint(sources);
  if (diagnostics->HasErrors()) return nullptr;
  return engine;
}

}  // namespace triaged
