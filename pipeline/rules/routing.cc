#include "pipeline/rules/routing.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "pipeline/base/check.h"
#include "pipeline/rules/correlation_set.h"

namespace triaged::rules {
namespace {

constexpr PredicateId kNotTaken = std::numeric_limits<PredicateId>::max();

// Copies the predicates that expressions use into a table of their own.
class Extraction {
 public:
  explicit Extraction(const std::vector<Predicate>& all) : all_(all), taken_(all.size(), kNotTaken) {}

  Expr Take(const Expr& expr) {
    Expr copy{expr.op, expr.value, {}};
    if (expr.op == Op::kPredicate) {
      PredicateId& id = taken_[expr.value];
      if (id == kNotTaken) {
        id = static_cast<PredicateId>(predicates_.size());
        predicates_.push_back(all_[expr.value]);
      }
      copy.value = id;
    }
    for (const Expr& child : expr.children) copy.children.push_back(Take(child));
    return copy;
  }

  std::vector<Predicate> Predicates() { return std::move(predicates_); }

 private:
  const std::vector<Predicate>& all_;
  std::vector<PredicateId> taken_;
  std::vector<Predicate> predicates_;
};

// Remembers to which logsources events with the same values of the fields that routes ask about belong: those are few
// (a channel, an event id), and an answer depends on nothing else. A place of the table is taken by the latest.
class RouteMemo {
 public:
  struct Slot {
    std::string key;
    std::vector<uint32_t> taken;
    uint64_t steps = 0;
    bool filled = false;
  };

  // Writes what the routes' answer depends on to key(); false when that is longer than worth remembering.
  bool Look(const FieldTable& event, std::span<const FieldId> fields) {
    key_.clear();
    for (const FieldId field : fields) {
      const std::span<const Value> values = event.Get(field);
      Put(values.size());
      for (const Value& value : values) {
        if (key_.size() + value.text.size() > kMostKey) return false;
        key_.push_back(static_cast<char>(value.kind));
        Put(value.text.size());
        key_ += value.text;
      }
    }
    uint64_t hash = key_.size();
    for (size_t at = 0; at < key_.size(); at += sizeof(uint64_t)) {
      uint64_t part = 0;
      std::memcpy(&part, key_.data() + at, std::min(sizeof(part), key_.size() - at));
      hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
      hash ^= hash >> 29;
    }
    slot_ = &slots_[hash % kSlots];
    return true;
  }
  // After Look: whether the slot has this key's answer.
  bool Known() const { return slot_->filled && slot_->key == key_; }
  Slot& slot() { return *slot_; }
  void Remember(const std::vector<uint32_t>& taken, uint64_t steps) { *slot_ = {key_, taken, steps, true}; }

 private:
  static constexpr size_t kSlots = 256;
  static constexpr size_t kMostKey = 256;

  void Put(size_t number) { key_.append(reinterpret_cast<const char*>(&number), sizeof(number)); }

  std::string key_;
  Slot* slot_ = nullptr;
  std::vector<Slot> slots_{kSlots};
};

struct RoutedScratch final : RuleScratch {
  std::unique_ptr<RuleScratch> routes;
  std::vector<std::unique_ptr<RuleScratch>> groups;
  std::vector<uint32_t> taken;
  std::vector<uint32_t> matched;
  RouteMemo memo;
};

class RoutedRuleSet final : public RuleSet {
 public:
  RoutedRuleSet(LoweredRules lowered, const std::vector<uint32_t>& route_of, std::vector<Expr> routes,
                const FieldCatalog& catalog)
      : rules_(std::move(lowered.rules)),
        correlations_(lowered.correlations ? std::move(lowered.correlations) : std::make_shared<CorrelationSet>()),
        alert_steps_(lowered.alert_steps) {
    for (uint32_t route = 0; route < routes.size(); ++route) {
      Group& group = groups_.emplace_back();
      LoweredRules own;
      Extraction extraction(lowered.predicates);
      for (uint32_t rule = 0; rule < route_of.size(); ++rule) {
        if (route_of[rule] != route) continue;
        group.rules.push_back(rule);
        own.rules.push_back(rules_[rule]);
        own.expressions.push_back(extraction.Take(lowered.expressions[rule]));
      }
      own.predicates = extraction.Predicates();
      group.set = MakeCompiledSet(std::move(own), catalog);
    }
    LoweredRules own;
    Extraction extraction(lowered.predicates);
    for (const Expr& route : routes) own.expressions.push_back(extraction.Take(route));
    own.rules.resize(routes.size());
    own.predicates = extraction.Predicates();
    for (const Predicate& predicate : own.predicates) {
      all_fields_ |= predicate.field == kKeywords;
      route_fields_.push_back(predicate.field);
      if (predicate.kind == PredicateKind::kFieldRef) route_fields_.push_back(predicate.other);
    }
    std::sort(route_fields_.begin(), route_fields_.end());
    route_fields_.erase(std::unique(route_fields_.begin(), route_fields_.end()), route_fields_.end());
    routes_ = MakeCompiledSet(std::move(own), catalog);
  }

