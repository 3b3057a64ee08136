// Supervisor: the composition root of the running daemon: engine, metrics, HTTP server, workers on their threads, the
// watchdog, and reload. Started and stopped in a straight line; stopping is bounded by Config::shutdown_timeout.
//
// Thread-safety: Reload may be called from any thread; the rest from the one that owns it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/config.h"
#include "daemon/admin_pages.h"
#include "daemon/kafka_embedded.h"
#include "daemon/metrics.h"
#include "daemon/worker.h"

namespace triaged {

class Supervisor {
 public:
  // `config_path` is read again at each reload (its formats, rules and policies; the rest needs a restart).
  Supervisor(Config config, std::string config_path, std::shared_ptr<const Engine> engine, bool accept_data_loss);
  ~Supervisor();

  // HTTP server and embedded broker. Fails before anything is consumed.
  Status Start();
  // Waits for the topics, then runs the workers. Blocks until RequestStop or a worker's failure.
  Status Run();
  void RequestStop();
  // Compiles everything that can fail first, then swaps. (done, what was done or is wrong)
  std::pair<bool, std::string> Reload();

 private:
  std::pair<bool, std::string> ReloadNow();
  Status WaitForTopics();
  WorkerOptions OptionsFor(int worker) const;
  WorkerParts PartsFor(int worker);
  void RunWorker(int worker);
  void LeaveWorkers();
  void Watch();
  void FreeRetired();
  bool PauseUnlessStopping(Duration d);
  std::shared_ptr<const Engine> CurrentEngine() const;

  Config config_;
  const std::string config_path_;
  const bool accept_data_loss_;
  std::mutex reload_mutex_;               // one reload at a time; taken before mutex_
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<const Engine> engine_;  // guarded by mutex_
  std::vector<std::shared_ptr<const Engine>> retired_;  // guarded by mutex_: replaced, freed when no worker has it
  Status failure_;                        // guarded by mutex_: the first worker's that failed
  std::atomic<bool> stop_{false};
  std::atomic<int> running_{0};
  Metrics metrics_;
  std::unique_ptr<EmbeddedBroker> embedded_;
  std::shared_ptr<SharedStoreResources> stores_;
  const std::shared_ptr<StoreClaims> claims_ = std::make_shared<StoreClaims>();
  std::vector<std::thread> threads_;
  std::unique_ptr<HttpServer> http_;      // last: its hooks use what stands above
};

}  // namespace triaged
