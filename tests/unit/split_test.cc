// Several alerts in one record: cutting it, and what becomes of each through both stages.
#include <doctest/doctest.h>

#include "daemon/config.h"
#include "daemon/replay.h"
#include "pipeline/normalise/splitter.h"
#include "pipeline/policy/engine.h"
#include "pipeline/processor/intake_headers.h"
#include "pipeline/processor/processor.h"

namespace triaged {
namespace {

SplitSettings Split(const std::vector<std::string>& entries) {
  SplitSettings settings;
  for (const std::string& entry : entries) AddSplit(entry, &settings);
  return settings;
}

// "text" per part, with '!' before broken text and '+' before what is over the limit.
std::vector<std::string> Cut(std::string_view record, const std::vector<std::string>& entries, size_t max = 1000) {
  std::vector<std::string> texts;
  for (const RecordPart& part : SplitRecord(record, Split(entries), max)) {
    const char* sign = part.kind == RecordPart::Kind::kBroken ? "!" : part.kind == RecordPart::Kind::kRest ? "+" : "";
    texts.push_back(sign + std::string(part.bytes));
  }
  return texts;
}

using Texts = std::vector<std::string>;

std::shared_ptr<const Engine> EngineWith(std::vector<TopicSettings> topics, const std::string& asff_split = {}) {
  Diagnostics diagnostics;
  EngineSources sources;
  sources.formats = ReadSources({TRIAGED_SOURCE_DIR "/configs/formats"}, &diagnostics);
  for (SourceFile& file : sources.formats) {
    if (file.name.ends_with("asff.yaml")) file.text += asff_split;
  }
  sources.policies = ReadSources({TRIAGED_SOURCE_DIR "/configs/policies/soc-tiered.yaml"}, &diagnostics);
  sources.topics = std::move(topics);
  auto engine = CompileEngine(sources, NormaliseLimits{1024 * 1024, 64, 4}, &diagnostics);
  INFO(diagnostics.Render());
  REQUIRE(engine != nullptr);
  return engine;
}

TopicSettings Topic(const std::string& name, const std::vector<std::string>& split) {
  TopicSettings topic;
  topic.topic = name;
  topic.split = Split(split);
  return topic;
}

std::string AlertText(const std::string& id) {
  return R"({"ecs":{"version":"8.11"},"event":{"kind":"alert","id":")" + id + R"("},"host":{"name":"h"}})";
}

struct Taken {
  std::vector<OutputRecord> outputs;
  StepFacts facts;
  uint64_t Outcome(AlertOutcome outcome) const { return facts.balance.outcomes[static_cast<size_t>(outcome)]; }
};

Taken TakeRecord(const std::shared_ptr<const Engine>& engine, std::string_view topic, std::string_view value) {
  Intake intake(ProcessorOptions{}, engine);
  InputRecord input;
  input.topic = topic;
  input.value = value;
  Taken taken;
  intake.Take(input, &taken.outputs, &taken.facts);
  CHECK(taken.facts.balance.Adds());
  CHECK(taken.facts.balance.consumed == taken.outputs.size());
  return taken;
}

}  // namespace

TEST_CASE("split: off by default; each kind is switched on by itself") {
  for (const char* record : {R"({"a":1}{"b":2})", R"([{"a":1}])", R"({"Records":[{"a":1}]})", "", "{", "[] x"}) {
    CHECK(Cut(record, {}) == Texts{record});
  }
  CHECK(Cut(R"([{"a":1}])", {"values", "Records"}) == Texts{R"([{"a":1}])"});
  CHECK(Cut(R"({"a":1}{"b":2})", {"array", "Records"}) == Texts{R"({"a":1}{"b":2})"});
  CHECK(Cut(R"({"Records":[{"a":1}]})", {"array", "values"}) == Texts{R"({"Records":[{"a":1}]})"});
}

TEST_CASE("split: values, arrays, envelopes, and all of them at once") {
  CHECK(Cut("\xef\xbb\xbf{\"a\":\"}\\\"{\"}\n{\"b\":[{}]} {}", {"values"}) == Texts{R"({"a":"}\"{"})", R"({"b":[{}]})", "{}"});
  CHECK(Cut(R"( [ {"a":1} , [2], "x,]" ] )", {"array"}) == Texts{R"({"a":1})", "[2]", R"("x,]")"});
  CHECK(Cut(R"({"x":{"findings":1},"detail":{"n":null,"findings":[{"a":1},{}]}})", {"Records", "detail.findings"}) ==
        Texts{R"({"a":1})", "{}"});
  CHECK(Cut(R"({"detail.findings":[{"a":1}]})", {"detail.findings"}) == Texts{R"({"a":1})"});
  CHECK(Cut(R"({"Records":[1]}[2,3]{"a":{"Records":[4]}})", {"Records", "array", "values"}) ==
        Texts{"1", "2", "3", R"({"a":{"Records":[4]}})"});
  // Nothing to cut: the record as it stands.
  CHECK(Cut(R"({"Records":[]})", {"Records"}) == Texts{R"({"Records":[]})"});
  CHECK(Cut(R"({"Records":{"a":1}})", {"Records"}) == Texts{R"({"Records":{"a":1}})"});
}

