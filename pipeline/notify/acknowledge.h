// Acknowledging from where people are: signed links, PagerDuty webhooks and Slack buttons, checked and read.
//
// Pure: the keyed hash is a parameter (the shell's HMAC-SHA256, in lower-case hex), and so is the time. Everything that
// arrives here comes from strangers: signatures are compared in constant time before anything else is looked at, and
// what was signed too long ago is refused, so that a recorded request is worth nothing later. Sources: PagerDuty's
// "Verifying signatures" of v3 webhooks (v1=, over the body), Slack's "Verifying requests" (v0=, over v0:time:body).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"
#include "pipeline/model/command.h"
#include "pipeline/notify/event.h"

namespace triaged {

// Keyed hash of a text, 64 hexadecimal digits.
using KeyedHash = std::function<std::string(std::string_view text)>;

// What a link says: acknowledge the case of this event. Signed, and good until `expires`.
struct AckClaim {
  std::string event_id, case_id, dedup_key, sequence;
  std::string destination;  // where the link was sent
  std::string assignee;     // whom the escalation was for; may be empty
  Timestamp expires{};
};

// Characters of a URL path segment only: "v1.<base64url of the claim>.<hash>".
std::string MakeAckToken(const AckClaim& claim, const KeyedHash& hash);
// Errors say "malformed", "forged" or "expired" in words for the person who opened the link.
Result<AckClaim> ReadAckToken(std::string_view token, const KeyedHash& hash, Timestamp now);

// Somebody acknowledged an incident at PagerDuty.
struct PagerDutyAck {
  std::string event_id, incident_key;   // event_id: the webhook event's own
  std::string agent_id, agent_name;
};
// nullopt: a signed event of another kind, which concerns nobody here. `tolerance`: how old or how far ahead
// `occurred_at` may be; PagerDuty repeats a delivery for some time, so it should be generous.
Result<std::optional<PagerDutyAck>> ReadPagerDutyWebhook(std::string_view signatures, std::string_view body,
                                                         const KeyedHash& hash, Timestamp now, Duration tolerance);

struct SlackAck {
  AckClaim claim;
  std::string user_id, user_name;
};
inline constexpr std::string_view kSlackAckAction = "triaged_ack";
// `links` is the hash of our own links: a button's value is such a token.
Result<std::optional<SlackAck>> ReadSlackInteraction(std::string_view timestamp, std::string_view signature,
                                                     std::string_view body, const KeyedHash& slack,
                                                     const KeyedHash& links, Timestamp now, Duration tolerance);

// The value of `name` in an application/x-www-form-urlencoded body; nullopt when it is not there or badly encoded.
std::optional<std::string> FormValue(std::string_view body, std::string_view name);

// `id` makes it idempotent: the engine applies an id once.
Result<Command> AckCommand(std::string id, std::string_view case_id, std::string actor, std::string role, Timestamp now);
// What an incident's key says, when it was made for `application_id`: "triaged:3-17:2:L2" is the case "3-17", and its
// dedup key "triaged:3-17:2".
struct IncidentCase {
  std::string case_id, dedup_key;
};
std::optional<IncidentCase> CaseOfIncident(std::string_view incident_key, std::string_view application_id);

}  // namespace triaged
