// Normaliser: one JSON record in, one Alert in ECS names out.
//
// One pass over the document collects every value that some format table or rule asks for (a path trie; `a.b` and
// `a: {b}` walk the same nodes; arrays are transparent), and the parser validates the whole document. The table whose
// markers are present then maps the collected values to fields, so a table's cost does not depend on how many others
// are loaded. A record that no table knows and that says nothing itself may carry the alert in a text; then that is read.
// Format tables are data: configs/formats/*.yaml (configs/README.md says how to write one).
//
// Thread-safety: FormatTables is immutable after Compile and shared; a Normaliser is owned by one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/time.h"
#include "pipeline/base/yaml.h"
#include "pipeline/base/zone.h"
#include "pipeline/model/alert.h"
#include "pipeline/model/fields.h"
#include "pipeline/normalise/splitter.h"

namespace triaged {

// The compiled tables and the trie over all their paths and all raw paths of `catalog`.
class FormatTables {
 public:
  // Compiles the tables in file order (detection tries them in `priority` order; exactly one table must be the
  // fallback, `generic`). Call after the rules are compiled, so that `catalog` holds every raw path they address.
  // nullptr when `diagnostics` got an error. `catalog` must outlive the result.
  static std::shared_ptr<const FormatTables> Compile(const std::vector<SourceFile>& files, const FieldCatalog& catalog,
                                                     Diagnostics* diagnostics);
  virtual ~FormatTables() = default;

  virtual bool HasFormat(std::string_view name) const = 0;
  virtual std::vector<std::string_view> FormatNames() const = 0;
};

struct NormaliseLimits {
  size_t max_bytes = 1024 * 1024;  // a larger record is refused: `too_large`
  int max_depth = 64;              // deeper JSON is refused: `too_deep`
  size_t max_alerts = 1000;        // of one record that is split; the rest is refused: `too_many_alerts`
};

// Why a record is no JSON object we can read; the dead letter's `triaged.error.reason`.
enum class NormaliseError : uint8_t {
  kEmpty,         // null or empty value
  kTooLarge,
  kInvalidUtf8,
  kInvalidJson,   // malformed, truncated, trailing text, a number beyond a double
  kNotAnObject,
  kTooDeep,
  kTooManyAlerts, // the rest of a split record that holds more alerts than the limit
};
std::string_view Name(NormaliseError error);  // "empty_value", "too_large", …

struct NormaliseFailure {
  NormaliseError reason;
  std::string message;
};

class Normaliser {
 public:
  Normaliser(std::shared_ptr<const FormatTables> tables, NormaliseLimits limits);
  ~Normaliser();
  Normaliser(Normaliser&&) noexcept;
  Normaliser& operator=(Normaliser&&) noexcept;

  // Reads one record. `format` names the table to use, or is empty to detect it. `record_time` stands in for an event
  // time that is absent or nonsense; `zone` is that of the source's times that name none, before the table's. The alert
  // and its views stay valid until the next call.
  // Errors: the failure says which; never throws, never reads outside `record`.
  std::optional<NormaliseFailure> Normalise(std::string_view record, std::string_view format, Timestamp record_time,
                                            const Zone* zone = nullptr);
  const Alert& alert() const;
  Alert& alert();  // for what is added to it (enrichment)
  // How the table of the record read last wants such records cut; nullptr: not at all, or it could not be read.
  const SplitSettings* split() const;
  const NormaliseLimits& limits() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// `triagectl normalize`: the alert as one flat JSON object with ECS names, in catalog order (no newline).
std::string NormalisedJson(const Alert& alert, const FieldCatalog& catalog);

}  // namespace triaged
