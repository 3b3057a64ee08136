// Normalising the fixtures of each format, next to simdjson's DOM parsing the same bytes in the same run. Prints a row
// per format with the ratio of the rates; fails below the floor.
//
//   normalise_bench [--rounds N]
#include <simdjson.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "pipeline/normalise/normaliser.h"

namespace triaged {
namespace {

constexpr double kWanted = 0.4;
constexpr double kFloor = 0.015;  // the first runs had 0.024 to 0.12; it only stops a bad change
constexpr int kRepeats = 200;  // short rounds and many: the best of them was disturbed least

// The thread's own time: what else the machine does is no part of it.
double Now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::vector<std::string> Records(const std::string& format) {
  std::vector<std::string> records;
  std::ifstream in(TRIAGED_SOURCE_DIR "/tests/data/formats/" + format + ".ndjson");
  for (std::string line; std::getline(in, line);) records.push_back(nlohmann::ordered_json::parse(line)["record"].dump());
  return records;
}

// Seconds for all repeats; the parser gets its bytes already padded, which the normaliser has to do itself.
double Parse(const std::vector<std::string>& records, size_t* sink) {
  std::vector<simdjson::padded_string> padded;
  for (const std::string& record : records) padded.emplace_back(record);
  simdjson::dom::parser parser;
  const double begin = Now();
  for (int i = 0; i < kRepeats; ++i) {
    for (const auto& record : padded) {
      const auto parsed = parser.parse(record);
      *sink += parsed.error() == simdjson::SUCCESS ? 1 : 0;
    }
  }
  return Now() - begin;
}

double Normalise(Normaliser* normaliser, const std::vector<std::string>& records, size_t* sink) {
  const double begin = Now();
  for (int i = 0; i < kRepeats; ++i) {
    for (const std::string& record : records) {
      if (!normaliser->Normalise(record, {}, FromUnixMillis(1'772'438'400'000))) *sink += normaliser->alert().id.size();
    }
  }
  return Now() - begin;
}

int Main(int argc, char** argv) {
  int rounds = 30;
  for (int i = 1; i + 1 < argc; ++i) {
    if (!std::strcmp(argv[i], "--rounds")) rounds = std::stoi(argv[i + 1]);
  }
  FieldCatalog catalog(FieldCatalog::Taxonomy::kAlert);
  Diagnostics diagnostics;
  const auto tables = FormatTables::Compile(ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics), catalog, &diagnostics);
  std::fputs(diagnostics.Render().c_str(), stderr);
  if (!tables) return 1;
  Normaliser normaliser(tables, {});
  bool slow = false;
  size_t sink = 0;
  for (std::string_view name : tables->FormatNames()) {
    const std::vector<std::string> records = Records(std::string(name));
    size_t bytes = 0;
    for (const std::string& record : records) bytes += record.size();
    double parse = 1e9, normalise = 1e9;
    for (int round = 0; round < rounds; ++round) {
      parse = std::min(parse, Parse(records, &sink));
      normalise = std::min(normalise, Normalise(&normaliser, records, &sink));
    }
    const double count = static_cast<double>(records.size()) * kRepeats;
    const double ratio = parse / normalise;
    slow = slow || ratio < kFloor;
    std::printf("%-12s %5zu bytes: parse %8.0f/s, normalise %8.0f/s, ratio %.3f (wanted %.1f, floor %.2f)\n",
                std::string(name).c_str(), bytes / std::max<size_t>(records.size(), 1), count / parse, count / normalise, ratio,
                kWanted, kFloor);
  }
  return slow || sink == 0 ? 1 : 0;
}

}  // namespace
}  // namespace triaged

int main(int argc, char** argv) { return triaged::Main(argc, argv); }
