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
  std::string told;                // what RememberAs gave for the last delivered trigger; empty: none was
  std::string ack_url, ack_token;  // a signed link, and its token alone; empty: the destination gets none
};

struct NotifyPayload {
  std::string content_type;
  std::string body;
};

// The requests, to be made in this order; RequestsOf of them. There is one but for PagerDuty's acknowledgements and
// resolutions: each level that was told is an incident of its own there, so that a new level is paged although the one
// below has acknowledged, and one request acknowledges or resolves one incident.
std::vector<NotifyPayload> RenderPayloads(const Destination& destination, const std::vector<NotifyItem>& items,
                                          Timestamp now);
size_t RequestsOf(const Destination& destination, const std::vector<NotifyItem>& items);

// What must be known of a case's delivered triggers to take them back: severity, level and team of the last one, which
// are Alertmanager's labels, and the other levels that were told. `told` is what was known before `event`.
std::string RememberAs(const NotifyEvent& event, const std::string& told);

std::string_view DefaultTitle(std::string_view language);
std::string_view DefaultBody(std::string_view language);

// "http://evil.example" → "hxxp://evil[.]example".
std::string Defang(std::string_view text);

}  // namespace triaged
