#include "daemon/labelled_rows.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "pipeline/base/utf8.h"
#include "pipeline/enrich/csv.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

// The whole text; gzip is undone, anything else is taken as it is.
Result<std::string> ReadText(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return BadInput(path + " is a directory; name one file");
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) return BadInput("cannot read " + path + ": no such file, or no permission");
  gzbuffer(file.get(), 1 << 18);
  std::string text;
  std::string part(1 << 20, '\0');
  int count = 0;
  while ((count = gzread(file.get(), part.data(), static_cast<unsigned>(part.size()))) > 0) {
    text.append(part, 0, static_cast<size_t>(count));
  }
  int code = 0;
  gzerror(file.get(), &code);
  if (count < 0 || code == Z_BUF_ERROR) return BadInput(path + ": the gzip data is broken, or cut off");
  return text;
}

// "; it has: time, name, host", cut after some.
std::string ItHas(const std::vector<std::string>& names) {
  constexpr size_t kShown = 20;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i == 0 ? "" : ", ") + names[i];
  return "; it has: " + std::string(CutAtCodePoint(text, 400)) + (names.size() > kShown ? ", …" : "");
}

std::string Where(const std::string& path, int line) { return path + ":" + std::to_string(line) + ": "; }

bool HasEnding(std::string_view path, std::string_view ending) {
  if (path.ends_with(".gz")) path.remove_suffix(3);
  return path.ends_with(ending);
}

// ',' or, of a .tsv, a tab; nullopt: no table.
std::optional<char> DelimiterOf(std::string_view path) {
  if (HasEnding(path, ".csv")) return ',';
  if (HasEnding(path, ".tsv")) return '\t';
  return std::nullopt;
}

void AppendText(std::string_view text, std::string* out) {
  out->push_back('"');
  for (const char ch : text) {
    const auto byte = static_cast<unsigned char>(ch);
    if (ch == '"' || ch == '\\') out->push_back('\\');
    if (byte >= 0x20) {
      out->push_back(ch);
    } else {
      constexpr std::string_view kDigits = "0123456789abcdef";
      *out += "\\u00";
      out->push_back(kDigits[byte >> 4]);
      out->push_back(kDigits[byte & 15]);
    }
  }
  out->push_back('"');
}

class Reader {
 public:
  explicit Reader(const LabelledInput& input) : input_(input) {
    set_.columns = input.columns;
    set_.values.emplace_back();
  }

  Result<LabelledSet> Read();

 private:
  Status ReadTable(const std::string& text, char delimiter);
  Status ReadLines(const std::string& text);
  Status ReadLabelsBeside();
  Status FindColumns(const std::string& path, const std::vector<std::string_view>& header);
  Status AddRow(const std::vector<std::string>& header, const enrich::CsvReader& reader);
  Result<uint16_t> LabelOf(std::string_view text);

  const LabelledInput& input_;
  LabelledSet set_;
  std::map<std::string, uint16_t, std::less<>> known_;
  std::vector<size_t> label_cells_;                              // where the table read now has the label columns
  std::map<size_t, std::vector<uint16_t>> beside_;               // by line of the NDJSON, from 1
};

Result<uint16_t> Reader::LabelOf(std::string_view text) {
  const bool benign = std::find(input_.benign.begin(), input_.benign.end(), text) != input_.benign.end();
  if (text.empty() || benign) return uint16_t{0};
  if (const auto at = known_.find(text); at != known_.end()) return at->second;
  if (set_.values.size() > UINT16_MAX) return BadInput("more than 65535 different labels: is it a label column?");
  const auto index = static_cast<uint16_t>(set_.values.size());
  set_.values.emplace_back(text);
  known_.emplace(text, index);
  return index;
}

Status Reader::FindColumns(const std::string& path, const std::vector<std::string_view>& header) {
  label_cells_.clear();
  for (const std::string& column : input_.columns) {
    const auto at = std::find(header.begin(), header.end(), column);
    if (at == header.end()) {
      std::string hint = ItHas({header.begin(), header.end()});
      if (header.size() == 1) hint += " (cells are parted by commas, in a .tsv by tabs)";
      return BadInput(path + " has no column '" + column + "'" + hint);
    }
    label_cells_.push_back(static_cast<size_t>(at - header.begin()));
  }
  return {};
}

Status Reader::AddRow(const std::vector<std::string>& header, const enrich::CsvReader& reader) {
  LabelledRow row;
  row.labels.resize(label_cells_.size());
  row.line = static_cast<uint32_t>(reader.line());
  row.alert = "{\"csv\":{\"row\":\"" + std::to_string(set_.rows.size() + 1) + "\"}";
  const auto& cells = reader.cells();
  for (size_t i = 0; i < cells.size(); ++i) {
    const auto label = std::find(label_cells_.begin(), label_cells_.end(), i);
    if (label != label_cells_.end()) {
      const auto value = LabelOf(cells[i]);
      if (!value) return value.error();
      row.labels[static_cast<size_t>(label - label_cells_.begin())] = *value;
    } else if (!cells[i].empty()) {
      row.alert.push_back(',');
      AppendText(header[i], &row.alert);
      row.alert.push_back(':');
      AppendText(cells[i], &row.alert);
    }
  }
  row.alert.push_back('}');
  set_.rows.push_back(std::move(row));
  return {};
}

