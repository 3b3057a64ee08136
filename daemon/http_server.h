// HttpServer: the one HTTP server: /metrics, /-/healthy, /-/ready, POST /-/reload (CONTRACTS.md, HTTP).
//
// civetweb runs its own small thread pool; the hooks are called on those threads and must be thread-safe. Every
// request is bounded in time and size. Anything but /metrics and the two health pages is refused unless the server
// listens on loopback: it changes state and there is no authentication yet.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "pipeline/base/result.h"

namespace triaged {

struct HttpHooks {
  std::function<std::string()> metrics;                       // Prometheus text format
  std::function<std::pair<bool, std::string>()> ready;        // (ready, why not)
  std::function<std::pair<bool, std::string>()> reload;       // (done, what is wrong)
};

class HttpServer {
 public:
  // `address` is "host:port"; port 0 takes a free one. An address in use or malformed is an error that says so.
  static Result<std::unique_ptr<HttpServer>> Start(const std::string& address, HttpHooks hooks);
  ~HttpServer();

  int port() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace triaged
