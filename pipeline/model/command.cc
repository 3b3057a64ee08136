#include "pipeline/model/command.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "pipeline/base/diagnostics.h"

namespace triaged {
namespace {

using Json = nlohmann::json;

// Limits of one command's parts, bytes. Texts have the case's own limit, so that nothing a person wrote is cut later.
constexpr size_t kMaxNameBytes = 128;  // ids, people, roles, levels, severities, labels

struct ActionName {
  CommandAction action;
  std::string_view name;
};
constexpr ActionName kActions[] = {
#define TRIAGED_X(id, name) {CommandAction::id, name},
    TRIAGED_COMMANDS(TRIAGED_X)
#undef TRIAGED_X
};

enum Argument : uint32_t {
  kTo = 1u << 0,
  kReason = 1u << 1,
  kText = 1u << 2,
  kVerdictArgument = 1u << 3,
  kConfidence = 1u << 4,
  kSeverity = 1u << 5,
  kIncident = 1u << 6,
  kClassification = 1u << 7,
  kAnswer = 1u << 8,
  kNameArgument = 1u << 9,
  kInto = 1u << 10,
  kAlerts = 1u << 11,
  kMatch = 1u << 12,
  kUntil = 1u << 13,
  kExpire = 1u << 14,
};

struct ArgumentName {
  Argument argument;
  std::string_view name;
};
constexpr ArgumentName kArguments[] = {
    {kTo, "to"},
    {kReason, "reason"},
    {kText, "text"},
    {kVerdictArgument, "verdict"},
    {kConfidence, "confidence"},
    {kSeverity, "severity"},
    {kIncident, "incident"},
    {kClassification, "classification"},
    {kAnswer, "answer"},
    {kNameArgument, "name"},
    {kInto, "into"},
    {kAlerts, "alerts"},
    {kMatch, "match"},
    {kUntil, "until"},
    {kExpire, "expire"},
};

struct Takes {
  CommandAction action;
  uint32_t required;
  uint32_t optional;
};
// Who pauses, escalates or moves down says why (DOMAIN.md, Statuses; When to escalate). `assign` wants its `to` even to
// empty it: nobody loses a case by leaving a key out.
constexpr Takes kTakes[] = {
    {CommandAction::kAck, 0, 0},
    {CommandAction::kAssign, kTo, 0},
    {CommandAction::kVerdict, kVerdictArgument, kConfidence | kReason},
    {CommandAction::kSetSeverity, kSeverity, 0},
    {CommandAction::kEscalate, kReason, kTo | kText},
    {CommandAction::kDeescalate, kReason, kTo},
    {CommandAction::kNote, kText, 0},
    {CommandAction::kClassify, 0, kIncident | kClassification},
    {CommandAction::kWait, kReason, 0},
    {CommandAction::kHold, kReason, 0},
    {CommandAction::kResume, 0, 0},
    {CommandAction::kResolve, 0, kReason},
    {CommandAction::kConfirm, kAnswer, 0},
    {CommandAction::kClose, 0, kReason},
    {CommandAction::kReopen, 0, kReason},
    {CommandAction::kContain, 0, kReason},
    {CommandAction::kUpdate, kText, 0},
    {CommandAction::kFollowUp, kNameArgument, kReason},
    {CommandAction::kEngage, kNameArgument | kReason, 0},
    {CommandAction::kDisengage, kNameArgument | kReason, 0},
    {CommandAction::kAcceptHandoff, kNameArgument, 0},
    {CommandAction::kUndo, kReason, 0},
    {CommandAction::kMerge, kInto | kReason, 0},
    {CommandAction::kSplit, kAlerts | kReason, 0},
    {CommandAction::kSilence, kNameArgument, kMatch | kReason | kUntil | kExpire},
    {CommandAction::kTag, kNameArgument, kReason},
    {CommandAction::kUntag, kNameArgument, kReason},
};
static_assert(std::size(kTakes) == std::size(kActions));
static_assert(
    [] {
      for (size_t i = 0; i < std::size(kTakes); ++i) {
        if (static_cast<size_t>(kTakes[i].action) != i) return false;
      }
      return true;
    }(),
    "kTakes is in the order of CommandAction");

const Takes& TakesOf(CommandAction action) { return kTakes[static_cast<size_t>(action)]; }

const std::vector<std::string_view> kTopKeys = {"id",     "case_id",          "actor", "role",
                                                "action", "expected_version", "time",  "arguments"};

std::string Quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string Suggestion(std::string_view word, const std::vector<std::string_view>& known) {
  const std::string_view near = DidYouMean(word, known);
  if (!near.empty()) return "; did you mean " + Quoted(near) + "?";
  std::string list;
  for (std::string_view name : known) list += (list.empty() ? "" : ", ") + std::string(name);
  return list.empty() ? "" : "; known are " + list;
}

// A key as shown in a message: a stranger's key may be long.
std::string ShownKey(std::string_view key) { return Quoted(key.size() > 64 ? "(a long key)" : key); }

// The lines and tabs of a text are the writer's; other control characters only forge logs and terminals.
bool HasControl(std::string_view text, bool allow_lines) {
  return std::any_of(text.begin(), text.end(), [allow_lines](char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (allow_lines && (c == '\n' || c == '\r' || c == '\t')) return false;
    return byte < 0x20 || byte == 0x7f;
  });
}

// Reads the document into the command; keeps the first thing that is wrong.
class Reader {
 public:
  explicit Reader(const Json& document) : document_(document) {}

