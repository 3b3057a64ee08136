#include "pipeline/enrich/csv.h"

#include <algorithm>

namespace triaged::enrich {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr size_t kMaxCells = 1000;

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

CsvReader::CsvReader(std::string_view text, char delimiter) : rest_(text), delimiter_(delimiter) {
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  unquoted_.resize(kMaxCells);  // their texts never move
}

bool CsvReader::SkipToRecord() {
  while (!rest_.empty()) {
    const size_t end = rest_.find('\n');
    const std::string_view line = rest_.substr(0, end);
    const bool blank = line.find_first_not_of(" \t\r") == std::string_view::npos;
    if (!blank && line.front() != '#') return true;
    ++next_line_;
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  }
  return false;
}

// A cell in quotes; rest_ stands behind the opening one.
bool CsvReader::ReadQuoted() {
  std::string* undone = nullptr;
  size_t begin = 0;
  for (size_t at = 0; at < rest_.size(); ++at) {
    if (rest_[at] == '\n') ++next_line_;
    if (rest_[at] != '"') continue;
    if (at + 1 < rest_.size() && rest_[at + 1] == '"') {
      if (!undone) {
        undone = &unquoted_[unquoted_used_++];
        undone->clear();
      }
      undone->append(rest_.substr(begin, at + 1 - begin));
      begin = ++at + 1;
      continue;
    }
    if (undone) undone->append(rest_.substr(begin, at - begin));
    cells_.push_back(undone ? std::string_view(*undone) : rest_.substr(0, at));
    rest_.remove_prefix(at + 1);
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
    if (rest_.empty() || rest_.front() == delimiter_ || rest_.front() == '\n' || rest_.starts_with("\r\n")) return true;
    error_ = "text follows the closing quote of a cell";
    return false;
  }
  error_ = "a quoted cell is never closed";
  return false;
}

bool CsvReader::ReadRecord() {
  while (true) {
    if (cells_.size() >= kMaxCells) {
      error_ = "more than " + std::to_string(kMaxCells) + " cells";
      return false;
    }
    const size_t quote = rest_.find_first_not_of(' ');
    if (quote != std::string_view::npos && rest_[quote] == '"') {
      rest_.remove_prefix(quote + 1);
      if (!ReadQuoted()) return false;
    } else {
      // In one pass for both: looking for each by itself reads to the end of the file where there is none.
      const auto* const end = std::find_if(rest_.begin(), rest_.end(), [&](char ch) { return ch == delimiter_ || ch == '\n'; });
      std::string_view cell = rest_.substr(0, static_cast<size_t>(end - rest_.begin()));
      rest_.remove_prefix(cell.size());
      if (cell.ends_with('\r')) cell.remove_suffix(1);
      cells_.push_back(Trimmed(cell));
    }
    if (rest_.starts_with('\r')) rest_.remove_prefix(1);
    if (rest_.empty()) return true;
    const bool more = rest_.front() == delimiter_;
    if (!more) ++next_line_;
    rest_.remove_prefix(1);
    if (!more) return true;
  }
}

bool CsvReader::Next() {
  cells_.clear();
  unquoted_used_ = 0;
  if (!error_.empty() || !SkipToRecord()) return false;
  line_ = next_line_;
  return ReadRecord();
}

}  // namespace triaged::enrich
