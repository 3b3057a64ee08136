#include "pipeline/processor/alert_parts.h"

#include "pipeline/report/report.h"

namespace triaged {
namespace {

bool IsBrokenText(const std::optional<NormaliseFailure>& failure) {
  return failure && (failure->reason == NormaliseError::kInvalidJson || failure->reason == NormaliseError::kInvalidUtf8);
}

}  // namespace

size_t AlertParts::Take(std::string_view record, const TopicSettings& topic, Timestamp record_time,
                        Normaliser* normaliser) {
  topic_ = &topic;
  normaliser_ = normaliser;
  record_time_ = record_time;
  parts_.assign(1, {record, RecordPart::Kind::kAlert});
  whole_read_ = false;
  return 1;
}

size_t AlertParts::Cut(std::string_view record, const TopicSettings& topic, Timestamp record_time,
                       Normaliser* normaliser) {
  Take(record, topic, record_time, normaliser);
  const bool too_large = record.size() > normaliser->limits().max_bytes;
  if (topic.split.on() && !too_large) {
    parts_ = SplitRecord(record, topic.split, normaliser->limits().max_alerts);
    if (parts_.size() > 1 || parts_.front().bytes != record) {
      Envelop();
      return parts_.size();
    }
  }
  parts_.assign(1, {record, RecordPart::Kind::kAlert});
  whole_failure_ = Read(0);
  whole_read_ = true;
  if (whole_failure_ || topic.split.on()) return 1;
  const SplitSettings* split = normaliser->split();
  if (!split) return 1;
  std::vector<RecordPart> parts = SplitRecord(record, *split, normaliser->limits().max_alerts);
  if (parts.size() == 1 && parts.front().bytes == record) return 1;
  parts_ = std::move(parts);
  Envelop();
  whole_read_ = false;
  return parts_.size();
}

void AlertParts::Envelop() {
  texts_.clear();
  texts_.reserve(parts_.size());  // views into them must stay
  for (RecordPart& part : parts_) {
    if (part.envelope) part.bytes = texts_.emplace_back(WithEnvelope(part));
  }
}

std::optional<NormaliseFailure> AlertParts::Read(size_t index) {
  if (whole_read_) return whole_failure_;
  const RecordPart& part = parts_[index];
  if (part.kind == RecordPart::Kind::kRest) {
    return NormaliseFailure{NormaliseError::kTooManyAlerts,
                            "the record holds more than " + std::to_string(index) + " alerts; this is what came after them"};
  }
  auto failure = normaliser_->Normalise(part.bytes, topic_->format, record_time_, topic_->zone ? &*topic_->zone : nullptr);
  if (part.kind == RecordPart::Kind::kBroken && !IsBrokenText(failure)) {
    return NormaliseFailure{NormaliseError::kInvalidJson, "the text breaks off here; the alerts before it were taken"};
  }
  return failure;
}

InputRecord AlertParts::AsRecord(const InputRecord& input, size_t index) {
  InputRecord record = input;
  if (parts_.size() == 1) return record;
  record.value = parts_[index].bytes;
  number_ = std::to_string(index);
  record.headers.emplace_back(kPartHeader, number_);
  return record;
}

}  // namespace triaged
