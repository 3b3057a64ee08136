// Engine: formats, rules, policies and enrichment files compiled together. One immutable object is what a reload swaps, so that no step
// ever sees new rules with an old policy.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/yaml.h"
#include "pipeline/baseline/settings.h"
#include "pipeline/enrich/enrichment.h"
#include "pipeline/model/fields.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/normalise/topic_settings.h"
#include "pipeline/policy/policy.h"
#include "pipeline/rules/rules.h"

namespace triaged {

struct EngineSources {
  std::vector<SourceFile> formats;
  std::vector<SourceFile> rules;
  std::vector<SourceFile> policies;  // in order: the first whose `when` matches owns the alert
  EnrichmentSources enrichment;      // may be empty
  std::vector<TopicSettings> topics; // formats that they name must exist
  std::optional<SourceFile> mapping;  // names and logsources of rules of another taxonomy
  BaselineSettings baseline;
  RuleBudget rule_budget;
};

struct Engine {
  std::unique_ptr<FieldCatalog> alert_catalog;
  std::unique_ptr<FieldCatalog> case_catalog;
  std::shared_ptr<const RuleSet> rules;
  std::vector<std::shared_ptr<const Policy>> policies;
  std::shared_ptr<const FormatTables> formats;
  std::shared_ptr<const Enrichment> enrichment;  // null: nothing is configured
  NormaliseLimits limits;
  TopicTable topics;
  BaselineSettings baseline;
  std::string fingerprint;           // 16 hex digits over all sources, in order: named in every escalation and step

  const Policy* FindPolicy(std::string_view name) const;
  // That of the case. A case outlives reloads: for a policy that is gone the first one answers.
  const Policy& PolicyOf(const Case& c) const;
  void Enrich(Alert* alert) const {
    if (enrichment) enrichment->Apply(alert);
  }
};

// nullptr when `diagnostics` got an error. Rules and policies are compiled before formats: the trie needs their paths.
std::shared_ptr<const Engine> CompileEngine(const EngineSources& sources, NormaliseLimits limits,
                                            Diagnostics* diagnostics);

}  // namespace triaged
