// Report: a case and its events as documents for people and machines. Pure renderings; nothing is decided here but
// what fits (an event stays under kMaxEventBytes: evidence is cut first, and the document says so).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/model/case.h"
#include "pipeline/model/case_event.h"
#include "pipeline/model/records.h"
#include "pipeline/policy/policy.h"

namespace triaged {

inline constexpr size_t kMaxEventBytes = 64 * 1024;

struct ReportContext {
  const Policy* policy = nullptr;
  std::string_view application_id;
  std::string_view fingerprint;   // of the engine
  bool ocsf = false;              // case events carry an OCSF Incident Finding, too
};

// Names of the Ws that cannot be answered from the case: of "who", "what", "when", "where", "why", in that order.
std::vector<std::string_view> MissingWs(const Case& c);

// CloudEvents 1.0, structured mode (CONTRACTS.md, Escalation events). Deterministic bytes.
std::string CaseEventJson(const CaseEvent& event, const Case& c, const ReportContext& context);
// The Kafka record for `triaged.escalations`: key = case id, value = CaseEventJson, content-type and ce_* headers.
OutputRecord CaseEventRecord(const CaseEvent& event, const Case& c, const ReportContext& context);

// The case document (`triaged.cases`), CloudEvents type io.triaged.case.document.v1; compacted by case id.
std::string CaseDocumentJson(const Case& c, Timestamp at, const ReportContext& context);
OutputRecord CaseDocumentRecord(const Case& c, Timestamp at, const ReportContext& context);

// io.triaged.heartbeat.v1 of one partition, for `triaged.escalations`.
OutputRecord HeartbeatRecord(int32_t partition, uint64_t sequence, Timestamp at, const ReportContext& context);

// Of a record that was split: tells which of its parts, from 0, a dead letter is.
inline constexpr std::string_view kPartHeader = "triaged.part";

// A dead letter as CONTRACTS.md has it: the original's key, value, headers and timestamp, and triaged.error.* headers.
// `reason` is enum-like, `stage` is "intake" or "decide" or "command".
OutputRecord DeadLetterRecord(const InputRecord& input, std::string_view reason, std::string_view message,
                              std::string_view stage);
// The same as one JSON line, io.triaged.dead_letter.v1 (`triagectl replay`).
std::string DeadLetterJson(const OutputRecord& dead_letter, std::string_view application_id);

}  // namespace triaged
