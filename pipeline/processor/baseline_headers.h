// What a partition's baseline said of an alert, taken along when the alert is sent on to where its case is kept now: the
// rules there must see what they saw here. Headers `triaged.baseline.…`, one for each value; ours alone.
#pragma once

#include <vector>

#include "pipeline/model/alert.h"
#include "pipeline/model/records.h"

namespace triaged {

void AddBaselineHeaders(const Alert& alert, const FieldCatalog& catalog, std::vector<Header>* headers);
// Adds the fields. Their values are views into the input's headers.
void ReadBaselineHeaders(const InputRecord& input, const FieldCatalog& catalog, Alert* alert);

}  // namespace triaged
