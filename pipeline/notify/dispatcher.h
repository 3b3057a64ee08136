// Dispatcher: which event goes to which destination now. A deterministic state machine: time is a parameter, what was
// delivered is asked of NotifyMemory, and the shell sends the jobs that it hands out.
//
// Promises: an event's origin is released for commit only after every destination has it (or it was withdrawn, or
// dead-lettered); nothing is handed out for a case after its acknowledgement was offered; at most one job per destination
// is under way, so that a crash repeats at most one. A case's first event goes before all others; requests keep
// to per_minute with a burst of a tenth; while more events wait than the rate allows, one request carries up to `bundle`.
// Not thread-safe.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "pipeline/notify/config.h"
#include "pipeline/notify/render.h"

namespace triaged {

// What survives a crash. Writes are durable when they return.
class NotifyMemory {
 public:
  virtual ~NotifyMemory() = default;
  virtual bool Delivered(const std::string& destination, const std::string& event_id) const = 0;
  // What RememberAs gave for the last delivered trigger that nothing has taken back; empty: none.
  virtual std::string Told(const std::string& destination, const std::string& dedup_key) const = 0;
  // Sequence of the newest acknowledgement or resolution; empty: none.
  virtual std::string Answered(const std::string& dedup_key) const = 0;
  virtual void SetAnswered(const std::string& dedup_key, const std::string& sequence, Timestamp now) = 0;
  virtual void SetDelivered(const std::string& destination, const std::vector<NotifyItem>& items, Timestamp now) = 0;
};

// The time of a step. `wall` is for what is said, remembered and routed; somebody may set it. `steady` only grows, from
// any start: rates, pauses and deadlines follow it.
struct NotifyTime {
  Timestamp wall{};
  Duration steady{0};
};

enum class SendResult { kDelivered, kRetry, kFinal };
struct SendOutcome {
  SendResult result = SendResult::kDelivered;
  std::string what;       // for the log: the status, or the error
  Duration retry_after{0};
};

struct NotifyJob {
  std::string destination;
  std::vector<NotifyItem> items;   // RenderPayloads makes requests of them
};

struct NotifyDeadLetter {
  std::string destination, reason;
  std::shared_ptr<const NotifyEvent> event;
};

struct DestinationStats {
  uint64_t delivered = 0, requests = 0, retries = 0, failed = 0, withdrawn = 0, already_delivered = 0, fallbacks = 0;
  size_t queued = 0;
  bool breaker_open = false;
  Duration oldest{0};
};

class Dispatcher {
 public:
  // Both must outlive it. `seed` is of the jitter of retries: random, so that processes that failed together do not come
  // back together.
  Dispatcher(const NotifyConfig& config, NotifyMemory* memory, uint64_t seed);

  // One record; nullptr for one that pages nobody. Offsets of a partition come in rising order.
  void Offer(std::shared_ptr<const NotifyEvent> event, int32_t partition, int64_t offset, NotifyTime now);
  // The next request for an idle destination, if one may be sent now.
  std::optional<NotifyJob> Next(const std::string& destination, Duration steady);
  // The outcome of the job that Next gave.
  void Completed(const std::string& destination, const SendOutcome& outcome, NotifyTime now);
  // Gives up what has waited longer than its destination's deadline.
  void Expire(Duration steady);
  // The partition belongs to somebody else now. What is under way is not called back: when the partition returns first,
  // it counts for the event that is offered again, which is not sent twice.
  void Drop(int32_t partition);

  // Per partition: everything below this offset is settled.
  std::map<int32_t, int64_t> Committable() const;
  std::vector<NotifyDeadLetter> TakeDeadLetters();
  bool full() const { return queued_bytes_ >= config_.max_queued_bytes; }
  bool idle() const;
  int64_t queued_bytes() const { return queued_bytes_; }
  uint64_t stale() const { return stale_; }
  DestinationStats Stats(const std::string& destination, Duration steady) const;

 private:
  struct Waiting {
    NotifyItem item;
    int32_t partition = 0;
    int64_t offset = 0;
    Duration since{0};
    bool alone = false;  // was in a bundle that was refused
    bool lost = false;   // under way when its partition was taken away
  };
  struct Lane {
    const Destination* config = nullptr;
    std::deque<Waiting> first, later;  // a case's first event; all others
    std::vector<Waiting> sent;         // under way
    std::map<std::string, int> keys;   // dedup keys of waiting and sent triggers
    std::map<std::string, int> ids;    // event ids of all that waits or is under way, and is not lost
    int64_t tokens = 0;                // thousandths of a request
    std::optional<Duration> filled;    // with tokens, last
    Duration not_before{0};
    int64_t failures = 0;              // in a row
    DestinationStats stats;
  };
  struct Offsets {
    std::map<int64_t, int> open;  // unsettled deliveries by offset
    int64_t next = 0;
  };

  void Enqueue(Lane* lane, Waiting waiting);
  void Withdraw(const NotifyEvent& answer);
  void Settle(Lane* lane, const Waiting& waiting);
  std::vector<Waiting> TakeFailed(Lane* lane);
  void GiveUp(Lane* lane, Waiting waiting, std::string reason, Duration steady);
  void Retry(Lane* lane, const SendOutcome& outcome, Duration steady);
  bool MayGo(const Lane& lane, const Waiting& waiting) const;
  static void Refill(Lane* lane, Duration steady);

  const NotifyConfig& config_;
  NotifyMemory* memory_;
  std::map<std::string, Lane> lanes_;
  std::map<int32_t, Offsets> offsets_;
  std::vector<NotifyDeadLetter> dead_;
  int64_t queued_bytes_ = 0;
  uint64_t stale_ = 0;
  std::mt19937_64 jitter_;
};

}  // namespace triaged
