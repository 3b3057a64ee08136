// TemplateText: mustache templates over a JSON view, and what texts in two languages need: dates, spans, column widths.
//
// Values are never trusted: each is put on one line and escaped for where it stands; a template can take a value
// unescaped only with three braces. Pure and deterministic; thread-safe.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"

namespace triaged {

enum class TextStyle { kMarkdown, kPlain, kHtml };
enum class Language { kEnglish, kJapanese };

// One line, without control characters and marks that turn the direction of text, escaped for `style`.
std::string EscapeFor(TextStyle style, std::string_view text);

// What is wrong with a mustache template; nullopt when it is well-formed.
std::optional<std::string> TemplateError(const std::string& text);
// Renders a well-formed template; every value that does not stand in three braces goes through `escape`.
std::string RenderMustache(const std::string& text, const nlohmann::ordered_json& view,
                           const std::function<std::string(const std::string&)>& escape);

// For documents: in `style`, and without runs of empty lines. `name` is for the error of a template that is not well-formed.
Result<std::string> RenderTemplateText(const std::string& name, const std::string& text,
                                       const nlohmann::ordered_json& view, TextStyle style);

// Columns of a fixed-width font: wide and full-width characters take two (Unicode, UAX #11), combining ones none.
size_t DisplayWidth(std::string_view text);

// A template's Markdown headings and bold marks as plain text: headings are underlined as wide as they are shown,
// and tables aligned.
std::string PlainFromMarkdown(const std::string& text);

// "2026-11-21 11:08 JST", "2026年11月21日(土) 11:08". An unknown zone is UTC.
std::string ShownTime(Timestamp t, const std::string& zone, Language language);
// "1d 2h 3m", "1日2時間3分"; below a minute "0m". Seconds are cut.
std::string ShownSpan(Duration span, Language language);

}  // namespace triaged
