#include "pipeline/decide/surroundings.h"

#include "pipeline/decide/fit.h"

namespace triaged {
namespace {

// What fitting changed is staged, so that the case is the same after a restart as it was decided on here.
Result<Case*> Fitted(const Surroundings& around, Result<Case*> found) {
  if (!found || !*found) return found;
  if (FitToPolicy(around.engine->PolicyOf(**found), *found)) around.store->MarkChanged(*found);
  return found;
}

}  // namespace

Result<Case*> Surroundings::Find(CaseId id) const { return Fitted(*this, store->Find(id)); }

Result<Case*> Surroundings::FindByKey(std::string_view key) const { return Fitted(*this, store->FindByKey(key)); }

}  // namespace triaged
