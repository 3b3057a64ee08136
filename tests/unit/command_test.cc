#include "pipeline/model/command.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

using namespace triaged;

namespace {

// A whole command around an action and its arguments ("" for none).
std::string Json(const std::string& action, const std::string& arguments = {}) {
  return R"({"id":"c1","case_id":"3-17","actor":"ada","role":"l1","action":")" + action + "\"" +
         (arguments.empty() ? "" : ",\"arguments\":" + arguments) + "}";
}

void CheckRefused(const std::string& json, const std::string& message) {
  CAPTURE(json);
  const auto command = ParseCommand(json);
  REQUIRE_FALSE(command.ok());
  CHECK(command.error().kind == ErrorClass::kBadInput);
  CAPTURE(command.error().message);
  CHECK(command.error().message.find(message) != std::string::npos);
  CHECK(command.error().message.size() < 500);
}

Command Parsed(const std::string& json) {
  auto command = ParseCommand(json);
  REQUIRE_MESSAGE(command.ok(), (command.ok() ? "" : command.error().message));
  return std::move(command).value();
}

}  // namespace

TEST_CASE("command: every key is read") {
  const Command c = Parsed(R"({"id":"c1","case_id":"3-17","actor":"ada","role":"l1","action":"verdict",
    "expected_version":4,"time":"2026-11-21T05:08:00+01:00",
    "arguments":{"verdict":"true_positive","confidence":80,"reason":"Seen on the host: naïve\n次"}})");
  CHECK(c.id == "c1");
  CHECK(c.case_id == CaseId{3, 17});
  CHECK(c.actor == "ada");
  CHECK(c.role == "l1");
  CHECK(c.action == CommandAction::kVerdict);
  CHECK(c.expected_version == 4u);
  CHECK(c.time == ParseTimestamp("2026-11-21T04:08:00Z"));
  CHECK(c.verdict == Verdict::kTruePositive);
  CHECK(c.confidence == 80);
  CHECK(c.reason == "Seen on the host: naïve\n次");
}

TEST_CASE("command: names of actions go both ways") {
  for (const char* name : {"ack", "assign", "verdict", "set-severity", "escalate", "de-escalate", "note", "classify",
                           "wait", "hold", "resume", "resolve", "confirm", "close", "reopen", "contain", "update",
                           "follow-up", "engage", "disengage", "accept-handoff", "undo", "merge", "split", "silence",
                           "tag", "untag"}) {
    const auto action = ParseCommandAction(name);
    REQUIRE(action);
    CHECK(Name(*action) == name);
  }
  CHECK_FALSE(ParseCommandAction("ACK"));
  CHECK_FALSE(ParseCommandAction(""));
}

