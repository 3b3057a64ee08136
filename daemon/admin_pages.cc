#include "daemon/admin_pages.h"

#include "daemon/web_auth.h"

namespace triaged {
namespace {

class AdminPages {
 public:
  AdminPages(AdminHooks hooks, const WebConfig& web, bool may_change)
      : hooks_(std::move(hooks)), auth_(web.users), may_change_(may_change) {}

  HttpResponse Serve(const HttpRequest& request) const {
    const std::string& path = request.path;
    const bool health = path == "/-/healthy" || path == "/-/ready";
    if (!health && !auth_.Allows(request.Header("authorization"))) {
      HttpResponse refused = Text(401, "a user of the web configuration is needed\n");
      refused.headers.emplace_back("WWW-Authenticate", "Basic realm=\"triaged\", charset=\"UTF-8\"");
      return refused;
    }
    if (!health && path != "/metrics" && path != "/-/reload") return Text(404, "not found\n");
    const bool reload = path == "/-/reload";
    const bool read = request.method == "GET" || request.method == "HEAD";
    if (reload ? request.method != "POST" : !read) return Text(405, "method not allowed\n");
    if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", hooks_.metrics(), {}};
    if (path == "/-/healthy") return Text(200, "alive\n");
    if (reload) return Reload(request);
    const auto [ready, why] = hooks_.ready();
    return Text(ready ? 200 : 503, why + "\n");
  }

 private:
  static HttpResponse Text(int status, std::string body) {
    HttpResponse response;
    response.status = status;
    response.body = std::move(body);
    return response;
  }

  HttpResponse Reload(const HttpRequest& request) const {
    if (!may_change_ || request.headers.contains("origin")) {
      return Text(403, "reload needs the loopback address, or TLS and users in the web configuration; and no browser\n");
    }
    const auto [done, what] = hooks_.reload();
    return Text(done ? 200 : 400, what + "\n");
  }

  AdminHooks hooks_;
  BasicAuth auth_;
  bool may_change_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> StartAdminServer(const std::string& address, AdminHooks hooks, const WebConfig& web) {
  const bool may_change = HttpServer::IsLoopback(address) || (web.tls && !web.users.empty());
  const auto pages = std::make_shared<const AdminPages>(std::move(hooks), web, may_change);
  return HttpServer::Start(address, [pages](const HttpRequest& request) { return pages->Serve(request); }, web.tls);
}

}  // namespace triaged
