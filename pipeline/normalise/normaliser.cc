#include "pipeline/normalise/normaliser.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "pipeline/base/hash.h"
#include "pipeline/normalise/address.h"
#include "pipeline/normalise/extraction.h"
#include "pipeline/normalise/format_table.h"
#include "pipeline/normalise/time_shapes.h"

namespace triaged {
namespace {

constexpr Duration kFuture = std::chrono::hours(24);          // later than the record by more: noted
constexpr Duration kAncient = std::chrono::hours(24 * 3650);  // earlier by more: noted
constexpr size_t kMaxIdBytes = 512;

// Scores per label and back (Elastic Security, "Create a detection rule": 21, 47, 73 and 99 are the labels' scores).
AlertSeverity LabelOf(int score) {
  if (score < 0) return AlertSeverity::kUnknown;
  if (score == 0) return AlertSeverity::kInformational;
  if (score <= 21) return score == 1 ? AlertSeverity::kInformational : AlertSeverity::kLow;
  if (score <= 47) return AlertSeverity::kMedium;
  return score <= 73 ? AlertSeverity::kHigh : AlertSeverity::kCritical;
}

// An address field's value that is none, and where it belongs.
struct AddressFields {
  FieldId ip, address, port;
};
constexpr AddressFields kAddressFields[] = {
    {field::kSourceIp, field::kSourceAddress, field::kSourcePort},
    {field::kDestinationIp, field::kDestinationAddress, field::kDestinationPort},
    {field::kHostIp, kNoField, kNoField},
};

std::optional<double> NumberOf(const Value& value) {
  switch (value.kind) {
    case ValueKind::kInteger: return static_cast<double>(value.integer);
    case ValueKind::kUnsigned: return static_cast<double>(value.unsigned_integer);
    case ValueKind::kDouble: return value.real;
    case ValueKind::kString: break;
    default: return std::nullopt;
  }
  std::string_view text = value.text;
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string LowerTrimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  std::string lower(text);
  for (char& ch : lower) {
    if (ch >= 'A' && ch <= 'Z') ch = static_cast<char>(ch - 'A' + 'a');
  }
  return lower;
}

std::optional<int> ScoreFrom(const SeveritySource& source, const Value& value) {
  if (!source.words.empty()) {
    const auto word = source.words.find(LowerTrimmed(value.text));
    if (word != source.words.end()) return word->second;
  }
  const auto number = NumberOf(value);
  if (!number || *number < 0) return std::nullopt;
  if (source.bands.empty()) {
    return *number <= 100 ? std::optional<int>(static_cast<int>(*number + 0.5)) : std::nullopt;
  }
  std::optional<int> score;
  for (const auto& band : source.bands) {
    if (*number >= band.min) score = band.score;
  }
  return score;
}

}  // namespace

struct Normaliser::Impl {
  Impl(std::shared_ptr<const CompiledTables> t, NormaliseLimits limits)
      : tables(std::move(t)), extraction(tables->trie, limits) {}

  bool Holds(const FieldTest& test) const;
  bool AnyHolds(const std::vector<std::vector<FieldTest>>& alternatives) const;
  const FormatTable& Detect(std::string_view format) const;
  const Value* FirstOf(const std::vector<PathTrie::Node>& nodes) const;

  void MapFields(const FormatTable& table);
  void MapText(const FieldMapping& mapping);
  void MapList(const FieldMapping& mapping);
  void MapAddress(const FieldMapping& mapping);
  void MapTime(const FormatTable& table, Timestamp record_time);
  void MapId(const FormatTable& table, std::string_view record);
  void MapSeverity(const FormatTable& table);
  void MapRaw();
  void MapComputed(const FormatTable& table);
  void Add(FieldId id, std::string_view text, std::string_view path) { alert.fields.Add(id, Value(text, path)); }
  void AddBool(FieldId id, bool flag);

  std::shared_ptr<const CompiledTables> tables;
  Extraction extraction;
  Alert alert;
  std::vector<std::string_view> notes;
  // Of addresses: names and ports found in address fields, added when their own fields stayed empty.
  std::vector<std::pair<FieldId, Value>> pending;
};

bool Normaliser::Impl::Holds(const FieldTest& test) const {
  if (!extraction.Present(test.node)) return false;
  const auto is_one_of = [](const Value& value, const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), value.text) != list.end();
  };
  bool equal = test.equals.empty();
  for (const Value* value = extraction.First(test.node); value; value = extraction.Next(value)) {
    if (is_one_of(*value, test.except)) return false;
    equal = equal || is_one_of(*value, test.equals);
  }
  return equal;
}

