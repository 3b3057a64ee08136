#include "pipeline/rules/correlation_resolver.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "pipeline/base/hash.h"

namespace triaged::rules {
namespace {

constexpr uint32_t kUnknown = UINT32_MAX;

using ResolveField = std::function<FieldId(const PlacedText&, SourceNotes*)>;

class Resolver {
 public:
  Resolver(std::vector<ReadCorrelationDocument> documents, const std::vector<RuleNames>& names, std::vector<Rule>* rules,
           const ResolveField& resolve, Diagnostics* diagnostics)
      : documents_(std::move(documents)), detections_(names.size()), rules_(rules), resolve_(resolve),
        diagnostics_(diagnostics) {
    for (uint32_t i = 0; i < names.size(); ++i) Name(i, names[i].id, names[i].name);
    for (uint32_t i = 0; i < documents_.size(); ++i) {
      Name(static_cast<uint32_t>(detections_ + i), documents_[i].ast.rule.id, documents_[i].ast.name);
    }
  }

  std::shared_ptr<const CorrelationSet> Resolve() {
    for (size_t i = 0; i < documents_.size(); ++i) references_.push_back(ReferencesOf(documents_[i]));
    if (!failed_) PutInOrder();
    if (failed_) return nullptr;
    std::vector<Correlation> correlations;
    for (const uint32_t document : order_) {
      correlations.push_back(ResolveOne(document));
      rules_->push_back(documents_[document].ast.rule);
    }
    if (failed_) return nullptr;
    return std::make_shared<CorrelationSet>(std::move(correlations), Helpers());
  }

 private:
  void Name(uint32_t rule, const std::string& id, const std::string& name) {
    if (!id.empty()) by_name_[id].insert(rule);
    if (!name.empty()) by_name_[name].insert(rule);
  }

  void Fail(const ReadCorrelationDocument& document, Place place, std::string message, std::string hint = {}) {
    failed_ = true;
    SourceNotes(*document.file, diagnostics_).Error(place, std::move(message), std::move(hint));
  }

  uint32_t Find(const ReadCorrelationDocument& document, const PlacedText& wanted) {
    const auto at = by_name_.find(wanted.text);
    if (at != by_name_.end() && at->second.size() == 1) return *at->second.begin();
    if (at != by_name_.end()) {
      Fail(document, wanted.place, "several rules are named '" + wanted.text + "'", "refer to the id");
      return kUnknown;
    }
    std::vector<std::string_view> known;
    for (const auto& [name, numbers] : by_name_) known.push_back(name);
    const std::string near = Suggest(wanted.text, known);
    Fail(document, wanted.place, "no rule has the id or name '" + wanted.text + "'",
         !near.empty() ? near : "a rule is referred to by its 'id' or 'name', in any file that is loaded with this one");
    return kUnknown;
  }

  std::vector<uint32_t> ReferencesOf(const ReadCorrelationDocument& document) {
    std::vector<uint32_t> references;
    for (const PlacedText& wanted : document.ast.rules) {
      const uint32_t rule = Find(document, wanted);
      if (rule != kUnknown && std::find(references.begin(), references.end(), rule) != references.end()) {
        Fail(document, wanted.place, "'" + wanted.text + "' names a rule that stands here already");
      }
      references.push_back(rule);
    }
    return references;
  }

  // Each correlation after those it counts; a circle is an error of every member that is met.
  void PutInOrder() {
    enum class State : uint8_t { kNew, kOpen, kDone };
    std::vector<State> states(documents_.size(), State::kNew);
    const std::function<void(uint32_t)> visit = [&](uint32_t document) {
      states[document] = State::kOpen;
      for (size_t i = 0; i < references_[document].size() && !failed_; ++i) {
        if (references_[document][i] < detections_) continue;
        const auto next = static_cast<uint32_t>(references_[document][i] - detections_);
        if (states[next] == State::kOpen) {
          Fail(documents_[document], documents_[document].ast.rules[i].place,
               "the correlations go round in a circle: '" + documents_[next].ast.rule.title + "' counts this one");
        } else if (states[next] == State::kNew) {
          visit(next);
        }
      }
      states[document] = State::kDone;
      place_[document] = static_cast<uint32_t>(detections_ + order_.size());
      order_.push_back(document);
    };
    for (uint32_t i = 0; i < documents_.size() && !failed_; ++i) {
      if (states[i] == State::kNew) visit(i);
    }
  }

  // The field that `wanted` means in events of the rule that stands at `position`.
  FieldId FieldOf(const ReadCorrelationDocument& document, size_t position, const PlacedText& wanted) {
    SourceNotes notes(*document.file, diagnostics_);
    const PlacedText* field = &wanted;
    const auto alias = std::find_if(document.ast.aliases.begin(), document.ast.aliases.end(),
                                    [&](const auto& one) { return one.name == wanted.text; });
    if (alias != document.ast.aliases.end()) {
      field = nullptr;
      const uint32_t rule = references_[static_cast<size_t>(&document - documents_.data())][position];
      for (const auto& [name, own] : alias->fields) {
        const auto at = by_name_.find(name.text);
        if (at != by_name_.end() && at->second.contains(rule)) field = &own;
      }
      if (field == nullptr) {
        Fail(document, wanted.place, "the alias '" + wanted.text + "' has no field for the rule '" +
                                         document.ast.rules[position].text + "'");
        return kNoField;
      }
    }
    const FieldId id = resolve_(*field, &notes);
    if (id == kNoField) failed_ = true;
    return id;
  }

