// SourceNotes: diagnostics about one rule file, each with its place and the source line.
#pragma once

#include <string>
#include <utility>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/yaml.h"

namespace triaged::rules {

// Line and column, from 1.
struct Place {
  int line = 0;
  int column = 0;
};

inline Place PlaceOf(const YamlNode& node) { return {node.line(), node.column()}; }
inline Place PlaceOf(const YamlNode::Entry& entry) { return {entry.line, entry.column}; }

// Reports into `diagnostics`; both must outlive it. Not thread-safe.
class SourceNotes {
 public:
  SourceNotes(const SourceFile& file, Diagnostics* diagnostics) : file_(file), diagnostics_(diagnostics) {}

  void Error(Place place, std::string message, std::string hint = {}) {
    ++errors_;
    diagnostics_->Error(Where(place), std::move(message), SourceLine(file_, place.line), std::move(hint));
  }
  void Warning(Place place, std::string message, std::string hint = {}) {
    diagnostics_->Warning(Where(place), std::move(message), SourceLine(file_, place.line), std::move(hint));
  }

  SourceLocation Where(Place place) const { return {file_.name, place.line, place.column}; }
  // Errors reported through this object.
  int errors() const { return errors_; }
  const SourceFile& file() const { return file_; }
  Diagnostics* diagnostics() const { return diagnostics_; }

 private:
  const SourceFile& file_;
  Diagnostics* diagnostics_;
  int errors_ = 0;
};

// "did you mean 'x'?" or "" when nothing is near.
std::string Suggest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace triaged::rules
