#include "daemon/drill_live.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "daemon/broker_client.h"
#include "daemon/clock.h"
#include "daemon/kafka_producer.h"
#include "daemon/kafka_reader.h"
#include "daemon/timeline_text.h"
#include "pipeline/model/command.h"

namespace triaged {
namespace {

using Json = nlohmann::ordered_json;

constexpr Duration kBound{15'000};     // one question to the broker
constexpr Duration kPause{50};         // between two looks at the topic
constexpr size_t kSliceRecords = 1000;
constexpr int32_t kAnyPartition = -1;

std::vector<std::string> Parts(const std::string& expected) {
  std::vector<std::string> parts;
  if (expected == "nothing") return parts;
  for (size_t at = 0; at <= expected.size();) {
    const size_t end = std::min(expected.find(';', at), expected.size());
    parts.emplace_back(TrimBlanks(std::string_view(expected).substr(at, end - at)));
    at = end + 1;
  }
  return parts;
}

std::string Joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text.empty() ? "nothing" : text;
}

// An event of this drill, in the words of its timeline.
struct Seen {
  Timestamp at{};
  std::string text;
  std::string reached;  // of an escalation: "emi of l2"
};

class LiveRunner {
 public:
  LiveRunner(const SourceFile& file, const Config& config, const LiveDrill& live)
      : file_(file), config_(config), live_(live), names_(TopicNames::For(config.application_id)) {}

  Result<TimelineResult> Run();

 private:
  Status ReadLines();
  Status OpenEvents();
  Status RunLine(const TimelineLine& line, std::optional<Duration> next);
  Status Act(const TimelineLine& line);
  Status SendAlert(const TimelineLine& line, const std::vector<std::string>& words);
  Status Send(const TimelineLine& line, const std::vector<std::string>& words);
  Status WaitUntil(Duration end);
  Status Look(Duration wait);
  void Take(const std::string& bytes);
  void Compare(const TimelineLine& line, size_t count);
  bool IsOurs(const Json& event);
  Error Wrong(int number, const std::string& what) const {
    return BadInput(file_.name + ":" + std::to_string(number) + ": " + what);
  }
  void Fail(int number, const std::string& what) {
    result_.failures.push_back(file_.name + ":" + std::to_string(number) + ": " + what);
  }
  std::string Prefix() const { return "drill:" + live_.run + "/"; }

