// Sheet: one CSV file with a header, read by the names of its columns; its problems with file, line and snippet.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/enrich/csv.h"
#include "pipeline/enrich/manifest.h"

namespace triaged::enrich {

// Reports the problems of one file: the first kMaxShown of them, then how many more there are.
class FileProblems {
 public:
  FileProblems(const EnrichmentInput& input, Diagnostics* diagnostics) : input_(input), diagnostics_(diagnostics) {}
  ~FileProblems();
  FileProblems(const FileProblems&) = delete;
  FileProblems& operator=(const FileProblems&) = delete;

  void Error(int line, const std::string& message, const std::string& hint = {});
  // "enrichment:assets.csv", with ":12" where a line is given.
  std::string Provenance(int line) const;
  const EnrichmentInput& input() const { return input_; }

 private:
  static constexpr size_t kMaxShown = 20;
  const EnrichmentInput& input_;
  Diagnostics* diagnostics_;
  size_t count_ = 0;
  // Lines are found by going on from the last one: problems come in the order of the file.
  size_t snippet_at_ = 0;
  int snippet_line_ = 1;
};

class Sheet {
 public:
  // Reads the header; without one Next() is false at once.
  explicit Sheet(FileProblems* problems);

  bool Next();
  int line() const { return csv_.line(); }
  std::string_view Cell(std::string_view column) const;  // "" when the column or the cell is absent
  bool Has(std::string_view column) const;
  FileProblems& problems() const { return *problems_; }

  // The parts of a cell that lists several: separated by ; | or , (and blanks, where names cannot have any).
  std::vector<std::string_view> Parts(std::string_view column, bool blanks) const;
  // yes / no in the words of exports; an empty cell is no.
  bool Flag(std::string_view column) const;
  // One of low, medium, high, critical, after the words that the list maps; "" when empty or wrong.
  std::string_view Criticality() const;

 private:
  void ReadHeader();

  FileProblems* problems_;
  CsvReader csv_;
  std::vector<std::pair<std::string_view, size_t>> columns_;  // ours, and where it stands
  size_t width_ = 0;
};

}  // namespace triaged::enrich
