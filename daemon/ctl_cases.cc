// triagectl cases and case: what is open, and one case in words, from case documents.
#include <algorithm>
#include <iostream>
#include <vector>

#include "daemon/case_documents.h"
#include "daemon/ctl.h"
#include "pipeline/report/json_reading.h"
#include "pipeline/report/template_text.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t kShownTimeline = 20;

// One line, whatever an alert put into it.
std::string Shown(const Json& json, std::string_view key) {
  const std::string text = EscapeFor(TextStyle::kPlain, Text(json, key));
  return text.empty() ? "-" : text;
}

int Failed(const Error& error) {
  std::fprintf(stderr, "triagectl: %s\n", error.message.c_str());
  return kExitFailed;
}

bool Wanted(const Json& data, const CasesOptions& options) {
  const std::string status = Text(data, "status");
  const bool active = status != "resolved" && status != "closed";
  if (!options.all && options.status.empty() && !active) return false;
  const auto is = [](const std::string& wanted, const std::string& have) { return wanted.empty() || wanted == have; };
  return is(options.status, status) && is(options.severity, Text(data, "severity")) &&
         is(options.level, Text(At(data, "level"), "name")) && is(options.policy, Text(data, "policy")) &&
         is(options.team, Text(data, "team")) && is(options.assignee, Text(data, "assignee"));
}

// What is due first comes first; what waits for nothing, last.
void SortByDue(std::vector<const Json*>* documents) {
  const auto due = [](const Json* document) {
    return Time(At(*document, "data"), "next_due").value_or(Timestamp::max());
  };
  std::stable_sort(documents->begin(), documents->end(),
                   [&](const Json* a, const Json* b) { return due(a) < due(b); });
}

// Columns as wide as their widest cell, two spaces between; the last one as long as it is.
void PrintTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - DisplayWidth(row[i]) + 2, ' ');
    }
    std::cout << line << '\n';
  }
}

void PrintEntries(const Json& data, const char* key, size_t most) {
  const Json& entries = At(data, key);
  if (!entries.is_array() || entries.empty()) return;
  std::cout << key << ":\n";
  for (size_t i = entries.size() - std::min(most, entries.size()); i < entries.size(); ++i) {
    std::cout << "  " << Shown(entries[i], "at") << "  " << Shown(entries[i], "what") << " by " << Shown(entries[i], "by");
    if (const std::string text = Shown(entries[i], "text"); text != "-") std::cout << ": " << text;
    std::cout << '\n';
  }
}

void PrintClocks(const Json& data) {
  const Json& clocks = At(data, "clocks");
  if (!clocks.is_object()) return;
  std::cout << "clocks:\n";
  for (const auto& [name, clock] : clocks.items()) {
    const std::string state = Text(clock, "state");
    if (state == "idle") continue;
    std::cout << "  " << name << ": " << state;
    if (state != "ended") std::cout << ", due " << Shown(clock, "due");
    if (state == "ended") std::cout << " at " << Shown(clock, "ended");
    if (At(clock, "breached") == true) std::cout << ", breached";
    std::cout << '\n';
  }
}

void PrintCase(const Json& document) {
  const Json& data = At(document, "data");
  const Json& verdict = At(data, "verdict");
  std::cout << Shown(data, "case_id") << "  " << Shown(data, "severity") << "  " << Shown(data, "status") << " at "
            << Shown(At(data, "level"), "name") << (At(data, "drill") == true ? "  DRILL" : "") << '\n';
  std::cout << "key: " << Shown(data, "key") << "\nowner: " << Shown(data, "assignee") << " of team " << Shown(data, "team")
            << (At(data, "acknowledged") == true ? ", acknowledged" : ", not acknowledged") << "\nverdict: "
            << Shown(verdict, "name");
  if (const std::string by = Shown(verdict, "by"); by != "-") std::cout << " by " << by << ": " << Shown(verdict, "reason");
  std::cout << "\nalerts: " << Shown(At(data, "counts"), "alerts") << ", first " << Shown(data, "first_seen") << ", last "
            << Shown(data, "last_seen") << "\nopened: " << Shown(data, "opened_at") << "\nnext: " << Shown(data, "next_due")
            << '\n';
  if (const std::string into = Shown(data, "merged_into"); into != "-") std::cout << "merged into: " << into << '\n';
  PrintClocks(data);
  PrintEntries(data, "notes", kShownTimeline);
  PrintEntries(data, "timeline", kShownTimeline);
}

}  // namespace

int Cases(const std::string& config_path, const CasesOptions& options) {
  const auto documents = ReadDocuments(config_path, options.input);
  if (!documents) return Failed(documents.error());
  std::vector<const Json*> list;
  for (const auto& [id, document] : *documents) {
    if (Wanted(At(document, "data"), options)) list.push_back(&document);
  }
  SortByDue(&list);
  if (options.output == "json") {
    Json array = Json::array();
    for (const Json* document : list) array.push_back(*document);
    std::cout << array.dump(2) << '\n';
  } else if (options.output == "ndjson") {
    for (const Json* document : list) std::cout << document->dump() << '\n';
  } else {
    std::vector<std::vector<std::string>> rows = {
        {"CASE", "SEVERITY", "STATUS", "LEVEL", "TEAM", "OWNER", "ALERTS", "OPENED", "NEXT DUE", "KEY"}};
    for (const Json* document : list) {
      const Json& data = At(*document, "data");
      rows.push_back({Shown(data, "case_id"), Shown(data, "severity"), Shown(data, "status"),
                      Shown(At(data, "level"), "name"), Shown(data, "team"), Shown(data, "assignee"),
                      Shown(At(data, "counts"), "alerts"), Shown(data, "opened_at"), Shown(data, "next_due"),
                      Shown(data, "key")});
    }
    PrintTable(rows);
  }
  return kExitOk;
}

int ShowCase(const std::string& config_path, const CasesOptions& options) {
  const auto id = ParseCaseId(options.case_id);
  if (!id) {
    std::fprintf(stderr, "triagectl: '%s' is not a case id (partition-sequence, as in 3-17)\n", options.case_id.c_str());
    return kExitUsage;
  }
  const auto documents = ReadDocuments(config_path, options.input);
  if (!documents) return Failed(documents.error());
  const auto found = documents->find(*id);
  if (found == documents->end()) return Failed(BadInput("there is no document of case " + options.case_id));
  if (options.output == "json") {
    std::cout << found->second.dump(2) << '\n';
  } else if (options.output == "ndjson") {
    std::cout << found->second.dump() << '\n';
  } else {
    PrintCase(found->second);
  }
  return kExitOk;
}

}  // namespace triaged
