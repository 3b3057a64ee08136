// The compiled set: evaluation.
//
// (1) each present field that any rule asks about is scanned by its FieldMatcher, which marks the text
// predicates that hold; (2) a marked predicate, or a field's presence, puts the rules waiting for it on the list of
// candidates; (3) each candidate's expression is evaluated, other predicates being asked when needed and remembered.
// Marks are epoch numbers, so that beginning anew costs one increment. What does not fit the alert's budget (budget.h) is
// marked unknown; a rule that asks for it is given up.
#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "pipeline/base/check.h"
#include "pipeline/rules/budget.h"
#include "pipeline/rules/correlation_set.h"
#include "pipeline/rules/expression.h"
#include "pipeline/rules/field_matcher.h"
#include "pipeline/rules/routing.h"
#include "pipeline/rules/rules.h"
#include "pipeline/rules/triggers.h"

namespace triaged {
namespace rules {
namespace {

// Lists of numbers, one after the other.
class Lists {
 public:
  void Build(const std::vector<std::vector<uint32_t>>& lists) {
    begin_.assign(1, 0);
    items_.clear();
    for (const auto& list : lists) {
      items_.insert(items_.end(), list.begin(), list.end());
      begin_.push_back(static_cast<uint32_t>(items_.size()));
    }
  }
  std::span<const uint32_t> operator[](size_t i) const {
    return {items_.data() + begin_[i], begin_[i + 1] - begin_[i]};
  }

 private:
  std::vector<uint32_t> begin_;
  std::vector<uint32_t> items_;
};

enum class Answer : uint8_t { kNo, kYes, kPossible, kUnknown };

// What is known of one predicate for the current alert.
struct Mark {
  uint32_t epoch = 0;
  Answer answer = Answer::kNo;
};

struct Scratch final : RuleScratch {
  uint32_t epoch = 0;
  std::vector<Mark> predicates;
  std::vector<uint32_t> seen_rules;  // epoch in which the rule became a candidate
  std::vector<uint32_t> candidates;
  uint64_t scan = 0;                 // number of the value being scanned
  JoinedValues joined;
  std::vector<uint64_t> glob_scans;  // the last value each glob was tried on
  bool scan_given_up = false;        // any indexed predicate that was not found may hold all the same

  void Begin() {
    candidates.clear();
    given_up.clear();
    steps = 0;
    over_limit = scan_given_up = false;
    if (++epoch != 0) return;
    // The numbers have come round: forget every mark, once in four thousand million alerts.
    std::fill(predicates.begin(), predicates.end(), Mark{});
    std::fill(seen_rules.begin(), seen_rules.end(), 0u);
    epoch = 1;
  }

  bool Spend(uint64_t more) {
    if (more > limit - steps) {
      over_limit = true;
      return false;
    }
    steps += more;
    return true;
  }
};

struct FieldPlan {
  FieldId field = kNoField;
  FieldMatcher matcher;
  uint32_t first_glob = 0;  // of this matcher, among all
  bool has_patterns = false;
  std::vector<uint32_t> present_rules;  // rules that wait for the field's presence
};

class CompiledRuleSet final : public RuleSet {
 public:
  CompiledRuleSet(LoweredRules lowered, const FieldCatalog& catalog)
      : rules_(std::move(lowered.rules)),
        correlations_(lowered.correlations ? std::move(lowered.correlations) : std::make_shared<CorrelationSet>()),
        predicates_(std::move(lowered.predicates)),
        normalised_size_(catalog.normalised_size()),
        alert_steps_(lowered.alert_steps) {
    for (const Predicate& predicate : predicates_) {
      const bool text = predicate.kind == PredicateKind::kText;
      found_.push_back(!IsIndexed(predicate) ? Answer::kNo : text ? Answer::kYes : Answer::kPossible);
    }
    for (const Expr& expr : lowered.expressions) starts_.push_back(program_.Append(expr));
    PlanTriggers(lowered.expressions, catalog.size());
    PlanFields(catalog.size());
  }

  const std::vector<Rule>& rules() const override { return rules_; }
  const CorrelationSet& correlations() const override { return *correlations_; }

