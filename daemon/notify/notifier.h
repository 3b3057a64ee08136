// Notifier: the loop between the topic, the dispatcher and one sending thread per destination.
//
// Run belongs to one thread, which owns source, memory and dispatcher; senders only see their job. Metrics and readiness
// are texts that the loop publishes, for the threads of the HTTP server.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "daemon/notify/ack_server.h"
#include "daemon/notify/kafka_source.h"
#include "daemon/notify/memory.h"
#include "pipeline/notify/dispatcher.h"

namespace triaged {

class Notifier {
 public:
  explicit Notifier(NotifyConfig config);
  ~Notifier();

  // Until RequestStop, or an error that a restart may heal. Requests that are under way at the end are waited for, within
  // a bound, so that an orderly stop repeats nothing.
  Status Run();
  void RequestStop() { stopping_ = true; }
  std::string MetricsText() const;
  bool ready() const { return ready_; }

 private:
  struct Lane {
    std::mutex mutex;
    std::condition_variable wake;
    std::vector<NotifyPayload> payloads;    // of one job, to be sent
    std::optional<SendOutcome> outcome;     // of the last job
    bool busy = false;                      // between the two
    bool stop = false;
    std::thread thread;
  };

  void Serve(const Destination& destination, Lane* lane);
  Status Take(const KafkaSource::Record& record);
  Status StartUp();
  Status Turn();
  void Collect(NotifyTime now);
  Status Settle(NotifyTime now);
  std::map<int32_t, int64_t> Settled() const;
  Status MemoryWorks() const;
  Status Drain();
  std::vector<NotifyPayload> Render(const std::string& name, NotifyJob* job, Timestamp now) const;
  Status SendCommand(const Command& command) const;
  Status Bury(const NotifyDeadLetter& letter);
  void Publish();

  const NotifyConfig config_;
  std::unique_ptr<RocksNotifyMemory> memory_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<KafkaSource> source_;
  std::map<std::string, Lane> lanes_;
  std::unique_ptr<AckServer> ack_server_;   // nullptr: not configured
  Duration last_commit_{0}, last_publish_{0}, last_forget_{0};
  uint64_t records_ = 0, garbage_ = 0;
  std::atomic<bool> stopping_ = false, ready_ = false;
  mutable std::mutex text_mutex_;
  std::string text_;
};

}  // namespace triaged
