// Normalising the fixtures of each format, and the real alerts of each where they are on this machine, next to two limits
// measured in the same run on the same bytes: simdjson's DOM parsing them, and simdjson parsing them and looking up the
// same values by paths that it was told. Fails below a floor.
//
//   normalise_bench [--rounds N] [--only FORMAT]
//
// It also loads each table alone (with the fallback, and the table it extends): others beside it must cost next to nothing.
#include <simdjson.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "pipeline/normalise/normaliser.h"
#include "tests/bench/thread_clock.h"

namespace triaged {
namespace {

constexpr double kAloneFloor = 0.6;
constexpr size_t kRoundBytes = 200'000;  // short rounds and many: the best of them was disturbed least
constexpr size_t kMostReal = 400;

// Of parsing alone, what was reached less a fifth; of the fixtures and of the real alerts. Only ever raised.
struct Floor {
  double fixtures = 0.1, real = 0.15;
};
const std::map<std::string, Floor> kFloors = {
    {"asff", {0.104, 0.277}},     {"cef", {0.06}},             {"crowdstrike", {0.16, 0.28}},
    {"ecs", {0.148, 0.325}},      {"elastic", {0.14}},         {"falco", {0.11, 0.165}},
    {"generic", {0.165, 0.287}},  {"graph", {0.164, 0.19}},    {"guardduty", {0.17, 0.24}},
    {"labelled_csv", {0.108}},    {"leef", {0.08}},            {"ocsf", {0.19, 0.32}},
    {"sentinel", {0.195}},        {"splunk", {0.117}},         {"suricata", {0.153, 0.199}},
    {"ticket", {0.198}},          {"wazuh", {0.155, 0.235}},   {"zeek", {0.124, 0.17}},
};

std::vector<std::string> Records(const std::string& format) {
  std::vector<std::string> records;
  std::ifstream in(TRIAGED_SOURCE_DIR "/tests/data/formats/" + format + ".ndjson");
  for (std::string line; std::getline(in, line);) records.push_back(nlohmann::ordered_json::parse(line)["record"].dump());
  return records;
}

// Real alerts by the format they are found to be, at most kMostReal of each; empty where they are not on this machine.
std::map<std::string, std::vector<std::string>> RealRecords(Normaliser* normaliser) {
  std::map<std::string, std::vector<std::string>> records;
  std::vector<std::filesystem::path> paths;
  const std::filesystem::path root = TRIAGED_SOURCE_DIR "/../shared/alerts";
  if (!std::filesystem::exists(root)) return records;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() == ".ndjson") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) {
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
      if (normaliser->Normalise(line, {}, FromUnixMillis(1'772'438'400'000))) continue;
      auto& of_format = records[std::string(normaliser->alert().format)];
      if (of_format.size() < kMostReal) of_format.push_back(line);
    }
  }
  return records;
}

// Where a value stands: keys and indexes (a key of "" with the index) from the root.
struct Step {
  std::string key;
  size_t index = 0;
};
using Accessor = std::vector<Step>;

// Every leaf whose dotted path (arrays looked through) is one of `paths`.
void Collect(const nlohmann::ordered_json& json, const std::string& path, const std::set<std::string>& paths, Accessor* at,
             std::vector<Accessor>* out) {
  if (json.is_array()) {
    for (size_t i = 0; i < json.size(); ++i) {
      at->push_back({{}, i});
      Collect(json[i], path, paths, at, out);
      at->pop_back();
    }
  } else if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      at->push_back({key, 0});
      Collect(value, path.empty() ? key : path + "." + key, paths, at, out);
      at->pop_back();
    }
  } else if (paths.contains(path)) {
    out->push_back(*at);
  }
}

struct Record {
  std::string text;
  simdjson::padded_string padded;
  std::vector<Accessor> values;  // what the alert took from the document
};

std::vector<Record> Prepare(const std::vector<std::string>& texts, Normaliser* normaliser) {
  std::vector<Record> records;
  for (const std::string& text : texts) {
    std::set<std::string> paths;
    if (normaliser->Normalise(text, {}, FromUnixMillis(1'772'438'400'000))) continue;
    const FieldTable& fields = normaliser->alert().fields;
    for (FieldId id : fields.present()) {
      for (const Value& value : fields.Get(id)) {
        std::string path(value.path.substr(0, value.path.find(' ')));
        while (path.find('[') != std::string::npos) path.erase(path.find('['), path.find(']') + 1 - path.find('['));
        if (!path.empty()) paths.insert(path);
      }
    }
    Record& record = records.emplace_back(Record{text, simdjson::padded_string(text), {}});
    Accessor at;
    Collect(nlohmann::ordered_json::parse(text), {}, paths, &at, &record.values);
  }
  return records;
}

simdjson::simdjson_result<simdjson::dom::element> LookUp(simdjson::dom::element element, const Accessor& accessor) {
  for (const Step& step : accessor) {
    const auto next = step.key.empty() ? element.at(step.index) : element.at_key(step.key);
    if (next.error()) return next;
    element = next.value_unsafe();
  }
  return element;
}

