// How the values of a document become the fields of an alert.
#include <algorithm>
#include <bit>
#include <charconv>

#include "pipeline/normalise/address.h"
#include "pipeline/normalise/normaliser_impl.h"

namespace triaged {
namespace {

// Scores per label and back (Elastic Security, "Create a detection rule": 21, 47, 73 and 99 are the labels' scores).
AlertSeverity LabelOf(int score) {
  if (score < 0) return AlertSeverity::kUnknown;
  if (score == 0) return AlertSeverity::kInformational;
  if (score <= 21) return score == 1 ? AlertSeverity::kInformational : AlertSeverity::kLow;
  if (score <= 47) return AlertSeverity::kMedium;
  return score <= 73 ? AlertSeverity::kHigh : AlertSeverity::kCritical;
}

constexpr size_t kScoreDigits = 3;  // of a score, at most 100

// An address field's value that is none, and where it belongs.
struct AddressFields {
  FieldId ip, address, port;
};
constexpr AddressFields kAddressFields[] = {
    {field::kSourceIp, field::kSourceAddress, field::kSourcePort},
    {field::kDestinationIp, field::kDestinationAddress, field::kDestinationPort},
    {field::kHostIp, kNoField, kNoField},
};

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<double> NumberOf(const Value& value) {
  switch (value.kind) {
    case ValueKind::kInteger: return static_cast<double>(value.integer);
    case ValueKind::kUnsigned: return static_cast<double>(value.unsigned_integer);
    case ValueKind::kDouble: return value.real;
    case ValueKind::kString: break;
    default: return std::nullopt;
  }
  const std::string_view text = Trimmed(value.text);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// `lower` is in lower case already.
bool EqualsLower(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

// What a source makes of a value: a score (or kSaysNothing, kIllegal), and the words for how it came about.
constexpr int kIllegal = -2;
struct Scored {
  int score = kIllegal;
  std::string_view rule;
};

Scored ScoreFrom(const SeveritySource& source, const Value& value) {
  if (!source.words.empty()) {
    const std::string_view text = Trimmed(value.text);
    for (const SeveritySource::Word& word : source.words) {
      if (word.text.size() == text.size() && EqualsLower(text, word.text)) return {word.score, word.rule};
    }
  }
  const auto number = NumberOf(value);
  if (!number || *number < 0) return {};
  if (source.bands.empty()) {
    if (!source.numbers || *number > 100) return {};
    return {static_cast<int>(*number + 0.5), value.path};
  }
  const SeveritySource::Band* reached = nullptr;
  for (const auto& band : source.bands) {
    if (*number >= band.min) reached = &band;
  }
  return reached ? Scored{reached->score, reached->rule} : Scored{};
}

}  // namespace

bool Normaliser::Impl::IsListed(FieldId id, std::string_view text) const {
  for (const Value& value : alert.fields.Get(id)) {
    if (value.text == text) return true;
  }
  return false;
}

// The values of one source; true when there was one. Of several (an array, or a duplicate key) a single-valued field
// takes the first.
bool Normaliser::Impl::AddSource(const FieldMapping& mapping, const FieldSource& source) {
  const bool list = mapping.shape == FieldShape::kList;
  bool found = false;
  for (const Hit* hit = First(source.node); hit; hit = extraction.Next(hit)) {
    std::string_view text = hit->text;
    if (!source.words.empty()) {
      const auto word = source.words.find(text);
      if (word == source.words.end()) continue;
      text = word->second;
    }
    const bool grouped = source.match && source.match->has_group();
    const auto add = [&](std::string_view taken) {
      found = true;
      if (list && IsListed(mapping.id, taken)) return;
      if (source.words.empty() && !grouped) return Add(mapping.id, *hit);
      Add(mapping.id, taken, extraction.Path(*hit));
    };
    if (!source.match) {
      add(text);
      if (!list) return true;
      continue;
    }
    std::string_view rest = text;
    while (const auto match = source.match->Find(rest)) {
      add(grouped ? match->value : text);
      if (!list) return true;
      if (!grouped || match->past == 0) break;
      rest.remove_prefix(match->past);
    }
  }
  return found;
}

bool Normaliser::Impl::AddAddresses(const FieldMapping& mapping, const FieldSource& source) {
  const auto fields = std::find_if(std::begin(kAddressFields), std::end(kAddressFields),
                                   [&](const AddressFields& f) { return f.ip == mapping.id; });
  bool found = false;
  for (const Hit* hit = First(source.node); hit; hit = extraction.Next(hit)) {
    const auto address = ParseAddress(hit->text);
    if (!address) {
      if (fields->address != kNoField) pending.emplace_back(fields->address, extraction.ValueOf(*hit));
      Note("not_an_address", extraction.Path(*hit));
      continue;
    }
    found = true;
    std::string_view ip = address->written;
    if (address->v6) {
      const std::string text = address->ip();
      if (text != ip) ip = extraction.Keep(text);
    }
    if (!IsListed(mapping.id, ip)) Add(mapping.id, ip, extraction.Path(*hit));
    if (!address->port.empty() && fields->port != kNoField) {
      pending.emplace_back(fields->port, Value(address->port, extraction.Path(*hit)));
    }
  }
  return found;
}

// Which fields have a source that is present, and the first such of each.
void Normaliser::Impl::FindSources(const FormatTable& table) {
  std::fill_n(sources.begin(), table.fields.size(), UINT32_MAX);
  std::fill_n(has.begin(), table.fields.size() / 64 + 1, 0);
  for (PathTrie::Node node : extraction.touched()) {
    for (size_t u = table.first_use[node]; u < table.first_use[node + 1]; ++u) {
      const FormatTable::Use use = table.uses[u];
      sources[use.field] = std::min(sources[use.field], use.source);
      has[use.field / 64] |= uint64_t{1} << (use.field % 64);
    }
  }
}

// From the first source of the field that is present on: one may be there without a value that it takes.
void Normaliser::Impl::MapField(const FormatTable& table, size_t f) {
  const FieldMapping& mapping = table.fields[f];
  const uint32_t first = table.first_source[f];
  for (uint32_t s = sources[f]; s < table.first_source[f + 1]; ++s) {
    if (!Present(table.sources[s].node)) continue;
    const FieldSource& from = mapping.from[s - first];
    if (mapping.shape == FieldShape::kAddress ? AddAddresses(mapping, from) : AddSource(mapping, from)) return;
  }
}

void Normaliser::Impl::MapFields(const FormatTable& table) {
  pending.clear();
  FindSources(table);
  for (size_t word = 0; word <= table.fields.size() / 64; ++word) {
    for (uint64_t left = has[word]; left != 0; left &= left - 1) {
      const size_t f = word * 64 + static_cast<size_t>(std::countr_zero(left));
      const FormatTable::Source& source = table.sources[sources[f]];
      const Hit* hit = source.plain ? First(source.node) : nullptr;
      if (hit) {
        Add(source.id, *hit);
      } else {
        MapField(table, f);
      }
    }
  }
  for (const auto& [id, value] : pending) {
    if (!alert.fields.Has(id)) alert.fields.Add(id, value);
  }
  for (const auto& [id, value] : table.constant_values) {
    if (!alert.fields.Has(id)) alert.fields.Add(id, value);
  }
}

void Normaliser::Impl::MapSeverity(const FormatTable& table) {
  alert.score = -1;
  std::string_view rule;
  bool illegal = false;
  for (const SeveritySource& source : table.severity) {
    if (!Present(source.node)) continue;
    const Hit* hit = First(source.node);
    if (!hit) continue;
    const Scored scored = ScoreFrom(source, extraction.ValueOf(*hit));
    if (scored.score == kIllegal) {
      if (!illegal) Note("illegal_severity", extraction.Path(*hit));
      illegal = true;
    } else if (scored.score == kSaysNothing) {
      continue;
    } else if (alert.score < 0) {
      alert.score = static_cast<int16_t>(scored.score);
      rule = scored.rule;
    } else if (LabelOf(scored.score) != LabelOf(alert.score)) {
      Note("severity_conflict", scored.rule);  // the table's order decides
    }
  }
  alert.severity = LabelOf(alert.score);
  if (alert.score < 0) return Note("no_severity");
  char* const digits = extraction.Room(kScoreDigits);
  const auto end = std::to_chars(digits, digits + kScoreDigits, alert.score);
  Value& value = alert.fields.Add(field::kEventSeverity, {digits, static_cast<size_t>(end.ptr - digits)}, rule);
  value.kind = ValueKind::kInteger;
  value.integer = alert.score;
}

}  // namespace triaged
