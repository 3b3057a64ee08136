// OCSF out: what is printed reads back through our own ocsf table, and has what its class requires.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "daemon/config.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/report/ocsf.h"
#include "tests/unit/report_cases.h"
#include "tests/unit/schema_file.h"

namespace triaged {
namespace {

namespace fs = std::filesystem;
using test::PlainJson;

struct Formats {
  Formats() {
    Diagnostics diagnostics;
    tables = FormatTables::Compile(ReadSources({std::string(TRIAGED_SOURCE_DIR) + "/configs/formats"}, &diagnostics),
                                   catalog, &diagnostics);
    REQUIRE_MESSAGE(tables, diagnostics.Render());
  }
  FieldCatalog catalog{FieldCatalog::Taxonomy::kAlert};
  std::shared_ptr<const FormatTables> tables;
};

// Of each pair the values in order; "" when absent. Main fields: who, what, when, where.
constexpr FieldId kMainFields[] = {
    field::kTimestamp,     field::kEventId,           field::kTriagedSeverity,       field::kTriagedIsAlert,
    field::kRuleId,        field::kRuleName,          field::kHostName,              field::kHostId,
    field::kUserName,      field::kUserId,            field::kUserDomain,            field::kSourceIp,
    field::kDestinationIp, field::kDestinationDomain, field::kProcessName,           field::kProcessExecutable,
    field::kFileName,      field::kFilePath,          field::kFileHashSha256,        field::kFileHashMd5,
    field::kUrlFull,       field::kDnsQuestionName,   field::kThreatTacticId,        field::kProcessCommandLine,
    field::kCloudRegion,   field::kCloudAccountId,    field::kNetworkTransport,      field::kProcessPid,
};

// A source that lacks the one gets another in its place, as OCSF requires a title, a user's name, a file's name.
bool MayBeMadeUp(FieldId id) {
  return id == field::kRuleName || id == field::kUserName || id == field::kFileName || id == field::kRuleId ||
         id == field::kHostId || id == field::kHostName;
}

const char* const kAlert = R"({"@timestamp":"2026-03-02T08:00:00.250Z","ecs":{"version":"8.11"},
  "event":{"kind":"alert","id":"a-7","severity":73,"action":"blocked"},"message":"m","tags":["t1","t2"],
  "rule":{"id":"r1","name":"LSASS read","description":"d","category":"c"},
  "host":{"name":"db7","id":"h7","ip":["10.0.0.7","fe80::7"],"os":{"name":"Debian"}},
  "user":{"name":"emi","domain":"CORP","id":"S-1","email":"emi@corp.example"},
  "source":{"ip":"10.0.0.9","port":50000},"destination":{"ip":"192.0.2.1","port":443,"domain":"evil.example"},
  "network":{"transport":"tcp","direction":"outbound"},
  "process":{"name":"procdump.exe","pid":4711,"executable":"C:\\t\\procdump.exe","command_line":"procdump -ma lsass",
    "parent":{"name":"cmd.exe"}},
  "file":{"path":"/tmp/x","hash":{"sha256":"275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"}},
  "url":{"full":"https://evil.example/x"},"dns":{"question":{"name":"evil.example"}},
  "threat":{"tactic":{"id":["TA0006"],"name":["Credential Access"]},"technique":{"id":["T1003.001"],"name":["LSASS Memory"]}},
  "cloud":{"provider":"aws","account":{"id":"111122223333"},"region":"eu-west-1"},
  "orchestrator":{"namespace":"kept"},"observer":{"vendor":"V","product":"P"}})";

}  // namespace