  std::unique_ptr<RuleScratch> NewScratch() const override {
    auto scratch = std::make_unique<Scratch>();
    scratch->limit = alert_steps_;
    scratch->predicates.resize(predicates_.size());
    scratch->seen_rules.resize(rules_.size(), 0);
    scratch->candidates.reserve(rules_.size());
    scratch->glob_scans.resize(globs_, 0);
    return scratch;
  }

  void Evaluate(const FieldTable& event, RuleScratch* scratch, std::vector<uint32_t>* matched) const override {
    Scratch& state = static_cast<Scratch&>(*scratch);
    TRIAGED_CHECK(state.predicates.size() == predicates_.size());
    state.Begin();
    FindCandidates(event, &state);
    AddCandidates(always_, &state);

    bool unknown = false;
    auto holds = [&](PredicateId id) {
      Mark& mark = state.predicates[id];
      if (mark.epoch != state.epoch) {
        mark = {state.epoch, Ask(id, event, &state)};
      } else if (mark.answer == Answer::kPossible) {
        mark.answer = AskPlainly(id, event, &state);
      }
      unknown |= mark.answer == Answer::kUnknown;
      return mark.answer == Answer::kYes;
    };
    const size_t before = matched->size();
    for (uint32_t rule : state.candidates) {
      unknown = false;
      const bool matches = program_.Evaluate(starts_[rule], holds);
      if (unknown) {
        state.given_up.push_back(rule);
      } else if (matches) {
        matched->push_back(rule);
      }
    }
    std::sort(matched->begin() + static_cast<std::ptrdiff_t>(before), matched->end());
  }

 private:
  static constexpr size_t kFewValues = 4;
  static constexpr uint16_t kNoPlan = std::numeric_limits<uint16_t>::max();

  // Of a predicate that the scan left unmarked: an indexed one does not hold then.
  Answer Ask(PredicateId id, const FieldTable& event, Scratch* state) const {
    if (found_[id] == Answer::kNo) return AskPlainly(id, event, state);
    return state->scan_given_up ? Answer::kUnknown : Answer::kNo;
  }

  Answer AskPlainly(PredicateId id, const FieldTable& event, Scratch* state) const {
    const Predicate& predicate = predicates_[id];
    if (!state->Spend(StepsOf(predicate, event, normalised_size_))) return Answer::kUnknown;
    return Holds(predicate, event, normalised_size_) ? Answer::kYes : Answer::kNo;
  }

  // Scans the fields that are both present and asked about, going through the shorter of the two lists.
  void FindCandidates(const FieldTable& event, Scratch* state) const {
    const std::span<const FieldId> present = event.present();
    if (keywords_.has_patterns) {
      for (FieldId field : present) {
        if (field < normalised_size_) ScanValues(keywords_, event.Get(field), state);
      }
    }
    if (plans_.size() <= present.size()) {
      for (const FieldPlan& plan : plans_) {
        const std::span<const Value> values = event.Get(plan.field);
        if (!values.empty()) ScanField(plan, values, state);
      }
      return;
    }
    const std::span<const uint16_t> plan_of_field(plan_of_field_);
    for (FieldId field : present) {
      if (field >= plan_of_field.size() || plan_of_field[field] == kNoPlan) continue;
      ScanField(plans_[plan_of_field[field]], event.Get(field), state);
    }
  }

  void ScanField(const FieldPlan& plan, std::span<const Value> values, Scratch* state) const {
    AddCandidates(plan.present_rules, state);
    if (plan.has_patterns) ScanValues(plan, values, state);
  }

  void AddCandidates(std::span<const uint32_t> rules, Scratch* state) const {
    for (uint32_t rule : rules) {
      if (state->seen_rules[rule] == state->epoch) continue;
      state->seen_rules[rule] = state->epoch;
      state->candidates.push_back(rule);
    }
  }

  void ScanValues(const FieldPlan& plan, std::span<const Value> values, Scratch* state) const {
    if (values.size() > kFewValues) return plan.matcher.ScanMany(values, &state->joined, Found{*this, plan, *state});
    for (const Value& value : values) {
      if (value.kind == ValueKind::kNull) continue;
      ++state->scan;
      plan.matcher.Scan(value.text, Found{*this, plan, *state});
    }
  }

