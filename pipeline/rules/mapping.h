// Mapping tables: what the names of another taxonomy are here, and which events belong to a logsource.
//
//   mapping: sysmon
//   fields: {CommandLine: process.command_line}
//   logsources:
//     - {product: windows, category: process_creation, when: {EventID: 1, Channel|contains: sysmon}}
//   placeholders: {admins: [root, adm_*]}   # what `field|expand: '%admins%'` stands for
//   unmapped: try            # or skip: rules of a logsource that no entry covers
//
// An entry covers the rules whose logsource has all its parts; of several, those with the most parts count, and one of
// their `when` must hold for the event. `when` is a selection or a detection with a condition, in the names of the
// taxonomy. A name that `fields` does not have addresses what it always does. Immutable once read; thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/yaml.h"

namespace triaged {

struct RuleMapping {
  struct Logsource {
    std::string product, category, service;  // "": any
    const YamlNode* when = nullptr;          // into `yaml`
  };
  std::string name;
  std::map<std::string, std::string, std::less<>> fields;
  std::vector<Logsource> logsources;
  std::map<std::string, std::vector<std::string>, std::less<>> placeholders;  // for the modifier `expand`
  bool try_unmapped = true;
  YamlFile yaml;

  // nullptr when `diagnostics` got an error. The selections are checked where rules are compiled with them.
  static std::shared_ptr<const RuleMapping> Read(SourceFile file, Diagnostics* diagnostics);
};

}  // namespace triaged
