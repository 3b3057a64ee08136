#include "pipeline/report/archive.h"

#include "pipeline/report/base64.h"
#include "pipeline/report/json_writer.h"

namespace triaged {
namespace {

constexpr std::string_view kEvidenceType = "io.triaged.case.evidence.v1";

std::string EvidenceJson(const Case& c, const Evidence& evidence, std::string_view raw) {
  JsonWriter json;
  json.Object({}, [&] {
    json.String("type", kEvidenceType);
    json.String("subject", ToString(c.id));
    json.Object("data", [&] {
      json.String("alert_id", evidence.alert_id);
      json.String("topic", evidence.topic);
      json.Int("partition", evidence.partition);
      json.Int("offset", evidence.offset);
    });
    json.String("data_base64", Base64(raw));
  });
  return json.Finish();
}

}  // namespace

Status AddToArchive(const Case& c, Timestamp at, const ReportContext& context, CaseStore* store,
                    std::vector<OutputRecord>* outputs) {
  OutputRecord document = CaseDocumentRecord(c, at, context);
  document.topic = OutputTopic::kArchive;
  outputs->push_back(std::move(document));
  for (const Evidence& evidence : c.evidence) {
    if (!evidence.raw_slot) continue;
    auto raw = store->GetEvidenceRaw(c.id, *evidence.raw_slot);
    if (!raw) return raw.error();
    if (!*raw) continue;
    OutputRecord record;
    record.topic = OutputTopic::kArchive;
    record.key = ToString(c.id);
    record.value = EvidenceJson(c, evidence, **raw);
    record.headers = {{"content-type", "application/json"}, {"ce_type", std::string(kEvidenceType)}};
    outputs->push_back(std::move(record));
  }
  return {};
}

}  // namespace triaged
