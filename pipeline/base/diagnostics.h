// Diagnostics: what is wrong with a file a person wrote, the way a good compiler says it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace triaged {

// Where something stands in a source file. line and column count from 1; 0 means unknown.
struct SourceLocation {
  std::string file;
  int line = 0;
  int column = 0;
};

enum class DiagnosticLevel { kError, kWarning };

struct Diagnostic {
  DiagnosticLevel level = DiagnosticLevel::kError;
  SourceLocation where;
  std::string message;  // what is wrong and what was expected
  std::string hint;     // "did you mean …", or what to do; may be empty
  std::string snippet;  // the source line; may be empty
};

// Collects every problem of a load so that all are reported at once. Not thread-safe.
class Diagnostics {
 public:
  void Error(SourceLocation where, std::string message, std::string snippet = {}, std::string hint = {});
  void Warning(SourceLocation where, std::string message, std::string snippet = {}, std::string hint = {});
  void Append(const Diagnostics& other);

  bool HasErrors() const { return error_count_ > 0; }
  const std::vector<Diagnostic>& items() const { return items_; }

  // One block per problem: "file:line:col: error: message", the source line, a caret, and the hint.
  std::string Render() const;

 private:
  std::vector<Diagnostic> items_;
  int error_count_ = 0;
};

// The candidate closest to `word` by edit distance, or empty when none is near (distance > 1 + length/4).
std::string_view DidYouMean(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace triaged
