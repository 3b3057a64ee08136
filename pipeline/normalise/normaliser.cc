#include "pipeline/normalise/normaliser.h"

#include <algorithm>

#include "pipeline/base/hash.h"
#include "pipeline/base/timestamp_text.h"
#include "pipeline/base/utf8.h"
#include "pipeline/normalise/key_value.h"
#include "pipeline/normalise/normaliser_impl.h"
#include "pipeline/normalise/time_shapes.h"

namespace triaged {
namespace {

// No alert is older or from later: who has no time writes the beginning of an era, or a number of another kind.
constexpr Timestamp kEarliest = std::chrono::sys_days(std::chrono::year(1980) / 1 / 1);
constexpr Timestamp kLatest = std::chrono::sys_days(std::chrono::year(2200) / 1 / 1);
constexpr Duration kFuture = std::chrono::hours(24);          // later than the record by more: noted
constexpr Duration kAncient = std::chrono::hours(24 * 3650);  // earlier by more: noted
constexpr size_t kMaxIdBytes = 512;
constexpr size_t kHashDigits = 16;

// Whether the text begins with the mark, or a syslog header stands before it. What holds a document, a pair or a path is
// none: there the mark may be the words of somebody whom the alert is about.
bool BeginsWith(std::string_view text, std::string_view mark) {
  const size_t at = text.find(mark);
  if (at == 0 || at == std::string_view::npos) return at == 0;
  const std::string_view header = text.substr(0, at);
  return (header.back() == ' ' || header.back() == '>') && header.find_first_of("{}\"=/") == std::string_view::npos;
}

}  // namespace

void Normaliser::Impl::ReadEmbedded(const Embedded& embedded) {
  for (size_t i = 0; i < embedded.from.size(); ++i) {
    const Hit* value = First(embedded.from[i]);
    if (!value || value->kind != ValueKind::kString) continue;
    const std::string_view text = value->text;
    struct Place {
      Extraction& extraction;
      PathTrie::Node node;
    } place{extraction, embedded.into[i]};
    // One pointer is all it holds: a std::function of more would allocate.
    const KeyValueSink sink = [&place](std::string_view key, std::string_view pair, bool escaped) {
      place.extraction.AddText(place.node, key, escaped ? place.extraction.Keep(Unescape(pair)) : pair);
    };
    if (embedded.shape == EmbeddedShape::kJson && extraction.ReadEmbedded(text, embedded.into[i])) return;
    if (embedded.shape == EmbeddedShape::kCef && ParseCef(text, sink)) return;
    if (embedded.shape == EmbeddedShape::kLeef && ParseLeef(text, sink)) return;
  }
}

bool Normaliser::Impl::Holds(const FieldTest& test) {
  if (!Present(test.node)) return test.absent;
  if (test.absent) return false;
  if (test.presence()) return true;
  const auto is_one_of = [](const Hit& value, const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), value.text) != list.end();
  };
  bool equal = test.equals.empty();
  bool contained = test.contains.empty();
  bool begun = test.begins.empty();
  for (const Hit* value = First(test.node); value; value = extraction.Next(value)) {
    if (is_one_of(*value, test.except)) return false;
    equal = equal || is_one_of(*value, test.equals);
    contained = contained || std::any_of(test.contains.begin(), test.contains.end(), [&](const std::string& part) {
      return value->text.find(part) != std::string_view::npos;
    });
    begun = begun || std::any_of(test.begins.begin(), test.begins.end(), [&](const std::string& mark) {
      return BeginsWith(value->text, mark);
    });
  }
  return equal && contained && begun;
}

bool Normaliser::Impl::AllHold(const std::vector<FieldTest>& tests) {
  for (const FieldTest& test : tests) {
    if (!Holds(test)) return false;
  }
  return true;
}

bool Normaliser::Impl::AnyHolds(const std::vector<std::vector<FieldTest>>& alternatives) {
  for (const auto& tests : alternatives) {
    // Most fail by what is not there.
    if (!tests.empty() && Present(tests.front().node) == tests.front().absent) continue;
    if (AllHold(tests)) return true;
  }
  return false;
}