// Seconds of one pass; the parser gets its bytes already padded, which the normaliser has to do itself.
double Parse(const std::vector<Record>& records, size_t repeats, bool fields, size_t* sink) {
  simdjson::dom::parser parser;
  const double begin = Now();
  for (size_t i = 0; i < repeats; ++i) {
    for (const Record& record : records) {
      const auto parsed = parser.parse(record.padded);
      if (parsed.error()) continue;
      ++*sink;
      if (!fields) continue;
      for (const Accessor& accessor : record.values) {
        const auto found = LookUp(parsed.value_unsafe(), accessor);
        std::string_view text;
        if (!found.error() && !found.value_unsafe().get(text)) *sink += text.size();
      }
    }
  }
  return (Now() - begin) / static_cast<double>(repeats);
}

double Normalise(Normaliser* normaliser, const std::vector<Record>& records, size_t repeats, size_t* sink) {
  const double begin = Now();
  for (size_t i = 0; i < repeats; ++i) {
    for (const Record& record : records) {
      if (!normaliser->Normalise(record.text, {}, FromUnixMillis(1'772'438'400'000))) *sink += normaliser->alert().id.size();
    }
  }
  return (Now() - begin) / static_cast<double>(repeats);
}

std::shared_ptr<const FormatTables> Tables(const FieldCatalog& catalog, const std::vector<SourceFile>& files) {
  Diagnostics diagnostics;
  auto tables = FormatTables::Compile(files, catalog, &diagnostics);
  std::fputs(diagnostics.Render().c_str(), stderr);
  return tables;
}

// The file of one format, of what it extends, and the fallback.
std::vector<SourceFile> Alone(const std::vector<SourceFile>& all, std::string_view name) {
  std::set<std::string> wanted = {std::string(name), "generic"};
  std::vector<SourceFile> files;
  for (int i = 0; i < 2; ++i) {
    files.clear();
    for (const SourceFile& file : all) {
      const size_t slash = file.name.rfind('/') + 1;
      if (!wanted.contains(file.name.substr(slash, file.name.size() - slash - 5))) continue;
      files.push_back(file);
      const size_t extends = file.text.find("\nextends: ");
      if (extends != std::string::npos) wanted.insert(file.text.substr(extends + 10, file.text.find('\n', extends + 1) - extends - 10));
    }
  }
  return files;
}

// The shortest of many short rounds: it was disturbed least.
struct Seconds {
  double parse = 1e9, fields = 1e9, ours = 1e9, alone = 1e9;
};

Seconds Measure(const std::vector<Record>& records, int rounds, Normaliser* normaliser, Normaliser* alone, size_t* sink) {
  size_t bytes = 0;
  for (const Record& record : records) bytes += record.text.size();
  const size_t repeats = kRoundBytes / std::max<size_t>(bytes, 1) + 1;
  Seconds best;
  for (int round = 0; round < rounds; ++round) {
    best.parse = std::min(best.parse, Parse(records, repeats, false, sink));
    best.fields = std::min(best.fields, Parse(records, repeats, true, sink));
    best.ours = std::min(best.ours, Normalise(normaliser, records, repeats, sink));
    best.alone = std::min(best.alone, Normalise(alone, records, repeats, sink));
  }
  return best;
}

// Prints one line; false when a ratio is below its floor.
bool Report(const std::string& what, const std::vector<Record>& records, const Seconds& best, double floor) {
  size_t bytes = 0, values = 0;
  for (const Record& record : records) bytes += record.text.size(), values += record.values.size();
  const auto count = static_cast<double>(records.size());
  const bool below = best.parse / best.ours < floor || best.alone / best.ours < kAloneFloor;
  std::printf("%-20s %7zu %6zu %7zu %10.0f %10.0f %10.0f %9.3f %6.2f %10.3f %6.2f%s\n", what.c_str(), records.size(),
              bytes / records.size(), values / records.size(), count / best.parse, count / best.fields, count / best.ours,
              best.parse / best.ours, floor, best.fields / best.ours, best.alone / best.ours, below ? "  BELOW ITS FLOOR" : "");
  return !below;
}

int Main(int argc, char** argv) {
  int rounds = 30;
  std::string_view only;
  for (int i = 1; i + 1 < argc; ++i) {
    if (!std::strcmp(argv[i], "--rounds")) rounds = std::stoi(argv[i + 1]);
    if (!std::strcmp(argv[i], "--only")) only = argv[i + 1];
  }
  const FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const std::vector<SourceFile> files = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
  const auto tables = Tables(catalog, files);
  if (!tables) return 1;
  Normaliser normaliser(tables, {});
  auto real = RealRecords(&normaliser);
  bool slow = false;
  size_t sink = 0;
  std::printf("format               records  bytes  values    parse/s   fields/s     ours/s  of parse  floor  of fields  alone\n");
  for (std::string_view name : tables->FormatNames()) {
    if (!only.empty() && name != only) continue;
    const auto alone_tables = Tables(catalog, Alone(files, name));
    if (!alone_tables) return 1;
    Normaliser alone(alone_tables, {});
    const std::string format(name);
    for (const auto& [set, texts] : {std::pair("", Records(format)), std::pair(" (real)", real[format])}) {
      const std::vector<Record> records = Prepare(texts, &normaliser);
      if (records.empty()) continue;
      const Seconds best = Measure(records, rounds, &normaliser, &alone, &sink);
      const auto found = kFloors.find(format);
      const Floor floor = found == kFloors.end() ? Floor() : found->second;
      slow = !Report(format + set, records, best, *set == '\0' ? floor.fixtures : floor.real) || slow;
    }
  }
  return slow || sink == 0 ? 1 : 0;
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
