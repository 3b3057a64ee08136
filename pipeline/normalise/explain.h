// `triagectl normalize --explain`: which table read a record, and which path of the record gave each value.
#pragma once

#include <string>

#include "pipeline/model/alert.h"
#include "pipeline/model/fields.h"

namespace triaged {

// {"format": table, "fields": {ECS name: [{"value", "path"}]}} on one line, in catalog order. A value without `path` was
// computed (an id from the bytes, a time from the record) or is a constant of the table. Pure.
std::string ExplainedJson(const Alert& alert, const FieldCatalog& catalog);

}  // namespace triaged
