#include "pipeline/normalise/topic_settings.h"

#include <re2/re2.h>

namespace triaged {

const TopicSettings& TopicTable::Of(std::string_view topic) const {
  for (const TopicSettings& entry : entries_) {
    if (entry.topic == topic) return entry;
  }
  for (const TopicSettings& entry : entries_) {
    if (entry.pattern && re2::RE2::PartialMatch(re2::StringPiece(topic.data(), topic.size()), *entry.pattern)) return entry;
  }
  return none_;
}

}  // namespace triaged
