// The whole pipeline over varied alerts and commands: whatever it says must satisfy the shipped JSON Schemas.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "daemon/replay.h"
#include "pipeline/model/command.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/policy/engine.h"
#include "pipeline/report/report.h"
#include "tests/unit/schema_file.h"

namespace triaged {
namespace {

namespace fs = std::filesystem;
using test::PlainJson;
using test::SchemaFile;

std::vector<SourceFile> ReadFolder(const fs::path& folder) {
  std::vector<SourceFile> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    files.push_back({entry.path().string(), std::string(std::istreambuf_iterator<char>(in), {})});
  }
  std::sort(files.begin(), files.end(), [](const SourceFile& a, const SourceFile& b) { return a.name < b.name; });
  return files;
}

std::shared_ptr<const Engine> ShippedEngine() {
  const fs::path configs = fs::path(TRIAGED_SOURCE_DIR) / "configs";
  EngineSources sources;
  sources.formats = ReadFolder(configs / "formats");
  sources.rules = ReadFolder(configs / "rules");
  sources.policies = ReadFolder(configs / "policies");
  // The packs take turns by `when`; here the SOC pack takes all, whose roles the commands below have.
  std::erase_if(sources.policies, [](const SourceFile& file) { return file.name.find("soc-tiered") == std::string::npos; });
  Diagnostics diagnostics;
  auto engine = CompileEngine(sources, {}, &diagnostics);
  REQUIRE_MESSAGE(engine, diagnostics.Render());
  return engine;
}

// Ours, and the first line of every `stride`th file of alerts beside the project, where that is present.
std::vector<std::string> Alerts(size_t stride) {
  std::vector<std::string> alerts = {
      R"({"@timestamp":"2026-11-21T04:08:00Z","ecs.version":"8.11","event.kind":"alert",
          "event":{"id":"a-1","severity":90},
          "host":{"name":"db7","ip":["10.0.0.1","10.0.0.2"]},"user":{"name":"svc"},"rule":{"name":"LSASS memory read"},
          "traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
          "source":{"ip":"10.0.0.9","port":"443"}})",
      R"({"message":"ransom note written","host":"db7","severity":"critical"})",
      R"({"message":"\u0000 \ud83d\ude00 \" \\ \n","host":{"name":"\u202e"},"user":null,
          "tags":[1,true,null,{"a":[]}]})",
      R"({})",
      R"([1])",
      "",
      "not json",
      "{\"a\":\"\xff\"}",
      R"({"event":{"kind":"event"},"ecs":{"version":"8"}})",
      R"({"@timestamp":"2999-01-01T00:00:00Z","host":{"name":"future"},
          "event":{"severity":-5,"kind":"alert"},"ecs":{"version":"8"}})",
  };
  const fs::path shared = fs::path(TRIAGED_SOURCE_DIR) / ".." / "shared" / "alerts";
  if (!fs::exists(shared)) return alerts;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(shared)) {
    if (entry.path().extension() == ".ndjson") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (size_t i = 0; i < files.size(); i += stride) {
    std::ifstream in(files[i], std::ios::binary);
    std::string line;
    if (std::getline(in, line)) alerts.push_back(std::move(line));
  }
  return alerts;
}

// Which schema a record's `type` belongs to.
std::string SchemaOf(const std::string& type) {
  if (type == "io.triaged.case.document.v1") return "case-document.v1";
  if (type == "io.triaged.dead_letter.v1") return "dead-letter.v1";
  if (type == "io.triaged.heartbeat.v1") return "heartbeat.v1";
  return "case-event.v1";
}

