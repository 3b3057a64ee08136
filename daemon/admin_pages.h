// The pages of both daemons for machines and operators: /metrics, /-/healthy, /-/ready, POST /-/reload (CONTRACTS.md,
// HTTP).
//
// With users in the web configuration everything but the two health pages asks for one of them (load balancers have no
// password). What changes state (reload) is refused unless the server listens on loopback or has users and TLS; and
// always when a browser sends it from a page, which it says with a header that no form can leave out.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "daemon/http_server.h"

namespace triaged {

// Called on the server's threads; thread-safe.
struct AdminHooks {
  std::function<std::string()> metrics;                       // Prometheus text format
  std::function<std::pair<bool, std::string>()> ready;        // (ready, why not)
  std::function<std::pair<bool, std::string>()> reload;       // (done, what is wrong)
};

Result<std::unique_ptr<HttpServer>> StartAdminServer(const std::string& address, AdminHooks hooks, const WebConfig& web = {});

}  // namespace triaged
