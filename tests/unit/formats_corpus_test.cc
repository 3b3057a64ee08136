// The shipped format tables against the real alerts of ../shared/alerts, where they are present: which format each line
// is taken for. (How much of each is understood: tests/conformance/alerts_test.py.)
#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "daemon/config.h"
#include "pipeline/normalise/normaliser.h"

namespace triaged {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// 2026-03-02T08:00:00Z
constexpr Timestamp kRecordTime = FromUnixMillis(1'772'438'400'000);

// Column → text of one line of a labels file, by line number.
using Labels = std::map<int, std::map<std::string, std::string>>;

Labels ReadLabels(const fs::path& file) {
  Labels labels;
  std::ifstream in(file);
  std::vector<std::string> names;
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, '\t');) cells.push_back(cell);
    if (names.empty()) {
      names = cells;
      continue;
    }
    auto& label = labels[std::stoi(cells.at(0))];
    for (size_t i = 0; i < names.size() && i < cells.size(); ++i) label[names[i]] = cells[i];
  }
  return labels;
}

bool Has(const Json& record, const char* key) { return record.contains(key); }

// The format that the label, the folder or the vendor's own mark says; "" when the line is of no format we ship. What is
// in ECS names (by `ecs.version` or `event.kind`) is ECS whoever sent it.
std::string Truth(const fs::path& file, const std::map<std::string, std::string>& label, const Json& record) {
  const auto column = [&](const char* name) {
    const auto found = label.find(name);
    return found == label.end() ? std::string() : found->second;
  };
  const std::string folder = file.parent_path().filename().string();
  const std::string type = column("log_type");
  if (folder == "wazuh") return "wazuh";
  if (folder == "falco") return "falco";
  if (folder == "suricata_eve") return Has(record, "alert") ? "suricata" : "";
  if (folder == "ocsf" && !column("class_uid").empty()) return "ocsf";
  if (folder == "ocsf" && column("path").find("Falco") != std::string::npos) return "falco";
  if (folder == "ocsf" && column("path").find("Security Hub") != std::string::npos) return "asff";
  if (column("stream") == "notice") return "zeek";
  if (type == "AWS.GuardDuty") return "guardduty";
  if (type == "AWS.SecurityFindingFormat") return "asff";
  if (type == "Crowdstrike.EventStreams" && record.dump().find("DetectionSummaryEvent") != std::string::npos) return "crowdstrike";
  if (file.filename() == "tenzir_graph_defender-alerts.ndjson") return "graph";
  if (Has(record, "ecs") && record.value("module", "") == "suricata") return "suricata";  // shipped by Filebeat, as a text
  if (Has(record, "ecs") || Has(record, "ecs.version")) return "ecs";
  if (Has(record, "event") && record["event"].is_object() && record["event"].contains("kind")) return "ecs";
  return "";
}

TEST_CASE("the real alerts: formats are told apart") {
  const fs::path folder = TRIAGED_SOURCE_DIR "/../shared/alerts";
  if (!fs::exists(folder)) {
    MESSAGE("skipped: the real alerts are not on this machine");
    return;
  }
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const auto tables = FormatTables::Compile(ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics), catalog, &diagnostics);
  REQUIRE(tables);
  Normaliser normaliser(tables, {});
  int of_known = 0, right = 0, strangers = 0, mistaken = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".ndjson") continue;
    const fs::path labels_path = fs::path(entry.path()).replace_extension(".labels.tsv");
    Labels labels = ReadLabels(labels_path);
    std::ifstream in(entry.path());
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      const Json record = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!record.is_object()) continue;
      CAPTURE(entry.path().string());
      CAPTURE(number);
      // Every line that is an object becomes an alert.
      REQUIRE_FALSE(normaliser.Normalise(line, {}, kRecordTime).has_value());
      const Alert& alert = normaliser.alert();
      const std::string truth = Truth(entry.path(), labels[number], record);
      const std::string got(alert.format);
      if (truth.empty()) {
        ++strangers;
        // Events of a vendor we know (a Suricata flow) may be told as that vendor's; a stranger's never.
        const bool same_vendor = entry.path().parent_path().filename() == "suricata_eve" && got == "suricata";
        if (got != "generic" && !same_vendor) {
          ++mistaken;
          MESSAGE(entry.path().string() << ":" << number << " is of no shipped format, taken for " << got);
        }
      } else {
        ++of_known;
        right += got == truth;
        if (got != truth) MESSAGE(entry.path().string() << ":" << number << " is " << truth << ", taken for " << got);
      }
    }
  }
  std::printf("detection: %d of %d lines of known formats right; %d of %d strangers mistaken\n", right, of_known, mistaken, strangers);
  CHECK(of_known > 1200);
  CHECK(right * 1000 >= of_known * 990);
  CHECK(mistaken == 0);
}

}  // namespace
}  // namespace triaged