  const SourceFile& file_;
  const Config& config_;
  const LiveDrill& live_;
  const TopicNames names_;
  std::string topic_;
  std::vector<TimelineLine> lines_;
  std::unique_ptr<ChangelogReader> reader_;
  std::map<std::string, std::string> names_of_cases_, cases_of_names_;  // 3-17 is the timeline's 0-1
  std::deque<Seen> seen_;                                               // not yet compared, as they came
  TimelineResult result_;
  Duration line_at_{0};             // of the line that is being run
  Duration begun_{0};               // of the monotonic clock, when the first line was
  std::optional<Timestamp> zero_;   // the events' time at 0:00
  int alerts_ = 0, commands_ = 0;
};

Status LiveRunner::ReadLines() {
  std::istringstream in(file_.text);
  std::string raw;
  Duration last{0};
  for (int number = 1; std::getline(in, raw); ++number) {
    const std::string_view text = TrimBlanks(std::string_view(raw).substr(0, raw.find('#')));
    const std::vector<std::string> words = TimelineWords(text);
    if (words.empty() || words[0] == "start" || words[0] == "matched" || words[0] == "end") continue;
    if (words[0] == "partitions" || words[0] == "retention") {
      return Wrong(number, "a live drill cannot set `" + words[0] + "`: the daemon has its own");
    }
    const auto line = ReadTimelineLine(number, text);
    if (!line) return Wrong(number, "a line begins with a time (h:mm), `start` or `end`");
    if (line->at < last) return Wrong(number, "time goes back");
    if (line->action.starts_with("record")) {
      return Wrong(number, "a live drill sends no raw records: they carry no mark");
    }
    last = line->at;
    if (!live_.until || line->at <= *live_.until) lines_.push_back(*line);
  }
  const bool asks = std::any_of(lines_.begin(), lines_.end(), [](const auto& line) { return line.has_expected; });
  return asks ? Status() : Wrong(1, "nothing is expected anywhere: the drill could not fail");
}

// Reads from the ends as they are now on.
Status LiveRunner::OpenEvents() {
  topic_ = live_.topic;
  for (const std::string& name : config_.kafka.alert_topics) {
    if (topic_.empty() && !name.starts_with("^")) topic_ = name;
  }
  if (topic_.empty()) return BadInput("every alert topic is a pattern; name the one to send to with --topic");
  const auto probe = OffsetProbe::Make(config_.kafka.bootstrap_servers, config_.kafka.properties);
  if (!probe) return probe.error();
  auto reader = ChangelogReader::Make(config_.kafka.bootstrap_servers, config_.kafka.properties, names_.escalations);
  if (!reader) return reader.error();
  reader_ = std::move(*reader);
  for (int32_t partition = 0; partition < config_.kafka.partitions; ++partition) {
    const auto ends = (*probe)->Query({names_.escalations, partition}, kBound);
    if (!ends) return ends.error();
    const Status opened = reader_->Open(partition, ends->high, std::numeric_limits<int64_t>::max());
    if (!opened) return opened;
  }
  return {};
}

bool LiveRunner::IsOurs(const Json& event) {
  const std::string id = event.at("subject").get<std::string>();
  if (names_of_cases_.contains(id)) return true;
  const Json& data = event.at("data");
  if (!data.contains("evidence") || !data["evidence"].is_array()) return false;
  for (const Json& item : data["evidence"]) {
    if (!item.value("alert_id", "").starts_with(Prefix())) continue;
    const std::string name = "0-" + std::to_string(names_of_cases_.size() + 1);
    names_of_cases_[id] = name;
    cases_of_names_[name] = id;
    return true;
  }
  return false;
}

void LiveRunner::Take(const std::string& bytes) {
  const Json event = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!event.is_object() || !event.contains("subject") || !event.contains("data")) return;
  if (!event["data"].is_object() || !event["subject"].is_string() || !IsOurs(event)) return;
  const Json& data = event["data"];
  const std::string id = event["subject"].get<std::string>();
  Seen seen;
  seen.at = ParseTimestamp(event.value("time", "")).value_or(Timestamp{});
  seen.text = DescribeEvent(event, names_of_cases_[id]);
  seen.reached = ReachedBy(event);
  // A refusal shows no case.
  if (data.contains("drill") && data["drill"] != true) result_.failures.push_back(file_.name + ": not marked as a drill: " + seen.text);
  if (!zero_) zero_ = seen.at - line_at_;
  ++result_.events;
  seen_.push_back(std::move(seen));
}

Status LiveRunner::Look(Duration wait) {
  const Duration stop = MonotonicTime() + wait;
  do {
    for (int32_t partition = 0; partition < config_.kafka.partitions; ++partition) {
      const auto slice = reader_->Read(partition, kSliceRecords, kPause / config_.kafka.partitions);
      if (!slice) return slice.error();
      for (const auto& record : slice->records) {
        if (record.value) Take(*record.value);
      }
    }
  } while (MonotonicTime() < stop);
  return {};
}

Status LiveRunner::WaitUntil(Duration end) {
  while (MonotonicTime() < end) {
    const Status looked = Look(std::min(kPause, end - MonotonicTime()));
    if (!looked) return looked;
  }
  return {};
}

Status LiveRunner::SendAlert(const TimelineLine& line, const std::vector<std::string>& words) {
  auto alert = TimelineAlert(words, WallTime() - line.at, line.at, ++alerts_, /*drill=*/true);
  if (!alert) return Wrong(line.number, alert.error().message);
  (*alert)["labels.drill"] = "true";  // whatever the line says
  (*alert)["event.id"] = Prefix() + (*alert)["event.id"].get<std::string>();
  return ProduceOne(config_.kafka.bootstrap_servers, config_.kafka.properties, topic_, kAnyPartition, {}, alert->dump(),
                    kBound);
}

Status LiveRunner::Send(const TimelineLine& line, const std::vector<std::string>& words) {
  auto command = TimelineCommand(words, ++commands_);
  if (!command) return Wrong(line.number, command.error().message);
  const auto real = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = cases_of_names_.find(name);
    return found == cases_of_names_.end() ? std::nullopt : std::optional(found->second);
  };
  const auto id = real(words[1]);
  if (!id) {
    Fail(line.number, "not sent: this drill has no case " + words[1]);
    return {};
  }
  (*command)["case_id"] = *id;
  (*command)["id"] = Prefix() + (*command)["id"].get<std::string>();
  if (command->contains("arguments")) {
    Json& arguments = (*command)["arguments"];
    if (arguments.contains("into")) {
      const auto into = real(arguments["into"].get<std::string>());
      if (!into) return Wrong(line.number, "this drill has no case to merge into");
      arguments["into"] = *into;
    }
    if (arguments.contains("alerts")) {
      for (Json& alert : arguments["alerts"]) alert = Prefix() + alert.get<std::string>();
    }
  }
  const std::string json = command->dump();
  const auto parsed = ParseCommand(json);
  if (!parsed) return Wrong(line.number, parsed.error().message);
  return ProduceOne(config_.kafka.bootstrap_servers, config_.kafka.properties, names_.commands, parsed->case_id.partition,
                    *id, json, kBound);
}