TEST_CASE("ocsf: a detection finding has what its class requires, and keeps what OCSF has no place for") {
  const Formats formats;
  Normaliser normaliser(formats.tables, {});
  REQUIRE(!normaliser.Normalise(kAlert, {}, Timestamp{}));
  const PlainJson finding = PlainJson::parse(OcsfDetectionFinding(normaliser.alert(), formats.catalog));
  CHECK(finding["class_uid"] == 2004);
  CHECK(finding["category_uid"] == 2);
  CHECK(finding["type_uid"] == 200401);
  CHECK(finding["activity_id"] == 1);
  CHECK(finding["time"] == 1772438400250);
  CHECK(finding["severity_id"] == 4);
  CHECK(finding["finding_info"]["uid"] == "a-7");
  CHECK(finding["metadata"]["product"] == PlainJson{{"name", "P"}, {"vendor_name", "V"}});
  CHECK(finding["metadata"]["profiles"] == PlainJson{"security_control", "host", "cloud"});
  CHECK(finding["action_id"] == 2);
  CHECK(finding["finding_info"]["attacks"][0]["sub_technique"]["uid"] == "T1003.001");
  CHECK(finding["evidences"][0]["process"]["pid"] == 4711);
  CHECK(finding["device"]["network_interfaces"][0]["ip"] == "fe80::7");
  CHECK(finding["unmapped"] == PlainJson{{"orchestrator.namespace", "kept"}});
}

TEST_CASE("ocsf: what is printed reads back with the same main fields") {
  const Formats formats;
  Normaliser first(formats.tables, {});
  Normaliser second(formats.tables, {});
  std::vector<std::string> lines = {kAlert};
  const fs::path shared = fs::path(TRIAGED_SOURCE_DIR) / ".." / "shared" / "alerts";
  if (fs::exists(shared)) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(shared)) {
      if (entry.path().extension() == ".ndjson") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      std::ifstream in(file, std::ios::binary);
      for (std::string line; std::getline(in, line);) lines.push_back(line);
    }
  }
  size_t alerts = 0;
  for (const std::string& line : lines) {
    if (first.Normalise(line, {}, Timestamp{}) || !first.alert().is_alert) continue;
    const std::string printed = OcsfDetectionFinding(first.alert(), formats.catalog);
    REQUIRE(!second.Normalise(printed, {}, Timestamp{}));
    CHECK(second.alert().format == "ocsf");
    for (FieldId id : kMainFields) {
      const std::string_view was = first.alert().fields.First(id);
      if (was.empty() && MayBeMadeUp(id)) continue;
      if (id == field::kProcessPid && was.starts_with("0x")) continue;  // OCSF has numbers
      CHECK_MESSAGE(second.alert().fields.First(id) == was, formats.catalog.Name(id) << " of " << printed.substr(0, 3000));
    }
    ++alerts;
  }
  CHECK(alerts >= 1);
  if (lines.size() > 1) CHECK(alerts > 1000);
}

TEST_CASE("ocsf: a case event carries an incident finding where it is asked for") {
  const test::SchemaFile schema("case-event.v1");
  const Case c = test::SocCase();
  ReportContext context = test::Context();
  CHECK(!PlainJson::parse(CaseEventJson(test::EscalatedEvent(), c, context))["data"].contains("ocsf"));
  context.ocsf = true;
  for (size_t type = 0; type < kCaseEventTypeCount; ++type) {
    CaseEvent event = test::EscalatedEvent();
    event.type = static_cast<CaseEventType>(type);
    const std::string text = CaseEventJson(event, c, context);
    CHECK(schema.Problems(text) == "");
    const PlainJson finding = PlainJson::parse(text)["data"]["ocsf"];
    const int activity = event.type == CaseEventType::kOpened ? 1 : event.type == CaseEventType::kClosed ? 3 : 2;
    CHECK(finding["type_uid"] == 200500 + activity);
    CHECK(finding["metadata"]["correlation_uid"] == ToString(c.id));
  }
  const Case largest = test::LargestCase();
  const std::string text = CaseEventJson(test::EscalatedEvent(), largest, context);
  CHECK(text.size() <= kMaxEventBytes);
  CHECK(schema.Problems(text) == "");
  CHECK(!PlainJson::parse(text)["data"]["ocsf"]["finding_info_list"].empty());
  const std::string empty = CaseEventJson(CaseEvent(), Case(), context);
  CHECK(PlainJson::parse(empty)["data"]["ocsf"]["finding_info_list"].size() == 1);
}

}  // namespace triaged
