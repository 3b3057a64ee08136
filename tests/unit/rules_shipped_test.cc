// The rules shipped under configs/rules: they load without a warning, and say what they should of typical alerts.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "pipeline/rules/correlation_set.h"
#include "tests/unit/rules_test_util.h"

namespace triaged::rules_test {
namespace {

std::vector<SourceFile> ShippedFiles() {
  std::vector<SourceFile> files;
  for (const auto& entry : std::filesystem::directory_iterator(TRIAGED_SOURCE_DIR "/configs/rules")) {
    if (entry.path().extension() != ".yaml") continue;
    std::ifstream in(entry.path());
    std::stringstream text;
    text << in.rdbuf();
    files.push_back({entry.path().filename().string(), text.str()});
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

struct Shipped {
  FieldCatalog catalog{FieldCatalog::Taxonomy::kAlert};
  std::shared_ptr<const RuleSet> rules;

  Shipped() {
    Diagnostics diagnostics;
    rules = RuleSet::Compile(ShippedFiles(), &catalog, &diagnostics);
    INFO(diagnostics.Render());
    REQUIRE(rules != nullptr);
    CHECK(diagnostics.items().empty());
  }
  std::set<std::string> Titles(const Event& event) const {
    std::set<std::string> titles;
    for (uint32_t rule : Evaluate(*rules, event.table())) titles.insert(rules->rules()[rule].title);
    return titles;
  }
};

using Titles = std::set<std::string>;

TEST_CASE("shipped rules: load, and each says something") {
  const Shipped shipped;
  CHECK(shipped.rules->rules().size() >= 30);
  std::set<std::string> tags;
  std::set<uint32_t> counted;
  for (const auto& correlation : shipped.rules->correlations().all()) {
    for (const auto& one : correlation.rules) counted.insert(one.rule);
  }
  uint32_t index = 0;
  for (const Rule& rule : shipped.rules->rules()) {
    CAPTURE(rule.title);
    CHECK(rule.id.size() == 36);
    // What correlations count says nothing by itself.
    const bool speaks = rule.triage.verdict.has_value() && !rule.triage.classification.empty();
    CHECK((speaks || counted.contains(index)));
    ++index;
    for (const std::string& tag : rule.triage.tags) {
      if (!tag.starts_with("stage_")) tags.insert(tag);
    }
    const bool asks =
        std::find(rule.triage.tags.begin(), rule.triage.tags.end(), "remediation_required") != rule.triage.tags.end();
    if (asks) CHECK_FALSE(rule.triage.request.empty());
    if (rule.triage.verdict == Verdict::kFalsePositive) {
      CHECK_FALSE(rule.triage.close_owner.empty());
      CHECK(rule.triage.close_expires == ParseTimestamp("2028-01-01T00:00:00Z"));  // through the whole last day
    }
  }
  CHECK(tags == Titles{"cross_team", "major_attack", "remediation_required"});
}

TEST_CASE("shipped rules: attacks") {
  Shipped shipped;
  Event shadow(&shipped.catalog);
  shadow.Text("rule.name", "Shadow copies deleted")
      .Text("process.command_line", "vssadmin.exe Delete Shadows /all /quiet");
  CHECK(shipped.Titles(shadow) == Titles{"Backups and recovery destroyed"});
  shadow.Text("event.action", "process_blocked");
  CHECK(shipped.Titles(shadow).empty());

  Event dump(&shipped.catalog);
  dump.Text("threat.technique.id", "T1003.001").Text("rule.name", "Suspicious process access");
  CHECK(shipped.Titles(dump) == Titles{"Credentials dumped"});

  Event cloud(&shipped.catalog);
  cloud.Text("rule.name", "EC2 instance started").Text("cloud.provider", "aws");
  CHECK(shipped.Titles(cloud).empty());
}

TEST_CASE("shipped rules: malware found, stopped, and tested") {
  Shipped shipped;
  Event found(&shipped.catalog);
  found.Text("rule.name", "Trojan detected").Text("event.action", "detected");
  CHECK(shipped.Titles(found) == Titles{"Malware present and not removed"});
  Event stopped(&shipped.catalog);
  stopped.Text("rule.name", "Trojan detected").Text("event.action", "quarantined");
  CHECK(shipped.Titles(stopped) == Titles{"Malware stopped by protection"});
  Event test(&shipped.catalog);
  test.Text("rule.name", "EICAR malware test").Text("event.action", "detected");
  CHECK(shipped.Titles(test) == Titles{"Test file of antivirus products"});
  Event antivirus(&shipped.catalog);
  antivirus.Text("rule.name", "Antivirus signatures updated");
  CHECK(shipped.Titles(antivirus).empty());
}

// Of an alert of that name, with a cause in `field`.
Titles Noise(std::string_view name, std::string_view field, std::string_view cause, std::string_view severity = "low") {
  Shipped shipped;
  Event event(&shipped.catalog);
  event.Text("rule.name", name).Text(field, cause).Text("triaged.severity", severity);
  return shipped.Titles(event);
}

TEST_CASE("shipped rules: noise closes only when it is minor") {
  const std::string_view program = "process.executable";
  CHECK(Noise("Port scan", program, "/opt/nessus/sbin/nessusd") == Titles{"Scan by the vulnerability scanner"});
  CHECK(Noise("Port scan", program, "/opt/nessus/sbin/nessusd", "critical").empty());
  CHECK(Noise("Port scan", program, "/usr/bin/telegraf") == Titles{"Connections by monitoring probes"});
  CHECK(Noise("Mass file access", program, R"(C:\Program Files\Veeam\Endpoint Backup\Veeam.EndPoint.Service.exe)") ==
        Titles{"Files read in bulk by backup"});
  CHECK(Noise("New service", program, "/usr/bin/dpkg") == Titles{"Software changed by the update service"});
  CHECK(Noise("New service", "process.parent.executable", "/usr/lib/apt/apt.systemd.daily") ==
        Titles{"Software changed by the update service"});
}

TEST_CASE("shipped rules: noise closes by nothing that an intruder may choose") {
  CHECK(Noise("Port scan", "process.executable", "/tmp/opt/nessus/sbin/nessusd").empty());
  CHECK(Noise("Port scan", "process.name", "nessusd").empty());
  CHECK(Noise("Port scan", "user.name", "svc-scan01").empty());
  CHECK(Noise("Port scan", "source.domain", "scanner-1.example.net").empty());
  CHECK(Noise("Port scan", "process.name", "telegraf").empty());
  CHECK(Noise("Failed connection", "user.name", "nagios").empty());
  CHECK(Noise("Failed connection", "source.domain", "monitor-1.example.net").empty());
  CHECK(Noise("Mass file access", "process.executable", "/tmp/usr/openv/netbackup/bin/bpbkar").empty());
  CHECK(Noise("Mass file access", "process.executable", R"(D:\x\Veeam\Endpoint Backup\Veeam.EndPoint.Service.exe)").empty());
  CHECK(Noise("Mass file access", "user.name", "svc-backup").empty());
  CHECK(Noise("New service", "process.executable", R"(D:\x\System32\usoclient.exe)").empty());
  CHECK(Noise("New service", "process.parent.name", "unattended-upgr").empty());
}

}  // namespace
}  // namespace triaged::rules_test
