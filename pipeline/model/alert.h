// Alert: one normalised detection, as views into the record's own bytes. Valid until its Normaliser is used again.
#pragma once

#include <cstdint>
#include <string_view>

#include "pipeline/base/time.h"
#include "pipeline/model/fields.h"

namespace triaged {

// triaged.severity: the label of an alert, least first.
enum class AlertSeverity : uint8_t { kUnknown, kInformational, kLow, kMedium, kHigh, kCritical };
std::string_view Name(AlertSeverity severity);

struct Alert {
  FieldTable fields;

  std::string_view format;      // the table's name: "elastic", "ecs", "generic"
  std::string_view read_by;     // the table that reads the record again: of a packed alert that of what carries it
  std::string_view id;          // event.id; never empty: without one, a hash of the bytes (16 hex digits)
  std::string_view source;      // observer.product, else the format: ids are unique within it
  Timestamp event_time;         // when it happened, as the source says
  bool event_time_is_record_time = false;  // the source gave none (or nonsense)
  int16_t score = -1;           // event.severity 0–100; -1: none was given
  AlertSeverity severity = AlertSeverity::kUnknown;
  bool is_alert = true;         // false: a record of a known format that is no detection
  bool is_update = false;       // the source says it is news about an id already sent
  bool drill = false;
};

}  // namespace triaged
