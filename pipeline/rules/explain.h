// Why a rule matches an event, or does not: each selection and item with its answer and the values it was asked of.
//
// Slow and plain on purpose: every item is asked by Holds(), without the index, so it also shows where the two differ.
// Logsource routing is left out: it says whether a rule is tried, not whether it would match.
// Thread-safety: immutable once compiled.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/model/fields.h"
#include "pipeline/rules/rules.h"

namespace triaged {

class RuleExplainer {
 public:
  // The rule `id` of `files`, with the filters that name it. nullptr when `diagnostics` got an error; no such rule is
  // one.
  static std::unique_ptr<const RuleExplainer> Compile(const std::vector<SourceFile>& files, std::string_view id,
                                                      FieldCatalog* catalog, Diagnostics* diagnostics,
                                                      const RuleOptions& options);
  virtual ~RuleExplainer() = default;

  virtual bool Matches(const FieldTable& event) const = 0;
  // A line for the whole, and an indented one for each part; every line ends with a newline.
  virtual std::string Explain(const FieldTable& event) const = 0;
};

}  // namespace triaged
