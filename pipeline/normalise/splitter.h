// Splitter: cuts one record into the texts of its alerts, without parsing them: each part is parsed (and validated) as a
// record of its own afterwards, so a part is the producer's bytes and its id does not depend on its neighbours.
//
// Pure; the parts are views into the record. Nesting is tracked with a counter, not recursion.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace triaged {

// What a record may hold beside one alert. Everything is off by default: cutting a record that is one alert loses it.
struct SplitSettings {
  bool values = false;             // several JSON values, one after the other, with white space between them or none
  bool array = false;              // a JSON array of alerts
  std::vector<std::string> under;  // dotted paths of arrays of alerts inside an object: "Records", "detail.findings"
  // Dotted paths of values beside such an array that each of its alerts is told, as `triaged.envelope.PATH`.
  std::vector<std::string> envelope;

  bool on() const { return values || array || !under.empty(); }
};

// Reads one entry of a `split` list: `values`, `array`, or a path.
void AddSplit(std::string_view entry, SplitSettings* settings);

struct RecordPart {
  enum class Kind : unsigned char {
    kAlert,   // to be normalised
    kBroken,  // text from which no further value could be cut
    kRest,    // what is left after `max` parts
  };
  std::string_view bytes;
  Kind kind = Kind::kAlert;
  std::shared_ptr<const std::string> envelope = nullptr;  // the values around it, an object's members; nullptr: none
};

// More than this of an envelope is not told to its alerts, each of which it makes longer.
inline constexpr size_t kMostEnvelope = 4096;

// At most `max` parts and one for the rest; at least one. A record that holds none of what `settings` names is one part:
// itself. Of broken text the values before the break are parts, and everything from the break on is one more (kBroken).
std::vector<RecordPart> SplitRecord(std::string_view record, const SplitSettings& settings, size_t max);

// The text of a part that has an envelope: the part, with the envelope's values as its first member `triaged.envelope`.
// A part that is no object stays as it is.
std::string WithEnvelope(const RecordPart& part);

}  // namespace triaged