TEST_CASE("split: what is before broken text is kept; the limit leaves one rest") {
  CHECK(Cut("{}{\"a\":1} {\"b", {"values"}) == Texts{"{}", R"({"a":1})", "!{\"b"});
  CHECK(Cut("{} } {}", {"values"}) == Texts{"{}", "!} {}"});
  CHECK(Cut(R"([{"a":1},{"b":)", {"array"}) == Texts{R"({"a":1})", R"(!{"b":)"});
  CHECK(Cut(R"([{"a":1} {"b":2}])", {"array"}) == Texts{R"({"a":1})", R"(!{"b":2}])"});
  CHECK(Cut(R"({"Records":[{"a":1},{"b":2},{"c)", {"Records"}) == Texts{R"({"a":1})", R"({"b":2})", R"(!{"c)"});
  CHECK(Cut(R"({"Records":[{"a":1}],"x":{)", {"Records"}) == Texts{R"({"a":1})", R"(!,"x":{)"});
  CHECK(Cut(R"({"Records":[],"x":{)", {"Records"}) == Texts{R"(!{"Records":[],"x":{)"});
  CHECK(Cut("[1,2,3]", {"array"}, 2) == Texts{"1", "2", "+3]"});
  CHECK(Cut("1 2 3 4", {"values"}, 2) == Texts{"1", "2", "+3 4"});
}

TEST_CASE("split: behind a break nothing is guessed") {
  CHECK(Cut(R"([{"a":1}-2,[3]] {"b":1})", {"array", "values"}) == Texts{R"({"a":1})", R"(!-2,[3]] {"b":1})"});
}

TEST_CASE("split: an envelope's values are told to each of its alerts, and only what was asked for") {
  SplitSettings settings = Split({"detail.findings", "values"});
  settings.envelope = {"account", "detail.source", "detail-type", "absent"};
  const auto told = [&](std::string_view record) {
    Texts texts;
    for (const RecordPart& part : SplitRecord(record, settings, 10)) texts.push_back(WithEnvelope(part));
    return texts;
  };
  CHECK(told(R"({"account":"1","detail-type":"x","detail":{"findings":[{"a":1},{ }, 7],"source":{"b":[2]}},"more":0} {"c":3})") ==
        Texts{R"({"triaged.envelope":{"account":"1","detail.source":{"b":[2]},"detail-type":"x"},"a":1})",
              R"({"triaged.envelope":{"account":"1","detail.source":{"b":[2]},"detail-type":"x"} })", "7", R"({"c":3})"});
  CHECK(told(R"({"detail":{"findings":[{"a":1}]}})") == Texts{R"({"a":1})"});
  // What is longer than its limit is not told; what breaks off is told as far as it is there.
  CHECK(told(R"({"account":")" + std::string(kMostEnvelope, 'x') + R"(","detail-type":"y","detail.findings":[{"a":1},{"b)") ==
        Texts{R"({"triaged.envelope":{"detail-type":"y"},"a":1})", R"({"b)"});
}

TEST_CASE("split: a table reads what stood around its alerts, through both stages") {
  const auto engine = EngineWith({}, "\nsplit: [detail.findings]\nenvelope: [account, region]\n");
  const std::string finding = R"({"SchemaVersion":"2018-10-08","Id":"f1","ProductArn":"arn:x","GeneratorId":"g","AwsAccountId":"1"})";
  const Taken taken = TakeRecord(engine, "any", R"({"account":"9","region":"eu-west-3","detail":{"findings":[)" + finding + "]}}");
  REQUIRE(taken.outputs.size() == 1);
  CHECK(taken.outputs.front().topic == OutputTopic::kIntake);
  Normaliser normaliser(engine->formats, engine->limits);
  REQUIRE_FALSE(normaliser.Normalise(*taken.outputs.front().value, {}, FromUnixMillis(1'772'438'400'000)).has_value());
  CHECK(normaliser.alert().format == "asff");
  CHECK(normaliser.alert().fields.First(field::kCloudAccountId) == "1");
  CHECK(normaliser.alert().fields.First(field::kCloudRegion) == "eu-west-3");
}

TEST_CASE("split: what a courier packed is opened by both stages") {
  const auto engine = EngineWith({});
  const std::string packed = R"({\"event_type\":\"alert\",\"flow_id\":7,\"timestamp\":\"2026-03-02T08:00:00Z\",\"src_ip\":\"10.0.0.1\",)"
                             R"(\"dest_ip\":\"10.0.0.2\",\"alert\":{\"signature_id\":9,\"signature\":\"S\",\"severity\":1}})";
  for (const std::string& record : {R"({"ecs":{"version":"8"},"message":")" + packed + "\"}", R"({"log":")" + packed + "\"}"}) {
    CAPTURE(record);
    const Taken taken = TakeRecord(engine, "any", record);
    REQUIRE(taken.outputs.size() == 1);
    InputRecord sent;  // as stage two gets it
    sent.topic = "intake";
    sent.key = *taken.outputs.front().key;
    sent.value = *taken.outputs.front().value;
    for (const Header& header : taken.outputs.front().headers) sent.headers.emplace_back(header.name, header.value);
    const auto note = ReadIntakeHeaders(sent);
    REQUIRE(note);
    Normaliser normaliser(engine->formats, engine->limits);
    REQUIRE_FALSE(normaliser.Normalise(*taken.outputs.front().value, note->format, note->record_time).has_value());
    CHECK(normaliser.alert().format == "suricata");
    CHECK(normaliser.alert().fields.First(field::kRuleName) == "S");
    CHECK(normaliser.alert().severity == AlertSeverity::kCritical);
  }
}

