// SimBroker: Kafka as far as exactly-once depends on it, in memory and over a virtual clock. Logs with offsets and
// LogAppendTime, transactions with producer epochs, time-outs and markers that are written after EndTxn was answered,
// the last stable offset, group membership with generations and static members, transactional offset commits.
//
// What the model keeps of the real broker is what KAFKA.md names; everything takes effect at once unless said here.
// Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/broker_client.h"
#include "pipeline/base/result.h"
#include "pipeline/base/time.h"

namespace triaged::sim {

enum class Fate : uint8_t { kPending, kCommitted, kAborted };

// One offset of a log. References stay valid while the broker lives.
struct Entry {
  bool control = false;  // a transaction marker
  std::string producer;  // transactional id, or "" for a plain producer
  Fate fate = Fate::kCommitted;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<Header> headers;
  Timestamp at{};
};

struct Log {
  std::deque<Entry> entries;            // index = offset
  int64_t low = 0;                      // log start
  std::map<std::string, int64_t> open;  // transactional id → first offset of its undecided records here

  int64_t high() const { return static_cast<int64_t>(entries.size()); }
  int64_t last_stable() const;
};

struct ProducerHandle {
  std::string id;
  int epoch = -1;
};

enum class GroupFault : uint8_t { kNone, kUnknownMember, kFencedInstance, kIllegalGeneration };

class SimBroker {
 public:
  explicit SimBroker(Duration transaction_timeout = Duration{10'000}) : transaction_timeout_(transaction_timeout) {}

  Timestamp now() const { return now_; }
  // Moves the clock; ends transactions and sessions that ran out.
  void Advance(Duration by);
  // Each log has a leader, whose clock stamps what is appended. Brokers that are down lead on, but nobody reaches them
  // until they are back or another is elected, and then what was acknowledged is there; the client's calls fail
  // (SimClient). While the coordinator is away no session, transaction or rebalance runs out.
  static constexpr size_t kBrokers = 3;
  void SetDown(size_t broker, bool down);
  void MoveLeaders();
  bool down() const { return std::find(down_.begin(), down_.end(), false) == down_.end(); }  // all of them
  bool Led(const TopicPartition& where) const { return !down_[LeaderOf(where)]; }
  bool Coordinated() const { return !down_[elections_ % kBrokers]; }
  void SetSkew(size_t broker, Duration skew);
  Timestamp Stamp(const TopicPartition& where) const;
  // No broker's clock was ever ahead of this.
  Timestamp latest() const { return now_ + most_ahead_; }
  // What goes on in the background of every living client: their heartbeats.
  void set_background(std::function<void()> background) { background_ = std::move(background); }

  // ---- topics
  void CreateTopic(const std::string& topic, int32_t partitions);
  int32_t Partitions(const std::string& topic) const;
  Log& LogOf(const TopicPartition& where);
  const std::map<TopicPartition, Log>& logs() const { return logs_; }
  // A plain producer; `stamp`, when given, is its own, on a topic that keeps it.
  int64_t Append(const TopicPartition& where, Entry entry, std::optional<Timestamp> stamp = std::nullopt);
  // Deletes and recreates a topic.
  void Recreate(const std::string& topic);

  // ---- transactions
  ProducerHandle InitProducer(const std::string& transactional_id);
  Result<int64_t> Produce(const ProducerHandle& producer, const TopicPartition& where, Entry entry);
  GroupFault SendOffsets(const ProducerHandle& producer, const std::string& member, int generation,
                         const std::vector<PartitionOffset>& offsets);
  bool Fenced(const ProducerHandle& producer) const;
  // False: fenced, or nothing to end. The answer comes before the markers.
  bool EndTransaction(const ProducerHandle& producer, bool commit);
  // Writes one marker of a transaction that ended (`pick` chooses which); false when none is owed.
  bool WriteMarker(uint64_t pick);
  bool MarkersOwed() const;
  bool Ongoing(const std::string& transactional_id) const;
  // True once the transaction is decided to commit, markers or not.
  bool Decided(const std::string& transactional_id) const;

  // ---- group
  struct Member {
    std::string instance;
    std::vector<std::string> topics;
    Timestamp seen{};
    bool rejoined = false;  // for the rebalance in hand
    std::vector<TopicPartition> assigned;
    bool news = false;  // an assignment it has not seen
  };
  // Joins, or takes the place of the instance's earlier self. The member id.
  std::string Join(const std::string& instance, const std::vector<std::string>& topics);
  void Leave(const std::string& member);
  void Heartbeat(const std::string& member);
  GroupFault Check(const std::string& member) const;
  Member* Find(const std::string& member);
  bool Rebalancing() const { return rebalancing_; }
  void Rejoin(const std::string& member);
  int generation() const { return generation_; }
  size_t members() const { return members_.size(); }
  // nullopt: a transaction that ends later holds an offset of one of these (UNSTABLE_OFFSET_COMMIT).
  std::optional<std::map<TopicPartition, BrokerClient::Committed>> Committed(
      const std::vector<TopicPartition>& partitions) const;
  void DropGroupOffsets() { offsets_.clear(); }

  // Of everything that was ever written: equal for equal seeds.
  uint64_t Digest() const;

  static constexpr Duration kSessionTimeout{45'000};
  static constexpr Duration kRebalanceTimeout{60'000};

 private:
  enum class Phase : uint8_t { kEmpty, kOngoing, kCommitting, kAborting };
  struct Producer {
    int epoch = -1;
    Phase phase = Phase::kEmpty;
    Timestamp begun{};
    std::set<TopicPartition> partitions;  // markers owed, once it ended
    std::map<TopicPartition, PartitionOffset> offsets;
    bool offsets_owed = false;
  };
  size_t LeaderOf(const TopicPartition& where) const {
    return (where.topic.size() + static_cast<size_t>(where.partition) + elections_) % kBrokers;
  }
  void ResumeCoordination();
  void Mark(const std::string& id, Producer& producer, const TopicPartition& where);
  void MarkOffsets(Producer& producer);
  void Settle(const std::string& id, Producer& producer);
  void Begin(const std::string& id, Producer& producer);
  void Rebalance();
  void FinishRebalance();
  void MaybeFinishRebalance();

  const Duration transaction_timeout_;
  std::function<void()> background_;
  Timestamp now_ = FromUnixMillis(1'790'000'000'000);
  std::array<bool, kBrokers> down_{};
  std::array<Duration, kBrokers> skew_{};
  Duration most_ahead_{0};
  size_t elections_ = 0;
  std::map<TopicPartition, Log> logs_;
  std::map<std::string, int32_t> topics_;
  std::map<std::string, Producer> producers_;
  std::map<std::string, Member> members_;
  std::map<std::string, std::string> instances_;  // instance → member id
  std::set<std::string> fenced_;                  // member ids whose instance came back as another
  std::map<TopicPartition, BrokerClient::Committed> offsets_;
  int generation_ = 0;
  bool rebalancing_ = false;
  Timestamp rebalance_begun_{};
  int next_member_ = 0;
};

}  // namespace triaged::sim
