#include "daemon/http_server.h"

#include <CivetServer.h>

#include <charconv>
#include <vector>

namespace triaged {
namespace {

struct Address {
  std::string host;
  int port = 0;
};

Result<Address> ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  Address address;
  const auto bad = [&] { return BadInput("listen address '" + text + "' is not host:port (\"127.0.0.1:9464\")"); };
  if (colon == std::string::npos || colon == 0) return bad();
  address.host = text.substr(0, colon);
  const char* begin = text.data() + colon + 1;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(begin, end, address.port);
  if (error != std::errc() || at != end || address.port < 0 || address.port > 65535) return bad();
  return address;
}

bool IsLoopback(const std::string& host) { return host.starts_with("127.") || host == "localhost" || host == "[::1]"; }

void Respond(mg_connection* connection, int status, std::string_view reason, std::string_view type,
             std::string_view body, bool head) {
  mg_printf(connection,
            "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nX-Content-Type-Options: nosniff\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            status, std::string(reason).c_str(), std::string(type).c_str(), body.size());
  if (!head) mg_write(connection, body.data(), body.size());
}

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kMetrics = "text/plain; version=0.0.4; charset=utf-8";

class Handler : public CivetHandler {
 public:
  Handler(HttpHooks hooks, bool loopback) : hooks_(std::move(hooks)), loopback_(loopback) {}

  bool handleGet(CivetServer*, mg_connection* connection) override { return Serve(connection, "GET"); }
  bool handleHead(CivetServer*, mg_connection* connection) override { return Serve(connection, "HEAD"); }
  bool handlePost(CivetServer*, mg_connection* connection) override { return Serve(connection, "POST"); }

 private:
  bool Serve(mg_connection* connection, std::string_view method) {
    const std::string_view path = mg_get_request_info(connection)->local_uri;
    const bool head = method == "HEAD";
    const bool post = method == "POST";
    const bool known = path == "/metrics" || path == "/-/healthy" || path == "/-/ready" || path == "/-/reload";
    if (!known) {
      Respond(connection, 404, "Not Found", kText, "not found\n", head);
    } else if (post != (path == "/-/reload")) {
      Respond(connection, 405, "Method Not Allowed", kText, "method not allowed\n", head);
    } else if (path == "/metrics") {
      Respond(connection, 200, "OK", kMetrics, hooks_.metrics(), head);
    } else if (path == "/-/healthy") {
      Respond(connection, 200, "OK", kText, "triaged is alive\n", head);
    } else if (path == "/-/ready") {
      const auto [ready, why] = hooks_.ready();
      Respond(connection, ready ? 200 : 503, ready ? "OK" : "Service Unavailable", kText, why + "\n", head);
    } else {
      Reload(connection);
    }
    return true;
  }

  void Reload(mg_connection* connection) {
    // A page in a browser of the same machine may post here too; a header that no form can send stops it.
    const bool cross_site = mg_get_header(connection, "Origin") != nullptr;
    if (!loopback_ || cross_site) {
      return Respond(connection, 403, "Forbidden", kText, "reload is possible from the loopback address only\n", false);
    }
    const auto [done, what] = hooks_.reload();
    Respond(connection, done ? 200 : 400, done ? "OK" : "Bad Request", kText, what + "\n", false);
  }

  HttpHooks hooks_;
  bool loopback_;
};

}  // namespace

struct HttpServer::Impl {
  Impl(const std::vector<std::string>& options, HttpHooks hooks, bool loopback)
      : handler(std::move(hooks), loopback), server(options) {
    server.addHandler("", &handler);
  }
  Handler handler;  // outlives the server, which is stopped first
  CivetServer server;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, HttpHooks hooks) {
  const auto parsed = ParseAddress(address);
  if (!parsed) return parsed.error();
  const std::vector<std::string> options = {"listening_ports", address,  "num_threads",           "4",
                                            "request_timeout_ms", "5000", "max_request_size",      "16384",
                                            "enable_keep_alive",  "no",   "enable_directory_listing", "no"};
  try {
    return std::unique_ptr<HttpServer>(
        new HttpServer(std::make_unique<Impl>(options, std::move(hooks), IsLoopback(parsed->host))));
  } catch (const CivetException& e) {
    return EnvironmentError("cannot listen on " + address + ": is the port in use? (" + e.what() + ")");
  }
}

int HttpServer::port() const {
  const auto ports = impl_->server.getListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

}  // namespace triaged
