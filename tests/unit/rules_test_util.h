// Helpers of the rules tests: rules from text, events from lists.
#pragma once

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/model/fields.h"
#include "pipeline/rules/rules.h"

namespace triaged::rules_test {

// An event built value by value; owns its texts.
class Event {
 public:
  explicit Event(FieldCatalog* catalog) : catalog_(catalog) { table_.Reset(catalog->size()); }

  Event& Text(std::string_view field, std::string_view text) { return Put(field, text, ValueKind::kString, 0); }
  Event& Number(std::string_view field, int64_t number) {
    return Put(field, std::to_string(number), ValueKind::kInteger, number);
  }
  Event& Null(std::string_view field) { return Put(field, "null", ValueKind::kNull, 0); }
  Event& Real(std::string_view field, double number, std::string_view text) {
    Value value = Make(text, ValueKind::kDouble);
    value.real = number;
    table_.Add(Id(field), value);
    return *this;
  }

  const FieldTable& table() const { return table_; }

 private:
  FieldId Id(std::string_view field) {
    const FieldId id = catalog_->Resolve(field);
    REQUIRE(id != kNoField);
    if (id >= size_) {
      // A raw field nobody asked for: rebuild is not needed, only room.
      FieldTable grown;
      grown.Reset(catalog_->size());
      for (const auto& [known, value] : added_) grown.Add(known, value);
      table_ = grown;
    }
    size_ = catalog_->size();
    return id;
  }
  Value Make(std::string_view text, ValueKind kind) {
    texts_.emplace_back(text);
    Value value(texts_.back());
    value.kind = kind;
    return value;
  }
  Event& Put(std::string_view field, std::string_view text, ValueKind kind, int64_t number) {
    Value value = Make(text, kind);
    value.integer = number;
    const FieldId id = Id(field);
    table_.Add(id, value);
    added_.emplace_back(id, value);
    return *this;
  }

  FieldCatalog* catalog_;
  size_t size_ = 0;
  std::deque<std::string> texts_;
  std::vector<std::pair<FieldId, Value>> added_;
  FieldTable table_;
};

inline std::string Indent(std::string_view text, int by) {
  std::string out;
  bool start = true;
  for (char c : text) {
    if (start && c != '\n') out.append(static_cast<size_t>(by), ' ');
    start = c == '\n';
    out.push_back(c);
  }
  return out;
}

// A rule whose `detection` is `detection`.
inline std::string RuleText(std::string_view detection, std::string_view id = "r1") {
  return "title: Test\nid: " + std::string(id) + "\ndetection:\n" + Indent(detection, 2) + "\n";
}

inline std::shared_ptr<const RuleSet> MustCompile(const std::string& text, FieldCatalog* catalog) {
  Diagnostics diagnostics;
  auto rules = RuleSet::Compile({{"test.yaml", text}}, catalog, &diagnostics);
  INFO(diagnostics.Render());
  REQUIRE(rules != nullptr);
  return rules;
}

inline std::vector<uint32_t> Evaluate(const RuleSet& rules, const FieldTable& event) {
  auto scratch = rules.NewScratch();
  std::vector<uint32_t> matched;
  rules.Evaluate(event, scratch.get(), &matched);
  // A second evaluation with the used scratch must say the same.
  std::vector<uint32_t> again;
  rules.Evaluate(event, scratch.get(), &again);
  CHECK(matched == again);
  return matched;
}

// One selection, with `condition: sel` added: does it match what `fill` puts into an event? Asks the rule engine and
// Condition, which must agree.
template <typename FillFn>
bool Selects(std::string_view selection, FillFn fill) {
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  const std::string detection = "sel:\n" + Indent(selection, 2) + "\ncondition: sel";
  const auto rules = MustCompile(RuleText(detection), &catalog);
  Event event(&catalog);
  fill(event);
  const bool by_engine = !Evaluate(*rules, event.table()).empty();

  Diagnostics diagnostics;
  const auto yaml = ParseYaml({"condition.yaml", detection}, &diagnostics);
  REQUIRE(yaml.has_value());
  const auto condition = Condition::Compile(*yaml->source, yaml->documents.front(), &catalog, &diagnostics);
  INFO(diagnostics.Render());
  REQUIRE(condition != nullptr);
  CHECK(condition->Matches(event.table()) == by_engine);
  return by_engine;
}

inline bool SelectsText(std::string_view selection, std::string_view field, std::string_view text) {
  return Selects(selection, [&](Event& event) { event.Text(field, text); });
}

}  // namespace triaged::rules_test