  const std::vector<Rule>& rules() const override { return rules_; }
  const CorrelationSet& correlations() const override { return *correlations_; }

  std::unique_ptr<RuleScratch> NewScratch() const override {
    auto scratch = std::make_unique<RoutedScratch>();
    scratch->limit = alert_steps_;
    scratch->routes = routes_->NewScratch();
    for (const Group& group : groups_) scratch->groups.push_back(group.set->NewScratch());
    return scratch;
  }

  void Evaluate(const FieldTable& event, RuleScratch* scratch, std::vector<uint32_t>* matched) const override {
    RoutedScratch& state = static_cast<RoutedScratch&>(*scratch);
    TRIAGED_CHECK(state.groups.size() == groups_.size());
    const size_t before = matched->size();
    state.taken.clear();
    state.given_up.clear();
    state.steps = 0;
    state.over_limit = false;
    const auto evaluate = [&](const RuleSet& set, RuleScratch* part, std::vector<uint32_t>* found) {
      part->limit = state.limit - state.steps;
      set.Evaluate(event, part, found);
      state.steps += part->steps;
      state.over_limit |= part->over_limit;
    };
    const bool worth = !all_fields_ && state.memo.Look(event, route_fields_);
    if (worth && state.memo.Known() && state.memo.slot().steps <= state.limit) {
      state.taken = state.memo.slot().taken;
      state.steps = state.memo.slot().steps;
    } else {
      evaluate(*routes_, state.routes.get(), &state.taken);
      if (worth && !state.over_limit) state.memo.Remember(state.taken, state.steps);
    }
    for (uint32_t route : state.taken) {
      state.matched.clear();
      evaluate(*groups_[route].set, state.groups[route].get(), &state.matched);
      for (uint32_t rule : state.groups[route]->given_up) state.given_up.push_back(groups_[route].rules[rule]);
      for (uint32_t rule : state.matched) matched->push_back(groups_[route].rules[rule]);
    }
    std::sort(matched->begin() + static_cast<std::ptrdiff_t>(before), matched->end());
  }

 private:
  struct Group {
    std::shared_ptr<const RuleSet> set;
    std::vector<uint32_t> rules;  // its rules among all
  };

  std::vector<Rule> rules_;
  std::shared_ptr<const CorrelationSet> correlations_;
  uint64_t alert_steps_;
  std::vector<Group> groups_;
  std::shared_ptr<const RuleSet> routes_;
  std::vector<FieldId> route_fields_;  // what their answer depends on
  bool all_fields_ = false;            // … is everything: they have keywords
};

}  // namespace

std::shared_ptr<const RuleSet> MakeRoutedSet(LoweredRules lowered, const std::vector<uint32_t>& route_of,
                                             std::vector<Expr> routes, const FieldCatalog& catalog) {
  return std::make_shared<RoutedRuleSet>(std::move(lowered), route_of, std::move(routes), catalog);
}

}  // namespace triaged::rules
