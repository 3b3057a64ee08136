#include "tests/sim/sim_broker.h"

#include <algorithm>

#include "pipeline/base/check.h"
#include "pipeline/base/hash.h"

namespace triaged::sim {

int64_t Log::last_stable() const {
  int64_t stable = high();
  for (const auto& [id, first] : open) stable = std::min(stable, first);
  return stable;
}

void SimBroker::Advance(Duration by) {
  now_ += by;
  if (!Coordinated()) return;
  if (background_) background_();
  for (auto& [id, producer] : producers_) {
    if (producer.phase == Phase::kOngoing && now_ - producer.begun > transaction_timeout_) {
      ++producer.epoch;  // whoever had it is fenced
      producer.phase = Phase::kAborting;
      producer.offsets_owed = false;
      producer.offsets.clear();
      if (producer.partitions.empty()) producer.phase = Phase::kEmpty;
    }
  }
  std::vector<std::string> gone;
  for (const auto& [id, member] : members_) {
    if (now_ - member.seen > kSessionTimeout) gone.push_back(id);
  }
  for (const std::string& id : gone) Leave(id);
  if (rebalancing_ && now_ - rebalance_begun_ > kRebalanceTimeout) {
    gone.clear();
    for (const auto& [id, member] : members_) {
      if (!member.rejoined) gone.push_back(id);
    }
    for (const std::string& id : gone) Leave(id);
    MaybeFinishRebalance();
  }
}

void SimBroker::SetDown(size_t broker, bool down) {
  const bool before = Coordinated();
  down_.at(broker) = down;
  if (!before) ResumeCoordination();
}

void SimBroker::MoveLeaders() {
  const bool before = Coordinated();
  ++elections_;
  if (!before) ResumeCoordination();
}

// Whoever coordinates from now on begins with full session times.
void SimBroker::ResumeCoordination() {
  if (!Coordinated()) return;
  for (auto& [id, member] : members_) member.seen = now_;
  rebalance_begun_ = now_;
}

void SimBroker::SetSkew(size_t broker, Duration skew) {
  skew_.at(broker) = skew;
  most_ahead_ = std::max(most_ahead_, skew);
}

Timestamp SimBroker::Stamp(const TopicPartition& where) const {
  return now_ + skew_[LeaderOf(where)];
}

// ---- topics

void SimBroker::CreateTopic(const std::string& topic, int32_t partitions) {
  topics_[topic] = partitions;
  for (int32_t i = 0; i < partitions; ++i) logs_[{topic, i}];
}

int32_t SimBroker::Partitions(const std::string& topic) const { return topics_.at(topic); }

Log& SimBroker::LogOf(const TopicPartition& where) {
  const auto at = logs_.find(where);
  TRIAGED_CHECK(at != logs_.end());
  return at->second;
}

int64_t SimBroker::Append(const TopicPartition& where, Entry entry, std::optional<Timestamp> stamp) {
  Log& log = LogOf(where);
  entry.at = stamp.value_or(Stamp(where));
  log.entries.push_back(std::move(entry));
  return log.high() - 1;
}

void SimBroker::Recreate(const std::string& topic) {
  for (auto& [where, log] : logs_) {
    if (where.topic == topic) log = Log{};
  }
}

// ---- transactions

void SimBroker::Mark(const std::string& id, Producer& producer, const TopicPartition& where) {
  Log& log = LogOf(where);
  const bool commit = producer.phase == Phase::kCommitting;
  if (const auto first = log.open.find(id); first != log.open.end()) {
    for (auto at = static_cast<size_t>(first->second); at < log.entries.size(); ++at) {
      Entry& entry = log.entries[at];
      if (entry.producer == id && entry.fate == Fate::kPending) entry.fate = commit ? Fate::kCommitted : Fate::kAborted;
    }
    log.open.erase(first);
  }
  Entry marker;
  marker.control = true;
  marker.producer = id;
  marker.fate = commit ? Fate::kCommitted : Fate::kAborted;
  Append(where, std::move(marker));
  producer.partitions.erase(where);
}

void SimBroker::MarkOffsets(Producer& producer) {
  if (producer.phase == Phase::kCommitting) {
    for (const auto& [where, offset] : producer.offsets) offsets_[where] = {offset.offset, offset.metadata};
  }
  producer.offsets.clear();
  producer.offsets_owed = false;
}

void SimBroker::Settle(const std::string& id, Producer& producer) {
  if (producer.phase != Phase::kCommitting && producer.phase != Phase::kAborting) return;
  while (!producer.partitions.empty()) Mark(id, producer, TopicPartition(*producer.partitions.begin()));
  MarkOffsets(producer);
  producer.phase = Phase::kEmpty;
}

ProducerHandle SimBroker::InitProducer(const std::string& transactional_id) {
  Producer& producer = producers_[transactional_id];
  if (producer.phase == Phase::kOngoing) {
    producer.phase = Phase::kAborting;
    producer.offsets.clear();
  }
  Settle(transactional_id, producer);
  ++producer.epoch;
  return {transactional_id, producer.epoch};
}

bool SimBroker::Fenced(const ProducerHandle& handle) const {
  const auto at = producers_.find(handle.id);
  return at == producers_.end() || at->second.epoch != handle.epoch;
}

// A client that begins while its last markers are still owed is told to come back, and does: they are written first.
void SimBroker::Begin(const std::string& id, Producer& producer) {
  Settle(id, producer);
  if (producer.phase == Phase::kOngoing) return;
  producer.phase = Phase::kOngoing;
  producer.begun = now_;
}

Result<int64_t> SimBroker::Produce(const ProducerHandle& handle, const TopicPartition& where, Entry entry) {
  if (Fenced(handle)) return EnvironmentError("producer " + handle.id + " is fenced");
  Producer& producer = producers_.at(handle.id);
  Begin(handle.id, producer);
  producer.partitions.insert(where);
  entry.producer = handle.id;
  entry.fate = Fate::kPending;
  const int64_t offset = Append(where, std::move(entry));
  LogOf(where).open.try_emplace(handle.id, offset);
  return offset;
}

GroupFault SimBroker::SendOffsets(const ProducerHandle& handle, const std::string& member, int generation,
                                  const std::vector<PartitionOffset>& offsets) {
  if (Fenced(handle)) return GroupFault::kUnknownMember;
  if (const GroupFault fault = Check(member); fault != GroupFault::kNone) return fault;
  if (generation != generation_) return GroupFault::kIllegalGeneration;
  Producer& producer = producers_.at(handle.id);
  Begin(handle.id, producer);
  for (const PartitionOffset& offset : offsets) producer.offsets[offset.where] = offset;
  return GroupFault::kNone;
}

bool SimBroker::EndTransaction(const ProducerHandle& handle, bool commit) {
  if (Fenced(handle)) return false;
  Producer& producer = producers_.at(handle.id);
  if (producer.phase != Phase::kOngoing)
    return !commit || producer.phase == Phase::kEmpty || producer.phase == Phase::kCommitting;
  producer.phase = commit ? Phase::kCommitting : Phase::kAborting;
  if (!commit) producer.offsets.clear();
  producer.offsets_owed = !producer.offsets.empty();
  if (producer.partitions.empty() && !producer.offsets_owed) producer.phase = Phase::kEmpty;
  return true;
}

bool SimBroker::MarkersOwed() const {
  return std::any_of(producers_.begin(), producers_.end(), [](const auto& at) {
    return at.second.phase == Phase::kCommitting || at.second.phase == Phase::kAborting;
  });
}

bool SimBroker::WriteMarker(uint64_t pick) {
  std::vector<std::pair<std::string, std::optional<TopicPartition>>> owed;  // nullopt: the group's offsets
  for (const auto& [id, producer] : producers_) {
    if (producer.phase != Phase::kCommitting && producer.phase != Phase::kAborting) continue;
    for (const TopicPartition& where : producer.partitions) {
      if (Led(where)) owed.emplace_back(id, where);
    }
    if (producer.offsets_owed && Coordinated()) owed.emplace_back(id, std::nullopt);
  }
  if (owed.empty()) return false;
  const auto& [id, where] = owed[pick % owed.size()];
  Producer& producer = producers_.at(id);
  if (where) {
    Mark(id, producer, *where);
  } else {
    MarkOffsets(producer);
  }
  if (producer.partitions.empty() && !producer.offsets_owed) producer.phase = Phase::kEmpty;
  return true;
}

bool SimBroker::Ongoing(const std::string& transactional_id) const {
  const auto at = producers_.find(transactional_id);
  return at != producers_.end() && at->second.phase == Phase::kOngoing;
}

bool SimBroker::Decided(const std::string& transactional_id) const {
  const auto at = producers_.find(transactional_id);
  return at != producers_.end() && at->second.phase == Phase::kCommitting;
}

// ---- group

std::string SimBroker::Join(const std::string& instance, const std::vector<std::string>& topics) {
  const std::string id = instance + "#" + std::to_string(next_member_++);
  if (const auto earlier = instances_.find(instance); earlier != instances_.end()) {
    Member member = members_.at(earlier->second);
    fenced_.insert(earlier->second);
    members_.erase(earlier->second);
    member.seen = now_;
    member.news = !rebalancing_;
    member.rejoined = true;
    earlier->second = id;
    members_[id] = std::move(member);
    MaybeFinishRebalance();
    return id;
  }
  instances_[instance] = id;
  Member& member = members_[id];
  member.instance = instance;
  member.topics = topics;
  member.seen = now_;
  Rebalance();
  Rejoin(id);
  return id;
}

void SimBroker::Leave(const std::string& id) {
  const auto at = members_.find(id);
  if (at == members_.end()) return;
  instances_.erase(at->second.instance);
  members_.erase(at);
  Rebalance();
  MaybeFinishRebalance();
}

void SimBroker::Heartbeat(const std::string& id) {
  if (Member* member = Find(id)) member->seen = now_;
}

GroupFault SimBroker::Check(const std::string& id) const {
  if (fenced_.contains(id)) return GroupFault::kFencedInstance;
  return members_.contains(id) ? GroupFault::kNone : GroupFault::kUnknownMember;
}

SimBroker::Member* SimBroker::Find(const std::string& id) {
  const auto at = members_.find(id);
  return at == members_.end() ? nullptr : &at->second;
}

void SimBroker::Rebalance() {
  if (rebalancing_) return;
  rebalancing_ = true;
  rebalance_begun_ = now_;
  for (auto& [id, member] : members_) member.rejoined = false;
}

void SimBroker::Rejoin(const std::string& id) {
  if (Member* member = Find(id)) member->rejoined = true;
  MaybeFinishRebalance();
}

void SimBroker::MaybeFinishRebalance() {
  if (!rebalancing_) return;
  for (const auto& [id, member] : members_) {
    if (!member.rejoined) return;
  }
  FinishRebalance();
}

// The `range` assignor: each topic's partitions in equal stretches over the members in order of their ids.
void SimBroker::FinishRebalance() {
  rebalancing_ = false;
  ++generation_;
  std::set<std::string> topics;
  for (auto& [id, member] : members_) {
    member.assigned.clear();
    member.news = true;
    topics.insert(member.topics.begin(), member.topics.end());
  }
  for (const std::string& topic : topics) {
    const auto count = static_cast<int32_t>(members_.size());
    const int32_t partitions = Partitions(topic);
    const int32_t each = partitions / count;
    const int32_t extra = partitions % count;
    int32_t next = 0;
    int32_t index = 0;
    for (const auto& [instance, id] : instances_) {
      const int32_t share = each + (index++ < extra ? 1 : 0);
      for (int32_t i = 0; i < share; ++i) members_.at(id).assigned.push_back({topic, next++});
    }
  }
}

std::optional<std::map<TopicPartition, BrokerClient::Committed>> SimBroker::Committed(
    const std::vector<TopicPartition>& partitions) const {
  std::map<TopicPartition, BrokerClient::Committed> committed;
  for (const TopicPartition& where : partitions) {
    for (const auto& [id, producer] : producers_) {
      if (producer.phase != Phase::kEmpty && producer.offsets.contains(where)) return std::nullopt;
    }
    const auto at = offsets_.find(where);
    committed[where] = at != offsets_.end() ? at->second : BrokerClient::Committed{};
  }
  return committed;
}

uint64_t SimBroker::Digest() const {
  uint64_t digest = 0;
  for (const auto& [where, log] : logs_) {
    for (const Entry& entry : log.entries) {
      digest = StableHash64(entry.key.value_or("-"), digest + 1);
      digest = StableHash64(entry.value.value_or("-"), digest + static_cast<uint64_t>(entry.fate));
      digest = StableHash64(entry.producer, digest + static_cast<uint64_t>(ToUnixMillis(entry.at)));
      for (const Header& header : entry.headers) digest = StableHash64(header.value, digest);
    }
    digest = StableHash64(where.topic, digest);
  }
  return digest;
}

}  // namespace triaged::sim
