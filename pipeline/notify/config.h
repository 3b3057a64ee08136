// NotifyConfig: notify.yaml as an immutable struct, and which destinations an event goes to.
//
// Read strictly like every other file: all errors at once, with file, line and snippet. Secrets are never in the file:
// `*_file` keys name the files that hold them, read through `ReadSecret` (the shell's). configs/README.md has every key.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/base/diagnostics.h"
#include "pipeline/base/yaml.h"
#include "pipeline/notify/event.h"
#include "pipeline/base/zone.h"

namespace triaged {

enum class DestinationKind { kWebhook, kAlertmanager, kPagerDuty, kSlack, kMail, kCommand };

struct Destination {
  std::string name;
  DestinationKind kind = DestinationKind::kWebhook;
  std::string url;                    // of Slack and PagerDuty: a secret too, from url_file
  std::string secret;                 // webhook: HMAC key; PagerDuty: routing key; mail: password
  std::string user, from;             // mail
  std::vector<std::string> to;        // mail
  std::vector<std::string> command;   // argv; the CloudEvent is its standard input
  std::string ca_file;                // PEM; empty: the system's authorities
  std::string language = "en";        // en or ja
  std::string title, body;            // mustache; the language's default when empty
  bool ack_links = false;             // each case with a signed link (Slack: a button, too) that acknowledges it
  std::string fallback;               // destination that takes over what cannot be delivered here
  bool allow_private = false;         // may the address be private or loopback
  Duration timeout{10'000};
  Duration deadline{15 * 60'000};     // since an event was queued here
  Duration retry_min{1'000}, retry_max{60'000};
  int64_t per_minute = 60;            // requests
  int64_t bundle = 50;                // events that one request may carry once more than one waits; 1: never
  int64_t breaker_failures = 5;       // in a row, then `breaker_pause` without an attempt
  Duration breaker_pause{30'000};
};

struct Hours {
  std::optional<Zone> zone;
  std::vector<bool> days = std::vector<bool>(7, false);  // from Sunday
  std::chrono::minutes from{0}, to{24 * 60};
};

// Every set condition must hold; an empty list holds always. A drill goes only where `drill` says so, and then nothing
// else does.
struct Route {
  std::vector<std::string> levels, severities, teams, policies, channels;
  std::optional<std::vector<std::string>> events;  // not said: what an escalation asks of its level
  bool drill = false;
  std::optional<Hours> hours;
  std::vector<std::string> to;        // destination names
  bool go_on = false;                 // later routes are looked at, too
};

// The receiver of acknowledgements: signed links, PagerDuty webhooks, Slack buttons.
struct AcknowledgeConfig {
  std::string listen_address = "127.0.0.1:9466";
  std::string public_url;             // what stands before /ack/… in links
  std::string key;                    // signs links
  std::string pagerduty_secret, slack_secret;  // empty: that path is not served
  Duration lifetime{24 * 3600'000};   // of a link
  Duration tolerance{5 * 60'000};     // between a webhook's time and ours
  std::string application_id = "triaged";
  std::string role;                   // of the commands
  std::map<std::string, std::string> people;  // id at PagerDuty or Slack → id in the policy
};

struct NotifyConfig {
  std::string group = "triaged-notify";
  std::string bootstrap_servers;
  std::string topic = "triaged.escalations";
  std::string dead_letter_topic = "triaged.notify.dead-letter";
  std::map<std::string, std::string> properties;
  std::string storage_path;
  std::string listen_address = "127.0.0.1:9465";
  Duration max_age{24 * 3600'000};    // older events page nobody
  int64_t max_queued_bytes = 64 * 1024 * 1024;
  std::map<std::string, Destination> destinations;
  std::vector<Route> routes;
  std::optional<AcknowledgeConfig> acknowledge;  // absent: nothing listens
};

// How long the notifier remembers, beyond what leans on it.
struct NotifyKeep {
  Duration delivered{0};  // since an event was delivered: longer than such an event may be read again and page
  Duration answered{0};   // since a case was answered: longer than its links live, too
  Duration told{0};       // since a destination was told last of a case that is not resolved
};
NotifyKeep KeepOf(const NotifyConfig& config);

using ReadSecret = std::function<Result<std::string>(const std::string& path)>;
std::optional<NotifyConfig> ParseNotifyConfig(const SourceFile& file, const ReadSecret& read, Diagnostics* diagnostics);

// Destination names in the order of the routes, each once. Acknowledgements and resolutions go where their triggers
// went, so routes see triggers alone.
std::vector<std::string> RouteEvent(const NotifyConfig& config, const NotifyEvent& event, Timestamp now);

}  // namespace triaged
