// Rendering: what is sent to a destination for one or more events. Pure: the same events give the same bytes.
//
// Text of alerts is never trusted: escaped for the destination it goes to, links and addresses defanged where people
// read it, cut to the limits of the receiving API. Limits: PagerDuty 1024 characters of summary and 512,000 bytes, Slack
// 150 characters of header and 3000 of section, 255 bytes of dedup key (the vendors' API references).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/notify/config.h"
#include "pipeline/notify/event.h"

namespace triaged {

// One event on its way to one destination.
struct NotifyItem {
  std::shared_ptr<const NotifyEvent> event;
  NotifyAction action = NotifyAction::kTrigger;
  std::string told;                // what RememberAs of the last delivered trigger gave; empty: none was
  std::string ack_url, ack_token;  // a signed link, and its token alone; empty: the destination gets none
};

struct NotifyPayload {
  std::string content_type;
  std::string body;
};

NotifyPayload RenderPayload(const Destination& destination, const std::vector<NotifyItem>& items, Timestamp now);

// What must be known of a delivered trigger to take it back: severity, level and team, which are Alertmanager labels.
std::string RememberAs(const NotifyEvent& event);

std::string_view DefaultTitle(std::string_view language);
std::string_view DefaultBody(std::string_view language);

// "http://evil.example" → "hxxp://evil[.]example".
std::string Defang(std::string_view text);

}  // namespace triaged
