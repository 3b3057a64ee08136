// The CSV reader and the enrichment files it feeds: any bytes, the limits, and the time that a large file takes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <random>

#include "pipeline/base/utf8.h"
#include "pipeline/enrich/csv.h"
#include "pipeline/enrich/enrichment.h"

namespace triaged {
namespace {

using Rows = std::vector<std::vector<std::string>>;

uint64_t Seed() {
  const char* given = std::getenv("TRIAGED_SEED");
  return given ? std::strtoull(given, nullptr, 10) : 20261121;
}

// RFC 4180, quoting where it must and now and then where it need not.
std::string Write(const Rows& rows, char delimiter, std::mt19937_64* random) {
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) text += delimiter;
      const std::string& cell = row[i];
      const bool plain = cell.find_first_of("\"\r\n #\t") == std::string::npos && cell.find(delimiter) == std::string::npos;
      if (plain && !cell.empty() && (*random)() % 4 != 0) {
        text += cell;
        continue;
      }
      text += '"';
      for (char ch : cell) text += ch == '"' ? std::string("\"\"") : std::string(1, ch);
      text += '"';
    }
    text += (*random)() % 2 ? "\n" : "\r\n";
  }
  return text;
}

EnrichmentInput Input(EnrichmentKind kind, const std::string& name, std::string text) {
  EnrichmentInput input;
  input.spec.kind = kind;
  input.spec.feed = "feed";
  input.data = {name, std::move(text)};
  return input;
}

std::string Errors(EnrichmentKind kind, const std::string& name, std::string text) {
  Diagnostics diagnostics;
  const auto set = Enrichment::Compile({{}, {Input(kind, name, std::move(text))}}, &diagnostics);
  CHECK((set != nullptr) == !diagnostics.HasErrors());
  return diagnostics.Render();
}

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

TEST_CASE("csv: what is written comes back, cell by cell and line by line") {
  const uint64_t seed = Seed();
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  const std::string alphabet = "ab\"\",;\n\r #\t\xc3\xa9|";
  for (int round = 0; round < 3000; ++round) {
    const char delimiter = std::string_view(",;|\t")[random() % 4];
    Rows rows(1 + random() % 6);
    for (auto& row : rows) {
      row.resize(1 + random() % 5);
      for (std::string& cell : row) {
        for (size_t i = random() % 8; i > 0; --i) cell += alphabet[random() % alphabet.size()];
      }
    }
    const std::string text = Write(rows, delimiter, &random);
    CAPTURE(text);
    enrich::CsvReader csv(text, delimiter);
    size_t read = 0;
    for (; csv.Next(); ++read) {
      REQUIRE(read < rows.size());
      REQUIRE(csv.cells().size() == rows[read].size());
      for (size_t i = 0; i < rows[read].size(); ++i) REQUIRE(csv.cells()[i] == rows[read][i]);
      REQUIRE(csv.line() >= static_cast<int>(read) + 1);
    }
    REQUIRE(csv.error() == "");
    REQUIRE(read == rows.size());
  }
}

TEST_CASE("csv: any bytes are read to the end or refused with a line, and so is every kind of file made of them") {
  const uint64_t seed = Seed();
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  const std::string_view pieces[] = {"name,", "value", "\"", "\"\"", ",", "\n", "\r\n", "#", ";", "10.16.0.0/12", "10.0.0.1", "a.example",
                                     "\xff", std::string_view("\0", 1), "network", "id", "T1003", " ", "*.b.example", "-1", "2026-01-01"};
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    for (size_t i = random() % 40; i > 0; --i) text += pieces[random() % std::size(pieces)];
    const auto lines = static_cast<int>(std::count(text.begin(), text.end(), '\n')) + 1;
    enrich::CsvReader csv(text, ',');
    int records = 0;
    while (csv.Next()) {
      REQUIRE(++records <= lines);
      REQUIRE(csv.line() <= lines);
      REQUIRE(!csv.cells().empty());
    }
    REQUIRE(csv.line() <= lines);
    for (uint8_t kind = 0; kind <= static_cast<uint8_t>(EnrichmentKind::kAttack); ++kind) {
      const std::string errors = Errors(static_cast<EnrichmentKind>(kind), round % 2 ? "f.csv" : "f.txt", text);
      REQUIRE(IsValidUtf8(errors));
    }
  }
}

TEST_CASE("csv: the limits are errors that name a line") {
  std::string wide = "x";
  for (int i = 0; i < 1100; ++i) wide += ",x";
  CHECK(Errors(EnrichmentKind::kAssets, "a.csv", "name\n" + wide).find("a.csv:2: error: more than 1000 cells") != std::string::npos);
  const std::string long_cell(kMaxEnrichmentCell + 1, 'x');
  CHECK(Errors(EnrichmentKind::kAssets, "a.csv", "name\nok\n" + long_cell + "\n").find("a.csv:3: error") != std::string::npos);
  CHECK(Errors(EnrichmentKind::kAssets, "a.csv", "name\n" + long_cell.substr(1) + "\n") == "");
  CHECK(Errors(EnrichmentKind::kAssets, "a.csv", std::string(kMaxEnrichmentFileBytes + 1, '\n')).find("256 MiB") != std::string::npos);
}

TEST_CASE("csv: the time of a file grows with its size, whether or not the delimiter is anywhere in it") {
  const auto seconds = [](int lines) {
    std::string text;
    for (int i = 0; i < lines; ++i) text += "host" + std::to_string(i) + "\n";
    double best = 1e9;
    for (int round = 0; round < 3; ++round) {
      const double begin = CpuSeconds();
      enrich::CsvReader csv(text, ',');
      int read = 0;
      while (csv.Next()) ++read;
      CHECK(read == lines);
      best = std::min(best, CpuSeconds() - begin);
    }
    return best;
  };
  // Sixteen times the size; reading ahead for a delimiter takes more than a hundred times as long.
  CHECK(seconds(64'000) < 50 * seconds(4'000));
}

}  // namespace
}  // namespace triaged