Status LiveRunner::Act(const TimelineLine& line) {
  const std::vector<std::string> words = TimelineWords(line.action);
  if (words.empty()) return {};
  return words[0] == "alert" ? SendAlert(line, words) : Send(line, words);
}

// Takes `count` events as those of this line. Between partitions there is no order, so none is asked for.
void LiveRunner::Compare(const TimelineLine& line, size_t count) {
  ++result_.lines;
  std::vector<std::string> expected = Parts(line.expected), happened, late, reached;
  for (; count > 0; --count) {
    const Seen& seen = seen_.front();
    const Duration at = seen.at - *zero_;
    happened.push_back(seen.text);
    if (!seen.reached.empty()) reached.push_back(seen.reached);
    if (at > line.at + live_.tolerance || at + live_.tolerance < line.at) {
      late.push_back(seen.text + " at " + FormatDuration(at));
    }
    seen_.pop_front();
  }
  const std::multiset<std::string> wanted(expected.begin(), expected.end()), had(happened.begin(), happened.end());
  const std::string shown = wanted == had ? Joined(expected) : Joined(happened);
  result_.steps.push_back({FormatDuration(line.at), line.action, Joined(expected), shown, reached.empty() ? "" : Joined(reached)});
  if (wanted != had) Fail(line.number, "expected: " + Joined(expected) + "\n    happened: " + shown);
  if (!late.empty()) Fail(line.number, "not when it was expected: " + Joined(late));
}

Status LiveRunner::RunLine(const TimelineLine& line, std::optional<Duration> next) {
  if (Status waited = WaitUntil(begun_ + line.at); !waited) return waited;
  line_at_ = line.at;
  if (Status acted = Act(line); !acted) return acted;
  if (!line.has_expected) return {};
  const size_t expected = Parts(line.expected).size();
  const Duration end = std::max(begun_ + line.at, MonotonicTime()) + live_.tolerance;
  // Where nothing may happen, what happens until the next line, or for a tolerance, is looked at.
  // By the events' own time, so that one that was read late is not taken for one of this line.
  if (expected == 0) {
    const Duration half = next ? (line.at + *next) / 2 : Duration::max();
    if (Status waited = WaitUntil(next ? std::min(end, begun_ + half) : end); !waited) return waited;
    size_t early = 0;
    while (early < seen_.size() && seen_[early].at - *zero_ < half) ++early;
    Compare(line, early);
    return {};
  }
  while (seen_.size() < expected && MonotonicTime() < end) {
    if (Status looked = Look(kPause); !looked) return looked;
  }
  Compare(line, std::min(expected, seen_.size()));
  return {};
}

Result<TimelineResult> LiveRunner::Run() {
  if (Status read = ReadLines(); !read) return read.error();
  if (Status opened = OpenEvents(); !opened) return opened.error();
  begun_ = MonotonicTime() - lines_.front().at;
  for (size_t i = 0; i < lines_.size(); ++i) {
    const auto next = i + 1 < lines_.size() ? std::optional(lines_[i + 1].at) : std::nullopt;
    if (Status run = RunLine(lines_[i], next); !run) return run.error();
  }
  if (Status looked = Look(kPause); !looked) return looked.error();
  for (const Seen& seen : seen_) Fail(lines_.back().number, "happened without being announced: " + seen.text);
  return std::move(result_);
}

}  // namespace

Result<TimelineResult> RunLive(const SourceFile& file, const Config& config, const LiveDrill& live) {
  if (config.kafka.embedded) return BadInput("the embedded broker lives in the daemon alone; a live drill needs a real one");
  if (config.kafka.routing == Routing::kDirect) {
    return BadInput("with `kafka.routing: direct` alerts are keyed by whoever sends them; a live drill cannot");
  }
  return LiveRunner(file, config, live).Run();
}

}  // namespace triaged