TEST_CASE("command: each action takes its own arguments and no others") {
  const std::vector<std::pair<std::string, std::string>> good = {{"ack", ""},
                                                                 {"ack", "{}"},
                                                                 {"assign", R"({"to":"bob"})"},
                                                                 {"assign", R"({"to":""})"},
                                                                 {"verdict", R"({"verdict":"needs_review"})"},
                                                                 {"set-severity", R"({"severity":"high"})"},
                                                                 {"escalate", R"({"reason":"x"})"},
                                                                 {"escalate", R"({"reason":"x","to":"IR"})"},
                                                                 {"de-escalate", R"({"reason":"x","to":""})"},
                                                                 {"note", R"({"text":"x"})"},
                                                                 {"classify", R"({"incident":"major"})"},
                                                                 {"classify", R"({"classification":"phishing"})"},
                                                                 {"wait", R"({"reason":"x"})"},
                                                                 {"hold", R"({"reason":"x"})"},
                                                                 {"resume", ""},
                                                                 {"resolve", ""},
                                                                 {"resolve", R"({"reason":"x"})"},
                                                                 {"confirm", R"({"answer":"still_has_issues"})"},
                                                                 {"close", ""},
                                                                 {"close", R"({"reason":"x"})"},
                                                                 {"reopen", ""},
                                                                 {"reopen", R"({"reason":"x"})"},
                                                                 {"escalate", R"({"reason":"x","text":"look"})"},
                                                                 {"contain", ""},
                                                                 {"update", R"({"text":"x"})"},
                                                                 {"follow-up", R"({"name":"post_mortem"})"},
                                                                 {"engage", R"({"name":"legal","reason":"x"})"},
                                                                 {"disengage", R"({"name":"legal","reason":"x"})"},
                                                                 {"accept-handoff", R"({"name":"legal"})"},
                                                                 {"undo", R"({"reason":"x"})"},
                                                                 {"merge", R"({"into":"3-18","reason":"x"})"},
                                                                 {"split", R"({"alerts":["a","b"],"reason":"x"})"},
                                                                 {"silence", R"({"name":"s","expire":true})"},
                                                                 {"tag", R"({"name":"minimal_impact"})"},
                                                                 {"untag", R"({"name":"t","reason":"x"})"}};
  for (const auto& [action, arguments] : good) {
    CAPTURE(action);
    CAPTURE(arguments);
    CHECK(Name(Parsed(Json(action, arguments)).action) == action);
  }
  CheckRefused(Json("ack", R"({"reason":"x"})"), "takes no argument 'reason'");
  CheckRefused(Json("assign"), "needs the argument 'to'");
  CheckRefused(Json("verdict"), "needs the argument 'verdict'");
  CheckRefused(Json("verdict", R"({"verdict":"true-positive"})"), "did you mean 'true_positive'");
  CheckRefused(Json("verdict", R"({"verdict":""})"), "must not be empty");
  CheckRefused(Json("verdict", R"({"verdict":"true_positive","confidence":101})"), "from 0 to 100");
  CheckRefused(Json("verdict", R"({"verdict":"true_positive","confidence":-1})"), "from 0 to 100");
  CheckRefused(Json("verdict", R"({"verdict":"true_positive","confidence":50.0})"), "from 0 to 100");
  CheckRefused(Json("verdict", R"({"verdict":"true_positive","confidence":"50"})"), "from 0 to 100");
  CheckRefused(Json("verdict", R"({"verdct":"true_positive"})"), "did you mean 'verdict'");
  CheckRefused(Json("escalate"), "needs the argument 'reason'");
  CheckRefused(Json("escalate", R"({"reason":""})"), "must not be empty");
  CheckRefused(Json("wait", "{}"), "needs the argument 'reason'");
  CheckRefused(Json("hold", "{}"), "needs the argument 'reason'");
  CheckRefused(Json("note", R"({"text":7})"), "must be a string, not number");
  CheckRefused(Json("note", R"({"text":null})"), "must be a string, not null");
  CheckRefused(Json("classify", "{}"), "'incident', 'classification', or both");
  CheckRefused(Json("classify", R"({"incident":"huge"})"), "known are none, minor, major");
  CheckRefused(Json("confirm"), "needs the argument 'answer'");
  CheckRefused(Json("confirm", R"({"answer":"yes"})"), "confirmed_fixed");
  CheckRefused(Json("merge", R"({"into":"18","reason":"x"})"), "'into' must be <partition>-<sequence>");
  CheckRefused(Json("split", R"({"alerts":[],"reason":"x"})"), "a list of 1 to 16 alert ids");
  CheckRefused(Json("split", R"({"alerts":[1],"reason":"x"})"), "strings");
  CheckRefused(Json("silence", R"({"name":"s"})"), "needs 'until' and 'reason'");
  CheckRefused(Json("silence", R"({"name":"s","until":"soon","reason":"x"})"), "RFC 3339");
  CheckRefused(Json("silence", R"({"name":"s","expire":"yes"})"), "true or false");
  CheckRefused(Json("silence", R"({"name":"s","match":{},"until":"2026-11-21T04:08:00Z","reason":"x"})"), "1 to 8 fields");
  CheckRefused(Json("silence", R"({"name":"s","match":{"a":1},"until":"2026-11-21T04:08:00Z","reason":"x"})"), "to texts");
  CheckRefused(Json("ack", "[]"), "must be an object, not array");
  CheckRefused(Json("ack", "null"), "must be an object, not null");
}

