// A raw event: any JSON object as the field table that rules written for its own field names address.
//
// The alert pipeline evaluates rules over normalised alerts; `triagectl rules eval --raw` and the conformance suite
// evaluate detection rules over the events they were written for. Path parts are joined by dots, arrays are looked
// through, and a key that holds dots itself is the same path. Objects have no value of their own.
#pragma once

#include <memory>
#include <string_view>

#include "pipeline/base/result.h"
#include "pipeline/model/fields.h"

namespace triaged {

// In a catalog: every value of the event. Keywords address it in rule sets compiled for raw events.
inline constexpr std::string_view kEveryValue = "*";

// Not thread-safe; one per thread. `catalog` must be complete (rules compiled) and outlive the reader.
class RawEventReader {
 public:
  explicit RawEventReader(const FieldCatalog& catalog);
  ~RawEventReader();

  // Errors: kBadInput when `json` is no JSON object. The fields live until the next call.
  Status Read(std::string_view json);
  const FieldTable& fields() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace triaged
