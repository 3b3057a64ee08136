#include "pipeline/report/template_text.h"

#include <array>
#include <kainjow/mustache.hpp>
#include <utility>
#include <vector>

#include "pipeline/base/utf8.h"
#include "pipeline/base/zone.h"

namespace triaged {
namespace {

namespace mustache = kainjow::mustache;
using Json = nlohmann::ordered_json;

// The code point at `at` of valid UTF-8, and its length.
std::pair<char32_t, size_t> CodePoint(std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  const size_t length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
  char32_t code = length == 1 ? byte : byte & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length && at + i < text.size(); ++i) {
    code = (code << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3F);
  }
  return {code, length};
}

bool TurnsOrBreaks(char32_t code) {
  return code == 0x2028 || code == 0x2029 || (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

// The blocks that UAX #11 names W or F, those that terminals and editors draw two columns wide.
constexpr std::array<std::pair<char32_t, char32_t>, 12> kWide = {{{0x1100, 0x115F},
                                                                  {0x2E80, 0x303E},
                                                                  {0x3041, 0x33FF},
                                                                  {0x3400, 0x4DBF},
                                                                  {0x4E00, 0x9FFF},
                                                                  {0xA000, 0xA4CF},
                                                                  {0xAC00, 0xD7A3},
                                                                  {0xF900, 0xFAFF},
                                                                  {0xFE30, 0xFE6F},
                                                                  {0xFF00, 0xFF60},
                                                                  {0xFFE0, 0xFFE6},
                                                                  {0x1F300, 0x3FFFD}}};

mustache::data DataOf(const Json& json) {
  if (json.is_boolean()) return mustache::data(json.get<bool>());
  if (json.is_string()) return mustache::data(json.get<std::string>());
  if (json.is_array()) {
    mustache::data list(mustache::data::type::list);
    for (const Json& item : json) list.push_back(DataOf(item));
    return list;
  }
  if (json.is_object()) {
    mustache::data object(mustache::data::type::object);
    for (const auto& [key, value] : json.items()) {
      if (!value.is_null()) object.set(key, DataOf(value));
    }
    return object;
  }
  return mustache::data(json.is_null() ? std::string() : json.dump());
}

std::string_view HtmlEntity(char ch) {
  switch (ch) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return {};
  }
}

// The rows of a Markdown table with columns as wide as their widest cell is shown.
std::string AlignedTable(const std::vector<std::string>& lines) {
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> widths;
  for (const std::string& line : lines) {
    if (line.starts_with("|---")) continue;
    std::vector<std::string> cells;
    for (size_t at = 1; at < line.size();) {
      const size_t end = std::min(line.find(" |", at), line.size());
      cells.push_back(line.substr(std::min(at + 1, end), end - std::min(at + 1, end)));
      at = end + 2;
      if (widths.size() < cells.size()) widths.push_back(0);
      widths[cells.size() - 1] = std::max(widths[cells.size() - 1], DisplayWidth(cells.back()));
    }
    rows.push_back(std::move(cells));
  }
  std::string out;
  for (const auto& cells : rows) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      line += cells[i];
      if (i + 1 < cells.size()) line += std::string(widths[i] - DisplayWidth(cells[i]) + 2, ' ');
    }
    out += line + "\n";
  }
  return out;
}

}  // namespace

std::string EscapeFor(TextStyle style, std::string_view raw) {
  const std::string text = SanitiseUtf8(raw);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto [code, length] = CodePoint(text, at);
    const char ch = text[at];
    if (code < 0x20 || code == 0x7F || TurnsOrBreaks(code)) {
      out += ' ';
    } else if (style == TextStyle::kHtml && !HtmlEntity(ch).empty()) {
      out += HtmlEntity(ch);
    } else {
      const bool scheme = ch == ':' && text.compare(at, 3, "://") == 0;
      const bool marks = length == 1 && std::string_view("\\`*_[]<>#|~&@!").find(ch) != std::string_view::npos;
      if (style == TextStyle::kMarkdown && (scheme || marks)) out += '\\';
      out.append(text, at, length);
    }
    at += length;
  }
  return out;
}

