#include "pipeline/rules/correlation_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "pipeline/rules/rule_reader.h"

namespace triaged::rules {
namespace {

constexpr std::array<std::string_view, 7> kTypes = {"event_count",      "value_count", "temporal",        "temporal_ordered",
                                                    "value_sum",        "value_avg",   "value_percentile"};

bool IsTemporal(CorrelationType type) {
  return type == CorrelationType::kTemporal || type == CorrelationType::kTemporalOrdered;
}

bool NeedsField(CorrelationType type) { return type != CorrelationType::kEventCount && !IsTemporal(type); }

class Reading {
 public:
  Reading(const YamlNode& node, SourceNotes* notes, CorrelationAst* ast)
      : reader_(notes->file(), node, "correlation", notes->diagnostics()), notes_(notes), ast_(ast) {}

  void Read() {
    ReadType();
    ast_->rules = Texts("rules", /*required=*/true);
    if (const YamlNode* rules = reader_.Node("rules"); rules && ast_->rules.empty() && !rules->IsScalar()) {
      reader_.ErrorAt(*rules, "a correlation counts at least one rule", "list the ids or names of the rules");
    }
    if (ast_->rules.size() > kMaxCorrelatedRules) {
      reader_.ErrorHere("more than " + std::to_string(kMaxCorrelatedRules) + " rules are correlated");
    }
    ast_->spec.rules = static_cast<uint32_t>(ast_->rules.size());
    CheckUnique("rules", ast_->rules);
    ast_->group_by = Texts("group-by", /*required=*/false);
    CheckUnique("group-by", ast_->group_by);
    if (ast_->group_by.size() > kMaxGroupBy) {
      reader_.ErrorHere("more than " + std::to_string(kMaxGroupBy) + " fields are grouped by");
    }
    ast_->spec.timespan = reader_.Interval("timespan", Duration{0}, std::chrono::seconds(1), kMaxTimespan);
    if (!reader_.Has("timespan")) {
      reader_.ErrorHere("'timespan' is missing in correlation", "for example 'timespan: 15m'");
    }
    ReadAliases();
    ReadCondition();
    if (const YamlNode* generate = reader_.Node("generate"); generate != nullptr) SetGenerate(*generate);
    reader_.Finish();
  }

  void SetGenerate(const YamlNode& node) {
    const auto value = node.AsBool();
    if (!value) return notes_->Error(PlaceOf(node), "'generate' must be true or false");
    ast_->generate = *value;
  }

 private:
  void ReadType() {
    const std::string type = reader_.String("type", {}, /*required=*/true);
    const YamlNode* node = reader_.Node("type");
    if (type.empty() || !node->IsScalar()) return;
    const auto at = std::find(kTypes.begin(), kTypes.end(), type);
    if (at != kTypes.end()) {
      ast_->spec.type = static_cast<CorrelationType>(at - kTypes.begin());
      return;
    }
    const std::string hint = Suggest(type, {kTypes.begin(), kTypes.end()});
    reader_.ErrorAt(*node, "unknown correlation type '" + type + "'",
                    !hint.empty() ? hint
                                  : "types are event_count, value_count, temporal, temporal_ordered, value_sum, "
                                    "value_avg and value_percentile");
  }

  // A list of texts, or a single one.
  std::vector<PlacedText> Texts(std::string_view key, bool required) {
    return TextsOf(reader_.Node(key, required), key);
  }

  std::vector<PlacedText> TextsOf(const YamlNode* node, std::string_view key) {
    std::vector<PlacedText> texts;
    if (node == nullptr || node->IsNull()) return texts;
    const auto take = [&](const YamlNode& one) {
      if (one.IsScalar() && !one.scalar().empty()) {
        texts.push_back({one.scalar(), PlaceOf(one)});
      } else {
        reader_.ErrorAt(one, "'" + std::string(key) + "' must be a list of texts");
      }
    };
    if (!node->IsList()) {
      take(*node);
    } else {
      for (const YamlNode& one : node->list()) take(one);
    }
    return texts;
  }

  void CheckUnique(std::string_view key, const std::vector<PlacedText>& texts) {
    for (size_t i = 0; i < texts.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (texts[i].text != texts[j].text) continue;
        notes_->Error(texts[i].place, "'" + texts[i].text + "' stands twice in '" + std::string(key) + "'");
        break;
      }
    }
  }

  void ReadAliases() {
    const YamlNode* node = reader_.Node("aliases");
    if (node == nullptr || node->IsNull()) return;
    if (!node->IsMap()) {
      return reader_.ErrorAt(*node, "'aliases' must be a map: alias → {rule: field}",
                             "for example 'aliases: {internal_ip: {rule_a: source.ip, rule_b: destination.ip}}'");
    }
    for (const YamlNode::Entry& entry : node->map()) {
      if (!entry.value.IsMap()) {
        reader_.ErrorAt(entry.value, "the alias '" + entry.key + "' must be a map: rule → field");
        continue;
      }
      CorrelationAst::Alias& alias = ast_->aliases.emplace_back();
      alias.name = entry.key;
      for (const YamlNode::Entry& field : entry.value.map()) {
        if (!field.value.IsScalar() || field.value.scalar().empty()) {
          reader_.ErrorAt(field.value, "an alias names one field for each rule");
          continue;
        }
        alias.fields.push_back({{field.key, PlaceOf(field)}, {field.value.scalar(), PlaceOf(field.value)}});
      }
    }
  }