  Result<Command> Read() {
    ReadTop();
    if (error_.empty()) ReadArguments();
    if (!error_.empty()) return BadInput("command: " + error_);
    return std::move(command_);
  }

 private:
  void Fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }

  // A string of `parent`; nothing when it is absent and not required.
  std::optional<std::string> Text(const Json& parent, const char* key, bool required, size_t max_bytes,
                                  bool may_be_empty, bool allow_lines) {
    const auto it = parent.find(key);
    if (it == parent.end()) {
      if (required) Fail(Quoted(key) + " is missing");
      return std::nullopt;
    }
    if (!it->is_string()) {
      Fail(Quoted(key) + " must be a string, not " + it->type_name());
      return std::nullopt;
    }
    const auto& text = it->get_ref<const std::string&>();
    if (text.empty() && !may_be_empty) Fail(Quoted(key) + " must not be empty");
    if (text.size() > max_bytes) {
      Fail(Quoted(key) + " has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(max_bytes) +
           " are taken");
    }
    if (HasControl(text, allow_lines)) Fail(Quoted(key) + " contains a control character");
    return text;
  }

  std::string Required(const char* key) {
    return Text(document_, key, true, kMaxNameBytes, false, false).value_or(std::string());
  }

  void ReadTop() {
    if (!document_.is_object()) return Fail(std::string("must be a JSON object, not ") + document_.type_name());
    for (const auto& [key, value] : document_.items()) {
      if (std::find(kTopKeys.begin(), kTopKeys.end(), key) == kTopKeys.end()) {
        return Fail("unknown key " + ShownKey(key) + Suggestion(key, kTopKeys));
      }
    }
    command_.id = Required("id");
    const std::string case_id = Required("case_id");
    command_.actor = Required("actor");
    command_.role = Required("role");
    const std::string action = Required("action");
    if (!error_.empty()) return;
    if (const auto parsed = ParseCaseId(case_id)) {
      command_.case_id = *parsed;
    } else {
      Fail("'case_id' must be <partition>-<sequence>, like 3-17");
    }
    if (const auto parsed = ParseCommandAction(action)) {
      command_.action = *parsed;
    } else {
      std::vector<std::string_view> names;
      for (const ActionName& known : kActions) names.push_back(known.name);
      Fail("unknown action " + ShownKey(action) + Suggestion(action, names));
    }
    if (const auto it = document_.find("expected_version"); it != document_.end()) {
      if (!it->is_number_unsigned()) return Fail("'expected_version' must be a whole number from 0 on");
      command_.expected_version = it->get<uint64_t>();
    }
    if (const auto time = Text(document_, "time", false, kMaxNameBytes, false, false)) {
      command_.time = ParseTimestamp(*time);
      if (!command_.time) Fail("'time' must be RFC 3339, like 2026-11-21T04:08:00Z");
    }
  }

