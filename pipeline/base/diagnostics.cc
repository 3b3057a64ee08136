#include "pipeline/base/diagnostics.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace triaged {
namespace {

// A longer word is no slip of the finger, and the distance costs length squared.
constexpr size_t kMaxSuggestedWord = 128;

// Edits (insert, delete, replace, swap two neighbours) that turn `a` into `b`.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

// "file:12:3: ", as far as it is known.
std::string Place(const SourceLocation& where) {
  std::string text = where.file;
  if (where.line > 0) {
    if (!text.empty()) text += ':';
    text += std::to_string(where.line);
    if (where.column > 0) text += ':' + std::to_string(where.column);
  }
  if (!text.empty()) text += ": ";
  return text;
}

// Blanks up to the caret: tabs stay tabs and a character of several bytes is one blank, so that the caret stands
// under the right place. Empty when the column is unknown or beyond the snippet.
std::string CaretLine(std::string_view snippet, int column) {
  if (column < 1 || static_cast<size_t>(column) > snippet.size() + 1) return {};
  std::string line;
  for (char c : snippet.substr(0, static_cast<size_t>(column - 1))) {
    if ((static_cast<uint8_t>(c) & 0xc0) != 0x80) line += c == '\t' ? '\t' : ' ';
  }
  return line + '^';
}

}  // namespace

void Diagnostics::Error(SourceLocation where, std::string message, std::string snippet, std::string hint) {
  items_.push_back(
      {DiagnosticLevel::kError, std::move(where), std::move(message), std::move(hint), std::move(snippet)});
  ++error_count_;
}

void Diagnostics::Warning(SourceLocation where, std::string message, std::string snippet, std::string hint) {
  items_.push_back(
      {DiagnosticLevel::kWarning, std::move(where), std::move(message), std::move(hint), std::move(snippet)});
}

void Diagnostics::Append(const Diagnostics& other) {
  // By index and size taken before: `other` may be this very object.
  const size_t count = other.items_.size();
  const int errors = other.error_count_;
  items_.reserve(items_.size() + count);
  for (size_t i = 0; i < count; ++i) items_.push_back(other.items_[i]);
  error_count_ += errors;
}

std::string Diagnostics::Render() const {
  std::string text;
  for (const Diagnostic& item : items_) {
    text += Place(item.where);
    text += item.level == DiagnosticLevel::kError ? "error: " : "warning: ";
    text += item.message + '\n';
    if (!item.snippet.empty()) {
      text += "  " + item.snippet + '\n';
      const std::string caret = CaretLine(item.snippet, item.where.column);
      if (!caret.empty()) text += "  " + caret + '\n';
    }
    if (!item.hint.empty()) text += "  hint: " + item.hint + '\n';
  }
  return text;
}

std::string_view DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (word.size() > kMaxSuggestedWord) return {};
  // As far away as it is long, a word has nothing of the other.
  const size_t limit = std::min(1 + word.size() / 4, word.empty() ? 0 : word.size() - 1);
  std::string_view best;
  size_t best_distance = limit + 1;
  for (std::string_view candidate : candidates) {
    const size_t longer = std::max(word.size(), candidate.size());
    const size_t shorter = std::min(word.size(), candidate.size());
    if (longer - shorter >= best_distance) continue;
    const size_t distance = EditDistance(word, candidate);
    if (distance >= best_distance) continue;  // the first of equals wins
    best = candidate;
    best_distance = distance;
  }
  return best;
}

}  // namespace triaged
