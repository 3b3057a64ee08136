// The parts of a Normaliser, between its sources. Not for others.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/normalise/extraction.h"
#include "pipeline/normalise/format_table.h"
#include "pipeline/normalise/normaliser.h"
#include "pipeline/normalise/time_shapes.h"

namespace triaged {

struct Normaliser::Impl {
  Impl(std::shared_ptr<const CompiledTables> t, NormaliseLimits l)
      : tables(std::move(t)),
        limits(l),
        extraction(tables->trie, limits) {
    size_t fields = 0;
    for (const FormatTable& one : tables->tables) {
      fields = std::max(fields, one.fields.size());
      for (const FormatTable& variant : one.variants) fields = std::max(fields, variant.fields.size());
    }
    fields += FormatTable::kListCount;
    first_present.resize(fields);
    has_source.resize(fields / 64 + 1);
  }

  using Hit = Extraction::Hit;
  const Hit* First(PathTrie::Node node) { return extraction.First(node); }
  bool Present(PathTrie::Node node) const { return extraction.Present(node); }
  void ReadEmbedded(const Embedded& embedded);

  bool Holds(const FieldTest& test);
  bool AllHold(const std::vector<FieldTest>& tests);
  bool AnyHolds(const std::vector<std::vector<FieldTest>>& alternatives);
  // The table or the variant of one for the record; its documents inside texts are read then.
  const FormatTable& Choose(std::string_view record, std::string_view format);
  const FormatTable& Unpack(const FormatTable& courier, std::string_view record);
  std::string_view PackedDocument(const FormatTable& courier);
  const FormatTable& Detect(std::string_view format);
  const Hit* FirstOf(const std::vector<PathTrie::Node>& nodes);

  void FindSources();
  void MapFields();
  void MapField(size_t f);
  bool AddSource(const FieldMapping& mapping, const FieldSource& source);
  bool IsListed(FieldId id, std::string_view text) const;
  bool HasSubTechnique(std::string_view technique) const;
  bool AddAddresses(const FieldMapping& mapping, const FieldSource& source);
  void MapTime(const TimeContext& context);
  void MapId(std::string_view record);
  std::string_view ComposedId(const std::vector<PathTrie::Node>& parts, std::string_view* path);
  std::string_view HashDigits(std::string_view text);
  void MapSeverity();
  void MapRaw();
  void MapComputed();
  void Add(FieldId id, std::string_view text, std::string_view path) { alert.fields.Add(id, text, path); }
  void Add(FieldId id, const Hit& hit) {
    Value& value = alert.fields.Add(id, hit.text, extraction.Path(hit));
    if (hit.kind != ValueKind::kString) hit.CopyNumber(&value);
  }
  void AddBool(FieldId id, bool flag);
  // `path`: what the note is about, where it is about something.
  void Note(std::string_view note, std::string_view path = {}) { notes.emplace_back(note, path); }

  std::shared_ptr<const CompiledTables> tables;
  NormaliseLimits limits;
  Extraction extraction;
  Alert alert;
  const FormatTable* table = nullptr;  // of the record read last; nullptr: it could not be read
  bool several = false;                // it holds several alerts, of which the first is read
  std::vector<uint32_t> first_present;  // by slot of the table: its first source that is present (room for the longest)
  std::vector<uint64_t> has_source;     // a bit each: whether it has one
  std::string composed;            // room for an id
  // What the alert's notes say, and the paths they are about.
  std::vector<std::pair<std::string_view, std::string_view>> notes;
  // Of addresses: names and ports found in address fields, added when their own fields stayed empty.
  std::vector<std::pair<FieldId, Value>> pending;
};

}  // namespace triaged
