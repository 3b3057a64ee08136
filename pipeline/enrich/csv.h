// CSV (RFC 4180) as people export it: quoted cells, line breaks inside quotes, CR LF or LF, a byte order mark, and lines
// that begin with # as comments. Strict: what is not CSV is an error with its line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace triaged::enrich {

class CsvReader {
 public:
  // `text` must outlive the reader and its cells.
  CsvReader(std::string_view text, char delimiter);

  // The next record that is neither blank nor a comment; false at the end, or at an error.
  bool Next();
  const std::vector<std::string_view>& cells() const { return cells_; }  // valid until the next call
  int line() const { return line_; }                                    // where the record begins, from 1
  // What is wrong with the record at line(); empty: nothing. Reading ends there.
  const std::string& error() const { return error_; }

 private:
  bool SkipToRecord();
  bool ReadRecord();
  bool ReadQuoted();

  std::string_view rest_;
  char delimiter_;
  int line_ = 0;
  int next_line_ = 1;
  std::vector<std::string_view> cells_;
  std::vector<std::string> unquoted_;  // cells whose doubled quotes were undone
  size_t unquoted_used_ = 0;
  std::string error_;
};

}  // namespace triaged::enrich
