#include "daemon/notify/ack_server.h"

#include <CivetServer.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/notify/hmac.h"

namespace triaged {
namespace {

constexpr size_t kMaxBody = 256 * 1024;
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

std::string_view Phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 410: return "Gone";
    case 413: return "Content Too Large";
    default: return "Service Unavailable";
  }
}

void Respond(mg_connection* connection, const Answer& answer) {
  // The token stands in the address: it must not travel on in a Referer, nor stay in a cache.
  mg_printf(connection,
            "HTTP/1.1 %d %s\r\nContent-Type: %s; charset=utf-8\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
            "Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
            "Content-Security-Policy: default-src 'none'; form-action 'self'; frame-ancestors 'none'\r\n"
            "Connection: close\r\n\r\n",
            answer.status, std::string(Phrase(answer.status)).c_str(), answer.page ? "text/html" : "text/plain",
            answer.text.size());
  mg_write(connection, answer.text.data(), answer.text.size());
}

// nullopt: longer than kMaxBody, or it broke off.
std::optional<std::string> ReadBody(mg_connection* connection) {
  const long long length = mg_get_request_info(connection)->content_length;
  if (length < 0 || length > static_cast<long long>(kMaxBody)) return std::nullopt;
  std::string body(static_cast<size_t>(length), '\0');
  size_t have = 0;
  while (have < body.size()) {
    const int count = mg_read(connection, body.data() + have, body.size() - have);
    if (count <= 0) return std::nullopt;
    have += static_cast<size_t>(count);
  }
  return body;
}

std::string Header(mg_connection* connection, const char* name) {
  const char* value = mg_get_header(connection, name);
  return value ? value : "";
}

bool NameFits(const std::string& name) {
  if (name.empty() || name.size() > kMaxActor) return false;
  for (char ch : name) {
    const bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
    if (!plain && ch != '.' && ch != '_' && ch != '-' && ch != '@') return false;
  }
  return true;
}

class Handler : public CivetHandler {
 public:
  Handler(const AcknowledgeConfig& config, AckHooks hooks) : config_(config), hooks_(std::move(hooks)) {
    for (auto& count : counts) count = 0;
  }

  bool handleGet(CivetServer*, mg_connection* connection) override { return Serve(connection, /*post=*/false); }
  bool handlePost(CivetServer*, mg_connection* connection) override { return Serve(connection, /*post=*/true); }

  std::array<std::atomic<uint64_t>, 4> counts;

 private:
  void Count(AckOutcome outcome) { ++counts[static_cast<size_t>(outcome)]; }
  KeyedHash HashOf(const std::string& key) const {
    return [&key](std::string_view text) { return HmacSha256Hex(key, text); };
  }

  bool Serve(mg_connection* connection, bool post) {
    constexpr std::string_view kAck = "/ack/";
    const std::string_view path = mg_get_request_info(connection)->local_uri;
    Answer answer{404, "not found\n", false};
    const bool pagerduty = path == "/pagerduty" && !config_.pagerduty_secret.empty();
    const bool slack = path == "/slack" && !config_.slack_secret.empty();
    if (!post && path.starts_with(kAck)) {
      answer = ShowLink(path.substr(kAck.size()));
    } else if (!post && (pagerduty || slack)) {
      answer = {405, "POST only\n", false};
    } else if (post && (pagerduty || slack || path.starts_with(kAck))) {
      const auto body = ReadBody(connection);
      if (!body) {
        answer = {413, "the body is too long, or has no length\n", false};
      } else if (pagerduty) {
        answer = PagerDuty(Header(connection, "X-PagerDuty-Signature"), *body);
      } else if (slack) {
        answer = Slack(Header(connection, "X-Slack-Request-Timestamp"), Header(connection, "X-Slack-Signature"), *body);
      } else {
        answer = UseLink(path.substr(kAck.size()), *body);
      }
    }
    Respond(connection, answer);
    return true;
  }

  Answer Refused(std::string_view source, const std::string& why, bool page) {
    Count(AckOutcome::kRefused);
    LogWarn("acknowledgement refused", {{"source", std::string(source)}, {"why", why}});
    return {403, page ? Page("Not acknowledged", "<p>" + HtmlEscape(why) + "</p>") : why + "\n", page};
  }

