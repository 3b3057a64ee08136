#include "pipeline/notify/render.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "pipeline/base/utf8.h"
#include "tests/unit/notify_test_util.h"

namespace triaged {
namespace {

using nlohmann::json;

const Timestamp kNow = FromUnixMillis(1'772'438'400'000);

Destination Of(DestinationKind kind, const std::string& language = "en") {
  Destination d;
  d.name = "d";
  d.kind = kind;
  d.language = language;
  d.title = std::string(DefaultTitle(language));
  d.body = std::string(DefaultBody(language));
  d.secret = "routing-key";
  d.from = "t@example.org";
  d.to = {"a@example.org"};
  return d;
}

NotifyItem Item(int number, std::string detection = "Ransomware", NotifyAction action = NotifyAction::kTrigger) {
  NotifyEvent event = *MakeEvent(number, 1, "escalated", kNow);
  event.detections = {std::move(detection)};
  event.hosts = {"db7.example.com"};
  event.accounts = {"erin"};
  event.reason = "criterion";
  return {std::make_shared<const NotifyEvent>(std::move(event)), action, {}, {}, {}};
}

std::vector<NotifyItem> Items(int count, const std::string& detection = "Ransomware") {
  std::vector<NotifyItem> items;
  for (int i = 1; i <= count; ++i) items.push_back(Item(i, detection));
  return items;
}

// The only request, or the last one.
NotifyPayload Payload(const Destination& d, const std::vector<NotifyItem>& items) {
  return RenderPayloads(d, items, kNow).back();
}
json Sent(const Destination& d, const std::vector<NotifyItem>& items) { return json::parse(Payload(d, items).body); }

const std::string kEvil = "<@everyone> & \"q\" \n http://evil.example.com/a \x01 \xff {{case_id}} \xe2\x80\xae";

TEST_CASE("render: what people read is defanged, has no control characters, and is no template") {
  for (const auto kind : {DestinationKind::kSlack, DestinationKind::kPagerDuty, DestinationKind::kAlertmanager}) {
    const std::string body = Payload(Of(kind), {Item(1, kEvil)}).body;
    CHECK(IsValidUtf8(body));
    CHECK(body.find("http://evil") == body.npos);
    CHECK(body.find("hxxp://evil[.]example[.]com") != body.npos);
    CHECK(body.find("{{case_id}}") != body.npos);  // an alert's text is not rendered
    CHECK(body.find("\\u0001") == body.npos);
  }
  CHECK(Defang("see https://a.b.example/x?y=1.5 and 10.0.0.1.") == "see hxxps://a[.]b[.]example/x?y=1[.]5 and 10[.]0[.]0[.]1.");
}

TEST_CASE("render: Slack escapes its three characters and keeps its limits, never cutting an escape") {
  const json one = Sent(Of(DestinationKind::kSlack), {Item(1, kEvil)});
  const std::string text = one["blocks"][1]["text"]["text"];
  CHECK(text.find("&lt;@everyone&gt; &amp;") != text.npos);
  CHECK(text.find('<') == text.npos);
  CHECK(one["blocks"].size() == 2);  // no buttons without links
  for (size_t size = 2880; size < 3060; ++size) {
    const json sent = Sent(Of(DestinationKind::kSlack), {Item(1, std::string(size, 'x') + "<<<<<<<<<<<<<<<<")});
    const std::string cut = sent["blocks"][1]["text"]["text"];
    REQUIRE(cut.size() <= 3000);
    const size_t escape = cut.rfind('&');
    REQUIRE((escape == cut.npos || cut.find(';', escape) != cut.npos));
  }
  const json many = Sent(Of(DestinationKind::kSlack), Items(500));
  CHECK(many["blocks"].size() <= 50);
  std::string names;
  for (const json& block : many["blocks"]) {
    if (!block.contains("text")) continue;
    REQUIRE(block["text"]["text"].get<std::string>().size() <= 3000);
    names += block["text"]["text"].get<std::string>() + " ";
  }
  for (int i = 1; i <= 500; ++i) REQUIRE_MESSAGE(names.find("0-" + std::to_string(i) + " ") != names.npos, i);
}

TEST_CASE("render: PagerDuty's fields and limits; a bundle has a key of its own and names its cases whatever it drops") {
  NotifyItem evil = Item(1, std::string(5000, 'x'));
  Destination d = Of(DestinationKind::kPagerDuty);
  d.title = "{{detections}}";
  const json one = Sent(d, {evil});
  CHECK(one["payload"]["summary"].get<std::string>().size() == 1024);
  CHECK(one["routing_key"] == "routing-key");
  CHECK(one["event_action"] == "trigger");
  CHECK(one["dedup_key"] == "triaged:0-1:1:L2");
  CHECK(one["payload"]["severity"] == "error");
  CHECK(one["payload"]["source"] == "db7[.]example[.]com");
  const json big = Sent(Of(DestinationKind::kPagerDuty), Items(500, std::string(2000, 'y')));
  CHECK(big.dump().size() <= 512'000);
  CHECK_FALSE(big["payload"]["custom_details"].contains("text"));
  CHECK(big["payload"]["custom_details"]["cases"].size() == 500);
  CHECK(big["dedup_key"].get<std::string>().starts_with("bundle:"));
  CHECK(big["dedup_key"] == Sent(d, Items(2))["dedup_key"]);  // a repeat after a crash has the same key
  const json ack = Sent(d, {Item(1, "x", NotifyAction::kAcknowledge)});
  CHECK(ack.size() == 3);
  CHECK(ack["event_action"] == "acknowledge");
}

TEST_CASE("render: each level that is told is an incident of PagerDuty, and the end of the case ends them all") {
  const Destination d = Of(DestinationKind::kPagerDuty);
  const auto at = [](const std::string& level, const std::string& told, NotifyAction action) {
    NotifyItem item = Item(1, "x", action);
    NotifyEvent event = *item.event;
    event.level = level;
    item.event = std::make_shared<const NotifyEvent>(std::move(event));
    item.told = told;
    return item;
  };
  std::string told;
  std::vector<std::string> keys;
  for (const char* level : {"L1", "L2", "L2", "L3", "L2"}) {
    const NotifyItem item = at(level, told, NotifyAction::kTrigger);
    keys.push_back(Sent(d, {item})["dedup_key"]);
    CHECK(RequestsOf(d, {item}) == 1);
    told = RememberAs(*item.event, told);
  }
  CHECK(keys == std::vector<std::string>{"triaged:0-1:1:L1", "triaged:0-1:1:L2", "triaged:0-1:1:L2", "triaged:0-1:1:L3",
                                         "triaged:0-1:1:L2"});
  for (const auto action : {NotifyAction::kAcknowledge, NotifyAction::kResolve}) {
    const NotifyItem item = at("L3", told, action);
    CHECK(RequestsOf(d, {item}) == 3);
    std::vector<std::string> ended;
    for (const NotifyPayload& payload : RenderPayloads(d, {item}, kNow)) {
      const json sent = json::parse(payload.body);
      CHECK(sent["event_action"] == (action == NotifyAction::kResolve ? "resolve" : "acknowledge"));
      ended.push_back(sent["dedup_key"]);
    }
    CHECK(ended == std::vector<std::string>{"triaged:0-1:1:L2", "triaged:0-1:1:L3", "triaged:0-1:1:L1"});
    CHECK(RequestsOf(Of(DestinationKind::kSlack), {item}) == 1);
    const json alerts = Sent(Of(DestinationKind::kAlertmanager), {item});  // the last told is left
    REQUIRE(alerts.size() == 1);
    CHECK(alerts[0]["labels"]["level"] == "L2");
    CHECK(alerts[0]["labels"]["team"] == "l2");
  }
  // PagerDuty's limit holds for the longest names, and they are still told apart.
  NotifyEvent event = *Item(1).event;
  event.dedup_key = std::string(255, 'k');
  NotifyItem item = Item(1);
  item.event = std::make_shared<const NotifyEvent>(event);
  const std::string key = Sent(d, {item})["dedup_key"];
  CHECK(key.size() == 255);
  CHECK(key.ends_with(":L2"));
}

TEST_CASE("render: Alertmanager ends the alert whose labels changed, in the same request") {
  NotifyItem item = Item(1);
  CHECK(Sent(Of(DestinationKind::kAlertmanager), {item}).size() == 1);
  item.told = "low\nL1\nl1";
  const json both = Sent(Of(DestinationKind::kAlertmanager), {item});
  REQUIRE(both.size() == 2);
  CHECK(both[0]["labels"]["level"] == "L1");
  CHECK(both[0]["endsAt"] == FormatTimestamp(kNow));
  CHECK(both[1]["labels"]["level"] == "L2");
  CHECK(both[1]["labels"]["alertname"] == "TriagedEscalation");
  item.action = NotifyAction::kAcknowledge;
  const json end = Sent(Of(DestinationKind::kAlertmanager), {item});
  REQUIRE(end.size() == 1);
  CHECK(end[0]["endsAt"] == FormatTimestamp(kNow));
}

TEST_CASE("render: a mail's header cannot be broken out of, and its lines are short") {
  const std::string mail = Payload(Of(DestinationKind::kMail, "ja"), {Item(1, kEvil + "\r\nBcc: x@evil.example")}).body;
  CHECK(mail.find("\nBcc:") == mail.npos);
  CHECK(mail.find("Subject: =?UTF-8?B?") != mail.npos);
  CHECK(mail.find("Auto-Submitted: auto-generated\r\n") != mail.npos);
  size_t start = 0;
  for (size_t end = mail.find("\r\n"); end != mail.npos; start = end + 2, end = mail.find("\r\n", start)) {
    REQUIRE(end - start <= 78);
    REQUIRE(mail.substr(start, end - start).find('\n') == std::string::npos);
  }
}

TEST_CASE("render: both languages, bundles, drills, links") {
  Destination ja = Of(DestinationKind::kSlack, "ja");
  CHECK(Sent(ja, Items(3))["text"] == "ケース 0-1（high）: L2 escalated（他 2 件）");
  NotifyItem drill = Item(1);
  NotifyEvent event = *drill.event;
  event.drill = true;
  drill.event = std::make_shared<const NotifyEvent>(std::move(event));
  CHECK(Sent(ja, {drill})["text"] == "[訓練] ケース 0-1（high）: L2 escalated");
  NotifyItem linked = Item(1);
  linked.ack_url = "https://t.example/ack/v1.abc_-.0";
  linked.ack_token = "v1.abc_-.0";
  const json sent = Sent(Of(DestinationKind::kSlack), {linked});
  CHECK(sent["blocks"][1]["text"]["text"].get<std::string>().find("Acknowledge: https://t.example/ack/v1.abc_-.0\n") !=
        std::string::npos);
  CHECK(sent["blocks"][2]["elements"][0]["value"] == "v1.abc_-.0");
  std::vector<NotifyItem> many(30, linked);
  CHECK(Sent(Of(DestinationKind::kSlack), many)["blocks"].back()["elements"].size() == 25);
  CHECK(Sent(Of(DestinationKind::kPagerDuty), {linked})["links"][0]["href"] == linked.ack_url);
}

TEST_CASE("render: a webhook is the event itself; several are a CloudEvents batch") {
  const auto one = Payload(Of(DestinationKind::kWebhook), {Item(1)});
  CHECK(one.content_type == "application/cloudevents+json; charset=UTF-8");
  CHECK(one.body == Item(1).event->raw);
  const auto two = Payload(Of(DestinationKind::kWebhook), Items(2));
  CHECK(two.content_type == "application/cloudevents-batch+json; charset=UTF-8");
  CHECK(json::parse(two.body).size() == 2);
}

}  // namespace
}  // namespace triaged