  // A bound in millionths; any after an error.
  int64_t Bound(const YamlNode& node, std::string_view key) {
    const std::optional<int64_t> bound = node.IsScalar() ? ParseMillionths(node.scalar()) : std::nullopt;
    if (!bound) {
      reader_.ErrorAt(node, "'" + std::string(key) + "' must be a number with at most six decimals");
      return 0;  // said; not that it is missing
    }
    const bool counts = ast_->spec.type == CorrelationType::kEventCount || ast_->spec.type == CorrelationType::kValueCount;
    if (counts && *bound > static_cast<int64_t>(kMaxObservations) * 1'000'000) {
      reader_.ErrorAt(node, "a correlation counts to " + std::to_string(kMaxObservations) + " at most, " + node.scalar() +
                                " is never reached",
                      "shorten the timespan, or correlate correlations");
    }
    return *bound;
  }

  void ReadCondition() {
    const CorrelationType type = ast_->spec.type;
    const YamlNode* node = reader_.Node("condition");
    if (node == nullptr || node->IsNull()) {
      if (!IsTemporal(type)) {
        reader_.ErrorHere("'condition' is missing in correlation", "for example 'condition: {gte: 10}'");
      }
      return;
    }
    if (!node->IsMap()) {
      return reader_.ErrorAt(*node, "'condition' of a correlation must be a map of bounds", "for example '{gte: 10}'");
    }
    MapReader bounds(notes_->file(), *node, "condition", notes_->diagnostics());
    CorrelationCondition& condition = ast_->spec.condition;
    const std::pair<std::string_view, std::optional<int64_t>*> all[] = {
        {"gt", &condition.gt}, {"gte", &condition.gte}, {"lt", &condition.lt},
        {"lte", &condition.lte}, {"eq", &condition.eq}, {"neq", &condition.neq}};
    bool any = false;
    for (const auto& [key, bound] : all) {
      const YamlNode* value = bounds.Node(key);
      if (value == nullptr) continue;
      any = true;
      *bound = Bound(*value, key);
    }
    if (!any) bounds.ErrorHere("the condition has no bound", "one of gt, gte, lt, lte, eq, neq");
    ast_->fields = TextsOf(bounds.Node("field"), "field");
    if (NeedsField(type) && ast_->fields.empty()) {
      bounds.ErrorHere("'field' is missing: what a " + std::string(kTypes[static_cast<size_t>(type)]) + " looks at",
                       "for example 'field: user.name'");
    } else if (!NeedsField(type) && !ast_->fields.empty()) {
      bounds.ErrorHere(std::string(kTypes[static_cast<size_t>(type)]) + " looks at no field", "remove 'field'");
    } else if (type != CorrelationType::kValueCount && ast_->fields.size() > 1) {
      bounds.ErrorHere("only a value_count looks at several fields");
    }
    if (any && !condition.gt && !condition.gte && !condition.eq && !condition.neq) {
      notes_->Warning(PlaceOf(*node), "a condition without a lower bound holds at the first match already",
                      "add 'gte'; that nothing comes at all is noticed by no correlation");
    }
    bounds.Finish();
  }

  MapReader reader_;
  SourceNotes* notes_;
  CorrelationAst* ast_;
};

}  // namespace

bool IsCorrelation(const YamlNode& document) { return document.IsMap() && document.Find("correlation") != nullptr; }

std::optional<CorrelationAst> ReadCorrelation(const YamlNode& document, SourceNotes* notes) {
  // MapReader reports past `notes`, so the errors are counted where all of them arrive.
  Diagnostics found;
  SourceNotes own(notes->file(), &found);
  CorrelationAst ast;
  ast.rule = ReadRuleHead(document, &ast.name, &own);
  CheckCorrelationKeys(document, &own);
  for (const std::string_view key : {"detection", "logsource"}) {
    if (const YamlNode* node = document.Find(key); node != nullptr) {
      own.Error(PlaceOf(*node), "a correlation has no '" + std::string(key) + "'",
                "write the rule in a document of its own, separated by '---', and refer to it");
    }
  }
  const YamlNode& body = *document.Find("correlation");
  if (!body.IsMap()) {
    own.Error(PlaceOf(body), "'correlation' must be a map of 'type', 'rules', 'group-by', 'timespan' and 'condition'");
  } else {
    Reading reading(body, &own, &ast);
    reading.Read();
    if (const YamlNode* generate = document.Find("generate"); generate != nullptr) reading.SetGenerate(*generate);
  }
  const bool failed = found.HasErrors();
  notes->diagnostics()->Append(found);
  if (failed) return std::nullopt;
  return ast;
}

}  // namespace triaged::rules
