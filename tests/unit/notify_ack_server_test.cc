#include "daemon/notify/ack_server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "daemon/clock.h"
#include "daemon/notify/hmac.h"

namespace triaged {
namespace {

using std::chrono::hours;

// The status of one request.
int Ask(int port, const std::string& head, const std::string& body = {}) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  const std::string request = head + "Host: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  REQUIRE(send(fd, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
  std::string answer;
  char part[4096];
  for (ssize_t got = 0; (got = recv(fd, part, sizeof part, 0)) > 0;) answer.append(part, static_cast<size_t>(got));
  close(fd);
  REQUIRE(answer.starts_with("HTTP/1.1 "));
  return std::stoi(answer.substr(9, 3));
}

AcknowledgeConfig Config() {
  AcknowledgeConfig config;
  config.listen_address = "127.0.0.1:0";
  config.key = std::string(40, 'k');
  config.pagerduty_secret = "p";
  config.slack_secret = "s";
  config.role = "l2";
  return config;
}

// A link, a webhook and a button for the case 0-1.
struct People {
  explicit People(const AckServer& server) : port(server.port()) {}

  std::string Token() const {
    return MakeAckToken({"0-1/3", "0-1", "triaged:0-1:1", "3", "slack", "emi", WallTime() + hours(1)},
                        [&](std::string_view text) { return HmacSha256Hex(config.key, text); });
  }
  int Link() const { return Ask(port, "POST /ack/" + Token() + " HTTP/1.1\r\n", "name=emi"); }
  int Webhook(const std::string& key = "triaged:0-1:1:L2") const {
    const std::string body = R"({"event":{"id":"e1","event_type":"incident.acknowledged","occurred_at":")" +
                             FormatTimestamp(WallTime()) + R"(","agent":{"id":"P1"},"data":{"incident_key":")" + key +
                             R"("}}})";
    return Ask(port, "POST /pagerduty HTTP/1.1\r\nX-PagerDuty-Signature: v1=" +
                         HmacSha256Hex(config.pagerduty_secret, body) + "\r\n", body);
  }
  int Button() const {
    const std::string body = R"(payload={"type":"block_actions","user":{"id":"U1"},"actions":[{"action_id":)"
                             R"("triaged_ack_0","value":")" + Token() + R"("}]})";
    const std::string when = std::to_string(ToUnixMillis(WallTime()) / 1000);
    return Ask(port, "POST /slack HTTP/1.1\r\nX-Slack-Request-Timestamp: " + when + "\r\nX-Slack-Signature: v0=" +
                         HmacSha256Hex(config.slack_secret, "v0:" + when + ":" + body) + "\r\n", body);
  }

  AcknowledgeConfig config = Config();
  int port;
};

TEST_CASE("acknowledge server: what is known of the case cannot be read: try again, and nothing is sent or ignored") {
  bool broken = true;
  int sent = 0;
  std::string asked;
  AckHooks hooks;
  hooks.send = [&](const Command&) { return ++sent, Status(); };
  const auto know = [&broken](bool yes) -> Result<bool> {
    if (broken) return EnvironmentError("damaged");
    return yes;
  };
  hooks.answered = [&](const std::string&, const std::string&) { return know(false); };
  hooks.told_pagerduty = [&](const std::string& key) {
    asked = key;
    return know(true);
  };
  const AcknowledgeConfig config = Config();
  const auto server = AckServer::Start(config, std::move(hooks));
  REQUIRE(server);
  const People people(**server);
  CHECK(people.Link() == 503);
  CHECK(people.Webhook() == 503);
  CHECK(people.Button() == 503);
  CHECK(sent == 0);
  CHECK((*server)->Count(AckOutcome::kFailed) == 3);
  CHECK((*server)->Count(AckOutcome::kIgnored) == 0);
  broken = false;
  CHECK(people.Link() == 200);
  CHECK(people.Webhook() == 200);
  CHECK(asked == "triaged:0-1:1");  // the incident of any level is one of the case
  CHECK(people.Button() == 200);
  CHECK(sent == 3);
}

}  // namespace
}  // namespace triaged
