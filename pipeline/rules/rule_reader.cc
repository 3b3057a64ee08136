#include "pipeline/rules/rule_reader.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace triaged::rules {
namespace {

// Sigma's own keys (rules specification 2.1) and ours.
const std::vector<std::string_view>& KnownKeys() {
  static const std::vector<std::string_view> keys = {
      "title",  "id",         "name",  "related",  "taxonomy",  "status",    "description", "license",
      "author", "references", "date",  "modified", "logsource", "detection", "fields",      "falsepositives",
      "level",  "tags",       "scope", "triage"};
  return keys;
}

const std::vector<std::string_view>& Levels() {
  static const std::vector<std::string_view> levels = {"informational", "low", "medium", "high", "critical"};
  return levels;
}

const std::vector<std::string_view>& Statuses() {
  static const std::vector<std::string_view> statuses = {"stable", "test", "experimental", "deprecated", "unsupported"};
  return statuses;
}

// Whole documents that are no detection rule. true when refused.
bool RefuseOtherDocument(const YamlNode& document, SourceNotes* notes) {
  for (const YamlNode::Entry& entry : document.map()) {
    if (entry.key == "action") {
      notes->Error(PlaceOf(entry),
                   "rule collections with 'action: " + entry.value.scalar() + "' were removed in Sigma 2",
                   "write every rule out in full");
      return true;
    }
  }
  return false;
}

// The text under `key`, or "" when absent; an error when it is no text.
std::string Text(const YamlNode& document, std::string_view key, SourceNotes* notes) {
  const YamlNode* node = document.Find(key);
  if (node == nullptr || node->IsNull()) return {};
  if (!node->IsScalar()) {
    notes->Error(PlaceOf(*node), "'" + std::string(key) + "' must be a text");
    return {};
  }
  return node->scalar();
}

void ReadIdentity(const YamlNode& document, Rule* rule, SourceNotes* notes) {
  rule->id = Text(document, "id", notes);
  rule->title = Text(document, "title", notes);
  rule->level = Text(document, "level", notes);
  rule->where = notes->Where(PlaceOf(document));
  const YamlNode* const id = document.Find("id");
  const bool no_text = id != nullptr && !id->IsNull() && !id->IsScalar();  // said already
  if (rule->id.empty() && !no_text) {
    notes->Error(PlaceOf(document), "the rule has no 'id'", "give it a random UUID; it names the rule in every record");
  } else if (rule->id.size() > kMaxRuleIdBytes) {
    notes->Error(PlaceOf(*document.Find("id")), "the id is longer than " + std::to_string(kMaxRuleIdBytes) + " bytes");
  }
  if (rule->title.empty()) notes->Error(PlaceOf(document), "the rule has no 'title'");
  auto one_of = [](const std::vector<std::string_view>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  if (!rule->level.empty() && !one_of(Levels(), rule->level)) {
    const std::string hint = Suggest(rule->level, Levels());
    notes->Error(PlaceOf(*document.Find("level")), "unknown level '" + rule->level + "'",
                 hint.empty() ? "levels are informational, low, medium, high, critical" : hint);
  }
  const std::string status = Text(document, "status", notes);
  if (!status.empty() && !one_of(Statuses(), status)) {
    notes->Warning(PlaceOf(*document.Find("status")), "unknown status '" + status + "'", Suggest(status, Statuses()));
  }
}

void ReadTags(const YamlNode& document, Rule* rule, SourceNotes* notes) {
  const YamlNode* tags = document.Find("tags");
  if (tags == nullptr || tags->IsNull()) return;
  if (!tags->IsList()) {
    notes->Error(PlaceOf(*tags), "'tags' must be a list of texts", "for example 'tags: [attack.execution, attack.t1059]'");
    return;
  }
  for (const YamlNode& tag : tags->list()) {
    if (tag.IsScalar()) {
      rule->tags.push_back(tag.scalar());
    } else {
      notes->Error(PlaceOf(tag), "a tag must be a text");
    }
  }
}

void CheckKeys(const YamlNode& document, const std::vector<std::string_view>& known, SourceNotes* notes) {
  for (const YamlNode::Entry& entry : document.map()) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    notes->Warning(PlaceOf(entry), "'" + entry.key + "' is no key of Sigma; it is ignored", Suggest(entry.key, known));
  }
}

}  // namespace

Rule ReadRuleHead(const YamlNode& document, std::string* name, SourceNotes* notes) {
  Rule rule;
  ReadIdentity(document, &rule, notes);
  ReadTags(document, &rule, notes);
  *name = Text(document, "name", notes);
  if (const YamlNode* triage = document.Find("triage"); triage != nullptr) rule.triage = ReadTriage(*triage, notes);
  return rule;
}

void CheckCorrelationKeys(const YamlNode& document, SourceNotes* notes) {
  static const std::vector<std::string_view> keys = [] {
    std::vector<std::string_view> all = KnownKeys();
    all.push_back("correlation");
    all.push_back("generate");
    return all;
  }();
  CheckKeys(document, keys, notes);
}

Logsource ReadLogsource(const YamlNode& document, SourceNotes* notes) {
  const YamlNode* node = document.Find("logsource");
  if (node == nullptr || node->IsNull()) return {};
  if (!node->IsMap()) {
    notes->Error(PlaceOf(*node), "'logsource' must be a map", "for example 'logsource: {product: windows, category: process_creation}'");
    return {};
  }
  return {Text(*node, "product", notes), Text(*node, "category", notes), Text(*node, "service", notes)};
}

std::optional<RuleAst> ReadRule(const YamlNode& document, SourceNotes* notes) {
  if (!document.IsMap()) {
    notes->Error(PlaceOf(document), "a rule is a map with 'title', 'id' and 'detection'");
    return std::nullopt;
  }
  if (RefuseOtherDocument(document, notes)) return std::nullopt;
  RuleAst ast;
  ast.rule = ReadRuleHead(document, &ast.name, notes);
  ast.logsource = ReadLogsource(document, notes);
  CheckKeys(document, KnownKeys(), notes);
  const YamlNode* detection = document.Find("detection");
  if (detection == nullptr) {
    notes->Error(PlaceOf(document), "the rule has no 'detection'");
    return std::nullopt;
  }
  std::optional<DetectionAst> read = ReadDetection(*detection, notes);
  if (!read) return std::nullopt;
  ast.detection = std::move(*read);
  return ast;
}

}  // namespace triaged::rules