TEST_CASE("split: any prefix of a record gives parts that lie in it, in order") {
  const std::string record = R"({"Records":[{"a":"\"]}"},[1,{"b":null}]]} [true,"x"] {"k":{"Records":[]}} 12)";
  for (size_t size = 0; size <= record.size(); ++size) {
    const std::string_view text = std::string_view(record).substr(0, size);
    const char* from = text.data();
    for (const RecordPart& part : SplitRecord(text, Split({"values", "array", "Records"}), 100)) {
      CHECK(part.bytes.data() >= from);
      from = part.bytes.data() + part.bytes.size();
      CHECK(from <= text.data() + text.size());
    }
  }
}

TEST_CASE("split: stage one forwards each alert with its bytes and counts each part") {
  const auto engine = EngineWith({Topic("many", {"values", "array"})});
  const std::string one = AlertText("1"), two = AlertText("2");
  const Taken taken = TakeRecord(engine, "many", one + "\n[" + two + ",{\"bad\":}]{");
  CHECK(taken.Outcome(AlertOutcome::kForwarded) == 2);
  CHECK(taken.Outcome(AlertOutcome::kDeadLettered) == 2);
  REQUIRE(taken.outputs.size() == 4);
  CHECK(taken.outputs[0].value == one);
  CHECK(taken.outputs[1].value == two);
  CHECK(taken.outputs[2].value == R"({"bad":})");
  CHECK(taken.outputs[3].value == "{");
  CHECK(taken.outputs[3].headers.front() == Header{"triaged.part", "3"});
  CHECK(taken.facts.dead_letters[0].reason == "invalid_json");
  // Elsewhere it is one broken record.
  CHECK(TakeRecord(engine, "other", one + "\n" + two).facts.balance.consumed == 1);
  // More than the limit (4).
  const Taken rest = TakeRecord(engine, "many", one + one + one + one + two);
  CHECK(rest.Outcome(AlertOutcome::kForwarded) == 4);
  REQUIRE(rest.facts.dead_letters.size() == 1);
  CHECK(rest.facts.dead_letters[0].reason == "too_many_alerts");
}

