// Rules: Sigma text → diagnostics, or a compiled immutable set → matches.
//
// The compiled form is a set of distinct predicates over fields, each evaluated at most once per alert (literals of one
// field many at a time), and conditions over them. A rule is looked at only when a predicate it cannot match without
// has matched. The same compiler makes the single conditions that policies state over alerts (grouping) and over
// cases (criteria). Source: Sigma specification 2.1 (sigma_rules_specification, modifiers appendix).
//
// Thread-safety: RuleSet and Condition are immutable after Compile; the scratch is one thread's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/time.h"
#include "pipeline/base/yaml.h"
#include "pipeline/model/case.h"
#include "pipeline/model/fields.h"
#include "pipeline/rules/mapping.h"

namespace triaged {

// The `triage` block of a rule: what a match says about the alert. Every part is optional.
struct Triage {
  std::optional<Verdict> verdict;
  int confidence = 50;                      // 0–100
  std::string classification;               // free label: "ransomware", "phishing", …
  std::optional<std::string> severity;      // a severity of the policy: raised to at least this
  std::string request;                      // what is asked of the receiver of an escalation
  std::vector<std::string> tags;            // added to the case: "major_attack", "remediation_required", "cross_team", …
  std::string reason;                       // why the verdict, in words; the rule's title when empty
  // Automatic closing of a false positive: both are mandatory together (DOMAIN.md, Verdict).
  std::string close_owner;
  std::optional<Timestamp> close_expires;
};

struct Rule {
  std::string id;     // Sigma `id`; unique in a set
  std::string title;
  std::string level;  // informational … critical; "" when absent
  std::vector<std::string> tags;
  Triage triage;
  SourceLocation where;
};

class RuleScratch;

namespace rules {
class CorrelationSet;
}

// What rules may cost, in steps: about 64 bytes compared, or one byte taken through 64 instructions of a regular
// expression (pipeline/rules/budget.h). The defaults are ours: far above what SigmaHQ's rules need (rules_bench prints
// it), and far below what holds a worker up.
struct RuleBudget {
  uint64_t rule = 1'000;                 // for each byte of a rule's fields; a rule beyond it is refused
  uint64_t set = 100'000;                // … of all rules together; a set beyond it is refused, its worst rule named
  uint64_t alert = uint64_t{1} << 28;    // of all rules on one alert; what does not fit is given up, see RuleScratch

  bool operator==(const RuleBudget&) const = default;
};

// What the names in rules mean, and what the rules may cost.
struct RuleOptions {
  // For raw events (raw_event.h): keywords address every value of the event, not only the normalised ones.
  bool raw = false;
  std::shared_ptr<const RuleMapping> mapping;  // names and logsources of another taxonomy, or null
  RuleBudget budget;
};

class RuleSet {
 public:
  // Compiles every document of every file. All problems are reported at once; nullptr when there was an error.
  // Raw field names are added to `catalog` (alert taxonomy).
  static std::shared_ptr<const RuleSet> Compile(const std::vector<SourceFile>& files, FieldCatalog* catalog,
                                                Diagnostics* diagnostics, const RuleOptions& options = {});
  virtual ~RuleSet() = default;

  // Detection rules, then correlations.
  virtual const std::vector<Rule>& rules() const = 0;
  virtual const rules::CorrelationSet& correlations() const = 0;
  virtual std::unique_ptr<RuleScratch> NewScratch() const = 0;
  // Appends the indexes into rules() of the detection rules that match, ascending. Allocates nothing once the scratch is warm.
  virtual void Evaluate(const FieldTable& event, RuleScratch* scratch, std::vector<uint32_t>* matched) const = 0;
};

// State of one thread's evaluations (predicate results). Made by NewScratch for one RuleSet.
//
// What does not fit the limit is given up, not guessed: the rules that asked for it do not match and are named, cheaper
// ones are still evaluated.
class RuleScratch {
 public:
  virtual ~RuleScratch() = default;

  uint64_t limit = RuleBudget{}.alert;  // NewScratch sets the set's own
  // Of the last evaluation.
  uint64_t steps = 0;
  bool over_limit = false;         // the answer is incomplete
  std::vector<uint32_t> given_up;  // indexes into rules(), in no order; may be empty when even finding rules was too much
};

// One condition in Sigma's detection syntax (a map with selections and `condition`; or a bare selection map, which
// then is the condition), over either taxonomy.
class Condition {
 public:
  // nullptr when `diagnostics` got an error (unknown case field, unknown modifier, bad expression …).
  static std::shared_ptr<const Condition> Compile(const SourceFile& source, const YamlNode& detection,
                                                  FieldCatalog* catalog, Diagnostics* diagnostics);
  virtual ~Condition() = default;
  virtual bool Matches(const FieldTable& fields) const = 0;
  // Every field it reads, ascending: the caller evaluates again only when one of these changed.
  virtual const std::vector<FieldId>& fields() const = 0;
};

}  // namespace triaged