const FormatTable& Normaliser::Impl::Detect(std::string_view format) {
  if (!format.empty()) {
    if (const FormatTable* named = tables->Find(format)) return *named;
  }
  size_t best = tables->tables.size() - 1;  // the fallback
  for (PathTrie::Node node : extraction.touched()) {
    if (!tables->marked[node]) continue;
    for (const auto& ref : tables->markers[node]) {
      if (ref.table < best && AllHold(tables->tables[ref.table].markers[ref.alternative])) best = ref.table;
    }
  }
  return tables->tables[best];
}

const FormatTable& Normaliser::Impl::Choose(std::string_view record, std::string_view format) {
  const FormatTable* chosen = &Detect(format);
  alert.read_by = chosen->name;
  if (!chosen->packed.empty()) chosen = &Unpack(*chosen, record);
  for (const Embedded& embedded : chosen->embedded) ReadEmbedded(embedded);
  for (const FormatTable& variant : chosen->variants) {
    if (AnyHolds(variant.when)) return variant;
  }
  return *chosen;
}

const Normaliser::Impl::Hit* Normaliser::Impl::FirstOf(const std::vector<PathTrie::Node>& nodes) {
  for (PathTrie::Node node : nodes) {
    if (const Hit* value = First(node)) return value;
  }
  return nullptr;
}

void Normaliser::Impl::MapTime(const TimeContext& context) {
  const Timestamp record_time = context.record_time;
  std::string_view path;
  std::optional<ParsedTime> time;
  std::string_view bad;  // where the first one stands that is no time
  for (size_t i = first_present[table->SlotOf(FormatTable::kTimes)]; i < table->time.size(); ++i) {
    const Hit* value = First(table->time[i]);
    if (!value) continue;
    time = ParseTimeShape(extraction.ValueOf(*value), context);
    path = extraction.Path(*value);
    if (time && (time->year_assumed || (time->at >= kEarliest && time->at < kLatest))) break;
    time.reset();
    if (bad.empty()) bad = path;
  }
  alert.event_time_is_record_time = !time;
  alert.event_time = time ? time->at : record_time;
  if (!time) Note(bad.empty() ? "no_event_time" : "bad_event_time", bad);
  if (time && time->zone_assumed) Note("event_time_zone_assumed_utc", path);
  if (time && time->year_assumed) Note("event_time_year_assumed", path);
  if (alert.event_time > record_time + kFuture && record_time != Timestamp{}) Note("event_time_in_future", path);
  if (alert.event_time < record_time - kAncient) Note("event_time_long_past", path);
  char* const text = extraction.Room(kTimestampSize);
  PutTimestamp(alert.event_time, text);
  Add(field::kTimestamp, {text, kTimestampSize}, time ? path : std::string_view());
}

// The id of several parts, joined by colons; empty when one is missing. `path` becomes that of the last.
std::string_view Normaliser::Impl::ComposedId(const std::vector<PathTrie::Node>& parts, std::string_view* path) {
  size_t size = 0;
  for (PathTrie::Node node : parts) {
    const Hit* value = First(node);
    if (!value) return {};
    size += value->text.size() + 1;
    *path = extraction.Path(*value);
  }
  const size_t total = size - 1;  // no colon behind the last
  composed.resize(total <= kMaxIdBytes ? 0 : total);
  char* const begin = total <= kMaxIdBytes ? extraction.Room(total) : composed.data();
  char* at = begin;
  for (PathTrie::Node node : parts) {
    if (at != begin) *at++ = ':';
    const std::string_view text = First(node)->text;
    at = std::copy(text.begin(), text.end(), at);
  }
  return {begin, total};
}

void Normaliser::Impl::MapId(std::string_view record) {
  several = false;
  std::string_view path;
  for (size_t i = first_present[table->SlotOf(FormatTable::kIds)]; i < table->id.size(); ++i) {
    const auto& parts = table->id[i];
    if (parts.size() > 1) {
      alert.id = ComposedId(parts, &path);
    } else if (const Hit* value = First(parts.front())) {
      alert.id = value->text;
      path = extraction.Path(*value);
    }
    if (alert.id.empty()) continue;
    // An envelope of several alerts that nobody said to split: the first is read.
    several = table->enveloped && extraction.Next(First(parts.back()));
    if (several) Note("further_alerts", path);
    break;
  }
  if (alert.id.empty()) {
    // Without an id of the source's own, equal bytes are the same alert: that is what a redelivery looks like.
    alert.id = HashDigits(record);
    path = {};
    Note("no_id");
  } else if (alert.id.size() > kMaxIdBytes) {
    // Two long ids may differ in their last byte only; the hash tells them apart.
    std::string shortened(CutAtCodePoint(alert.id, kMaxIdBytes - kHashDigits - 1));
    alert.id = extraction.Keep(shortened.append("#").append(HashDigits(alert.id)));
    Note("long_id", path);
  }
  Add(field::kEventId, alert.id, path);
}