TEST_CASE("split: a table's own paths hold on every topic that does not say otherwise") {
  const std::string finding = R"({"SchemaVersion":"2018-10-08","ProductArn":"arn:p","Id":"X","Title":"t"})";
  std::string other = finding;
  other.replace(other.find("\"X\""), 3, "\"Y\"");
  const std::string envelope = R"({"source":"aws","detail":{"findings":[)" + finding + "," + other + "]}}";
  const auto engine = EngineWith({}, "\nsplit: [detail.findings]\n");
  const Taken taken = TakeRecord(engine, "any", envelope);
  REQUIRE(taken.outputs.size() == 2);
  CHECK(taken.outputs[0].value == finding);
  CHECK(taken.outputs[1].value == other);
  CHECK(TakeRecord(EngineWith({}), "any", envelope).outputs.size() == 1);
}

TEST_CASE("split: ids of the parts are their own and stable; a redelivered record is all duplicates") {
  const auto engine = EngineWith({Topic("replay", {"values"})});
  Replay replay(engine, "test", 3);
  REQUIRE(replay.Open().ok());
  const std::string record = AlertText("1") + AlertText("2") + R"({"host":{"name":"h"},"message":"no id"})" + "{";
  for (int i = 0; i < 2; ++i) REQUIRE(replay.TakeAlert(record, FromUnixMillis(1'772'438'400'000 + i * 1000)).ok());
  const Balance& balance = replay.balance();
  const auto count = [&](AlertOutcome outcome) { return balance.outcomes[static_cast<size_t>(outcome)]; };
  CHECK(balance.Adds());
  CHECK(balance.consumed == 8);
  CHECK(count(AlertOutcome::kDuplicate) == 3);
  CHECK(count(AlertOutcome::kDeadLettered) == 2);
  CHECK(count(AlertOutcome::kOpened) + count(AlertOutcome::kMerged) == 3);
}

TEST_CASE("topics: a name comes before a pattern; format and zone hold") {
  TopicSettings named = Topic("branch-1", {});
  named.format = "generic";
  named.zone = Zone::Find("Asia/Tokyo");
  const auto engine = EngineWith({named});
  Normaliser normaliser(engine->formats, engine->limits);
  const TopicSettings& topic = engine->topics.Of("branch-1");
  REQUIRE_FALSE(normaliser.Normalise(R"({"ecs":{"version":"8"},"@timestamp":"2026-03-02 17:00:00"})", topic.format,
                                     FromUnixMillis(1'772'438'400'000), &*topic.zone));
  CHECK(normaliser.alert().format == "generic");
  CHECK(FormatTimestamp(normaliser.alert().event_time) == "2026-03-02T08:00:00.000Z");
  CHECK(engine->topics.Of("branch-2").format.empty());

  Diagnostics diagnostics;
  const std::string text =
      "kafka: {bootstrap_servers: b:9092, alert_topics: [one, ^branch-]}\nstorage: {path: d}\nformats: [f]\nrules: [r]\n"
      "policies: [p]\ntopics:\n  ^branch-: {zone: Asia/Tokyo}\n  branch-1: {format: asff, split: [values, detail.findings]}\n";
  const auto config = ParseConfig({"t.yaml", text}, &diagnostics);
  REQUIRE_MESSAGE(config, diagnostics.Render());
  const TopicTable table(config->topics);
  CHECK(table.Of("branch-1").format == "asff");
  CHECK(table.Of("branch-1").split.values);
  CHECK(table.Of("branch-1").split.under == Texts{"detail.findings"});
  CHECK(table.Of("branch-2").zone);
  CHECK_FALSE(table.Of("one").zone);
  CHECK_FALSE(ParseConfig({"t.yaml", text + "  ^bad(: {}\n  two: {zone: Mars/Base, splitt: [values]}\n"}, &diagnostics));
  for (const char* part : {"^bad(", "Mars/Base", "splitt"}) CHECK(diagnostics.Render().find(part) != std::string::npos);
}

}  // namespace triaged
