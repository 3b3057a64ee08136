#include "pipeline/rules/mapping.h"

#include <utility>

namespace triaged {

std::shared_ptr<const RuleMapping> RuleMapping::Read(SourceFile file, Diagnostics* diagnostics) {
  Diagnostics found;
  const std::string name = file.name;
  auto mapping = std::make_shared<RuleMapping>();
  if (std::optional<YamlFile> yaml = ParseYaml(std::move(file), &found)) {
    mapping->yaml = std::move(*yaml);
    if (mapping->yaml.documents.size() != 1) found.Error({name, 1, 1}, "a mapping file holds one document");
  }
  if (!found.HasErrors()) {
    const SourceFile& source = *mapping->yaml.source;
    MapReader reader(source, mapping->yaml.documents.front(), "mapping", &found);
    mapping->name = reader.String("mapping", {}, /*required=*/true);
    mapping->try_unmapped = reader.Choice("unmapped", {"try", "skip"}, 0) == 0;
    if (const YamlNode* fields = reader.Node("fields"); fields != nullptr && !fields->IsMap()) {
      reader.ErrorAt(*fields, "'fields' must be a map: name in the rules → name here");
    } else if (fields != nullptr) {
      for (const YamlNode::Entry& entry : fields->map()) {
        if (!entry.value.IsScalar()) reader.ErrorAt(entry.value, "a field is mapped to one name");
        mapping->fields.emplace(entry.key, entry.value.scalar());
      }
    }
    if (const YamlNode* lists = reader.Node("placeholders"); lists != nullptr) {
      MapReader entries(source, *lists, "placeholders", &found);
      if (lists->IsMap()) {
        for (const YamlNode::Entry& entry : lists->map()) {
          mapping->placeholders.emplace(entry.key, entries.Strings(entry.key, /*required=*/true));
        }
      }
    }
    if (const YamlNode* list = reader.Node("logsources"); list != nullptr && !list->IsList()) {
      reader.ErrorAt(*list, "'logsources' must be a list of maps with 'when'");
    } else if (list != nullptr) {
      for (const YamlNode& node : list->list()) {
        MapReader entry(source, node, "logsource", &found);
        Logsource& logsource = mapping->logsources.emplace_back();
        logsource.product = entry.String("product");
        logsource.category = entry.String("category");
        logsource.service = entry.String("service");
        logsource.when = entry.Node("when", /*required=*/true);
        entry.Finish();
      }
    }
    reader.Finish();
  }
  const bool failed = found.HasErrors();
  diagnostics->Append(found);
  return failed ? nullptr : mapping;
}

}  // namespace triaged
