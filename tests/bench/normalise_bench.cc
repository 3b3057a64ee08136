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
#include <memory>
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
constexpr int kPasses = 5;               // over what is below its floor: another load seldom lasts so long

// Of parsing alone, what was reached on a machine busy with other work less two fifths (caches are shared, and simdjson's
// kernels differ from processor to processor); of the fixtures and of the real alerts.
struct Floor {
  double fixtures = 0.075, real = 0.11;
};
const std::map<std::string, Floor> kFloors = {
    {"asff", {0.079, 0.228}},      {"cef", {0.045}},              {"crowdstrike", {0.142, 0.232}},
    {"ecs", {0.125, 0.258}},       {"elastic", {0.109}},          {"falco", {0.098, 0.144}},
    {"generic", {0.124, 0.224}},   {"graph", {0.151, 0.166}},     {"guardduty", {0.161, 0.204}},
    {"labelled_csv", {0.081}},     {"leef", {0.06}},              {"ocsf", {0.157, 0.24}},
    {"sentinel", {0.14}},          {"splunk", {0.103}},           {"suricata", {0.12, 0.164}},
    {"ticket", {0.174}},           {"wazuh", {0.149, 0.214}},     {"zeek", {0.1, 0.144}},
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

// The records of one format: its fixtures, or its real alerts.
struct Subject {
  std::string name;
  std::vector<Record> records;
  std::unique_ptr<Normaliser> alone;
  double floor = 0;
  Seconds best;

  size_t bytes() const {
    size_t sum = 0;
    for (const Record& record : records) sum += record.text.size();
    return sum;
  }
  bool below() const { return best.parse / best.ours < floor || best.alone / best.ours < kAloneFloor; }
};

void Measure(Subject* subject, int rounds, Normaliser* normaliser, size_t* sink) {
  const size_t repeats = kRoundBytes / std::max<size_t>(subject->bytes(), 1) + 1;
  Seconds& best = subject->best;
  for (int round = 0; round < rounds; ++round) {
    best.parse = std::min(best.parse, Parse(subject->records, repeats, false, sink));
    best.fields = std::min(best.fields, Parse(subject->records, repeats, true, sink));
    best.ours = std::min(best.ours, Normalise(normaliser, subject->records, repeats, sink));
    best.alone = std::min(best.alone, Normalise(subject->alone.get(), subject->records, repeats, sink));
  }
}

void Print(const Subject& subject) {
  size_t values = 0;
  for (const Record& record : subject.records) values += record.values.size();
  const size_t size = subject.records.size();
  const auto count = static_cast<double>(size);
  const Seconds& best = subject.best;
  std::printf("%-20s %7zu %6zu %7zu %10.0f %10.0f %10.0f %9.3f %6.2f %10.3f %6.2f%s\n", subject.name.c_str(), size,
              subject.bytes() / size, values / size, count / best.parse, count / best.fields, count / best.ours,
              best.parse / best.ours, subject.floor, best.fields / best.ours, best.alone / best.ours,
              subject.below() ? "  BELOW ITS FLOOR" : "");
}

// Empty: the tables do not compile.
std::vector<Subject> Subjects(const FieldCatalog& catalog, const std::vector<SourceFile>& files, const FormatTables& tables,
                              std::string_view only, Normaliser* normaliser) {
  std::vector<Subject> subjects;
  auto real = RealRecords(normaliser);
  for (std::string_view name : tables.FormatNames()) {
    if (!only.empty() && name != only) continue;
    const auto alone = Tables(catalog, Alone(files, name));
    if (!alone) return {};
    const std::string format(name);
    const auto found = kFloors.find(format);
    const Floor floor = found == kFloors.end() ? Floor() : found->second;
    for (const auto& [set, texts] : {std::pair("", Records(format)), std::pair(" (real)", real[format])}) {
      Subject subject{format + set, Prepare(texts, normaliser), std::make_unique<Normaliser>(alone, NormaliseLimits{}),
                      *set == '\0' ? floor.fixtures : floor.real, {}};
      if (!subject.records.empty()) subjects.push_back(std::move(subject));
    }
  }
  return subjects;
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
  std::vector<Subject> subjects = Subjects(catalog, files, *tables, only, &normaliser);
  size_t sink = 0;
  const auto below = [](const Subject& subject) { return subject.below(); };
  for (Subject& subject : subjects) Measure(&subject, rounds, &normaliser, &sink);
  for (int pass = 1; pass < kPasses && std::any_of(subjects.begin(), subjects.end(), below); ++pass) {
    for (Subject& subject : subjects) Measure(&subject, rounds, &normaliser, &sink);
  }
  std::printf("format               records  bytes  values    parse/s   fields/s     ours/s  of parse  floor  of fields  alone\n");
  for (const Subject& subject : subjects) Print(subject);
  return subjects.empty() || sink == 0 || std::any_of(subjects.begin(), subjects.end(), below) ? 1 : 0;
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