TEST_CASE("command: a malformed frame is refused with the key's name") {
  const std::string good = Json("ack");
  CHECK(ParseCommand(good).ok());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string json = good;
    REQUIRE(json.find(from) != std::string::npos);
    return json.replace(json.find(from), from.size(), to);
  };
  for (const std::string key : {"id", "case_id", "actor", "role", "action"}) {
    CheckRefused(with("\"" + key + "\":", "\"arguments\":{},\"expected_version\":1,\"time\":"), "is missing");
    CheckRefused(with("\"" + key + "\":", "\"" + key + "x\":"), "did you mean '" + key + "'");
  }
  CheckRefused(with("\"id\":\"c1\"", "\"id\":1"), "'id' must be a string");
  CheckRefused(with("\"id\":\"c1\"", "\"id\":\"\""), "'id' must not be empty");
  CheckRefused(with("\"id\":\"c1\"", "\"id\":\"" + std::string(129, 'x') + "\""), "129 bytes; at most 128");
  CheckRefused(with("\"actor\":\"ada\"", R"("actor":"ada\nlevel=error")"), "control character");
  CheckRefused(with("\"actor\":\"ada\"", R"("actor":"ada\u0000")"), "control character");
  CheckRefused(with("3-17", "17"), "'case_id' must be <partition>-<sequence>");
  CheckRefused(with("3-17", "-3-17"), "'case_id'");
  CheckRefused(with("\"ack\"", "\"ak\""), "did you mean 'ack'");
  CheckRefused(with("}", ",\"expected_version\":-1}"), "'expected_version'");
  CheckRefused(with("}", ",\"expected_version\":1.0}"), "'expected_version'");
  CheckRefused(with("}", ",\"expected_version\":18446744073709551616}"), "'expected_version'");
  CheckRefused(with("}", ",\"expected_version\":null}"), "'expected_version'");
  CheckRefused(with("}", ",\"time\":\"yesterday\"}"), "'time' must be RFC 3339");
  CheckRefused(with("}", ",\"time\":0}"), "'time' must be a string");
  CheckRefused(with("}", ",\"id\":\"c2\"}"), "key 'id' stands twice");
  CheckRefused(with("}", ",\"arguments\":{\"a\":1,\"a\":2}}"), "key 'a' stands twice");
  CheckRefused(with("}", ",\"" + std::string(5000, 'k') + "\":1}"), "a long key");
  CHECK(Parsed(with("}", ",\"expected_version\":18446744073709551615}")).expected_version == UINT64_MAX);
}

TEST_CASE("command: what is no JSON object in UTF-8 is refused") {
  CheckRefused("", "empty");
  CheckRefused("null", "must be a JSON object, not null");
  CheckRefused("[]", "must be a JSON object, not array");
  CheckRefused("{", "not valid JSON");
  CheckRefused(Json("ack") + "x", "not valid JSON");
  CheckRefused(Json("ack") + Json("ack"), "not valid JSON");
  CheckRefused(Json("note", "{\"text\":\"\xff\"}"), "not valid JSON in UTF-8");
  CheckRefused(Json("note", "{\"text\":\"\xc0\xaf\"}"), "not valid JSON in UTF-8");
  CheckRefused(Json("note", R"({"text":"\ud800"})"), "not valid JSON");
  CheckRefused(Json("note", "{\"text\":1e999}"), "out of range");
  CheckRefused(std::string(kMaxCommandBytes, '['), "not valid JSON");
  CheckRefused(std::string(kMaxCommandBytes + 1, ' '), "at most 16384");
  const std::string text(kMaxTextBytes, 'x');
  CHECK(Parsed(Json("note", "{\"text\":\"" + text + "\"}")).text == text);
  CheckRefused(Json("note", "{\"text\":\"" + text + "x\"}"), "1025 bytes; at most 1024");
}

