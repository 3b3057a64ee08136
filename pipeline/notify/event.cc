#include "pipeline/notify/event.h"

#include <nlohmann/json.hpp>

namespace triaged {
namespace {

using nlohmann::json;

constexpr std::string_view kTypePrefix = "io.triaged.case.";
constexpr std::string_view kTypeSuffix = ".v1";
constexpr size_t kMaxValues = 5;  // of each W: a page is read on a phone

const json* Find(const json& node, std::initializer_list<const char*> path) {
  const json* at = &node;
  for (const char* key : path) {
    if (!at->is_object()) return nullptr;
    const auto it = at->find(key);
    if (it == at->end()) return nullptr;
    at = &*it;
  }
  return at;
}

std::string Text(const json& node, std::initializer_list<const char*> path) {
  const json* found = Find(node, path);
  return found && found->is_string() ? found->get<std::string>() : std::string();
}

// A list of texts, or of {value: text}.
std::vector<std::string> Texts(const json& node, std::initializer_list<const char*> path, size_t limit) {
  std::vector<std::string> out;
  const json* found = Find(node, path);
  if (!found || !found->is_array()) return out;
  for (const json& item : *found) {
    if (out.size() == limit) break;
    if (item.is_string()) out.push_back(item.get<std::string>());
    if (std::string value = Text(item, {"value"}); !value.empty()) out.push_back(std::move(value));
  }
  return out;
}

// Both cases of a merge say `merged`: one is closed by it, and the one that took it in goes on, with its pages.
NotifyAction ActionOf(std::string_view name, std::string_view status) {
  if (name == "acknowledged") return NotifyAction::kAcknowledge;
  if (name == "merged" && status != "resolved" && status != "closed") return NotifyAction::kTrigger;
  if (name == "resolved" || name == "closed" || name == "merged") return NotifyAction::kResolve;
  return NotifyAction::kTrigger;
}

}  // namespace

Result<std::optional<NotifyEvent>> ParseNotifyEvent(std::string_view bytes) {
  const json root = json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || Text(root, {"specversion"}) != "1.0") {
    return BadInput("the record is no CloudEvents 1.0 document");
  }
  const std::string type = Text(root, {"type"});
  if (!type.starts_with(kTypePrefix) || !type.ends_with(kTypeSuffix)) return std::optional<NotifyEvent>();
  NotifyEvent event;
  event.name = type.substr(kTypePrefix.size(), type.size() - kTypePrefix.size() - kTypeSuffix.size());
  event.id = Text(root, {"id"});
  event.sequence = Text(root, {"sequence"});
  event.case_id = Text(root, {"data", "case_id"});
  event.dedup_key = Text(root, {"data", "dedup_key"});
  const auto time = ParseTimestamp(Text(root, {"time"}));
  // A refused command may name a case that does not exist; nobody is paged for it.
  if (event.name == "command.refused") return std::optional<NotifyEvent>();
  if (event.id.empty() || event.dedup_key.empty() || event.sequence.size() != 20 || !time) {
    return BadInput("the case event lacks one of id, time, sequence (20 digits), data.dedup_key");
  }
  event.time = *time;
  event.severity = Text(root, {"data", "severity"});
  event.level = Text(root, {"data", "level", "to", "name"});
  const json* index = Find(root, {"data", "level", "to", "index"});
  event.first_level = index && index->is_number_unsigned() && index->get<uint64_t>() == 0;
  event.team = Text(root, {"data", "team"});
  event.policy = Text(root, {"data", "policy"});
  event.assignee = Text(root, {"data", "assignee"});
  event.status = Text(root, {"data", "status"});
  event.action = ActionOf(event.name, event.status);
  event.reason = Text(root, {"data", "reason"});
  event.actor = Text(root, {"data", "actor"});
  event.channels = Texts(root, {"data", "channels"}, SIZE_MAX);
  event.requested = Texts(root, {"data", "requested"}, kMaxValues);
  event.hosts = Texts(root, {"data", "five_ws", "where", "hosts"}, kMaxValues);
  event.accounts = Texts(root, {"data", "five_ws", "who", "accounts"}, kMaxValues);
  event.detections = Texts(root, {"data", "five_ws", "what", "detections"}, kMaxValues);
  const json* drill = Find(root, {"data", "drill"});
  event.drill = drill && drill->is_boolean() && drill->get<bool>();
  const json* alerts = Find(root, {"data", "counts", "alerts"});
  if (alerts && alerts->is_number_unsigned()) event.alerts = alerts->get<uint64_t>();
  event.raw = std::string(bytes);
  return std::optional<NotifyEvent>(std::move(event));
}

}  // namespace triaged
