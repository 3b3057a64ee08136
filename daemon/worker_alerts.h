// AlertSources: stage one's side of a worker: the alert partitions it was assigned, where each stands, and the balance
// of each, which travels in the group offset's metadata so that it survives restarts and moves.
//
// A record is taken (staged) in a step; Commit() after the Kafka transaction makes it stand, Discard() takes it back.
// Not thread-safe: the worker's thread only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/broker_client.h"
#include "pipeline/processor/processor.h"

namespace triaged {

// The text kept with a group offset, and back; a text that is not ours gives an empty balance (and says so: nullopt).
// At most a few hundred bytes (Kafka's limit is 4096).
std::string EncodeBalance(const Balance& balance);
std::optional<Balance> DecodeBalance(std::string_view metadata);

class AlertSources {
 public:
  AlertSources(ProcessorOptions options, std::shared_ptr<const Engine> engine);

  void SetEngine(std::shared_ptr<const Engine> engine);

  // A new assignment: nothing is known yet of where these stand.
  void Reset(const std::vector<TopicPartition>& assigned);
  std::vector<TopicPartition> Unresolved() const;
  // Of these whose time to be asked for (again) has come, who waits longest first.
  std::vector<TopicPartition> Due(Duration now) const;
  // Asking came to nothing: not again before this; twice as long each time, from `least` to `most`.
  void AskLater(const TopicPartition& source, Duration now, Duration least, Duration most);
  // `first_sight`: the group had no offset; `next` is committed explicitly with the next step, so that it does not
  // depend on who sees the partition first.
  void Resolve(const TopicPartition& source, int64_t next, const Balance& balance, bool first_sight);

  // Where this worker stood when it last had the source; 0: never. It outlives assignments and clients: Kafka forgets the
  // group's offset of a topic that is deleted.
  int64_t Known(const TopicPartition& source) const;

  // Where consumption starts: resolved sources only.
  std::vector<PartitionOffset> NextOffsets() const;

  // Takes one alert record; false when it is not ours or was taken before. Appends its outputs.
  bool Take(const InputRecord& input, std::vector<OutputRecord>* outputs);
  // Nothing is left below the end's offset: what lies between are transaction markers and aborted records. Without this
  // the committed offset of an idle partition would stay before them, and retention would seem to have removed alerts.
  void ReachEnd(const PartitionOffset& end);
  // Such an offset is to be committed with the next transaction, whatever that is for.
  bool past_markers() const;
  // Records whose outputs Kafka refused for their size: dead-lettered, cut, when they are taken again.
  void Refuse(const TopicPartition& source, int64_t offset, const std::string& message);

  // What the step's transaction must carry: every source that moved or was seen for the first time.
  std::vector<PartitionOffset> StagedOffsets() const;
  bool moved() const;
  const StepFacts& staged_facts() const { return facts_; }
  void Commit();
  void Discard();

 private:
  struct Source {
    std::optional<int64_t> next;  // nullopt: unknown yet
    Balance balance;
    int64_t staged_next = 0;
    Balance staged;      // of the step alone
    bool moved = false;  // must be committed with the next step
    bool first_sight = false;
    bool past_markers = false;
    Duration ask_at{0}, backoff{0};  // while `next` is unknown
  };

  Intake intake_;
  std::map<TopicPartition, Source> sources_;
  std::map<TopicPartition, int64_t> known_;
  std::map<TopicPartition, Source>::iterator last_ = sources_.end();  // of the record taken last: they come in runs
  std::map<std::pair<TopicPartition, int64_t>, std::string> refused_;
  StepFacts facts_;
};

}  // namespace triaged
