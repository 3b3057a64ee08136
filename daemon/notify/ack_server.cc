#include "daemon/notify/ack_server.h"

#include "daemon/clock.h"
#include "daemon/http_server.h"
#include "daemon/log.h"
#include "daemon/notify/hmac.h"

namespace triaged {
namespace {

constexpr size_t kMaxActor = 64;

std::string HtmlEscape(std::string_view text) {
  std::string out;
  for (char ch : text) {
    switch (ch) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += ch;
    }
  }
  return out;
}

struct Answer {
  int status = 200;
  std::string text;      // HTML where `page`, else plain
  bool page = false;
};

std::string Page(const std::string& title, const std::string& inner) {
  return "<!doctype html><html><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
         "<meta name=\"robots\" content=\"noindex\"><title>" + HtmlEscape(title) + "</title></head><body><h1>" +
         HtmlEscape(title) + "</h1>" + inner + "</body></html>\n";
}

// The token stands in the address: it must not travel on in a Referer.
HttpResponse ToResponse(Answer&& answer) {
  HttpResponse response;
  response.status = answer.status;
  if (answer.page) response.type = "text/html; charset=utf-8";
  response.body = std::move(answer.text);
  response.headers = {{"Referrer-Policy", "no-referrer"},
                      {"X-Frame-Options", "DENY"},
                      {"Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'"}};
  return response;
}

bool NameFits(const std::string& name) {
  if (name.empty() || name.size() > kMaxActor) return false;
  for (char ch : name) {
    const bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
    if (!plain && ch != '.' && ch != '_' && ch != '-' && ch != '@') return false;
  }
  return true;
}

class Handler {
 public:
  Handler(const AcknowledgeConfig& config, AckHooks hooks) : config_(config), hooks_(std::move(hooks)) {
    for (auto& count : counts) count = 0;
  }

  HttpResponse Serve(const HttpRequest& request) {
    constexpr std::string_view kAck = "/ack/";
    const std::string_view path = request.path;
    const bool pagerduty = path == "/pagerduty" && !config_.pagerduty_secret.empty();
    const bool slack = path == "/slack" && !config_.slack_secret.empty();
    const bool link = path.starts_with(kAck);
    if (!pagerduty && !slack && !link) return ToResponse({404, "not found\n", false});
    if (link && request.method == "GET") return ToResponse(ShowLink(path.substr(kAck.size())));
    if (request.method != "POST") return ToResponse({405, "method not allowed\n", false});
    if (link) return ToResponse(UseLink(path.substr(kAck.size()), request.body));
    if (pagerduty) return ToResponse(PagerDuty(std::string(request.Header("x-pagerduty-signature")), request.body));
    return ToResponse(Slack(std::string(request.Header("x-slack-request-timestamp")),
                            std::string(request.Header("x-slack-signature")), request.body));
  }

  std::array<std::atomic<uint64_t>, 4> counts;

 private:
  void Count(AckOutcome outcome) { ++counts[static_cast<size_t>(outcome)]; }
  KeyedHash HashOf(const std::string& key) const {
    return [&key](std::string_view text) { return HmacSha256Hex(key, text); };
  }

  Answer Refused(std::string_view source, const std::string& why, bool page) {
    Count(AckOutcome::kRefused);
    LogWarn("acknowledgement refused", {{"source", std::string(source)}, {"why", why}});
    return {403, page ? Page("Not acknowledged", "<p>" + HtmlEscape(why) + "</p>") : why + "\n", page};
  }

  Answer ShowLink(std::string_view token) {
    const auto claim = ReadAckToken(token, HashOf(config_.key), WallTime());
    if (!claim) return Refused("link", claim.error().message, /*page=*/true);
    if (auto closed = Answered(*claim)) return std::move(*closed);
    return {200,
            Page("Case " + claim->case_id,
                 "<form method=\"post\"><p><label>Your name <input name=\"name\" required maxlength=\"64\" "
                 "pattern=\"[A-Za-z0-9._@\\-]+\" value=\"" + HtmlEscape(claim->assignee) +
                     "\"></label></p><p><button>Acknowledge</button></p></form>"),
            true};
  }

  // nullopt: the claim may still be used.
  std::optional<Answer> Answered(const AckClaim& claim) {
    const auto answered = hooks_.answered(claim.dedup_key, claim.sequence);
    if (!answered) return Unknown(claim.case_id, answered.error(), /*page=*/true);
    if (!*answered) return std::nullopt;
    Count(AckOutcome::kIgnored);
    return Answer{410, Page("Case " + claim.case_id, "<p>It is acknowledged or closed already.</p>"), true};
  }

  Answer Unknown(const std::string& case_id, const Error& error, bool page) {
    Count(AckOutcome::kFailed);
    LogError("acknowledgement not taken", {{"case", case_id}, {"why", error.message}});
    return {503, page ? Page("Not acknowledged", "<p>Try again.</p>") : "not taken\n", page};
  }