  void ReadArguments() {
    const Takes& takes = TakesOf(command_.action);
    const std::string action(Name(command_.action));
    static const Json kNone = Json::object();
    const auto it = document_.find("arguments");
    const Json& arguments = it == document_.end() ? kNone : *it;
    if (!arguments.is_object()) {
      return Fail(std::string("'arguments' must be an object, not ") + arguments.type_name());
    }
    std::vector<std::string_view> taken;
    for (const ArgumentName& known : kArguments) {
      if ((takes.required | takes.optional) & known.argument) taken.push_back(known.name);
    }
    for (const auto& [key, value] : arguments.items()) {
      if (std::find(taken.begin(), taken.end(), key) == taken.end()) {
        return Fail("action " + Quoted(action) + " takes no argument " + ShownKey(key) + Suggestion(key, taken));
      }
    }
    for (const ArgumentName& known : kArguments) {
      if ((takes.required & known.argument) && !arguments.contains(known.name)) {
        return Fail("action " + Quoted(action) + " needs the argument " + Quoted(known.name));
      }
    }
    if (command_.action == CommandAction::kClassify && arguments.empty()) {
      return Fail("action 'classify' needs 'incident', 'classification', or both");
    }
    ReadValues(arguments);
    ReadLists(arguments);
  }

  void ReadLists(const Json& arguments) {
    command_.name = Text(arguments, "name", false, kMaxNameBytes, false, false).value_or(std::string());
    command_.into = Text(arguments, "into", false, kMaxNameBytes, false, false).value_or(std::string());
    if (!command_.into.empty() && !ParseCaseId(command_.into)) Fail("'into' must be <partition>-<sequence>, like 3-17");
    if (const auto it = arguments.find("alerts"); it != arguments.end()) ReadAlerts(*it);
    if (const auto it = arguments.find("match"); it != arguments.end()) ReadMatch(*it);
    if (const auto until = Text(arguments, "until", false, kMaxNameBytes, false, false)) {
      command_.until = ParseTimestamp(*until);
      if (!command_.until) Fail("'until' must be RFC 3339, like 2026-11-21T04:08:00Z");
    }
    if (const auto it = arguments.find("expire"); it != arguments.end()) {
      if (!it->is_boolean()) return Fail("'expire' must be true or false");
      command_.expire = it->get<bool>();
    }
    // A silence without an end or a reason would hide things from people who never heard of it.
    if (command_.action == CommandAction::kSilence && !command_.expire &&
        (!command_.until || command_.reason.empty())) {
      Fail("action 'silence' needs 'until' and 'reason', or 'expire'");
    }
  }

  void ReadAlerts(const Json& list) {
    if (!list.is_array() || list.empty() || list.size() > kMaxEvidence) {
      return Fail("'alerts' must be a list of 1 to " + std::to_string(kMaxEvidence) + " alert ids");
    }
    for (const Json& item : list) {
      if (!item.is_string() || item.get_ref<const std::string&>().size() > kMaxTextBytes) {
        return Fail("'alerts' must hold alert ids, which are strings");
      }
      command_.alerts.push_back(item.get<std::string>());
    }
  }

  void ReadMatch(const Json& map) {
    if (!map.is_object() || map.empty() || map.size() > kMaxSilenceMatches) {
      return Fail("'match' must be an object of 1 to " + std::to_string(kMaxSilenceMatches) + " fields and their values");
    }
    for (const auto& [key, value] : map.items()) {
      if (key.size() > kMaxNameBytes || HasControl(key, false) || !value.is_string() ||
          value.get_ref<const std::string&>().empty() || value.get_ref<const std::string&>().size() > kMaxTextBytes) {
        return Fail("'match' must map field names to texts, like {\"host.name\": \"db7\"}");
      }
      command_.match.emplace_back(key, value.get<std::string>());
    }
  }

  void ReadValues(const Json& arguments) {
    const auto read_name = [&](const char* key, bool may_be_empty) {
      return Text(arguments, key, false, kMaxNameBytes, may_be_empty, false).value_or(std::string());
    };
    const auto read_text = [&](const char* key, bool may_be_empty) {
      return Text(arguments, key, false, kMaxTextBytes, may_be_empty, true).value_or(std::string());
    };
    const bool reason_required = TakesOf(command_.action).required & kReason;
    command_.to = read_name("to", true);
    command_.reason = read_text("reason", !reason_required);
    command_.text = read_text("text", false);
    command_.severity = read_name("severity", false);
    command_.incident = OneOf(arguments, "incident", {"none", "minor", "major"});
    command_.classification = read_name("classification", true);
    command_.answer = OneOf(arguments, "answer", {"confirmed_fixed", "still_has_issues", "needs_more_info"});
    const std::string verdict =
        OneOf(arguments, "verdict", {"true_positive", "false_positive", "benign_true_positive", "needs_review"});
    if (!verdict.empty()) command_.verdict = ParseVerdict(verdict).value_or(Verdict::kNone);
    if (const auto it = arguments.find("confidence"); it != arguments.end()) {
      if (!it->is_number_unsigned() || it->get<uint64_t>() > 100) {
        return Fail("'confidence' must be a whole number from 0 to 100");
      }
      command_.confidence = it->get<int>();
    }
  }

