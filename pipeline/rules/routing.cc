#include "pipeline/rules/routing.h"

#include <algorithm>
#include <limits>
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

struct RoutedScratch final : RuleScratch {
  std::unique_ptr<RuleScratch> routes;
  std::vector<std::unique_ptr<RuleScratch>> groups;
  std::vector<uint32_t> taken;
  std::vector<uint32_t> matched;
};

class RoutedRuleSet final : public RuleSet {
 public:
  RoutedRuleSet(LoweredRules lowered, const std::vector<uint32_t>& route_of, std::vector<Expr> routes,
                const FieldCatalog& catalog)
      : rules_(std::move(lowered.rules)),
        correlations_(lowered.correlations ? std::move(lowered.correlations) : std::make_shared<CorrelationSet>()) {
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
    routes_ = MakeCompiledSet(std::move(own), catalog);
  }

  const std::vector<Rule>& rules() const override { return rules_; }
  const CorrelationSet& correlations() const override { return *correlations_; }

  std::unique_ptr<RuleScratch> NewScratch() const override {
    auto scratch = std::make_unique<RoutedScratch>();
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
    evaluate(*routes_, state.routes.get(), &state.taken);
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
  std::vector<Group> groups_;
  std::shared_ptr<const RuleSet> routes_;
};

}  // namespace

std::shared_ptr<const RuleSet> MakeRoutedSet(LoweredRules lowered, const std::vector<uint32_t>& route_of,
                                             std::vector<Expr> routes, const FieldCatalog& catalog) {
  return std::make_shared<RoutedRuleSet>(std::move(lowered), route_of, std::move(routes), catalog);
}

}  // namespace triaged::rules