  Answer UseLink(std::string_view token, const std::string& body) {
    const auto claim = ReadAckToken(token, HashOf(config_.key), WallTime());
    if (!claim) return Refused("link", claim.error().message, /*page=*/true);
    const std::string name = FormValue(body, "name").value_or(claim->assignee);
    if (!NameFits(name)) {
      return {400, Page("Not acknowledged", "<p>A name has letters, digits, and . _ - @</p>"), true};
    }
    if (auto closed = Answered(*claim)) return std::move(*closed);
    if (!Send("link", "link:" + claim->event_id, claim->case_id, name)) {
      return {503, Page("Not acknowledged", "<p>The broker does not answer. Try again.</p>"), true};
    }
    return {200, Page("Case " + claim->case_id, "<p>Acknowledged by " + HtmlEscape(name) + ".</p>"), true};
  }

  Answer PagerDuty(const std::string& signatures, const std::string& body) {
    const auto ack = ReadPagerDutyWebhook(signatures, body, HashOf(config_.pagerduty_secret), WallTime(), config_.tolerance);
    if (!ack) return Refused("pagerduty", ack.error().message, /*page=*/false);
    const auto found = *ack ? CaseOfIncident((*ack)->incident_key, config_.application_id) : std::nullopt;
    const auto told = found ? hooks_.told_pagerduty(found->dedup_key) : Result<bool>(false);
    if (!told) return Unknown(found->case_id, told.error(), /*page=*/false);
    if (!*told) {
      Count(AckOutcome::kIgnored);
      return {200, "nothing to do\n", false};
    }
    if (!Send("pagerduty", "pagerduty:" + (*ack)->event_id, found->case_id, Actor("pagerduty", (*ack)->agent_id))) {
      return {503, "not written\n", false};
    }
    return {200, "acknowledged\n", false};
  }

  Answer Slack(const std::string& timestamp, const std::string& signature, const std::string& body) {
    const auto ack = ReadSlackInteraction(timestamp, signature, body, HashOf(config_.slack_secret), HashOf(config_.key),
                                          WallTime(), config_.tolerance);
    if (!ack) return Refused("slack", ack.error().message, /*page=*/false);
    const auto done = *ack ? hooks_.answered((*ack)->claim.dedup_key, (*ack)->claim.sequence) : Result<bool>(true);
    if (!done) return Unknown((*ack)->claim.case_id, done.error(), /*page=*/false);
    if (*done) {
      Count(AckOutcome::kIgnored);
      return {200, "", false};
    }
    const AckClaim& claim = (*ack)->claim;
    if (!Send("slack", "link:" + claim.event_id, claim.case_id, Actor("slack", (*ack)->user_id))) {
      return {503, "not written\n", false};
    }
    return {200, "", false};  // Slack shows any text of the answer as a message
  }

  // The policy's person where the configuration names one; else the other side's id, which is at least unique.
  std::string Actor(const std::string& source, const std::string& id) const {
    const auto person = config_.people.find(id);
    return person == config_.people.end() ? source + ":" + (id.empty() ? "somebody" : id) : person->second;
  }

  bool Send(std::string_view source, std::string id, const std::string& case_id, const std::string& actor) {
    const auto command = AckCommand(std::move(id), case_id, actor, config_.role, WallTime());
    const Status sent = command ? hooks_.send(*command) : Status(command.error());
    Count(sent ? AckOutcome::kAccepted : AckOutcome::kFailed);
    if (sent) {
      LogInfo("acknowledged", {{"case", case_id}, {"source", std::string(source)}, {"actor", actor}});
    } else {
      LogError("acknowledgement not written", {{"case", case_id}, {"why", sent.error().message}});
    }
    return static_cast<bool>(sent);
  }

  const AcknowledgeConfig& config_;
  const AckHooks hooks_;
};

}  // namespace

struct AckServer::Impl {
  Impl(const AcknowledgeConfig& config, AckHooks hooks) : handler(config, std::move(hooks)) {}
  Handler handler;  // outlives the server, which is stopped first
  std::unique_ptr<HttpServer> server;
};

AckServer::AckServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AckServer::~AckServer() = default;

Result<std::unique_ptr<AckServer>> AckServer::Start(const AcknowledgeConfig& config, AckHooks hooks) {
  auto impl = std::make_unique<Impl>(config, std::move(hooks));
  auto server = HttpServer::Start(config.listen_address,
                                  [handler = &impl->handler](const HttpRequest& request) { return handler->Serve(request); });
  if (!server) return server.error();
  impl->server = std::move(*server);
  return std::unique_ptr<AckServer>(new AckServer(std::move(impl)));
}

int AckServer::port() const { return impl_->server->port(); }

uint64_t AckServer::Count(AckOutcome outcome) const { return impl_->handler.counts[static_cast<size_t>(outcome)]; }

}  // namespace triaged