TEST_CASE("command: printing reads back to the same, for every action") {
  const uint64_t seed = 7;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto pick = [&](const std::vector<std::string>& from) { return from[random() % from.size()]; };
  const std::vector<std::string> texts = {"x", "a \"quoted\" \\ text", "new\nline\ttab", "日本語", "é", "{}"};
  for (int i = 0; i < 3000; ++i) {
    Command c;
    c.id = pick({"c1", "0d1f", "a b"});
    c.case_id = {static_cast<int32_t>(random() % 100), random() % 100000};
    c.actor = pick({"ada", "bob@example.org"});
    c.role = pick({"l1", "lead"});
    c.action = static_cast<CommandAction>(random() % 25);
    if (random() % 2) c.expected_version = random();
    if (random() % 2) c.time = FromUnixMillis(static_cast<int64_t>(random() % 4'000'000'000'000));
    c.to = pick({"", "L2"});
    c.reason = pick(texts);
    c.text = pick(texts);
    c.verdict = static_cast<Verdict>(1 + random() % 4);
    c.confidence = static_cast<int>(random() % 101);
    c.severity = pick({"high", "P0"});
    c.incident = pick({"none", "minor", "major"});
    c.classification = pick({"", "phishing"});
    c.name = pick({"legal", "post_mortem"});
    c.into = pick({"0-1", "3-17"});
    c.alerts = {pick(texts), "a2"};
    if (random() % 2) c.match = {{"host.name", pick(texts)}};
    c.until = FromUnixMillis(static_cast<int64_t>(random() % 4'000'000'000'000));
    c.expire = random() % 2;
    c.answer = pick({"confirmed_fixed", "still_has_issues", "needs_more_info"});
    const std::string json = CommandJson(c);
    CAPTURE(json);
    const Command read = Parsed(json);
    REQUIRE(CommandJson(read) == json);
    REQUIRE(read.action == c.action);
    REQUIRE(read.case_id == c.case_id);
    REQUIRE(read.expected_version == c.expected_version);
    REQUIRE(read.time == c.time);
    if (c.action == CommandAction::kVerdict) {
      REQUIRE(read.verdict == c.verdict);
      REQUIRE(read.confidence == c.confidence);
      REQUIRE(read.reason == c.reason);
    }
    if (c.action == CommandAction::kSplit) REQUIRE(read.alerts == c.alerts);
    if (c.action == CommandAction::kMerge) REQUIRE(read.into == c.into);
    if (c.action == CommandAction::kSilence) {
      REQUIRE(read.match == c.match);
      REQUIRE(read.until == c.until);
      REQUIRE(read.expire == c.expire);
    }
    if (c.action == CommandAction::kNote) REQUIRE(read.text == c.text);
    if (c.action == CommandAction::kAssign) REQUIRE(read.to == c.to);
    if (c.action == CommandAction::kClassify) REQUIRE(read.classification == c.classification);
  }
  Command bad;
  bad.id = "\xff";
  CHECK(CommandJson(bad).find("\xef\xbf\xbd") != std::string::npos);  // printed, not thrown
}

TEST_CASE("command: damaged bytes never crash the parser") {
  const uint64_t seed = 11;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const std::string good = Json("verdict", R"({"verdict":"true_positive","confidence":80,"reason":"x é"})");
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string json = good;
    for (uint64_t n = random() % 4 + 1; n > 0; --n) {
      const size_t at = random() % json.size();
      switch (random() % 3) {
        case 0:
          json[at] = static_cast<char>(random());
          break;
        case 1:
          json.erase(at, 1 + random() % 3);
          break;
        default:
          json.insert(at, 1, static_cast<char>(random()));
          break;
      }
    }
    const auto command = ParseCommand(json);
    if (!command.ok()) continue;
    ++accepted;
    REQUIRE(ParseCommand(CommandJson(*command)).ok());
  }
  CHECK(accepted > 0);
  CHECK(accepted < 20000);
}
