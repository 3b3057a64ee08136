#include "daemon/timeline.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <nlohmann/json.hpp>
#include <sstream>

#include "daemon/replay.h"
#include "pipeline/model/command.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// Words separated by spaces; double quotes keep spaces together ("rule=\"a b\"").
std::vector<std::string> Words(std::string_view text) {
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

std::optional<Duration> ParseClock(std::string_view text) {
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

const std::map<std::string, std::string, std::less<>> kShort = {
    {"host", "host.name"}, {"user", "user.name"},     {"source", "source.ip"}, {"rule", "rule.name"},
    {"id", "event.id"},    {"action", "event.action"}, {"severity", "event.severity"}};
const std::map<std::string, int, std::less<>> kScores = {
    {"informational", 1}, {"low", 21}, {"medium", 47}, {"high", 73}, {"critical", 99}};

// One line of the file, taken apart.
struct Line {
  int number = 0;
  Duration at{0};
  std::string action;    // what stands before the arrow, without the time
  std::string expected;  // what stands after it
  bool has_expected = false;
};

// What an event looks like after an arrow.
std::string Describe(const OutputRecord& record) {
  if (record.topic == OutputTopic::kDeadLetter) {
    for (const Header& header : record.headers) {
      if (header.name == "triaged.error.reason") return "dead letter: " + header.value;
    }
    return "dead letter";
  }
  if (record.topic == OutputTopic::kCases) return "purges " + *record.key;
  const Json event = Json::parse(*record.value);
  std::string type = event.at("type").get<std::string>();
  type = type.substr(std::string_view("io.triaged.").size());
  if (type.starts_with("case.")) type = type.substr(std::string_view("case.").size());
  type.resize(type.size() - 3);
  const std::string id = event.at("subject").get<std::string>();
  const std::string reason = event.at("data").value("reason", "");
  if (type == "opened") return "opens " + id;
  if (type == "escalated") {
    return "escalates " + id + " to " + event["data"]["level"]["to"]["name"].get<std::string>() + ": " + reason;
  }
  return type + " " + id + ": " + reason;
}

// A case event that does not say that it belongs to a drill. A refusal shows no case.
bool Unmarked(const OutputRecord& record) {
  if (record.topic != OutputTopic::kEscalations) return false;
  const Json event = Json::parse(*record.value);
  return event.at("data").contains("drill") && event["data"]["drill"] != true;
}

// The value of "NAME VALUE" before the first timed line; "" when it is not there.
std::string HeaderOf(const std::string& file, std::string_view name) {
  std::istringstream in(file);
  for (std::string text; std::getline(in, text);) {
    const auto words = Words(Trim(std::string_view(text).substr(0, text.find('#'))));
    if (words.empty()) continue;
    if (words.size() == 2 && words[0] == name) return words[1];
    if (ParseClock(words[0])) break;
  }
  return {};
}

int32_t PartitionsOf(const std::string& file) {
  const std::string count = HeaderOf(file, "partitions");
  return count.empty() ? 1 : std::clamp(std::atoi(count.c_str()), 1, 100);
}

class Runner {
 public:
  Runner(const SourceFile& file, std::shared_ptr<const Engine> engine, bool drill)
      : file_(file), drill_(drill), replay_(std::move(engine), "timeline", PartitionsOf(file.text)) {}

  Result<TimelineResult> Run();

 private:
  Status ReadLine(int number, std::string_view text);
  Status RunLine(const Line& line);
  Status Act(const Line& line);
  Status ActCommand(const Line& line, const std::vector<std::string>& words);
  void CheckMatched(int number, const std::vector<std::string>& words);
  Status CheckEnd(int number, const std::vector<std::string>& words);
  Result<std::string> AlertJson(const Line& line, const std::vector<std::string>& words);
  void Expect(const Line& line, const std::string& expected);
  void Surprise(int number, const std::string& when);
  std::vector<std::string> TakeEvents();
  Error Wrong(int number, const std::string& what) const {
    return BadInput(file_.name + ":" + std::to_string(number) + ": " + what);
  }
  void Fail(int number, const std::string& what) {
    result_.failures.push_back(file_.name + ":" + std::to_string(number) + ": " + what);
  }

  const SourceFile& file_;
  const bool drill_;
  Replay replay_;
  TimelineResult result_;
  Timestamp start_ = FromUnixMillis(1'772'438'400'000);  // 2026-03-02T08:00:00Z, a Monday
  Duration last_{0};
  bool begun_ = false;
  int commands_ = 0;
  int alerts_ = 0;
};

std::vector<std::string> Runner::TakeEvents() {
  std::vector<std::string> events;
  for (const OutputRecord& record : replay_.TakeOutputs()) {
    const bool purged = record.topic == OutputTopic::kCases && !record.value;
    if (!purged && record.topic != OutputTopic::kEscalations && record.topic != OutputTopic::kDeadLetter) continue;
    events.push_back(Describe(record));
    if (drill_ && Unmarked(record)) result_.failures.push_back(file_.name + ": not marked as a drill: " + events.back());
  }
  result_.events += static_cast<int>(events.size());
  return events;
}

std::string Joined(const std::vector<std::string>& events) {
  std::string text;
  for (const std::string& event : events) text += (text.empty() ? "" : "; ") + event;
  return text.empty() ? "nothing" : text;
}

void Runner::Expect(const Line& line, const std::string& expected) {
  ++result_.lines;
  const std::string happened = Joined(TakeEvents());
  result_.steps.push_back({FormatDuration(line.at), line.action, expected, happened});
  if (happened != expected) Fail(line.number, "expected: " + expected + "\n    happened: " + happened);
}

void Runner::Surprise(int number, const std::string& when) {
  const auto events = TakeEvents();
  if (!events.empty()) Fail(number, "happened " + when + " without being announced: " + Joined(events));
}

Result<std::string> Runner::AlertJson(const Line& line, const std::vector<std::string>& words) {
  Json alert;
  alert["ecs.version"] = "8.11.0";
  alert["event.kind"] = "alert";
  alert["event.id"] = "alert-" + std::to_string(++alerts_);
  alert["@timestamp"] = FormatTimestamp(start_ + line.at);
  if (drill_) alert["labels.drill"] = "true";
  for (size_t i = 1; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    if (equals == std::string::npos) return Wrong(line.number, "'" + words[i] + "' is not name=value");
    const std::string name = words[i].substr(0, equals);
    const std::string value = words[i].substr(equals + 1);
    const auto full = kShort.find(name);
    if (name == "severity") {
      const auto score = kScores.find(value);
      alert["event.severity"] = score != kScores.end() ? score->second : std::atoi(value.c_str());
    } else if (name == "event_time") {
      const auto at = ParseClock(value);
      if (!at) return Wrong(line.number, "event_time '" + value + "' is not h:mm");
      alert["@timestamp"] = FormatTimestamp(start_ + *at);
    } else {
      alert[full == kShort.end() ? name : full->second] = value;
    }
  }
  return alert.dump();
}

// "<action> <case> by <actor> as <role> [name=value …]"
Status Runner::ActCommand(const Line& line, const std::vector<std::string>& words) {
  if (words.size() < 6 || words[2] != "by" || words[4] != "as") {
    return Wrong(line.number, "a command reads: ack 0-1 by otto as l2 [name=value …]");
  }
  Json command;
  command["id"] = "command-" + std::to_string(++commands_);
  command["case_id"] = words[1];
  command["actor"] = words[3];
  command["role"] = words[5];
  command["action"] = words[0];
  for (size_t i = 6; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    if (equals == std::string::npos) return Wrong(line.number, "'" + words[i] + "' is not name=value");
    const std::string name = words[i].substr(0, equals);
    const std::string value = words[i].substr(equals + 1);
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
      if (colon == std::string::npos) return Wrong(line.number, "'" + words[i] + "' is not match=field:value");
      command["arguments"][name][value.substr(0, colon)] = value.substr(colon + 1);
    } else if (name == "confidence") {
      command["arguments"][name] = std::stoi(value);
    } else {
      command["arguments"][name] = value;
    }
  }
  return replay_.TakeCommand(command.dump(), start_ + line.at);
}

Status Runner::Act(const Line& line) {
  const std::vector<std::string> words = Words(line.action);
  if (words.empty()) return {};
  if (words[0] == "alert") {
    const auto alert = AlertJson(line, words);
    return alert ? replay_.TakeAlert(*alert, start_ + line.at) : Status(alert.error());
  }
  if (words[0] == "record") {
    return replay_.TakeAlert(Trim(std::string_view(line.action).substr(6)), start_ + line.at);
  }
  return ActCommand(line, words);
}

Status Runner::RunLine(const Line& line) {
  if (line.at < last_) return Wrong(line.number, "time goes back");
  last_ = line.at;
  const Timestamp at = start_ + line.at;
  // Time begins with the first line, as it does with the first record of a replay.
  if (Status advanced = begun_ ? replay_.AdvanceTo(at - Duration(1)) : Status(); !advanced) return advanced;
  begun_ = true;
  Surprise(line.number, "before this line");
  if (line.action.empty()) {
    if (Status advanced = replay_.AdvanceTo(at); !advanced) return advanced;
  } else if (Status acted = Act(line); !acted) {
    return acted;
  }
  if (line.has_expected) {
    Expect(line, line.expected);
  } else {
    Surprise(line.number, "on this line");
  }
  return {};
}

// "matched ID …" or "matched nothing".
void Runner::CheckMatched(int number, const std::vector<std::string>& words) {
  std::set<std::string> wanted(words.begin() + 1, words.end());
  wanted.erase("nothing");
  ++result_.lines;
  const std::set<std::string> matched = replay_.TakeMatched();
  if (matched == wanted) return;
  const auto list = [](const std::set<std::string>& ids) {
    std::string text;
    for (const std::string& id : ids) text += " " + id;
    return text.empty() ? std::string(" nothing") : text;
  };
  Fail(number, "rules expected:" + list(wanted) + "\n    matched:" + list(matched));
}

// "end 0-1 name=value …": fields of the case document's data, by name.
Status Runner::CheckEnd(int number, const std::vector<std::string>& words) {
  const auto id = words.size() > 1 ? ParseCaseId(words[1]) : std::nullopt;
  if (!id) return Wrong(number, "`end` names a case: end 0-1 status=closed");
  const auto documents = replay_.CaseDocuments();
  if (!documents) return documents.error();
  for (const std::string& text : *documents) {
    const Json document = Json::parse(text);
    if (document.at("subject") != words[1]) continue;
    for (size_t i = 2; i < words.size(); ++i) {
      const size_t equals = words[i].find('=');
      if (equals == std::string::npos) return Wrong(number, "'" + words[i] + "' is not name=value");
      const Json::json_pointer path("/data/" + words[i].substr(0, equals));
      const Json value = document.contains(path) ? document.at(path) : Json();
      const std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
      ++result_.lines;
      if (shown != words[i].substr(equals + 1)) Fail(number, words[i] + " expected, it is " + shown);
    }
    return {};
  }
  Fail(number, "there is no case " + words[1]);
  return {};
}

Status Runner::ReadLine(int number, std::string_view text) {
  if (const size_t hash = text.find('#'); hash != std::string_view::npos) text = text.substr(0, hash);
  text = Trim(text);
  if (text.empty()) return {};
  const std::vector<std::string> words = Words(text);
  if (words[0] == "partitions") {
    return result_.lines == 0 ? Status() : Wrong(number, "`partitions` stands before everything else");
  }
  if (words[0] == "retention") {
    const bool read = words.size() == 2 && ParseDuration(words[1]) && !begun_;
    return read ? Status() : Wrong(number, "`retention` takes a duration, before the first line");
  }
  if (words[0] == "start") {
    const auto start = words.size() == 2 ? ParseTimestamp(words[1]) : std::nullopt;
    if (!start || result_.lines > 0) return Wrong(number, "`start` takes an RFC 3339 time, before the first line");
    start_ = *start;
    return {};
  }
  if (words[0] == "end") return CheckEnd(number, words);
  if (words[0] == "matched") {
    CheckMatched(number, words);
    return {};
  }
  Line line;
  line.number = number;
  const auto at = ParseClock(words[0]);
  if (!at) return Wrong(number, "a line begins with a time (h:mm), `start` or `end`");
  line.at = *at;
  text.remove_prefix(words[0].size());
  size_t arrow = text.find("→");
  size_t arrow_size = std::string_view("→").size();
  if (arrow == std::string_view::npos) {
    arrow = text.find("->");
    arrow_size = 2;
  }
  line.has_expected = arrow != std::string_view::npos;
  line.action = std::string(Trim(text.substr(0, arrow)));
  if (line.has_expected) line.expected = std::string(Trim(text.substr(arrow + arrow_size)));
  return RunLine(line);
}

Result<TimelineResult> Runner::Run() {
  if (const auto keep = ParseDuration(HeaderOf(file_.text, "retention"))) replay_.KeepClosed(*keep);
  if (Status opened = replay_.Open(); !opened) return opened.error();
  std::istringstream in(file_.text);
  std::string text;
  for (int number = 1; std::getline(in, text); ++number) {
    if (Status read = ReadLine(number, text); !read) return read.error();
  }
  if (result_.lines == 0) return Wrong(1, "nothing is expected anywhere: the test could not fail");
  if (!replay_.balance().Adds()) Fail(1, "the balance does not add up");
  return std::move(result_);
}

}  // namespace

Result<TimelineResult> RunTimeline(const SourceFile& file, std::shared_ptr<const Engine> engine, bool drill) {
  return Runner(file, std::move(engine), drill).Run();
}

}  // namespace triaged
