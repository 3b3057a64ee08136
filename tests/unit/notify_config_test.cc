#include "pipeline/notify/config.h"

#include <doctest/doctest.h>

#include <string>

namespace triaged {
namespace {

Result<std::string> Secrets(const std::string& path) {
  if (path == "key") return std::string(40, 'k') + "\n";
  if (path == "short") return std::string("abc\n");
  if (path == "two") return std::string("a\nb\n");
  return BadInput("cannot read " + path);
}

std::string Errors(const std::string& text) {
  Diagnostics diagnostics;
  const auto config = ParseNotifyConfig({"notify.yaml", text}, Secrets, &diagnostics);
  return config ? "" : diagnostics.Render();
}

NotifyConfig Read(const std::string& text) {
  Diagnostics diagnostics;
  auto config = ParseNotifyConfig({"notify.yaml", text}, Secrets, &diagnostics);
  REQUIRE_MESSAGE(config, diagnostics.Render());
  return *config;
}

const std::string kHead = "kafka: {bootstrap_servers: x}\nstorage_path: m\n";
const std::string kTwo =
    "destinations:\n  a: {kind: webhook, url: https://a.example/}\n  b: {kind: webhook, url: https://b.example/}\n"
    "  c: {kind: webhook, url: https://c.example/}\n";

NotifyEvent Event(Timestamp time) {
  NotifyEvent event;
  event.name = "escalated";
  event.severity = "high";
  event.level = "L2";
  event.team = "l2";
  event.policy = "soc";
  event.channels = {"page", "chat"};
  event.time = time;
  return event;
}

std::string Routed(const NotifyConfig& config, const NotifyEvent& event) {
  std::string out;
  for (const std::string& name : RouteEvent(config, event, event.time)) out += name;
  return out;
}

const Timestamp kMondayNoon = *ParseTimestamp("2026-03-02T12:00:00Z");

TEST_CASE("notify config: each condition of a route counts, the first route takes, continue goes on") {
  const auto routed = [](const std::string& routes, auto change) {
    NotifyEvent event = Event(kMondayNoon);
    change(event);
    return Routed(Read(kHead + kTwo + "routes:\n" + routes), event);
  };
  const auto same = [](NotifyEvent&) {};
  CHECK(routed("  - {to: [a]}\n  - {to: [b]}\n", same) == "a");
  CHECK(routed("  - {to: [a], continue: true}\n  - {to: [b, a]}\n", same) == "ab");
  for (const std::string condition : {"level: L2", "severity: [low, high]", "team: l2", "policy: soc", "channel: chat",
                                      "event: escalated", "drill: false"}) {
    CHECK_MESSAGE(routed("  - {" + condition + ", to: [a]}\n  - {to: [b]}\n", same) == "a", condition);
  }
  for (const std::string condition : {"level: L1", "severity: [low]", "team: ir", "policy: p", "channel: mail",
                                      "event: opened", "drill: true"}) {
    CHECK_MESSAGE(routed("  - {" + condition + ", to: [a]}\n  - {to: [b]}\n", same) == "b", condition);
  }
  // A drill reaches nobody through a route that does not say so.
  const auto drill = [](NotifyEvent& e) { e.drill = true; };
  CHECK(routed("  - {to: [a]}\n  - {drill: true, to: [b]}\n", drill) == "b");
  CHECK(routed("  - {to: [a]}\n", drill) == "");
  CHECK(routed("  - {to: [a]}\n", [](NotifyEvent& e) { e.name = "opened"; }) == "");
  // A case that comes back asks the level that had it; at the first level it waits as one that is opened does.
  const auto reopened = [](bool first) {
    return [first](NotifyEvent& e) { e.name = "reopened", e.first_level = first; };
  };
  CHECK(routed("  - {to: [a]}\n", reopened(false)) == "a");
  CHECK(routed("  - {to: [a]}\n", reopened(true)) == "");
  CHECK(routed("  - {event: reopened, to: [a]}\n", reopened(true)) == "a");
  CHECK(routed("  - {event: [escalated, renotified], to: [a]}\n", reopened(false)) == "");
}

TEST_CASE("notify config: business hours follow the zone, through a change to summer time") {
  const auto at = [](const std::string& time) {
    const auto config = Read(kHead + kTwo + "routes:\n  - {hours: {zone: Europe/Berlin, days: [mon, tue, sun], from: \"09:00\", to: "
                             "\"17:00\"}, to: [a]}\n  - {to: [b]}\n");
    return Routed(config, Event(*ParseTimestamp(time)));
  };
  CHECK(at("2026-03-02T07:59:59Z") == "b");  // Monday, winter: 09:00 is 08:00Z
  CHECK(at("2026-03-02T08:00:00Z") == "a");
  CHECK(at("2026-03-02T15:59:59Z") == "a");
  CHECK(at("2026-03-02T16:00:00Z") == "b");
  CHECK(at("2026-03-04T12:00:00Z") == "b");  // Wednesday
  CHECK(at("2026-03-30T07:00:00Z") == "a");  // Monday, summer: 09:00 is 07:00Z
  CHECK(at("2026-03-29T06:59:59Z") == "b");  // Sunday of the change
  CHECK(at("2026-03-29T07:00:00Z") == "a");
}

TEST_CASE("notify config: what is wrong is said, all at once") {
  const std::string route = "routes: [{to: [a]}]\n";
  const auto wrong = [&](const std::string& destination) { return Errors(kHead + "destinations:\n  a: " + destination + "\n" + route); };
  CHECK(wrong("{kind: webhook, url: ftp://x/}").find("https:// or http://") != std::string::npos);
  CHECK(wrong("{kind: webhook, url: https://u@x/}").find("neither '@'") != std::string::npos);
  CHECK(wrong("{kind: webhook, url: https://x/, url_file: key}").find("either `url` or `url_file`") != std::string::npos);
  CHECK(wrong("{kind: webhook, url: https://x/, secret_file: none}").find("cannot read none") != std::string::npos);
  CHECK(wrong("{kind: webhook, url: https://x/, secret_file: two}").find("one line") != std::string::npos);
  CHECK(wrong("{kind: mail, url: http://x/, from: a@b, to: [c@d]}").find("smtp://") != std::string::npos);
  CHECK(wrong("{kind: mail, url: smtp://x/, from: a@b, to: [\"c\"]}").find("no mail address") != std::string::npos);
  CHECK(wrong("{kind: slack, url: https://x/, body: \"{{#a}}\"}").find("template") != std::string::npos);
  CHECK(wrong("{kind: command, command: [cat], bundle: 2}").find("one event") != std::string::npos);
  CHECK(wrong("{kind: webhook, url: https://x/, ack_links: true}").find("as it is") != std::string::npos);
  CHECK(wrong("{kind: webhook, url: https://x/, fallback: b}").find("is not there") != std::string::npos);
  CHECK(wrong("{kind: webhook, url: https://x/, fallback: a}").find("circle") != std::string::npos);
  CHECK(wrong("{kind: webhook, url: https://x/, retries: 3}").find("retries") != std::string::npos);
  CHECK(wrong("{kind: webhook, url: https://x/}\nextra: 1").find("extra") != std::string::npos);
  const std::string both = wrong("{kind: webhook, url: ftp://x/, per_minute: 0}");
  CHECK(both.find("https:// or http://") != std::string::npos);
  CHECK(both.find("per_minute") != std::string::npos);
}

TEST_CASE("notify config: acknowledging is off unless configured, and wants a real key") {
  const std::string rest = kTwo + "routes: [{to: [a]}]\n";
  CHECK_FALSE(Read(kHead + rest).acknowledge);
  const auto config = Read(kHead + rest + "acknowledge: {public_url: https://t.example, key_file: key, role: l2}\n");
  REQUIRE(config.acknowledge);
  CHECK(config.acknowledge->listen_address == "127.0.0.1:9466");
  CHECK(config.acknowledge->pagerduty_secret.empty());
  const auto wrong = [&](const std::string& block) { return Errors(kHead + rest + "acknowledge: " + block + "\n"); };
  CHECK(wrong("{public_url: https://t.example, key_file: short, role: l2}").find("32") != std::string::npos);
  CHECK(wrong("{public_url: https://t.example/, key_file: key, role: l2}").find("without '/'") != std::string::npos);
  CHECK(wrong("{public_url: https://t.example, key_file: key}").find("role") != std::string::npos);
  CHECK(Errors(kHead + "destinations:\n  a: {kind: slack, url: https://x/, ack_links: true}\nroutes: [{to: [a]}]\n")
            .find("`acknowledge` is missing") != std::string::npos);
}

}  // namespace
}  // namespace triaged
