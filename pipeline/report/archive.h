// Archive: what is written of a closed case as it leaves after its retention: the case document, and one line per alert
// whose bytes were kept. JSON, one object a record, so a consumer that prints values writes NDJSON.
#pragma once

#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/processor/case_store.h"
#include "pipeline/report/report.h"

namespace triaged {

// Appends the document (as CaseDocumentRecord has it) and the evidence, all under the case's id. An error: the store
// could not be read.
Status AddToArchive(const Case& c, Timestamp at, const ReportContext& context, CaseStore* store,
                    std::vector<OutputRecord>* outputs);

}  // namespace triaged
