#include "daemon/timeline_text.h"

#include <charconv>
#include <map>
#include <sstream>
#include <utility>

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

const std::map<std::string, std::string, std::less<>> kShort = {
    {"host", "host.name"},       {"user", "user.name"},           {"source", "source.ip"}, {"rule", "rule.name"}, {"id", "event.id"},
    {"action", "event.action"}, {"severity", "event.severity"}, {"drill", "labels.drill"}};
const std::map<std::string, int, std::less<>> kScores = {
    {"informational", 1}, {"low", 21}, {"medium", 47}, {"high", 73}, {"critical", 99}};

// name=value; nullopt without the sign.
std::optional<std::pair<std::string, std::string>> Assignment(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals == std::string::npos) return std::nullopt;
  return std::pair(word.substr(0, equals), word.substr(equals + 1));
}

}  // namespace

std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

std::vector<std::string> TimelineWords(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  bool any = false;
  for (char ch : text) {
    if (ch == '"') {
      quoted = !quoted;
      any = true;
    } else if (ch == ' ' && !quoted) {
      if (any) words.push_back(std::exchange(word, {}));
      any = false;
    } else {
      word.push_back(ch);
      any = true;
    }
  }
  if (any) words.push_back(word);
  return words;
}

std::optional<Duration> ParseTimelineClock(std::string_view text) {
  int64_t parts[3] = {0, 0, 0};
  int count = 0;
  while (count < 3) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parts[count]);
    if (error != std::errc() || parts[count] < 0) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    ++count;
    if (text.empty() || text.front() != ':') break;
    text.remove_prefix(1);
  }
  if (count < 2 || !text.empty()) return std::nullopt;
  return std::chrono::hours(parts[0]) + std::chrono::minutes(parts[1]) + std::chrono::seconds(parts[2]);
}

std::optional<TimelineLine> ReadTimelineLine(int number, std::string_view text) {
  const std::vector<std::string> words = TimelineWords(text);
  const auto at = words.empty() ? std::nullopt : ParseTimelineClock(words[0]);
  if (!at) return std::nullopt;
  TimelineLine line;
  line.number = number;
  line.at = *at;
  text.remove_prefix(words[0].size());
  size_t arrow = text.find("→");
  size_t arrow_size = std::string_view("→").size();
  if (arrow == std::string_view::npos) {
    arrow = text.find("->");
    arrow_size = 2;
  }
  line.has_expected = arrow != std::string_view::npos;
  line.action = std::string(TrimBlanks(text.substr(0, arrow)));
  if (line.has_expected) line.expected = std::string(TrimBlanks(text.substr(arrow + arrow_size)));
  return line;
}

std::string TimelineHeader(const std::string& file, std::string_view name) {
  std::istringstream in(file);
  for (std::string text; std::getline(in, text);) {
    const auto words = TimelineWords(TrimBlanks(std::string_view(text).substr(0, text.find('#'))));
    if (words.empty()) continue;
    if (words.size() == 2 && words[0] == name) return words[1];
    if (ParseTimelineClock(words[0])) break;
  }
  return {};
}

Result<Json> TimelineAlert(const std::vector<std::string>& words, Timestamp start, Duration at, int count, bool drill) {
  Json alert;
  alert["ecs.version"] = "8.11.0";
  alert["event.kind"] = "alert";
  alert["event.id"] = "alert-" + std::to_string(count);
  alert["@timestamp"] = FormatTimestamp(start + at);
  if (drill) alert["labels.drill"] = "true";
  for (size_t i = 1; i < words.size(); ++i) {
    const auto assigned = Assignment(words[i]);
    if (!assigned) return BadInput("'" + words[i] + "' is not name=value");
    const auto& [name, value] = *assigned;
    const auto full = kShort.find(name);
    if (name == "severity") {
      const auto score = kScores.find(value);
      alert["event.severity"] = score != kScores.end() ? score->second : std::atoi(value.c_str());
    } else if (name == "event_time") {
      const auto time = ParseTimelineClock(value);
      if (!time) return BadInput("event_time '" + value + "' is not h:mm");
      alert["@timestamp"] = FormatTimestamp(start + *time);
    } else {
      alert[full == kShort.end() ? name : full->second] = value;
    }
  }
  return alert;
}

Result<Json> TimelineCommand(const std::vector<std::string>& words, int count) {
  if (words.size() < 6 || words[2] != "by" || words[4] != "as") {
    return BadInput("a command reads: ack 0-1 by otto as l2 [name=value …]");
  }
  Json command;
  command["id"] = "command-" + std::to_string(count);
  command["case_id"] = words[1];
  command["actor"] = words[3];
  command["role"] = words[5];
  command["action"] = words[0];
  for (size_t i = 6; i < words.size(); ++i) {
    const auto assigned = Assignment(words[i]);
    if (!assigned) return BadInput("'" + words[i] + "' is not name=value");
    const auto& [name, value] = *assigned;
    if (name == "id") {
      command["id"] = value;
    } else if (name == "version") {
      command["expected_version"] = std::stoull(value);
    } else if (name == "expire") {
      command["arguments"][name] = value == "true";
    } else if (name == "alerts") {
      std::istringstream list(value);
      for (std::string item; std::getline(list, item, ',');) command["arguments"][name].push_back(item);
    } else if (name == "match") {
      const size_t colon = value.find(':');
      if (colon == std::string::npos) return BadInput("'" + words[i] + "' is not match=field:value");
      command["arguments"][name][value.substr(0, colon)] = value.substr(colon + 1);
    } else if (name == "confidence") {
      command["arguments"][name] = std::stoi(value);
    } else {
      command["arguments"][name] = value;
    }
  }
  return command;
}

std::string DescribeEvent(const Json& event, const std::string& id) {
  std::string type = event.at("type").get<std::string>();
  type = type.substr(std::string_view("io.triaged.").size());
  if (type.starts_with("case.")) type = type.substr(std::string_view("case.").size());
  type.resize(type.size() - 3);
  const std::string reason = event.at("data").value("reason", "");
  if (type == "opened") return "opens " + id;
  if (type == "escalated") {
    return "escalates " + id + " to " + event["data"]["level"]["to"]["name"].get<std::string>() + ": " + reason;
  }
  return type + " " + id + ": " + reason;
}

std::string ReachedBy(const Json& event) {
  if (event.at("type") != "io.triaged.case.escalated.v1") return {};
  const Json& data = event.at("data");
  const Json person = data.value("assignee", Json()), team = data.value("team", Json());
  return (person.is_string() && !person.empty() ? person.get<std::string>() : "nobody") + " of " +
         (team.is_string() ? team.get<std::string>() : "no team");
}

}  // namespace triaged
