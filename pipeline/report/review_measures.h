// ReviewMeasures: the goals of packs, the measures of roles beside the ladder, and who was on shift, from case documents. Part
// of a review (review.h). Pure, deterministic.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/report/review.h"

namespace triaged {

// The lower median; nullopt of nothing.
std::optional<Duration> MedianOf(std::vector<Duration> values);
// "12.5": tenths of a percent, cut; "-" of nothing.
std::string PercentOf(int64_t part, int64_t whole);

class ReviewMeasures {
 public:
  explicit ReviewMeasures(const ReviewOptions& options) : options_(options) {}

  void Take(const nlohmann::ordered_json& data);
  // Sets "goals", "roles" and "on_shift". Goals that were missed are added to `review`, what people are to look at.
  void Show(nlohmann::ordered_json* view, nlohmann::ordered_json* review) const;

 private:
  struct Severity {
    int64_t cases = 0, escalated = 0;
    std::vector<Duration> to_escalate;
  };
  struct PolicyMeasures {
    std::map<std::string, Severity> severities;
    std::vector<Duration> resolve_escalated, resolve_other;
  };
  struct Role {
    int64_t cases = 0, clocks = 0, breached = 0, updates = 0, updates_late = 0, escalated = 0, fitting = 0;
    std::vector<Duration> first_word, resolve_escalated;
  };
  struct Load {
    int64_t cases = 0, escalations = 0;
  };

  void TakeRoles(const nlohmann::ordered_json& data, const std::string& policy);
  void TakeShift(const nlohmann::ordered_json& data, const std::string& policy, Timestamp opened);
  nlohmann::ordered_json Goals(nlohmann::ordered_json* review) const;
  nlohmann::ordered_json Roles() const;

  const ReviewOptions& options_;
  std::map<std::string, PolicyMeasures> policies_;
  std::map<std::pair<std::string, std::string>, Role> roles_;  // by policy and role
  std::map<std::string, Load> on_shift_;                       // "l1: ada"
};

}  // namespace triaged