Status Reader::ReadTable(const std::string& text, char delimiter) {
  enrich::CsvReader reader(text, delimiter);
  if (!reader.Next()) return BadInput(input_.path + " has no line with the names of its columns");
  if (Status found = FindColumns(input_.path, reader.cells()); !found) return found;
  const std::vector<std::string> header(reader.cells().begin(), reader.cells().end());
  while (reader.Next()) {
    if (reader.cells().size() != header.size()) {
      return BadInput(Where(input_.path, reader.line()) + std::to_string(reader.cells().size()) + " cells under " +
                      std::to_string(header.size()) + " columns");
    }
    if (Status added = AddRow(header, reader); !added) return added;
  }
  if (!reader.error().empty()) return BadInput(Where(input_.path, reader.line()) + reader.error());
  return {};
}

// Labels that stand in a file of their own, by the line of the alert.
Status Reader::ReadLabelsBeside() {
  const auto text = ReadText(input_.labels_path);
  if (!text) return text.error();
  enrich::CsvReader reader(*text, DelimiterOf(input_.labels_path).value_or('\t'));
  if (!reader.Next()) return BadInput(input_.labels_path + " has no line with the names of its columns");
  if (Status found = FindColumns(input_.labels_path, reader.cells()); !found) return found;
  const auto& header = reader.cells();
  const auto line_at = static_cast<size_t>(std::find(header.begin(), header.end(), "line") - header.begin());
  if (line_at == header.size()) return BadInput(input_.labels_path + " has no column 'line' that names the alert");
  const size_t columns = header.size();
  while (reader.Next()) {
    if (reader.cells().size() < columns) {
      return BadInput(Where(input_.labels_path, reader.line()) + std::to_string(reader.cells().size()) + " cells under " +
                      std::to_string(columns) + " columns");
    }
    std::vector<uint16_t> labels;
    for (const size_t cell : label_cells_) {
      const auto value = LabelOf(reader.cells()[cell]);
      if (!value) return value.error();
      labels.push_back(*value);
    }
    const std::string_view cell = reader.cells()[line_at];
    size_t line = 0;
    const auto [end, failed] = std::from_chars(cell.data(), cell.data() + cell.size(), line);
    if (failed != std::errc{} || end != cell.data() + cell.size() || line == 0) {
      return BadInput(Where(input_.labels_path, reader.line()) + "'" + std::string(cell) + "' is no number of a line");
    }
    beside_[line] = std::move(labels);
  }
  if (!reader.error().empty()) return BadInput(Where(input_.labels_path, reader.line()) + reader.error());
  return {};
}

Status Reader::ReadLines(const std::string& text) {
  size_t number = 0;
  std::vector<bool> found(input_.columns.size());
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    LabelledRow row;
    row.alert = std::string(line);
    row.line = static_cast<uint32_t>(number);
    row.labels.resize(input_.columns.size());
    if (!input_.labels_path.empty()) {
      if (const auto at = beside_.find(number); at != beside_.end()) row.labels = at->second;
    } else if (auto json = Json::parse(line, nullptr, /*allow_exceptions=*/false); json.is_object()) {
      for (size_t i = 0; i < input_.columns.size(); ++i) {
        const auto at = json.find(input_.columns[i]);
        if (at == json.end()) continue;
        found[i] = true;
        const auto value = LabelOf(at->is_string() ? at->get<std::string>() : at->is_null() ? "" : at->dump());
        if (!value) return value.error();
        row.labels[i] = *value;
        json.erase(at);
      }
      row.alert = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    set_.rows.push_back(std::move(row));
  }
  if (!input_.labels_path.empty()) {
    if (beside_.empty() || beside_.rbegin()->first <= number) return {};
    return BadInput(input_.labels_path + " labels line " + std::to_string(beside_.rbegin()->first) + ", " + input_.path +
                    " has " + std::to_string(number));
  }
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] || set_.rows.empty()) continue;
    std::vector<std::string> keys;
    const auto first = Json::parse(set_.rows.front().alert, nullptr, /*allow_exceptions=*/false);
    if (!first.is_object()) return BadInput(Where(input_.path, 1) + "no JSON object; a table is read as .csv or .tsv");
    for (const auto& [key, value] : first.items()) keys.push_back(key);
    return BadInput(input_.path + ": no line has the key '" + input_.columns[i] + "'; the first" + ItHas(keys).substr(4));
  }
  return {};
}

Result<LabelledSet> Reader::Read() {
  set_.path = input_.path;
  const auto text = ReadText(input_.path);
  if (!text) return text.error();
  const auto delimiter = DelimiterOf(input_.path);
  if (delimiter && !input_.labels_path.empty()) return BadInput("--labels goes with NDJSON; a table has its own columns");
  if (!input_.labels_path.empty()) {
    if (Status read = ReadLabelsBeside(); !read) return read.error();
  }
  Status read = delimiter ? ReadTable(*text, *delimiter) : ReadLines(*text);
  if (!read) return read.error();
  if (set_.rows.empty()) return BadInput(input_.path + " has no alerts");
  return std::move(set_);
}

}  // namespace

Result<LabelledSet> ReadLabelled(const LabelledInput& input) { return Reader(input).Read(); }

}  // namespace triaged