  // What the scan of one value finds.
  struct Found {
    void Hit(PredicateId id) {
      Mark& mark = state.predicates[id];
      const Answer found = set.found_[id];
      if (mark.epoch == state.epoch && mark.answer == found) return;
      mark = {state.epoch, found};
      set.AddCandidates(set.waiting_[id], &state);
    }
    bool FirstTry(uint32_t glob) {
      uint64_t& last = state.glob_scans[plan.first_glob + glob];
      return std::exchange(last, state.scan) != state.scan;
    }
    void NextValue() { ++state.scan; }
    bool Spend(uint64_t steps) { return state.Spend(steps); }
    void GiveUp(PredicateId id) {
      Mark& mark = state.predicates[id];
      if (mark.epoch == state.epoch) return;
      mark = {state.epoch, Answer::kUnknown};
      set.AddCandidates(set.waiting_[id], &state);
    }
    void GiveUpScan() { state.scan_given_up = true; }

    const CompiledRuleSet& set;
    const FieldPlan& plan;
    Scratch& state;
  };

  void PlanTriggers(const std::vector<Expr>& expressions, size_t fields) {
    const std::vector<uint32_t> uses = CountUses(expressions, predicates_.size());
    std::vector<std::vector<uint32_t>> waiting(predicates_.size());
    std::map<FieldId, std::vector<uint32_t>> waiting_for_field;
    for (uint32_t rule = 0; rule < expressions.size(); ++rule) {
      const std::optional<std::vector<Trigger>> cover = CoverOf(expressions[rule], predicates_, uses);
      if (!cover) {
        always_.push_back(rule);
        continue;
      }
      for (const Trigger& trigger : *cover) {
        auto& list = trigger.kind == Trigger::Kind::kPredicate ? waiting[trigger.id]
                                                               : waiting_for_field[static_cast<FieldId>(trigger.id)];
        if (list.empty() || list.back() != rule) list.push_back(rule);
      }
    }
    waiting_.Build(waiting);
    plan_of_field_.assign(fields, kNoPlan);
    for (auto& [field, list] : waiting_for_field) PlanOf(field).present_rules = std::move(list);
  }

  void PlanFields(size_t fields) {
    TRIAGED_CHECK(fields < kNoPlan);
    for (PredicateId id = 0; id < predicates_.size(); ++id) {
      const Predicate& predicate = predicates_[id];
      if (!IsIndexed(predicate)) continue;
      FieldPlan& plan = predicate.field == kKeywords ? keywords_ : PlanOf(predicate.field);
      plan.matcher.Add(id, predicate.patterns);
      plan.has_patterns = true;
    }
    for (FieldPlan& plan : plans_) Build(&plan);
    Build(&keywords_);
  }

  void Build(FieldPlan* plan) {
    plan->matcher.Build();
    plan->first_glob = globs_;
    globs_ += plan->matcher.globs();
  }

  FieldPlan& PlanOf(FieldId field) {
    if (plan_of_field_[field] == kNoPlan) {
      plan_of_field_[field] = static_cast<uint16_t>(plans_.size());
      plans_.emplace_back().field = field;
    }
    return plans_[plan_of_field_[field]];
  }

  std::vector<Rule> rules_;
  std::shared_ptr<const CorrelationSet> correlations_;
  std::vector<Predicate> predicates_;
  std::vector<Answer> found_;  // of each predicate: what it is when the index finds it; kNo: it is not indexed
  size_t normalised_size_;
  uint64_t alert_steps_;
  Program program_;
  std::vector<uint32_t> starts_;         // of each rule's expression in program_
  Lists waiting_;                        // predicate → rules it triggers
  std::vector<uint16_t> plan_of_field_;  // field → index into plans_, or kNoPlan
  std::vector<FieldPlan> plans_;
  FieldPlan keywords_;
  uint32_t globs_ = 0;            // of all plans
  std::vector<uint32_t> always_;  // rules without a cover
};

}  // namespace

std::shared_ptr<const RuleSet> MakeCompiledSet(LoweredRules lowered, const FieldCatalog& catalog) {
  return std::make_shared<CompiledRuleSet>(std::move(lowered), catalog);
}

}  // namespace rules
}  // namespace triaged