  void CheckAliases(const ReadCorrelationDocument& document, const std::vector<uint32_t>& references) {
    for (const CorrelationAst::Alias& alias : document.ast.aliases) {
      for (const auto& [name, field] : alias.fields) {
        const uint32_t rule = Find(document, name);
        if (rule == kUnknown || std::find(references.begin(), references.end(), rule) != references.end()) continue;
        Fail(document, name.place, "the alias '" + alias.name + "' names '" + name.text +
                                       "', which this correlation does not count");
      }
    }
  }

  Correlation ResolveOne(uint32_t number) {
    const ReadCorrelationDocument& document = documents_[number];
    const std::vector<uint32_t>& references = references_[number];
    CheckAliases(document, references);
    Correlation correlation;
    correlation.rule = place_[number];
    correlation.spec = document.ast.spec;
    for (const PlacedText& name : document.ast.group_by) correlation.group_names.push_back(name.text);
    uint64_t shape = StableHash64(std::to_string(static_cast<int>(correlation.spec.type)));
    const auto part = [&](std::string_view text) { shape = StableHash64(text, shape + 1); };
    for (size_t i = 0; i < references.size(); ++i) {
      CorrelatedRule& rule = correlation.rules.emplace_back();
      const bool chained = references[i] >= detections_;
      rule.rule = chained ? place_[static_cast<uint32_t>(references[i] - detections_)] : references[i];
      part(document.ast.rules[i].text);
      for (const PlacedText& field : document.ast.group_by) rule.group_by.push_back(FieldOf(document, i, field));
      for (const PlacedText& field : document.ast.fields) rule.value.push_back(FieldOf(document, i, field));
      if (!chained && !document.ast.generate) WarnOfUnusedTriage(document, i, references[i]);
    }
    for (const PlacedText& field : document.ast.group_by) part(field.text);
    for (const PlacedText& field : document.ast.fields) part(field.text);
    char hex[17];
    std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(shape));
    correlation.state_name = document.ast.rule.id + "/" + hex;
    return correlation;
  }

  void WarnOfUnusedTriage(const ReadCorrelationDocument& document, size_t position, uint32_t rule) {
    const Triage& triage = (*rules_)[rule].triage;
    const bool says = triage.verdict || triage.severity || !triage.classification.empty() || !triage.request.empty() ||
                      !triage.tags.empty();
    if (!says || Generated(rule)) return;
    SourceNotes(*document.file, diagnostics_)
        .Warning(document.ast.rules[position].place,
                 "the triage block of '" + (*rules_)[rule].title + "' has no effect: the rule only serves correlations",
                 "add 'generate: true' to the correlation");
  }

  // Some correlation that counts the rule wants it to count for itself, too.
  bool Generated(uint32_t rule) const {
    for (size_t i = 0; i < documents_.size(); ++i) {
      if (!documents_[i].ast.generate) continue;
      if (std::find(references_[i].begin(), references_[i].end(), rule) != references_[i].end()) return true;
    }
    return false;
  }

  std::vector<uint32_t> Helpers() const {
    std::set<uint32_t> helpers;
    for (const std::vector<uint32_t>& references : references_) {
      for (const uint32_t rule : references) {
        if (Generated(rule)) continue;
        helpers.insert(rule < detections_ ? rule : place_.at(static_cast<uint32_t>(rule - detections_)));
      }
    }
    return {helpers.begin(), helpers.end()};
  }

  const std::vector<ReadCorrelationDocument> documents_;
  const size_t detections_;
  std::vector<Rule>* rules_;
  const ResolveField& resolve_;
  Diagnostics* diagnostics_;
  std::map<std::string, std::set<uint32_t>, std::less<>> by_name_;  // detections, then documents as they were read
  std::vector<std::vector<uint32_t>> references_;                   // of each document, in the same numbers
  std::vector<uint32_t> order_;                                     // documents, each after those it counts
  std::map<uint32_t, uint32_t> place_;                              // document → index into RuleSet::rules()
  bool failed_ = false;
};

}  // namespace

std::shared_ptr<const CorrelationSet> ResolveCorrelations(std::vector<ReadCorrelationDocument> documents,
                                                          const std::vector<RuleNames>& names, std::vector<Rule>* rules,
                                                          const ResolveField& resolve, Diagnostics* diagnostics) {
  return Resolver(std::move(documents), names, rules, resolve, diagnostics).Resolve();
}

}  // namespace triaged::rules