bool Normaliser::Impl::AnyHolds(const std::vector<std::vector<FieldTest>>& alternatives) const {
  return std::any_of(alternatives.begin(), alternatives.end(), [&](const std::vector<FieldTest>& tests) {
    return std::all_of(tests.begin(), tests.end(), [&](const FieldTest& test) { return Holds(test); });
  });
}

const FormatTable& Normaliser::Impl::Detect(std::string_view format) const {
  if (!format.empty()) {
    if (const FormatTable* named = tables->Find(format)) return *named;
  }
  for (const FormatTable& table : tables->tables) {
    if (table.fallback || AnyHolds(table.markers)) return table;
  }
  return tables->tables.back();
}

const Value* Normaliser::Impl::FirstOf(const std::vector<PathTrie::Node>& nodes) const {
  for (PathTrie::Node node : nodes) {
    if (const Value* value = extraction.First(node)) return value;
  }
  return nullptr;
}

void Normaliser::Impl::MapText(const FieldMapping& mapping) {
  // Of several values (an array, or a duplicate key) a single-valued field takes the first.
  if (const Value* value = FirstOf(mapping.from)) alert.fields.Add(mapping.id, *value);
}

void Normaliser::Impl::MapList(const FieldMapping& mapping) {
  const Value* value = FirstOf(mapping.from);
  for (; value; value = extraction.Next(value)) {
    const auto seen = alert.fields.Get(mapping.id);
    const bool repeated = std::any_of(seen.begin(), seen.end(), [&](const Value& v) { return v.text == value->text; });
    if (!repeated) alert.fields.Add(mapping.id, *value);
  }
}

void Normaliser::Impl::MapAddress(const FieldMapping& mapping) {
  const auto fields = std::find_if(std::begin(kAddressFields), std::end(kAddressFields),
                                   [&](const AddressFields& f) { return f.ip == mapping.id; });
  for (PathTrie::Node node : mapping.from) {
    bool found = false;
    for (const Value* value = extraction.First(node); value; value = extraction.Next(value)) {
      const auto address = ParseAddress(value->text);
      if (!address) {
        if (fields->address != kNoField) pending.emplace_back(fields->address, *value);
        notes.push_back("not_an_address");
        continue;
      }
      found = true;
      Value ip = *value;
      ip.text = address->ip;
      alert.fields.Add(mapping.id, ip);
      if (!address->port.empty() && fields->port != kNoField) {
        pending.emplace_back(fields->port, Value(address->port, value->path));
      }
    }
    if (found) return;
  }
}

void Normaliser::Impl::MapFields(const FormatTable& table) {
  pending.clear();
  for (const FieldMapping& mapping : table.fields) {
    switch (mapping.shape) {
      case FieldShape::kText: MapText(mapping); break;
      case FieldShape::kList: MapList(mapping); break;
      case FieldShape::kAddress: MapAddress(mapping); break;
    }
  }
  for (const auto& [id, value] : pending) {
    if (!alert.fields.Has(id)) alert.fields.Add(id, value);
  }
  for (const auto& [id, text] : table.constants) {
    if (!alert.fields.Has(id)) Add(id, text, {});
  }
}

void Normaliser::Impl::MapTime(const FormatTable& table, Timestamp record_time) {
  std::string_view path;
  std::optional<ParsedTime> time;
  bool bad = false;
  for (PathTrie::Node node : table.time) {
    const Value* value = extraction.First(node);
    if (!value) continue;
    time = ParseTimeShape(*value);
    path = value->path;
    if (time) break;
    bad = true;
  }
  alert.event_time_is_record_time = !time;
  alert.event_time = time ? time->at : record_time;
  if (!time) notes.push_back(bad ? "bad_event_time" : "no_event_time");
  if (time && time->zone_assumed) notes.push_back("event_time_zone_assumed_utc");
  if (alert.event_time > record_time + kFuture && record_time != Timestamp{}) notes.push_back("event_time_in_future");
  if (alert.event_time < record_time - kAncient) notes.push_back("event_time_long_past");
  Add(field::kTimestamp, extraction.Keep(FormatTimestamp(alert.event_time)), time ? path : std::string_view());
}

void Normaliser::Impl::MapId(const FormatTable& table, std::string_view record) {
  std::string_view path;
  for (const auto& parts : table.id) {
    std::string composed;
    bool complete = !parts.empty();
    for (PathTrie::Node node : parts) {
      const Value* value = extraction.First(node);
      complete = complete && value;
      if (!value) break;
      path = value->path;
      if (parts.size() == 1) {
        alert.id = value->text;
        break;
      }
      if (!composed.empty()) composed += ':';
      composed += value->text;
    }
    if (!complete) {
      alert.id = {};
      continue;
    }
    if (parts.size() > 1) alert.id = extraction.Keep(composed);
    break;
  }
  if (alert.id.empty()) {
    // Without an id of the source's own, equal bytes are the same alert: that is what a redelivery looks like.
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(StableHash64(record)));
    alert.id = extraction.Keep({digits, 16});
    path = {};
    notes.push_back("no_id");
  }
  alert.id = alert.id.substr(0, kMaxIdBytes);
  Add(field::kEventId, alert.id, path);
}

