#include "pipeline/enrich/sheet.h"

#include <algorithm>

#include "pipeline/base/utf8.h"
#include "pipeline/enrich/enrichment.h"

namespace triaged::enrich {
namespace {

constexpr size_t kMaxSnippet = 160;

}  // namespace

FileProblems::~FileProblems() {
  if (count_ <= kMaxShown) return;
  diagnostics_->Error({input_.data.name, 0, 0}, std::to_string(count_ - kMaxShown) + " more problems in this file");
}

void FileProblems::Error(int line, const std::string& message, const std::string& hint) {
  if (++count_ > kMaxShown) return;
  const std::string_view text = input_.data.text;
  if (line < snippet_line_) snippet_at_ = 0, snippet_line_ = 1;
  while (snippet_line_ < line) {
    const size_t end = text.find('\n', snippet_at_);
    if (end == std::string_view::npos) break;
    snippet_at_ = end + 1;
    ++snippet_line_;
  }
  std::string_view shown = text.substr(snippet_at_, text.find('\n', snippet_at_) - snippet_at_);
  if (shown.ends_with('\r')) shown.remove_suffix(1);
  diagnostics_->Error({input_.data.name, line, 0}, message, SanitiseUtf8(CutAtCodePoint(shown, kMaxSnippet)), hint);
}

std::string FileProblems::Provenance(int line) const {
  const std::string& name = input_.data.name;
  const size_t slash = name.rfind('/');
  std::string text = "enrichment:" + name.substr(slash == std::string::npos ? 0 : slash + 1);
  if (line > 0) text += ":" + std::to_string(line);
  return text;
}

Sheet::Sheet(FileProblems* problems)
    : problems_(problems), csv_(problems->input().data.text, problems->input().spec.delimiter) {
  ReadHeader();
}

void Sheet::ReadHeader() {
  const EnrichmentSpec& spec = problems_->input().spec;
  if (!csv_.Next()) {
    return problems_->Error(std::max(csv_.line(), 1), csv_.error().empty() ? "the file has no header" : csv_.error(),
                            "the first line names the columns");
  }
  const auto& header = csv_.cells();
  width_ = header.size();
  for (std::string_view ours : ColumnsOf(spec.kind)) {
    const auto mapped = spec.columns.find(ours);
    const std::string theirs = Lower(mapped == spec.columns.end() ? ours : std::string_view(mapped->second));
    size_t found = 0;
    for (size_t i = 0; i < header.size(); ++i) {
      if (Lower(header[i]) != theirs) continue;
      if (++found == 1) columns_.emplace_back(ours, i);
    }
    if (found > 1) problems_->Error(csv_.line(), "two columns are named '" + theirs + "'");
    if (found == 0 && mapped != spec.columns.end()) {
      problems_->Error(csv_.line(), "there is no column '" + mapped->second + "', which `columns` gives for " +
                                        std::string(ours));
    }
  }
  if (!spec.columns.empty()) return;  // a mapped export has other columns, too
  const auto known = ColumnsOf(spec.kind);
  for (std::string_view name : header) {
    const std::string lower = Lower(name);
    if (std::find(known.begin(), known.end(), lower) != known.end()) continue;
    const std::string_view near = DidYouMean(lower, known);
    problems_->Error(csv_.line(), "'" + SanitiseUtf8(name) + "' is no column of " + std::string(triaged::Name(spec.kind)),
                     near.empty() ? "with `columns: {name: theirs}` in the list, other columns are ignored"
                                  : "did you mean '" + std::string(near) + "'?");
  }
}

bool Sheet::Next() {
  while (width_ > 0 && csv_.Next()) {
    const auto& cells = csv_.cells();
    if (cells.size() != width_) {
      problems_->Error(csv_.line(), std::to_string(cells.size()) + " cells, but the header has " + std::to_string(width_),
                       "a cell that holds the delimiter stands in quotes");
      continue;
    }
    const bool good = std::all_of(cells.begin(), cells.end(), [](std::string_view cell) {
      return cell.size() <= kMaxEnrichmentCell && IsValidUtf8(cell);
    });
    if (good) return true;
    problems_->Error(csv_.line(), "a cell is longer than 1024 bytes or no UTF-8");
  }
  if (width_ > 0 && !csv_.error().empty()) problems_->Error(csv_.line(), csv_.error());
  return false;
}

bool Sheet::Has(std::string_view column) const {
  return std::any_of(columns_.begin(), columns_.end(), [&](const auto& c) { return c.first == column; });
}

std::string_view Sheet::Cell(std::string_view column) const {
  for (const auto& [ours, at] : columns_) {
    if (ours == column) return csv_.cells()[at];
  }
  return {};
}

std::vector<std::string_view> Sheet::Parts(std::string_view column, bool blanks) const {
  const std::string_view separators = blanks ? ";|, \t\r\n" : ";|,";
  std::vector<std::string_view> parts;
  std::string_view rest = Cell(column);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find_first_of(separators), rest.size());
    std::string_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

bool Sheet::Flag(std::string_view column) const {
  const std::string word = Lower(Cell(column));
  if (word == "yes" || word == "true" || word == "1" || word == "y" || word == "x") return true;
  if (!word.empty() && word != "no" && word != "false" && word != "0" && word != "n") {
    problems_->Error(line(), "'" + word + "' in column " + std::string(column) + " is neither yes nor no");
  }
  return false;
}

std::string_view Sheet::Criticality() const {
  const std::string word = Lower(Cell("criticality"));
  if (word.empty()) return {};
  const auto& words = problems_->input().spec.criticality;
  const auto mapped = words.find(word);
  if (mapped != words.end()) return mapped->second;
  for (std::string_view known : {"low", "medium", "high", "critical"}) {
    if (word == known) return known;
  }
  problems_->Error(line(), "'" + word + "' is no criticality",
                   "low, medium, high or critical; other words by `criticality: {theirs: ours}` in the list");
  return {};
}

}  // namespace triaged::enrich
