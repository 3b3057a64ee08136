// What is known beforehand about the alerts of one topic (`topics` in triaged.yaml).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/zone.h"
#include "pipeline/normalise/splitter.h"

namespace re2 {
class RE2;
}

namespace triaged {

struct TopicSettings {
  std::string topic;                         // a name, or a pattern that begins with ^
  std::shared_ptr<const re2::RE2> pattern;   // of a pattern
  std::string format;                        // empty: detected per record
  std::optional<Zone> zone;                  // of times that name none, before the table's own
  SplitSettings split;                       // none: what the table says
};

// The settings of `topic`: its own entry, else the first pattern that matches, else none.
class TopicTable {
 public:
  TopicTable() = default;
  explicit TopicTable(std::vector<TopicSettings> entries) : entries_(std::move(entries)) {}
  const TopicSettings& Of(std::string_view topic) const;
  const std::vector<TopicSettings>& entries() const { return entries_; }

 private:
  std::vector<TopicSettings> entries_;
  TopicSettings none_;
};

}  // namespace triaged