void Normaliser::Impl::MapSeverity(const FormatTable& table) {
  alert.score = -1;
  std::string_view path;
  bool illegal = false;
  for (const SeveritySource& source : table.severity) {
    const Value* value = extraction.First(source.node);
    if (!value) continue;
    const auto score = ScoreFrom(source, *value);
    if (!score) {
      illegal = true;
    } else if (alert.score < 0) {
      alert.score = static_cast<int16_t>(*score);
      path = value->path;
    } else if (LabelOf(*score) != LabelOf(alert.score)) {
      notes.push_back("severity_conflict");  // the table's order decides
    }
  }
  alert.severity = LabelOf(alert.score);
  if (illegal) notes.push_back("illegal_severity");
  if (alert.score < 0) {
    notes.push_back("no_severity");
    return;
  }
  char digits[8];
  const auto end = std::to_chars(digits, digits + sizeof digits, alert.score);
  Value value(extraction.Keep({digits, static_cast<size_t>(end.ptr - digits)}), path);
  value.kind = ValueKind::kInteger;
  value.integer = alert.score;
  alert.fields.Add(field::kEventSeverity, value);
}

void Normaliser::Impl::MapRaw() {
  for (const auto& raw : tables->raw) {
    for (const Value* value = extraction.First(raw.node); value; value = extraction.Next(value)) {
      alert.fields.Add(raw.id, *value);
    }
  }
}

void Normaliser::Impl::AddBool(FieldId id, bool flag) {
  Value value(flag ? "true" : "false");
  value.kind = ValueKind::kBool;
  value.boolean = flag;
  alert.fields.Add(id, value);
}

void Normaliser::Impl::MapComputed(const FormatTable& table) {
  alert.format = table.name;
  alert.is_alert = !AnyHolds(table.not_alert);
  alert.drill = AnyHolds(table.drill);
  alert.is_update = AnyHolds(table.update);
  const std::string_view product = alert.fields.First(field::kObserverProduct);
  alert.source = product.empty() ? alert.format : product;
  Add(field::kTriagedFormat, alert.format, {});
  Add(field::kTriagedSeverity, Name(alert.severity), {});
  AddBool(field::kTriagedIsAlert, alert.is_alert);
  if (alert.drill) AddBool(field::kTriagedDrill, true);
  if (const Value* state = FirstOf(table.state)) Add(field::kTriagedState, state->text, state->path);
  for (size_t i = 0; i < notes.size(); ++i) {
    if (std::find(notes.begin(), notes.begin() + static_cast<std::ptrdiff_t>(i), notes[i]) ==
        notes.begin() + static_cast<std::ptrdiff_t>(i)) {
      Add(field::kTriagedNotes, notes[i], {});
    }
  }
}

Normaliser::Normaliser(std::shared_ptr<const FormatTables> tables, NormaliseLimits limits)
    : impl_(std::make_unique<Impl>(std::static_pointer_cast<const CompiledTables>(std::move(tables)), limits)) {}
Normaliser::~Normaliser() = default;
Normaliser::Normaliser(Normaliser&&) noexcept = default;
Normaliser& Normaliser::operator=(Normaliser&&) noexcept = default;

std::optional<NormaliseFailure> Normaliser::Normalise(std::string_view record, std::string_view format,
                                                      Timestamp record_time) {
  Impl& impl = *impl_;
  if (auto failure = impl.extraction.Read(record)) return failure;
  impl.notes.clear();
  impl.alert.id = {};
  impl.alert.fields.Reset(impl.tables->catalog->size());
  const FormatTable& table = impl.Detect(format);
  impl.MapTime(table, record_time);
  impl.MapId(table, record);
  impl.MapSeverity(table);
  impl.MapFields(table);
  impl.MapComputed(table);
  impl.MapRaw();
  return std::nullopt;
}

const Alert& Normaliser::alert() const { return impl_->alert; }

std::string_view Name(NormaliseError error) {
  switch (error) {
    case NormaliseError::kEmpty: return "empty_value";
    case NormaliseError::kTooLarge: return "too_large";
    case NormaliseError::kInvalidUtf8: return "invalid_utf8";
    case NormaliseError::kInvalidJson: return "invalid_json";
    case NormaliseError::kNotAnObject: return "not_an_object";
    case NormaliseError::kTooDeep: return "too_deep";
  }
  return "";
}

}  // namespace triaged
