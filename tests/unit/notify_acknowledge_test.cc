#include "pipeline/notify/acknowledge.h"

#include <doctest/doctest.h>

#include <string>

#include "pipeline/base/hash.h"

namespace triaged {
namespace {

const Timestamp kNow = FromUnixMillis(1'772'438'400'000);

// Stands for the HMAC: what counts here is which bytes are signed. The real one is compared with Python's in tests/notify.
KeyedHash Keyed(uint64_t key) {
  return [key](std::string_view text) {
    std::string out;
    for (uint64_t part = 0; part < 4; ++part) {
      char digits[17];
      std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(StableHash64(text, key * 8 + part)));
      out += digits;
    }
    return out;
  };
}

AckClaim Claim() {
  return {"0-1/00000000000000000003", "0-1", "triaged:0-1:1", "00000000000000000003", "slack", "emi", kNow + Duration{1000}};
}

std::string Form(const std::string& json) {
  std::string out = "payload=";
  for (unsigned char ch : json) {
    char text[4];
    std::snprintf(text, sizeof text, "%%%02X", ch);
    out += text;
  }
  return out;
}

TEST_CASE("acknowledge: a link reads back until it expires; any changed character is refused") {
  const std::string token = MakeAckToken(Claim(), Keyed(1));
  const auto claim = ReadAckToken(token, Keyed(1), kNow);
  REQUIRE(claim);
  CHECK(claim->event_id == Claim().event_id);
  CHECK(claim->assignee == "emi");
  CHECK(claim->expires == Claim().expires);
  CHECK(ReadAckToken(token, Keyed(1), kNow + Duration{999}));
  const auto late = ReadAckToken(token, Keyed(1), kNow + Duration{1000});
  REQUIRE_FALSE(late);
  CHECK(late.error().message.find("expired") != std::string::npos);
  CHECK_FALSE(ReadAckToken(token, Keyed(2), kNow));
  for (size_t i = 0; i < token.size(); ++i) {
    std::string other = token;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    REQUIRE_FALSE_MESSAGE(ReadAckToken(other, Keyed(1), kNow), i);
    REQUIRE_FALSE(ReadAckToken(token.substr(0, i), Keyed(1), kNow));
  }
  CHECK_FALSE(ReadAckToken(token + "0", Keyed(1), kNow));
  CHECK_FALSE(ReadAckToken(std::string(100'000, 'v'), Keyed(1), kNow));
  // Only characters that need no escape in an address, an attribute or Slack's text.
  CHECK(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == token.npos);
}

TEST_CASE("acknowledge: PagerDuty's webhook wants its signature and a time near ours") {
  const auto body = [](const std::string& type, const std::string& time) {
    return R"({"event":{"id":"e1","event_type":")" + type + R"(","occurred_at":")" + time +
           R"(","agent":{"id":"P1","summary":"Otto"},"data":{"incident_key":"triaged:0-1:1"}}})";
  };
  const std::string good = body("incident.acknowledged", FormatTimestamp(kNow));
  const auto read = [&](const std::string& signatures, const std::string& text, Timestamp now = kNow) {
    return ReadPagerDutyWebhook(signatures, text, Keyed(1), now, Duration{300'000});
  };
  const std::string right = "v1=" + Keyed(1)(good);
  const auto ack = read(right, good);
  REQUIRE((ack && *ack));
  CHECK((*ack)->incident_key == "triaged:0-1:1");
  CHECK((*ack)->agent_id == "P1");
  CHECK(read("v1=" + std::string(64, '0') + "," + right, good));
  CHECK(read("v1=" + std::string(64, '0') + ", " + right, good));
  CHECK_FALSE(read("", good));
  CHECK_FALSE(read("v1=", good));
  CHECK_FALSE(read("v2=" + Keyed(1)(good), good));
  CHECK_FALSE(read("v1=" + Keyed(2)(good), good));
  CHECK_FALSE(read(right, good + " "));
  CHECK(read(right, good, kNow + Duration{300'000}));
  CHECK_FALSE(read(right, good, kNow + Duration{300'001}));
  CHECK_FALSE(read(right, good, kNow - Duration{300'001}));
  const std::string other = body("incident.triggered", FormatTimestamp(kNow));
  const auto none = read("v1=" + Keyed(1)(other), other);
  CHECK((none && !*none));
  for (const std::string garbage : {"", "{", "[]", "{\"event\":3}", "\xff"}) CHECK_FALSE(read("v1=" + Keyed(1)(garbage), garbage));
}

TEST_CASE("acknowledge: Slack's button wants Slack's signature, a near time, and a token of ours") {
  const std::string token = MakeAckToken(Claim(), Keyed(1));
  const auto payload = [](const std::string& action, const std::string& value) {
    return Form(R"({"type":"block_actions","user":{"id":"U1","username":"emi"},"actions":[{"action_id":")" + action +
                R"(","value":")" + value + R"("}]})");
  };
  const auto read = [&](const std::string& body, int64_t age = 0, uint64_t key = 2, uint64_t links = 1) {
    const std::string time = std::to_string(ToUnixMillis(kNow) / 1000 - age);
    return ReadSlackInteraction(time, "v0=" + Keyed(key)("v0:" + time + ":" + body), body, Keyed(2), Keyed(links), kNow,
                                Duration{300'000});
  };
  const auto ack = read(payload("triaged_ack_3", token));
  REQUIRE((ack && *ack));
  CHECK((*ack)->user_id == "U1");
  CHECK((*ack)->claim.case_id == "0-1");
  CHECK(read(payload("triaged_ack_3", token), 300));
  CHECK_FALSE(read(payload("triaged_ack_3", token), 301));
  CHECK_FALSE(read(payload("triaged_ack_3", token), -301));
  CHECK_FALSE(read(payload("triaged_ack_3", token), 0, 3));
  CHECK_FALSE(read(payload("triaged_ack_3", token), 0, 2, 9));
  CHECK_FALSE(read(payload("triaged_ack_3", "v1.x.y")));
  const auto other = read(payload("somebody_elses", token));
  CHECK((other && !*other));
  CHECK_FALSE(read("payload=%7"));
  CHECK_FALSE(read(""));
  for (const std::string time : {"", "x", "-1", "99999999999999999999", "9223372036854775807"}) {
    const std::string body = payload("triaged_ack", token);
    CHECK_FALSE(ReadSlackInteraction(time, "v0=" + Keyed(2)("v0:" + time + ":" + body), body, Keyed(2), Keyed(1), kNow,
                                     Duration{300'000}));
  }
}

TEST_CASE("acknowledge: forms, keys, commands") {
  CHECK(FormValue("a=1&name=J%C3%B6+x&b=", "name") == "J\xc3\xb6 x");
  CHECK(FormValue("names=1", "name") == std::nullopt);
  CHECK(FormValue("name=%4", "name") == std::nullopt);
  CHECK(FormValue("name=", "name") == "");
  for (const std::string key : {"triaged:3-17:2:L2", "triaged:3-17:2"}) {
    const auto found = CaseOfIncident(key, "triaged");
    REQUIRE_MESSAGE(found, key);
    CHECK(found->case_id == "3-17");
    CHECK(found->dedup_key == "triaged:3-17:2");
  }
  for (const std::string key : {"triaged:3-17", "triaged2:3-17:2:L2", "bundle:1234", "triaged", "triaged:x:2:L2", ""}) {
    CHECK_FALSE_MESSAGE(CaseOfIncident(key, "triaged"), key);
  }
  const auto command = AckCommand("link:0-1/3", "0-1", "emi", "l2", kNow);
  REQUIRE(command);
  CHECK(command->action == CommandAction::kAck);
  CHECK(ToString(command->case_id) == "0-1");
  CHECK_FALSE(AckCommand("x", "0-1", "", "l2", kNow));
  CHECK_FALSE(AckCommand("x", "nonsense", "emi", "l2", kNow));
}

}  // namespace
}  // namespace triaged
