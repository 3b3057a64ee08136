// Labelled alerts for `triagectl quality`: rows of a CSV, or lines of NDJSON, plain or gzip, each with what its labels say.
// The labels are kept apart from the alert: no rule ever sees them.
//
// A row of a CSV becomes a JSON object of texts under its columns' names, with `csv.row` (from 1) that makes it unique: rows
// that repeat one another are not one alert. configs/formats/labelled_csv.yaml is the format table of such objects.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"

namespace triaged {

struct LabelledRow {
  Timestamp at{};                 // event time; 0 until the reader's caller has set it
  std::string alert;              // JSON
  std::vector<uint16_t> labels;   // per label column: index into LabelledSet::values, 0: none
  uint32_t line = 0;              // of the file, from 1
};

struct LabelledSet {
  std::vector<std::string> columns;  // label columns
  std::vector<std::string> values;   // texts of labels; the first is ""
  std::vector<LabelledRow> rows;     // as read
  std::string path;                  // of the file, for messages
};

struct LabelledInput {
  std::string path;                  // .csv, .tsv or anything else for NDJSON; each also with .gz behind it
  std::string labels_path;           // CSV or TSV with a column `line` beside the NDJSON, or ""
  std::vector<std::string> columns;  // label columns, of the CSV, of labels_path, or keys of the NDJSON's objects
  std::vector<std::string> benign;   // label texts that mean no attack
};

// At most 65,535 different labels. Errors name the file, the line and what is wrong with it.
Result<LabelledSet> ReadLabelled(const LabelledInput& input);

}  // namespace triaged
