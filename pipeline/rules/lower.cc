#include "pipeline/rules/lower.h"

#include <string>
#include <utility>

#include "pipeline/rules/item_values.h"

namespace triaged::rules {
namespace {

// True when one insertion, deletion or replacement makes `a` into `b`.
bool OneEditApart(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  if (b.size() - a.size() > 1) return false;
  size_t i = 0;
  while (i < a.size() && a[i] == b[i]) ++i;
  if (a.size() == b.size()) return a.substr(i).size() > 0 && a.substr(i + 1) == b.substr(i + 1);
  return a.substr(i) == b.substr(i + 1);
}

// Joins the predicates of all values: those of one kind become one predicate ("any of these values").
Expr AnyOf(std::vector<Predicate> values, PredicateTable* predicates) {
  std::vector<Expr> parts;
  std::optional<Predicate> merged;
  for (Predicate& value : values) {
    if (value.kind == PredicateKind::kNull) {
      parts.push_back(PredicateExpr(predicates->Add(std::move(value))));
      continue;
    }
    if (!merged) {
      merged = std::move(value);
      continue;
    }
    for (Pattern& pattern : value.patterns) merged->patterns.push_back(std::move(pattern));
    for (auto& regex : value.regexes) merged->regexes.push_back(std::move(regex));
    merged->networks.insert(merged->networks.end(), value.networks.begin(), value.networks.end());
    merged->numbers.insert(merged->numbers.end(), value.numbers.begin(), value.numbers.end());
    merged->parts.insert(merged->parts.end(), value.parts.begin(), value.parts.end());
  }
  if (merged) parts.push_back(PredicateExpr(predicates->Add(std::move(*merged))));
  return OrExpr(std::move(parts));
}

}  // namespace

FieldId Lowering::ResolveField(const std::string& written, Place place) {
  const std::string* mapped = nullptr;
  if (names_.mapping != nullptr) {
    const auto it = names_.mapping->fields.find(written);
    if (it != names_.mapping->fields.end()) mapped = &it->second;
  }
  const std::string& name = mapped != nullptr ? *mapped : written;
  if (catalog_->Find(name) != kNoField) return catalog_->Resolve(name);  // which also notes that it is asked for
  const std::vector<std::string_view> names = catalog_->NormalisedNames();
  if (catalog_->taxonomy() == FieldCatalog::Taxonomy::kCase) {
    notes_->Error(place, "a case has no field '" + name + "'", Suggest(name, names));
    return kNoField;
  }
  for (std::string_view near : names) {
    if (name.size() > 4 && OneEditApart(name, near)) {
      notes_->Warning(place, "'" + name + "' is no normalised field, so it addresses the raw document",
                      "did you mean '" + std::string(near) + "'?");
    }
  }
  const FieldId id = catalog_->Resolve(name);
  if (id == kNoField) notes_->Error(place, "the field '" + name + "' cannot be addressed", "too many distinct fields");
  return id;
}

bool Lowering::Expand(std::vector<ItemValue>* values) {
  std::vector<ItemValue> expanded;
  // Each pass replaces the first placeholder of a value by every text of its list; texts are not looked into again.
  for (const ItemValue& value : *values) {
    std::vector<ItemValue> open{{"", value.null, value.place}};
    std::string_view rest = value.text;
    while (!rest.empty()) {
      const size_t begin = rest.find('%');
      const size_t end = begin == std::string_view::npos ? begin : rest.find('%', begin + 1);
      const std::string_view before = end == std::string_view::npos ? rest : rest.substr(0, begin);
      for (ItemValue& one : open) one.text += before;
      if (end == std::string_view::npos) break;
      const std::string_view name = rest.substr(begin + 1, end - begin - 1);
      const std::vector<std::string>* list = nullptr;
      if (names_.mapping != nullptr) {
        const auto it = names_.mapping->placeholders.find(name);
        if (it != names_.mapping->placeholders.end()) list = &it->second;
      }
      if (list == nullptr) {
        notes_->Warning(value.place, "'expand' has no list '" + std::string(name) + "', so this item never matches",
                        "add it to 'placeholders' of the mapping table, write the values out, or leave the rule out");
        return false;
      }
      std::vector<ItemValue> next;
      for (const ItemValue& one : open) {
        for (const std::string& text : *list) {
          if (next.size() <= kMaxValuesPerItem) next.push_back({one.text + text, false, one.place});
        }
      }
      open = std::move(next);
      rest.remove_prefix(end + 1);
    }
    for (ItemValue& one : open) expanded.push_back(std::move(one));
  }
  *values = std::move(expanded);
  return true;
}

std::optional<Expr> Lowering::Item(const ItemAst& item) {
  const std::optional<ItemMeaning> meaning = ReadModifiers(item, notes_);
  if (!meaning) return std::nullopt;
  Predicate base;
  base.kind = meaning->kind;
  base.anchor = meaning->anchor;
  base.cased = meaning->cased;
  base.comparison = meaning->comparison;
  base.part = meaning->part;
  base.field = item.field.empty() ? names_.keywords : ResolveField(item.field, item.place);
  if (base.field == kNoField && !item.field.empty()) return std::nullopt;
  std::vector<ItemValue> values;
  for (const YamlNode* value : item.values) values.push_back({value->scalar(), value->IsNull(), PlaceOf(*value)});
  if (meaning->expand && !Expand(&values)) return Expr{meaning->neq ? Op::kTrue : Op::kFalse, 0, {}};
  if (values.size() > kMaxValuesPerItem) {
    notes_->Error(item.place, "more than " + std::to_string(kMaxValuesPerItem) + " values for one field");
    return std::nullopt;
  }
  if (meaning->kind == PredicateKind::kExists) {
    const std::optional<bool> wanted = item.values.front()->IsScalar() ? item.values.front()->AsBool() : std::nullopt;
    if (!wanted) {
      notes_->Error(PlaceOf(*item.values.front()), "'exists' takes true or false");
      return std::nullopt;
    }
    Expr exists = PredicateExpr(predicates_->Add(std::move(base)));
    return *wanted != meaning->neq ? std::move(exists) : NotExpr(std::move(exists));
  }

  std::vector<Expr> each;
  std::vector<Predicate> any;
  bool ok = true;
  for (const ItemValue& value : values) {
    std::vector<Predicate> found;
    if (meaning->kind == PredicateKind::kFieldRef && !value.null) {
      Predicate reference = base;
      reference.other = ResolveField(value.text, value.place);
      if (reference.other != kNoField) each.push_back(PredicateExpr(predicates_->Add(std::move(reference))));
      ok = ok && reference.other != kNoField;
      continue;
    }
    found = ValuePredicates(*meaning, value, base, notes_);
    ok = ok && !found.empty();
    if (meaning->all) {
      if (!found.empty()) each.push_back(AnyOf(std::move(found), predicates_));
    } else {
      for (Predicate& one : found) any.push_back(std::move(one));
    }
  }
  if (!ok) return std::nullopt;
  if (!any.empty()) each.push_back(AnyOf(std::move(any), predicates_));
  Expr joined = meaning->all ? AndExpr(std::move(each)) : OrExpr(std::move(each));
  return meaning->neq ? NotExpr(std::move(joined)) : std::move(joined);
}

std::optional<Expr> Lowering::Selection(const SelectionAst& selection) {
  if (selection.kind == SelectionAst::Kind::kItem) return Item(selection.item);
  std::vector<Expr> children;
  bool ok = true;
  for (const SelectionAst& child : selection.children) {
    std::optional<Expr> lowered = Selection(child);
    ok = ok && lowered.has_value();
    if (lowered) children.push_back(std::move(*lowered));
  }
  if (!ok) return std::nullopt;
  return selection.kind == SelectionAst::Kind::kAll ? AndExpr(std::move(children)) : OrExpr(std::move(children));
}

Expr Lowering::Condition(const ConditionAst& condition, const std::vector<Expr>& selections) const {
  std::vector<Expr> children;
  if (condition.kind == ConditionAst::Kind::kSelections) {
    for (size_t index : condition.selections) children.push_back(selections[index]);
    return AtLeastExpr(condition.count, std::move(children));
  }
  for (const ConditionAst& child : condition.children) children.push_back(Condition(child, selections));
  switch (condition.kind) {
    case ConditionAst::Kind::kAnd:
      return AndExpr(std::move(children));
    case ConditionAst::Kind::kOr:
      return OrExpr(std::move(children));
    default:
      return NotExpr(std::move(children.front()));
  }
}

std::optional<Expr> Lowering::Detection(const DetectionAst& detection) {
  std::vector<Expr> selections;
  bool ok = true;
  for (const NamedSelection& selection : detection.selections) {
    std::optional<Expr> lowered = Selection(selection.body);
    ok = ok && lowered.has_value();
    selections.push_back(lowered ? std::move(*lowered) : Expr{});
  }
  if (!ok) return std::nullopt;
  std::vector<Expr> any;
  for (const ConditionAst& condition : detection.conditions) any.push_back(Condition(condition, selections));
  return OrExpr(std::move(any));
}

}  // namespace triaged::rules
