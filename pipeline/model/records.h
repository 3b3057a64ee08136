// Records: what goes into a step and what comes out, without Kafka's types.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/base/time.h"

namespace triaged {

struct Header {
  std::string name;
  std::string value;
  bool operator==(const Header&) const = default;
};

enum class InputClass : uint8_t { kCommand, kSignal, kIntake, kAlert };  // in the order they are served

// One consumed record. The bytes belong to whoever polled it and outlive the step.
struct InputRecord {
  InputClass input_class = InputClass::kAlert;
  std::string_view topic;
  int32_t partition = 0;
  int64_t offset = 0;
  Timestamp timestamp{};                       // the record's (LogAppendTime on our own topics)
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;       // nullopt: a null value
  std::vector<std::pair<std::string_view, std::string_view>> headers;
};

// Our own topics; the shell knows their names.
enum class OutputTopic : uint8_t { kIntake, kCommands, kState, kSteps, kEscalations, kCases, kDeadLetter, kSignals, kArchive };
inline constexpr size_t kOutputTopicCount = 9;

struct OutputRecord {
  OutputTopic topic = OutputTopic::kEscalations;
  int32_t partition = -1;                      // -1: murmur2 of the key over the topic's partitions
  std::optional<std::string> key;
  std::optional<std::string> value;            // nullopt: a tombstone
  std::vector<Header> headers;
  std::optional<Timestamp> timestamp;          // dead letters keep the original's
};

// Exactly one per consumed alert record (DOMAIN.md, Alert → Case).
#define TRIAGED_ALERT_OUTCOMES(X)      \
  X(kOpened, "opened")                 \
  X(kMerged, "merged")                 \
  X(kReopened, "reopened")             \
  X(kUpdated, "updated")               \
  X(kDuplicate, "duplicate")           \
  X(kAutoClosed, "auto_closed")        \
  X(kNotAnAlert, "not_an_alert")       \
  X(kDeadLettered, "dead_lettered")    \
  X(kForwarded, "forwarded")  // stage one only: in flight to stage two

enum class AlertOutcome : uint8_t {
#define TRIAGED_X(id, name) id,
  TRIAGED_ALERT_OUTCOMES(TRIAGED_X)
#undef TRIAGED_X
};
inline constexpr size_t kAlertOutcomeCount = 9;
std::string_view Name(AlertOutcome outcome);

// consumed = the sum of outcomes; commands have a balance of their own.
struct Balance {
  uint64_t consumed = 0;
  std::array<uint64_t, kAlertOutcomeCount> outcomes{};
  uint64_t commands_consumed = 0;
  uint64_t commands_applied = 0;
  uint64_t commands_refused = 0;   // refused by the policy, the case's standing or its version
  uint64_t commands_duplicate = 0; // an id already applied
  uint64_t commands_forwarded = 0; // misdirected, sent on once

  void Add(const Balance& other);
  bool Adds() const;               // both equations hold
  bool operator==(const Balance&) const = default;
};

// The progress record of one state partition: the truth about where to resume (ARCHITECTURE, The decision …).
struct Progress {
  std::string lineage;                       // random, chosen when the partition's store is first created
  std::map<std::string, int64_t> next;       // "topic/partition" → next offset to take
  Timestamp clock{};                         // logical clock; never goes back
  uint64_t next_case = 1;                    // sequence of the next case
  Balance balance;
  std::string fingerprint;                   // of the engine that made the last step
  uint64_t steps = 0;
  bool operator==(const Progress&) const = default;
};
std::string SourceKey(std::string_view topic, int32_t partition);  // "topic/partition"

}  // namespace triaged