std::optional<std::string> TemplateError(const std::string& text) {
  const mustache::mustache tmpl(text);
  if (tmpl.is_valid()) return std::nullopt;
  return tmpl.error_message();
}

std::string RenderMustache(const std::string& text, const Json& view,
                           const std::function<std::string(const std::string&)>& escape) {
  mustache::mustache tmpl(text);
  tmpl.set_custom_escape(escape);
  return tmpl.render(DataOf(view));
}

Result<std::string> RenderTemplateText(const std::string& name, const std::string& text, const Json& view,
                                       TextStyle style) {
  if (const auto wrong = TemplateError(text)) {
    return BadInput(name + ": the mustache template is not well-formed: " + *wrong);
  }
  // A section that shows nothing leaves its line: no more than one empty line in a row.
  std::string out;
  for (const char ch : RenderMustache(text, view, [style](const std::string& value) { return EscapeFor(style, value); })) {
    if (ch != '\n' || !out.ends_with("\n\n")) out += ch;
  }
  return out;
}

size_t DisplayWidth(std::string_view raw) {
  const std::string text = SanitiseUtf8(raw);
  size_t width = 0;
  for (size_t at = 0; at < text.size();) {
    const auto [code, length] = CodePoint(text, at);
    at += length;
    if ((code >= 0x0300 && code <= 0x036F) || code == 0x3099 || code == 0x309A || (code >= 0xFE00 && code <= 0xFE0F)) {
      continue;
    }
    bool wide = false;
    for (const auto& [first, last] : kWide) wide = wide || (code >= first && code <= last);
    width += wide ? 2 : 1;
  }
  return width;
}

std::string PlainFromMarkdown(const std::string& text) {
  std::string out;
  std::vector<std::string> table;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("|")) {
      table.push_back(line);
      continue;
    }
    out += AlignedTable(table);
    table.clear();
    const size_t hashes = std::min(line.find_first_not_of('#'), line.size());
    const bool heading = hashes > 0 && hashes < line.size() && line[hashes] == ' ';
    if (heading) line.erase(0, hashes + 1);
    if (line.starts_with("**")) {
      line.erase(0, 2);
      if (const size_t close = line.find("**"); close != std::string::npos) line.erase(close, 2);
    }
    out += line + "\n";
    if (heading) out += std::string(DisplayWidth(line), hashes <= 2 ? '=' : '-') + "\n";
  }
  return out + AlignedTable(table);
}

std::string ShownTime(Timestamp t, const std::string& zone_name, Language language) {
  auto zone = Zone::Find(zone_name);
  if (!zone) zone = Zone::Find("UTC");
  const std::string text = zone->Format(t);  // 2026-11-21 05:08:00 CET
  const std::string clock = text.substr(11, 5);
  if (language == Language::kEnglish) return text.substr(0, 10) + " " + clock + text.substr(19);
  const auto day = zone->DayOf(t);
  const std::chrono::year_month_day date(day);
  constexpr std::string_view kDays[] = {"日", "月", "火", "水", "木", "金", "土"};
  return std::to_string(static_cast<int>(date.year())) + "年" +
         std::to_string(static_cast<unsigned>(date.month())) + "月" +
         std::to_string(static_cast<unsigned>(date.day())) + "日(" +
         std::string(kDays[std::chrono::weekday(day).c_encoding()]) + ") " + clock;
}

std::string ShownSpan(Duration span, Language language) {
  const bool ja = language == Language::kJapanese;
  const int64_t minutes = std::max<int64_t>(0, span.count() / 60'000);
  const std::array<std::pair<int64_t, std::string_view>, 3> parts = {
      {{minutes / 1440, ja ? "日" : "d"}, {minutes / 60 % 24, ja ? "時間" : "h"}, {minutes % 60, ja ? "分" : "m"}}};
  std::string out;
  for (const auto& [count, unit] : parts) {
    if (count == 0) continue;
    if (!out.empty() && !ja) out += ' ';
    out += std::to_string(count) + std::string(unit);
  }
  return out.empty() ? (ja ? "0分" : "0m") : out;
}

}  // namespace triaged
