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

// What a source makes of a value: a score (or kSaysNothing), and the words for how it came about.
struct Scored {
  int score = kSaysNothing;
  std::string_view rule;
};

// nullopt: the value is none that the source allows.
std::optional<Scored> ScoreFrom(const SeveritySource& source, const Value& value) {
  if (!source.words.empty()) {
    const std::string_view text = Trimmed(value.text);
    for (const SeveritySource::Word& word : source.words) {
      if (word.text.size() == text.size() && EqualsLower(text, word.text)) return Scored{word.score, word.rule};
    }
  }
  const auto number = NumberOf(value);
  if (!number || *number < 0) return std::nullopt;
  if (source.bands.empty()) {
    if (!source.numbers || *number > 100) return std::nullopt;
    return Scored{static_cast<int>(*number + 0.5), value.path};
  }
  std::optional<Scored> scored;
  for (const auto& band : source.bands) {
    if (*number >= band.min) scored = {band.score, band.rule};
  }
  return scored;
}

}  // namespace

void Normaliser::Impl::AddListed(FieldId id, const Value& value) {
  const auto seen = alert.fields.Get(id);
  const bool repeated = std::any_of(seen.begin(), seen.end(), [&](const Value& v) { return v.text == value.text; });
  if (!repeated) alert.fields.Add(id, value);
}

// The values of one source; true when there was one. Of several (an array, or a duplicate key) a single-valued field
// takes the first.
bool Normaliser::Impl::AddSource(const FieldMapping& mapping, const FieldSource& source) {
  const bool list = mapping.shape == FieldShape::kList;
  bool found = false;
  for (const Value* value = First(source.node); value; value = extraction.Next(value)) {
    Value taken = *value;
    if (!source.words.empty()) {
      const auto word = source.words.find(value->text);
      if (word == source.words.end()) continue;
      taken = Value(word->second, value->path);
    }
    if (!source.match) {
      if (!list) {
        alert.fields.Add(mapping.id, taken);
        return true;
      }
      AddListed(mapping.id, taken);
      found = true;
      continue;
    }
    std::string_view rest = taken.text;
    while (const auto match = source.match->Find(rest)) {
      if (source.match->has_group()) taken = Value(match->value, value->path);
      found = true;
      if (!list) {
        alert.fields.Add(mapping.id, taken);
        return true;
      }
      AddListed(mapping.id, taken);
      if (!source.match->has_group() || match->past == 0) break;
      rest.remove_prefix(match->past);
    }
  }
  return found;
}

bool Normaliser::Impl::AddAddresses(const FieldMapping& mapping, const FieldSource& source) {
  const auto fields = std::find_if(std::begin(kAddressFields), std::end(kAddressFields),
                                   [&](const AddressFields& f) { return f.ip == mapping.id; });
  bool found = false;
  for (const Value* value = First(source.node); value; value = extraction.Next(value)) {
    const auto address = ParseAddress(value->text);
    if (!address) {
      if (fields->address != kNoField) pending.emplace_back(fields->address, *value);
      Note("not_an_address", value->path);
      continue;
    }
    found = true;
    Value ip = *value;
    ip.text = address->written;
    if (address->v6) {
      const std::string text = address->ip();
      if (text != address->written) ip.text = extraction.Keep(text);
    }
    AddListed(mapping.id, ip);
    if (!address->port.empty() && fields->port != kNoField) {
      pending.emplace_back(fields->port, Value(address->port, value->path));
    }
  }
  return found;
}

// Which fields have a source that is present, and the first such of each.
void Normaliser::Impl::FindSources(const FormatTable& table) {
  constexpr uint16_t kAbsent = 0xffff;
  sources.assign(table.plan.size(), kAbsent);
  has.assign(table.plan.size() / 64 + 1, 0);
  for (PathTrie::Node node : extraction.touched()) {
    for (size_t u = table.first_use[node]; u < table.first_use[node + 1]; ++u) {
      const FormatTable::Use use = table.uses[u];
      sources[use.field] = std::min(sources[use.field], use.source);
      has[use.field / 64] |= uint64_t{1} << (use.field % 64);
    }
  }
}

void Normaliser::Impl::MapField(const FormatTable& table, size_t f) {
  const FormatTable::Plan& plan = table.plan[f];
  for (uint32_t s = plan.first + sources[f]; s < plan.end; ++s) {
    const FormatTable::Source source = table.sources[s];
    if (!Present(source.node)) continue;
    if (source.plain && plan.shape == FieldShape::kText) {
      const Value* value = First(source.node);
      if (!value) continue;
      alert.fields.Add(plan.id, *value);
      return;
    }
    const FieldMapping& mapping = table.fields[f];
    const FieldSource& from = mapping.from[s - plan.first];
    if (plan.shape == FieldShape::kAddress ? AddAddresses(mapping, from) : AddSource(mapping, from)) return;
  }
}

void Normaliser::Impl::MapFields(const FormatTable& table) {
  pending.clear();
  FindSources(table);
  for (size_t word = 0; word < has.size(); ++word) {
    for (uint64_t left = has[word]; left != 0; left &= left - 1) {
      MapField(table, word * 64 + static_cast<size_t>(std::countr_zero(left)));
    }
  }
  for (const auto& [id, value] : pending) {
    if (!alert.fields.Has(id)) alert.fields.Add(id, value);
  }
  for (const auto& [id, text] : table.constants) {
    if (!alert.fields.Has(id)) Add(id, text, {});
  }
}

void Normaliser::Impl::MapSeverity(const FormatTable& table) {
  alert.score = -1;
  std::string_view rule;
  bool illegal = false;
  for (const SeveritySource& source : table.severity) {
    if (!Present(source.node)) continue;
    const Value* value = First(source.node);
    if (!value) continue;
    const auto scored = ScoreFrom(source, *value);
    if (!scored) {
      if (!illegal) Note("illegal_severity", value->path);
      illegal = true;
    } else if (scored->score == kSaysNothing) {
      continue;
    } else if (alert.score < 0) {
      alert.score = static_cast<int16_t>(scored->score);
      rule = scored->rule;
    } else if (LabelOf(scored->score) != LabelOf(alert.score)) {
      Note("severity_conflict", scored->rule);  // the table's order decides
    }
  }
  alert.severity = LabelOf(alert.score);
  if (alert.score < 0) return Note("no_severity");
  char digits[8];
  const auto end = std::to_chars(digits, digits + sizeof digits, alert.score);
  Value value(extraction.Keep({digits, static_cast<size_t>(end.ptr - digits)}), rule);
  value.kind = ValueKind::kInteger;
  value.integer = alert.score;
  alert.fields.Add(field::kEventSeverity, value);
}

}  // namespace triaged
