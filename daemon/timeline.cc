#include "daemon/timeline.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "daemon/replay.h"
#include "daemon/timeline_text.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

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
  return DescribeEvent(event, event.at("subject").get<std::string>());
}

// A case event that does not say that it belongs to a drill. A refusal shows no case.
bool Unmarked(const OutputRecord& record) {
  if (record.topic != OutputTopic::kEscalations) return false;
  const Json event = Json::parse(*record.value);
  return event.at("data").contains("drill") && event["data"]["drill"] != true;
}

int32_t PartitionsOf(const std::string& file) {
  const std::string count = TimelineHeader(file, "partitions");
  return count.empty() ? 1 : std::clamp(std::atoi(count.c_str()), 1, 100);
}

class Runner {
 public:
  Runner(const SourceFile& file, std::shared_ptr<const Engine> engine, bool drill)
      : file_(file), drill_(drill), replay_(std::move(engine), "timeline", PartitionsOf(file.text)) {}

  Result<TimelineResult> Run();

 private:
  Status ReadLine(int number, std::string_view text);
  Status RunLine(const TimelineLine& line);
  Status Act(const TimelineLine& line);
  Status ActCommand(const TimelineLine& line, const std::vector<std::string>& words);
  void CheckMatched(int number, const std::vector<std::string>& words);
  Status CheckEnd(int number, const std::vector<std::string>& words);
  void Expect(const TimelineLine& line, const std::string& expected);
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
  std::string reached_;  // by the escalations since the last step
  int commands_ = 0;
  int alerts_ = 0;
};

std::vector<std::string> Runner::TakeEvents() {
  std::vector<std::string> events;
  for (const OutputRecord& record : replay_.TakeOutputs()) {
    const bool purged = record.topic == OutputTopic::kCases && !record.value;
    if (!purged && record.topic != OutputTopic::kEscalations && record.topic != OutputTopic::kDeadLetter) continue;
    events.push_back(Describe(record));
    if (record.topic == OutputTopic::kEscalations) {
      const std::string reached = ReachedBy(Json::parse(*record.value));
      if (!reached.empty()) reached_ += (reached_.empty() ? "" : "; ") + reached;
    }
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

void Runner::Expect(const TimelineLine& line, const std::string& expected) {
  ++result_.lines;
  const std::string happened = Joined(TakeEvents());
  result_.steps.push_back({FormatDuration(line.at), line.action, expected, happened, std::exchange(reached_, {})});
  if (happened != expected) Fail(line.number, "expected: " + expected + "\n    happened: " + happened);
}

void Runner::Surprise(int number, const std::string& when) {
  const auto events = TakeEvents();
  if (!events.empty()) Fail(number, "happened " + when + " without being announced: " + Joined(events));
}

// "<action> <case> by <actor> as <role> [name=value …]"
Status Runner::ActCommand(const TimelineLine& line, const std::vector<std::string>& words) {
  const auto command = TimelineCommand(words, ++commands_);
  if (!command) return Wrong(line.number, command.error().message);
  return replay_.TakeCommand(command->dump(), start_ + line.at);
}

Status Runner::Act(const TimelineLine& line) {
  const std::vector<std::string> words = TimelineWords(line.action);
  if (words.empty()) return {};
  if (words[0] == "alert") {
    const auto alert = TimelineAlert(words, start_, line.at, ++alerts_, drill_);
    if (!alert) return Wrong(line.number, alert.error().message);
    return replay_.TakeAlert(alert->dump(), start_ + line.at);
  }
  if (words[0] == "record") {
    return replay_.TakeAlert(TrimBlanks(std::string_view(line.action).substr(6)), start_ + line.at);
  }
  return ActCommand(line, words);
}

Status Runner::RunLine(const TimelineLine& line) {
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
  text = TrimBlanks(text);
  if (text.empty()) return {};
  const std::vector<std::string> words = TimelineWords(text);
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
  const auto line = ReadTimelineLine(number, text);
  if (!line) return Wrong(number, "a line begins with a time (h:mm), `start` or `end`");
  return RunLine(*line);
}

Result<TimelineResult> Runner::Run() {
  if (const auto keep = ParseDuration(TimelineHeader(file_.text, "retention"))) replay_.KeepClosed(*keep);
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
