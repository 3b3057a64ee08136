// CaseView: a case under the names criteria use (case.*). Only the fields that the policy's criteria read are filled.
#pragma once

#include <deque>
#include <string>

#include "pipeline/model/case.h"
#include "pipeline/model/fields.h"
#include "pipeline/policy/policy.h"

namespace triaged {

// The entity's risk: the sum over the policy's window, as of the last alert.
uint64_t RiskOf(const Case& c);

class CaseView {
 public:
  CaseView(const Policy& policy, const Case& c);
  const FieldTable& fields() const { return fields_; }

 private:
  void Fill(FieldId id, const Policy& policy, const Case& c);
  void AddText(FieldId id, std::string_view text);
  void AddNumber(FieldId id, uint64_t number);
  void AddBool(FieldId id, bool value);
  void AddObserved(const Case& c, FieldId id, FieldId observed);

  FieldTable fields_;
  std::deque<std::string> texts_;  // of numbers; a deque keeps views stable
};

}  // namespace triaged
