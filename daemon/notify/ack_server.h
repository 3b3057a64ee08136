// AckServer: the small HTTP server that turns acknowledgements into commands. Its own address, off unless configured.
//
//   GET  /ack/TOKEN    a page with a button: a preview of the link by a mail scanner or a chat acknowledges nothing
//   POST /ack/TOKEN    acknowledges; the form's `name` says who
//   POST /pagerduty    PagerDuty v3 webhook
//   POST /slack        Slack interaction payload
//
// The hooks are called on the server's threads and must be thread-safe. Requests are bounded in size and time. It speaks
// plain HTTP: in front of it belongs a proxy that ends TLS. Answers 503 when the command could not be written, or what
// is known of the case not read, so that PagerDuty sends again; the command's id is the same then.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "pipeline/notify/acknowledge.h"
#include "pipeline/notify/config.h"

namespace triaged {

struct AckHooks {
  std::function<Status(const Command& command)> send;   // to the commands topic; returns when it is there
  // Was this episode acknowledged or resolved after `sequence`?
  std::function<Result<bool>(const std::string& dedup_key, const std::string& sequence)> answered;
  std::function<Result<bool>(const std::string& dedup_key)> told_pagerduty;   // is it open there, by us?
};

enum class AckOutcome { kAccepted, kIgnored, kRefused, kFailed };

class AckServer {
 public:
  // `config` must outlive it.
  static Result<std::unique_ptr<AckServer>> Start(const AcknowledgeConfig& config, AckHooks hooks);
  ~AckServer();

  int port() const;
  uint64_t Count(AckOutcome outcome) const;

 private:
  struct Impl;
  explicit AckServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace triaged