  std::string OneOf(const Json& arguments, const char* key, const std::vector<std::string_view>& choices) {
    const auto text = Text(arguments, key, false, kMaxNameBytes, false, false);
    if (!text || !error_.empty()) return {};
    if (std::find(choices.begin(), choices.end(), *text) == choices.end()) {
      Fail(Quoted(key) + " cannot be " + ShownKey(*text) + Suggestion(*text, choices));
      return {};
    }
    return *text;
  }

  const Json& document_;
  Command command_;
  std::string error_;
};

// The parser keeps the last of two equal keys; two readers of one command could then see different ones, so refuse.
class DuplicateKeys {
 public:
  bool operator()(Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_.emplace_back();
    if (event == Json::parse_event_t::object_end) open_.pop_back();
    if (event == Json::parse_event_t::key && duplicate_.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_.back().insert(key).second) duplicate_ = ShownKey(key);
    }
    return true;
  }
  const std::string& duplicate() const { return duplicate_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string duplicate_;
};

}  // namespace

std::string_view Name(CommandAction action) { return kActions[static_cast<size_t>(action)].name; }

std::optional<CommandAction> ParseCommandAction(std::string_view text) {
  for (const ActionName& known : kActions) {
    if (known.name == text) return known.action;
  }
  return std::nullopt;
}

Result<Command> ParseCommand(std::string_view json) {
  if (json.empty()) return BadInput("command: empty; a JSON object was expected");
  if (json.size() > kMaxCommandBytes) {
    return BadInput("command: " + std::to_string(json.size()) + " bytes; at most " + std::to_string(kMaxCommandBytes) +
                    " are taken");
  }
  DuplicateKeys keys;
  Json document;
  try {
    document = Json::parse(json.begin(), json.end(), [&keys](int /*depth*/, Json::parse_event_t event, Json& parsed) {
      return keys(event, parsed);
    });
  } catch (const Json::parse_error& error) {
    // The library's text quotes the input, which may be anything; the place is enough to find it.
    return BadInput("command: not valid JSON in UTF-8, at byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    return BadInput("command: not valid JSON: a number is out of range");
  }
  if (!keys.duplicate().empty()) return BadInput("command: key " + keys.duplicate() + " stands twice");
  return Reader(document).Read();
}

std::string CommandJson(const Command& command) {
  const Takes& takes = TakesOf(command.action);
  nlohmann::ordered_json arguments = nlohmann::ordered_json::object();
  const auto add_text = [&](Argument argument, const char* key, const std::string& text) {
    if ((takes.required & argument) || ((takes.optional & argument) && !text.empty())) arguments[key] = text;
  };
  add_text(kTo, "to", command.to);
  add_text(kVerdictArgument, "verdict", std::string(Name(command.verdict)));
  if ((takes.optional & kConfidence) && command.confidence != 100) arguments["confidence"] = command.confidence;
  add_text(kSeverity, "severity", command.severity);
  add_text(kIncident, "incident", command.incident);
  add_text(kClassification, "classification", command.classification);
  add_text(kAnswer, "answer", command.answer);
  add_text(kNameArgument, "name", command.name);
  add_text(kInto, "into", command.into);
  if (takes.required & kAlerts) arguments["alerts"] = command.alerts;
  if ((takes.optional & kMatch) && !command.match.empty()) {
    for (const auto& [field_name, value] : command.match) arguments["match"][field_name] = value;
  }
  if ((takes.optional & kUntil) && command.until) arguments["until"] = FormatTimestamp(*command.until);
  if ((takes.optional & kExpire) && command.expire) arguments["expire"] = true;
  add_text(kText, "text", command.text);
  add_text(kReason, "reason", command.reason);

  nlohmann::ordered_json json;
  json["id"] = command.id;
  json["case_id"] = ToString(command.case_id);
  json["actor"] = command.actor;
  json["role"] = command.role;
  json["action"] = std::string(Name(command.action));
  if (command.expected_version) json["expected_version"] = *command.expected_version;
  if (command.time) json["time"] = FormatTimestamp(*command.time);
  if (!arguments.empty()) json["arguments"] = std::move(arguments);
  // Bytes that are no UTF-8 (the caller's mistake) become U+FFFD instead of an exception.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace triaged
