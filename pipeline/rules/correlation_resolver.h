// Resolving correlations: names to rules, aliases and fields to ids, chains put in order.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "pipeline/rules/correlation_reader.h"
#include "pipeline/rules/correlation_set.h"
#include "pipeline/rules/filter.h"

namespace triaged::rules {

// A correlation as read, with the file that its diagnostics show.
struct ReadCorrelationDocument {
  CorrelationAst ast;
  std::shared_ptr<const SourceFile> file;
};

// `names` and `rules` are those of the detection rules; the correlations' are appended to `rules`. `resolve` gives the
// id of a field. nullptr after errors, all of which are reported: unknown references, circles, aliases of other rules.
std::shared_ptr<const CorrelationSet> ResolveCorrelations(
    std::vector<ReadCorrelationDocument> documents, const std::vector<RuleNames>& names, std::vector<Rule>* rules,
    const std::function<FieldId(const PlacedText& field, SourceNotes* notes)>& resolve, Diagnostics* diagnostics);

}  // namespace triaged::rules