std::string_view Normaliser::Impl::HashDigits(std::string_view text) {
  char* const digits = extraction.Room(kHashDigits);
  uint64_t hash = StableHash64(text);
  for (size_t i = kHashDigits; i-- > 0; hash >>= 4) digits[i] = "0123456789abcdef"[hash & 15];
  return {digits, kHashDigits};
}

void Normaliser::Impl::MapRaw() {
  for (const auto& raw : tables->raw) {
    for (const Hit* value = First(raw.node); value; value = extraction.Next(value)) Add(raw.id, *value);
  }
}

void Normaliser::Impl::AddBool(FieldId id, bool flag) {
  Value& value = alert.fields.Add(id, flag ? "true" : "false", {});
  value.kind = ValueKind::kBool;
  value.boolean = flag;
}

void Normaliser::Impl::MapComputed() {
  alert.format = table->name;
  alert.is_alert = several || !AnyHolds(table->not_alert);  // what one of several says is not said of the others
  alert.drill = AnyHolds(table->drill);
  alert.is_update = AnyHolds(table->update);
  const std::string_view product = alert.fields.First(field::kObserverProduct);
  alert.source = product.empty() ? alert.format : product;
  Add(field::kTriagedFormat, alert.format, {});
  Add(field::kTriagedSeverity, Name(alert.severity), {});
  AddBool(field::kTriagedIsAlert, alert.is_alert);
  if (alert.drill) AddBool(field::kTriagedDrill, true);
  if (const Hit* state = FirstOf(table->state)) Add(field::kTriagedState, state->text, extraction.Path(*state));
  for (const auto& [note, path] : notes) {
    if (!IsListed(field::kTriagedNotes, note)) Add(field::kTriagedNotes, note, path);
  }
}

Normaliser::Normaliser(std::shared_ptr<const FormatTables> tables, NormaliseLimits limits)
    : impl_(std::make_unique<Impl>(std::static_pointer_cast<const CompiledTables>(std::move(tables)), limits)) {}
Normaliser::~Normaliser() = default;
Normaliser::Normaliser(Normaliser&&) noexcept = default;
Normaliser& Normaliser::operator=(Normaliser&&) noexcept = default;

std::optional<NormaliseFailure> Normaliser::Normalise(std::string_view record, std::string_view format,
                                                      Timestamp record_time, const Zone* zone) {
  Impl& impl = *impl_;
  impl.table = nullptr;
  if (auto failure = impl.extraction.Read(record)) return failure;
  impl.notes.clear();
  impl.alert.id = {};
  impl.alert.fields.Reset(impl.tables->catalog->size());
  const FormatTable& table = impl.Choose(record, format);
  impl.table = &table;
  impl.FindSources();
  if (impl.extraction.quoted()) impl.Note("number_beyond_64_bits");
  impl.MapTime({record_time, zone ? zone : table.zone ? &*table.zone : nullptr});
  impl.MapId(record);
  impl.MapSeverity();
  impl.MapFields();
  impl.MapComputed();
  impl.MapRaw();
  return std::nullopt;
}

const Alert& Normaliser::alert() const { return impl_->alert; }
Alert& Normaliser::alert() { return impl_->alert; }
const NormaliseLimits& Normaliser::limits() const { return impl_->limits; }

const SplitSettings* Normaliser::split() const {
  return impl_->table && impl_->table->split.on() ? &impl_->table->split : nullptr;
}

std::string_view Name(NormaliseError error) {
  switch (error) {
    case NormaliseError::kEmpty: return "empty_value";
    case NormaliseError::kTooLarge: return "too_large";
    case NormaliseError::kInvalidUtf8: return "invalid_utf8";
    case NormaliseError::kInvalidJson: return "invalid_json";
    case NormaliseError::kNotAnObject: return "not_an_object";
    case NormaliseError::kTooDeep: return "too_deep";
    case NormaliseError::kTooManyAlerts: return "too_many_alerts";
  }
  return "";
}

}  // namespace triaged