  Answer ShowLink(std::string_view token) {
    const auto claim = ReadAckToken(token, HashOf(config_.key), WallTime());
    if (!claim) return Refused("link", claim.error().message, /*page=*/true);
    if (hooks_.answered(claim->dedup_key, claim->sequence)) return Answered(*claim);
    return {200,
            Page("Case " + claim->case_id,
                 "<form method=\"post\"><p><label>Your name <input name=\"name\" required maxlength=\"64\" "
                 "pattern=\"[A-Za-z0-9._@\\-]+\" value=\"" + HtmlEscape(claim->assignee) +
                     "\"></label></p><p><button>Acknowledge</button></p></form>"),
            true};
  }

  Answer Answered(const AckClaim& claim) {
    Count(AckOutcome::kIgnored);
    return {410, Page("Case " + claim.case_id, "<p>It is acknowledged or closed already.</p>"), true};
  }

  Answer UseLink(std::string_view token, const std::string& body) {
    const auto claim = ReadAckToken(token, HashOf(config_.key), WallTime());
    if (!claim) return Refused("link", claim.error().message, /*page=*/true);
    const std::string name = FormValue(body, "name").value_or(claim->assignee);
    if (!NameFits(name)) {
      return {400, Page("Not acknowledged", "<p>A name has letters, digits, and . _ - @</p>"), true};
    }
    if (hooks_.answered(claim->dedup_key, claim->sequence)) return Answered(*claim);
    if (!Send("link", "link:" + claim->event_id, claim->case_id, name)) {
      return {503, Page("Not acknowledged", "<p>The broker does not answer. Try again.</p>"), true};
    }
    return {200, Page("Case " + claim->case_id, "<p>Acknowledged by " + HtmlEscape(name) + ".</p>"), true};
  }

  Answer PagerDuty(const std::string& signatures, const std::string& body) {
    const auto ack = ReadPagerDutyWebhook(signatures, body, HashOf(config_.pagerduty_secret), WallTime(), config_.tolerance);
    if (!ack) return Refused("pagerduty", ack.error().message, /*page=*/false);
    const auto case_id = *ack ? CaseOfDedupKey((*ack)->dedup_key, config_.application_id) : std::nullopt;
    if (!case_id || !hooks_.told_pagerduty((*ack)->dedup_key)) {
      Count(AckOutcome::kIgnored);
      return {200, "nothing to do\n", false};
    }
    if (!Send("pagerduty", "pagerduty:" + (*ack)->event_id, *case_id, Actor("pagerduty", (*ack)->agent_id))) {
      return {503, "not written\n", false};
    }
    return {200, "acknowledged\n", false};
  }

  Answer Slack(const std::string& timestamp, const std::string& signature, const std::string& body) {
    const auto ack = ReadSlackInteraction(timestamp, signature, body, HashOf(config_.slack_secret), HashOf(config_.key),
                                          WallTime(), config_.tolerance);
    if (!ack) return Refused("slack", ack.error().message, /*page=*/false);
    if (!*ack || hooks_.answered((*ack)->claim.dedup_key, (*ack)->claim.sequence)) {
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
  Impl(const std::vector<std::string>& options, const AcknowledgeConfig& config, AckHooks hooks)
      : handler(config, std::move(hooks)), server(options) {
    server.addHandler("", &handler);
  }
  Handler handler;  // outlives the server, which is stopped first
  CivetServer server;
};

AckServer::AckServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AckServer::~AckServer() = default;

Result<std::unique_ptr<AckServer>> AckServer::Start(const AcknowledgeConfig& config, AckHooks hooks) {
  const std::vector<std::string> options = {"listening_ports", config.listen_address, "num_threads", "4",
                                            "request_timeout_ms", "5000", "max_request_size", "16384",
                                            "enable_keep_alive", "no", "enable_directory_listing", "no"};
  try {
    return std::unique_ptr<AckServer>(new AckServer(std::make_unique<Impl>(options, config, std::move(hooks))));
  } catch (const CivetException& e) {
    return EnvironmentError("cannot listen on " + config.listen_address + ": is the port in use? (" + e.what() + ")");
  }
}

int AckServer::port() const {
  const auto ports = impl_->server.getListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

uint64_t AckServer::Count(AckOutcome outcome) const { return impl_->handler.counts[static_cast<size_t>(outcome)]; }

}  // namespace triaged
