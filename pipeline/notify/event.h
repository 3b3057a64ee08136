// NotifyEvent: what the notifier needs of one record of the escalations topic (schema case-event.v1).
//
// Pure; a parsed event is immutable. A record that is no case event (a heartbeat, another type) parses to nullopt; bytes
// that are no CloudEvent are an error, which becomes a dead letter.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/base/result.h"
#include "pipeline/base/time.h"

namespace triaged {

// What an event means to a person who is paged.
enum class NotifyAction { kTrigger, kAcknowledge, kResolve };

struct NotifyEvent {
  std::string id;          // CloudEvents id: unique, the same in every delivery
  std::string name;        // "escalated", "sla.breached", …
  std::string case_id;
  std::string dedup_key;   // at most 255 bytes, the same for all events of a case's episode
  std::string sequence;    // 20 digits, rising within a case
  Timestamp time{};
  NotifyAction action = NotifyAction::kTrigger;
  std::string severity, level, team, policy, assignee, status, reason, actor;
  std::vector<std::string> channels;
  std::vector<std::string> hosts, accounts, detections, requested;
  bool first_level = false;  // of the policy: the queue, to which nobody escalates
  bool drill = false;
  uint64_t alerts = 0;
  std::string raw;         // the record's bytes
};

Result<std::optional<NotifyEvent>> ParseNotifyEvent(std::string_view bytes);

}  // namespace triaged
