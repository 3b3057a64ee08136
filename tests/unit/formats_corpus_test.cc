// The shipped format tables against the real alerts of ../shared/alerts, where they are present: which format each line
// is taken for, and how much of each format's alerts is understood.
#include <doctest/doctest.h>

#include <array>
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
  if (Has(record, "ecs") || Has(record, "ecs.version")) return "ecs";
  if (Has(record, "event") && record["event"].is_object() && record["event"].contains("kind")) return "ecs";
  return "";
}

enum Column { kId, kTime, kRule, kSeverity, kHost, kUser, kAddress, kColumns };
using Coverage = std::array<int, kColumns>;

struct Count {
  int lines = 0;
  Coverage has{};
};

void AddTo(const Alert& alert, Count* count) {
  const FieldTable& fields = alert.fields;
  const auto noted = [&](std::string_view note) {
    for (const Value& value : fields.Get(field::kTriagedNotes)) {
      if (value.text == note) return true;
    }
    return false;
  };
  ++count->lines;
  count->has[kId] += !noted("no_id");
  count->has[kTime] += !alert.event_time_is_record_time;
  count->has[kRule] += fields.Has(field::kRuleName);
  count->has[kSeverity] += alert.score >= 0;
  count->has[kHost] += fields.Has(field::kHostName);
  count->has[kUser] += fields.Has(field::kUserName);
  count->has[kAddress] += fields.Has(field::kSourceIp) || fields.Has(field::kDestinationIp) || fields.Has(field::kHostIp);
}

// What each format's lines had when the floor was set; it only ever goes up (but for Zeek's hosts, which were sensors).
const std::map<std::string, Count> kFloors = {
    {"asff", {6, {6, 6, 6, 6, 0, 3, 2}}},
    {"crowdstrike", {5, {5, 5, 5, 5, 0, 5, 5}}},
    {"ecs", {57, {1, 56, 0, 2, 56, 1, 52}}},
    {"falco", {8, {2, 8, 8, 8, 8, 3, 0}}},
    {"generic", {4173, {897, 3598, 1362, 1284, 2005, 2495, 1364}}},
    {"graph", {1, {1, 1, 1, 1, 1, 0, 0}}},
    {"guardduty", {6, {6, 6, 6, 6, 0, 0, 0}}},
    {"ocsf", {7, {7, 7, 7, 7, 5, 0, 1}}},
    {"suricata", {141, {141, 141, 140, 140, 0, 0, 140}}},
    {"wazuh", {865, {865, 865, 865, 865, 865, 356, 623}}},
    {"zeek", {2, {2, 2, 2, 0, 0, 0, 2}}},
};

TEST_CASE("the real alerts: formats are told apart, and their parts are found") {
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
  std::map<std::string, Count> counts;
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
      if (alert.is_alert) AddTo(alert, &counts[got]);
    }
  }
  std::printf("format        lines     id   time   rule   sev.   host   user   addr.\n");
  for (const auto& [format, count] : counts) {
    std::printf("%-12s %6d", format.c_str(), count.lines);
    for (int has : count.has) std::printf(" %6d", has);
    std::printf("\n");
  }
  std::printf("detection: %d of %d lines of known formats right; %d of %d strangers mistaken\n", right, of_known, mistaken, strangers);
  CHECK(of_known > 1200);
  CHECK(right * 1000 >= of_known * 990);
  CHECK(mistaken == 0);
  for (const auto& [format, floor] : kFloors) {
    CAPTURE(format);
    const Count& count = counts[format];
    CHECK(count.lines >= floor.lines);
    for (int column = 0; column < kColumns; ++column) {
      CAPTURE(column);
      CHECK(count.has[static_cast<size_t>(column)] >= floor.has[static_cast<size_t>(column)]);
    }
  }
}

}  // namespace
}  // namespace triaged