class Validator {
 public:
  void Check(const std::string& text) {
    const PlainJson document = PlainJson::parse(text);
    const std::string type = document.at("type");
    ++seen_[type];
    const auto [at, fresh] = schemas_.try_emplace(SchemaOf(type), nullptr);
    if (fresh) at->second = std::make_unique<SchemaFile>(at->first);
    INFO(text);
    REQUIRE(at->second->Problems(document) == "");
  }
  void CheckAll(Replay& replay) {
    for (const OutputRecord& record : replay.TakeOutputs()) {
      if (record.topic == OutputTopic::kDeadLetter) {
        Check(DeadLetterJson(record, "test"));
      } else if (record.value) {
        Check(*record.value);
      }
    }
  }
  uint64_t seen(const std::string& type) const {
    const auto at = seen_.find("io.triaged." + type + ".v1");
    return at == seen_.end() ? 0 : at->second;
  }

 private:
  std::map<std::string, std::unique_ptr<SchemaFile>> schemas_;
  std::map<std::string, uint64_t> seen_;
};

Command CommandOf(std::string id, CaseId case_id, CommandAction action) {
  Command command;
  command.id = std::move(id);
  command.case_id = case_id;
  command.actor = "ada";
  command.role = "l2";
  command.action = action;
  command.reason = "because";
  command.text = "a note";
  command.verdict = Verdict::kTruePositive;
  command.severity = "critical";
  command.incident = "minor";
  command.answer = "still_has_issues";
  return command;
}

}  // namespace

TEST_CASE("schema: what the whole pipeline says of varied alerts and commands is valid") {
  const auto engine = ShippedEngine();
  Replay replay(engine, "test", 2);
  REQUIRE(replay.Open().ok());
  Validator validator;
  Timestamp now = *ParseTimestamp("2026-11-21T04:08:00Z");
  for (const std::string& alert : Alerts(4)) {
    REQUIRE(replay.TakeAlert(alert, now).ok());
    now += std::chrono::seconds(7);
    validator.CheckAll(replay);
  }
  const SchemaFile command_schema("command.v1");
  int count = 0;
  for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
    for (CommandAction action :
         {CommandAction::kAck, CommandAction::kNote, CommandAction::kVerdict, CommandAction::kSetSeverity,
          CommandAction::kEscalate, CommandAction::kClassify, CommandAction::kHold, CommandAction::kResume,
          CommandAction::kDeescalate, CommandAction::kResolve, CommandAction::kConfirm, CommandAction::kClose}) {
      const std::string json = CommandJson(CommandOf("c" + std::to_string(++count), {0, sequence}, action));
      REQUIRE(command_schema.Problems(json) == "");
      REQUIRE(replay.TakeCommand(json, now).ok());
      now += std::chrono::minutes(3);
      validator.CheckAll(replay);
    }
  }
  REQUIRE(replay.TakeCommand(R"({"id":1})", now).ok());
  REQUIRE(replay.AdvanceTo(now + std::chrono::hours(25)).ok());
  validator.CheckAll(replay);
  const auto documents = replay.CaseDocuments();
  REQUIRE(documents.ok());
  for (const std::string& document : *documents) validator.Check(document);

  // The run must have been worth checking.
  for (const char* type : {"case.opened", "case.escalated", "case.renotified", "case.sla.at_risk", "case.sla.breached",
                           "case.resolved", "case.command.refused", "case.document", "dead_letter"}) {
    INFO(type);
    CHECK(validator.seen(type) > 0);
  }
}

TEST_CASE("schema: normalised alerts of every format are valid") {
  const auto engine = ShippedEngine();
  const SchemaFile schema("normalised-alert.v1");
  Normaliser normaliser(engine->formats, engine->limits);
  int valid = 0;
  for (const std::string& alert : Alerts(1)) {
    if (normaliser.Normalise(alert, {}, *ParseTimestamp("2026-11-21T04:08:00Z"))) continue;
    const std::string json = NormalisedJson(normaliser.alert(), *engine->alert_catalog);
    INFO(json);
    REQUIRE(schema.Problems(json) == "");
    ++valid;
  }
  CHECK(valid >= 6);
}

}  // namespace triaged
