// How the values of a document become the fields of an alert.
#include <algorithm>
#include <bit>

#include "pipeline/normalise/address.h"
#include "pipeline/normalise/normaliser_impl.h"
#include "pipeline/normalise/words.h"

namespace triaged {
namespace {

// An address field's value that is none, and where it belongs.
struct AddressFields {
  FieldId ip, address, port;
};
constexpr AddressFields kAddressFields[] = {
    {field::kSourceIp, field::kSourceAddress, field::kSourcePort},
    {field::kDestinationIp, field::kDestinationAddress, field::kDestinationPort},
    {field::kHostIp, kNoField, kNoField},
};

// Who does not know a name may say so in a word, which would make one case of strangers. In other fields such a word is a
// value (event.outcome: unknown, ECS).
bool NamesNobody(std::string_view text) {
  constexpr std::string_view kWords[] = {"unknown",   "(unknown)", "<unknown>",     "[unknown]",     "undefined",  "unspecified",
                                         "(none)",    "null",      "not available", "not_available", "n.a.",       "nil",
                                         "-1",        "?",         "*"};
  if (IsNullWord(text)) return true;  // of a part of a text nobody asked
  text = Trimmed(text);
  if (text.empty()) return true;
  if (std::string_view("uUnN(<[-?*").find(text.front()) == std::string_view::npos) return false;
  if (text == "na" || text == "NA" || text == "nan" || text == "NaN") return true;  // "Na" and "Nan" are people
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view word) { return word.size() == text.size() && EqualsLower(text, word); });
}

}  // namespace

bool Normaliser::Impl::IsListed(FieldId id, std::string_view text) const {
  for (const Value& value : alert.fields.Get(id)) {
    if (value.text == text) return true;
  }
  return false;
}

// Whether a technique of ATT&CK needs no mention beside its sub-techniques: T1110 beside T1110.001.
bool Normaliser::Impl::HasSubTechnique(std::string_view technique) const {
  const auto values = alert.fields.Get(field::kThreatTechniqueId);
  return std::any_of(values.begin(), values.end(), [&](const Value& value) {
    return value.text.size() > technique.size() && value.text.starts_with(technique) && value.text[technique.size()] == '.';
  });
}

// The values of one source; true when there was one. Of several (an array, or a duplicate key) a single-valued field
// takes the first.
bool Normaliser::Impl::AddSource(const FieldMapping& mapping, const FieldSource& source) {
  const bool list = mapping.shape == FieldShape::kList;
  const bool name = NamesEntity(mapping.id);
  const bool technique = mapping.all && mapping.id == field::kThreatTechniqueId;
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
      if (name && NamesNobody(taken)) return;
      found = true;
      if (list && (IsListed(mapping.id, taken) || (technique && HasSubTechnique(taken)))) return;
      if (source.words.empty() && !grouped) return Add(mapping.id, *hit);
      Add(mapping.id, taken, extraction.Path(*hit));
    };
    if (!source.match) {
      add(text);
      if (found && !list) return true;
      continue;
    }
    std::string_view rest = text;
    while (const auto match = source.match->Find(rest)) {
      add(grouped ? match->value : text);
      if (found && !list) return true;
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
    const auto match = source.match ? source.match->Find(hit->text) : std::nullopt;
    if (source.match && !match) continue;
    const bool part = match && source.match->has_group();
    const auto address = ParseAddress(part ? match->value : hit->text);
    if (!address && NamesNobody(part ? match->value : hit->text)) continue;
    if (!address) {
      const Value value = part ? Value(match->value, extraction.Path(*hit)) : extraction.ValueOf(*hit);
      if (fields->address != kNoField) pending.emplace_back(fields->address, value);
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

// Which fields and lists have a source that is present, and the first such of each.
void Normaliser::Impl::FindSources() {
  const FormatTable& of = *table;
  const size_t count = of.fields.size() + FormatTable::kListCount;
  std::fill_n(first_present.begin(), count, UINT32_MAX);
  std::fill_n(has_source.begin(), count / 64 + 1, 0);
  for (PathTrie::Node node : extraction.touched()) {
    for (size_t u = of.first_use[node]; u < of.first_use[node + 1]; ++u) {
      const FormatTable::Use use = of.uses[u];
      first_present[use.slot] = std::min(first_present[use.slot], use.source);
      has_source[use.slot / 64] |= uint64_t{1} << (use.slot % 64);
    }
  }
}

// From the first source of the field that is present on: one may be there without a value that it takes. Of fields that
// take all, to the last.
void Normaliser::Impl::MapField(size_t f) {
  const FieldMapping& mapping = table->fields[f];
  const uint32_t first = table->first_source[f];
  for (uint32_t s = first_present[f]; s < table->first_source[f + 1]; ++s) {
    if (!Present(table->sources[s].node)) continue;
    const FieldSource& from = mapping.from[s - first];
    const bool found = mapping.shape == FieldShape::kAddress ? AddAddresses(mapping, from) : AddSource(mapping, from);
    if (found && !mapping.all) return;
  }
}

void Normaliser::Impl::MapFields() {
  pending.clear();
  const FormatTable& of = *table;
  for (size_t word = 0; word <= of.fields.size() / 64; ++word) {
    for (uint64_t left = has_source[word]; left != 0; left &= left - 1) {
      const size_t f = word * 64 + static_cast<size_t>(std::countr_zero(left));
      if (f >= of.fields.size()) break;  // a list
      const FormatTable::Source& source = of.sources[first_present[f]];
      const Hit* hit = source.plain ? First(source.node) : nullptr;
      if (hit && !(source.is_name && NamesNobody(hit->text))) {
        Add(source.id, *hit);
      } else {
        MapField(f);
      }
    }
  }
  for (const auto& [id, value] : pending) {
    if (!alert.fields.Has(id)) alert.fields.Add(id, value);
  }
  for (const auto& [id, value] : of.constant_values) {
    if (!alert.fields.Has(id)) alert.fields.Add(id, value);
  }
}

}  // namespace triaged
