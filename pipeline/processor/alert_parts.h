// AlertParts: the alerts of one consumed record, one after the other, through the topic's settings and the table's
// `split`. Used where a record enters: stage one, stage two under direct routing, and `triagectl normalize`.
//
// One thread; owned beside the normaliser it uses, whose alert is that of the part read last.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/model/records.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/normalise/topic_settings.h"

namespace triaged {

class AlertParts {
 public:
  // Cuts `record`. Returns how many alerts (or pieces of broken text) it has: at least 1.
  size_t Cut(std::string_view record, const TopicSettings& topic, Timestamp record_time, Normaliser* normaliser);

  // Takes `record` as one alert, whatever it holds. Returns 1.
  size_t Take(std::string_view record, const TopicSettings& topic, Timestamp record_time, Normaliser* normaliser);

  std::string_view bytes(size_t index) const { return parts_[index].bytes; }
  // Normalises part `index` of the record cut last.
  std::optional<NormaliseFailure> Read(size_t index);

  // `input` as the record that part `index` would have been by itself, for its dead letter: of a record that was cut with
  // a header that tells the part's number. Views; valid until the next call.
  InputRecord AsRecord(const InputRecord& input, size_t index);

 private:
  void Envelop();  // parts that have an envelope get a text of their own

  std::vector<RecordPart> parts_;
  std::vector<std::string> texts_;  // theirs
  std::string number_;
  const TopicSettings* topic_ = nullptr;
  Normaliser* normaliser_ = nullptr;
  Timestamp record_time_{};
  bool whole_read_ = false;  // the record is one part, and was read while it was cut
  std::optional<NormaliseFailure> whole_failure_;
};

}  // namespace triaged
