#include "daemon/case_documents.h"

#include <cstdio>
#include <fstream>
#include <iostream>

#include "daemon/broker_client.h"
#include "daemon/config.h"
#include "daemon/kafka_reader.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;
constexpr Duration kBound{15'000};
constexpr size_t kSliceRecords = 10'000;
constexpr std::string_view kDocumentType = "io.triaged.case.document.v1";

// Takes a line or record; what is no case document is passed over (`replay` prints events, too).
void TakeDocument(const std::string& text, CaseDocuments* documents) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("type", Json()) != kDocumentType || !json.value("data", Json()).is_object()) return;
  const Json subject = json.value("subject", Json());
  const auto id = subject.is_string() ? ParseCaseId(subject.get<std::string>()) : std::nullopt;
  if (id) (*documents)[*id] = std::move(json);
}

Result<CaseDocuments> ReadFile(const std::string& path) {
  CaseDocuments documents;
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& in = path == "-" ? std::cin : file;
  if (!in) return BadInput("cannot read " + path + ": no such file, or no permission");
  for (std::string line; std::getline(in, line);) TakeDocument(line, &documents);
  return documents;
}

Status ReadPartition(const Config& config, const std::string& topic, int32_t partition, CaseDocuments* documents) {
  const auto probe = OffsetProbe::Make(config.kafka.bootstrap_servers, config.kafka.properties);
  if (!probe) return probe.error();
  const auto ends = (*probe)->Query({topic, partition}, kBound);
  if (!ends) return ends.error();
  const auto reader = ChangelogReader::Make(config.kafka.bootstrap_servers, config.kafka.properties, topic);
  if (!reader) return reader.error();
  if (Status opened = (*reader)->Open(partition, ends->low, ends->high); !opened) return opened;
  while (true) {
    const auto slice = (*reader)->Read(partition, kSliceRecords, kBound);
    if (!slice) return slice.error();
    for (const auto& record : slice->records) {
      if (record.value) {
        TakeDocument(*record.value, documents);
      } else if (const auto gone = ParseCaseId(record.key)) {
        documents->erase(*gone);  // whether or not the broker has compacted it away already
      }
    }
    if (slice->at_end) return {};
    if (slice->records.empty()) return EnvironmentError("reading " + topic + ": the broker sends nothing more");
  }
}

}  // namespace

Result<CaseDocuments> ReadDocuments(const std::string& config_path, const std::string& from_file) {
  if (!from_file.empty()) return ReadFile(from_file);
  Diagnostics diagnostics;
  const auto config = LoadConfig(config_path, &diagnostics);
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (!config) return BadInput(config_path + " cannot be used");
  if (config->kafka.embedded) return BadInput(config_path + " uses the embedded broker; give --input with case documents");
  CaseDocuments documents;
  const std::string topic = TopicNames::For(config->application_id).cases;
  for (int32_t partition = 0; partition < config->kafka.partitions; ++partition) {
    if (Status read = ReadPartition(*config, topic, partition, &documents); !read) return read.error();
  }
  return documents;
}

}  // namespace triaged
