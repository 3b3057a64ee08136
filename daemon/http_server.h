// HttpServer: HTTP/1.1 and TLS on one address, on Boost.Beast, for pages that a handler makes.
//
// Bounded: 64 connections at a time (more are closed at once), 16 KiB of header, 256 KiB of body, ten seconds for a
// request and its answer; one request a connection. The handler is called on the server's own threads and must be
// thread-safe; while it works, one of the four threads is busy.
//
// Not civetweb, although Debian has it: its TLS there calls through a null pointer with OpenSSL 3, which has no symbol
// SSL_get_peer_certificate.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/web_config.h"
#include "pipeline/base/result.h"

namespace triaged {

struct HttpRequest {
  std::string method;
  std::string path;                                          // without the query
  std::string query;
  std::map<std::string, std::string, std::less<>> headers;   // names in lower case; of equal names the last
  std::string body;

  // Empty when it was not sent.
  std::string_view Header(std::string_view name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
  }
};

struct HttpResponse {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;                                          // left out of the answer to HEAD
  std::vector<std::pair<std::string, std::string>> headers;
};

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

class HttpServer {
 public:
  // `address` is "host:port"; port 0 takes a free one. An address in use or malformed, and a certificate that cannot be
  // read or does not fit its key, are errors that say so.
  static Result<std::unique_ptr<HttpServer>> Start(const std::string& address, HttpHandler handler,
                                                   const std::optional<TlsServerConfig>& tls = {});
  // Waits for handlers under way; answers under way are cut off.
  ~HttpServer();

  int port() const;

  // Whether "host:port" can only be reached from this machine.
  static bool IsLoopback(const std::string& address);

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace triaged
