#include "tests/sim/sim_client.h"

#include <algorithm>
#include <utility>

#include "pipeline/base/check.h"
#include "pipeline/base/hash.h"

namespace triaged::sim {
namespace {

constexpr Duration kTransactionTimeout{10'000};
constexpr Duration kMessageTimeout{10'000};

}  // namespace

SimClient::SimClient(Options options, SimHost* host)
    : options_(std::move(options)), host_(host), names_(TopicNames::For(options_.application_id)) {}

bool SimClient::Away(Duration bound) {
  if (host_->broker().Coordinated()) return false;
  host_->broker().Advance(bound);
  return true;
}

bool SimClient::Away(const TopicPartition& where, Duration bound) {
  if (host_->broker().Led(where)) return false;
  host_->broker().Advance(bound);
  return true;
}

Status SimClient::Start(Duration bound) {
  host_->Point("start");
  Pass(5);
  if (Away(bound)) return EnvironmentError("start: no broker answers");
  if (host_->Fault("start")) return EnvironmentError("start: broker away");
  producer_ = host_->broker().InitProducer(options_.application_id + "-" + options_.instance);
  member_ = host_->broker().Join(options_.instance, options_.topics);
  for (const auto& [where, log] : host_->broker().logs()) cached_[where] = {log.low, log.high()};
  return {};
}

std::optional<GroupEvent> SimClient::GroupNews() {
  SimBroker& broker = host_->broker();
  if (broker.Check(member_) == GroupFault::kUnknownMember) {
    // Thrown out after the session time-out: the assignment is lost, and the client joins again by itself.
    GroupEvent event{GroupEventKind::kLost, {}};
    for (const auto& [where, offset] : positions_) event.partitions.push_back(where);
    positions_.clear();
    const bool held = holds_assignment_;
    holds_assignment_ = false;
    generation_ = -1;
    member_ = broker.Join(options_.instance, options_.topics);
    if (held) return event;
    return std::nullopt;
  }
  SimBroker::Member* member = broker.Find(member_);
  if (broker.Rebalancing()) {
    if (member->rejoined) return std::nullopt;
    if (!holds_assignment_) {
      broker.Rejoin(member_);
      return std::nullopt;
    }
    GroupEvent event{GroupEventKind::kRevoked, {}};
    for (const auto& [where, offset] : positions_) event.partitions.push_back(where);
    awaits_answer_ = true;
    return event;
  }
  if (!member->news) return std::nullopt;
  member->news = false;
  holds_assignment_ = true;
  generation_ = broker.generation();
  return GroupEvent{GroupEventKind::kAssigned, member->assigned};
}

InputClass SimClient::ClassOf(const std::string& topic) const {
  if (topic == names_.commands) return InputClass::kCommand;
  if (topic == names_.signals) return InputClass::kSignal;
  return topic == names_.intake ? InputClass::kIntake : InputClass::kAlert;
}

// Reads one class up to `room` records, read_committed: nothing beyond the last stable offset, nothing aborted.
size_t SimClient::Fetch(InputClass input_class, size_t room, PollResult* result) {
  size_t taken = 0;
  for (auto& [where, next] : positions_) {
    if (ClassOf(where.topic) != input_class || !host_->broker().Led(where)) continue;
    const Log& log = host_->broker().LogOf(where);
    const int64_t stable = log.last_stable();
    for (; next < stable && taken < room; ++next) {
      const Entry& entry = log.entries[static_cast<size_t>(next)];
      if (entry.control || entry.fate != Fate::kCommitted) continue;
      InputRecord record;
      record.input_class = input_class;
      record.topic = where.topic;  // the key of positions_: stands until the next Assign
      record.partition = where.partition;
      record.offset = next;
      record.timestamp = entry.at;
      if (entry.key) record.key = *entry.key;
      if (entry.value) record.value = *entry.value;
      for (const Header& header : entry.headers) record.headers.emplace_back(header.name, header.value);
      result->records.push_back(std::move(record));
      ++taken;
    }
    const bool end = host_->bugs().end_at_last_stable ? next >= stable : next >= log.high() || host_->bugs().end_at_once;
    if (end) result->reached_end.push_back({where, next, {}});
  }
  return taken;
}

PollResult SimClient::Poll(const PollLimits& limits) {
  host_->Point("poll");
  Pass(3);
  PollResult result;
  const auto fatal = [&](std::string why, bool fenced) {
    result.fatal = EnvironmentError(std::move(why));
    result.fenced_instance = fenced;
    return result;
  };
  if (host_->Fault("fatal")) return fatal("fatal error of the producer", false);
  if (host_->broker().Coordinated()) {
    if (host_->broker().Check(member_) == GroupFault::kFencedInstance) return fatal("FENCED_INSTANCE_ID", true);
    result.event = GroupNews();
    if (result.event) return result;
  }
  if (std::exchange(fetching_, false)) {  // the first fetch after an assignment may take longer than a poll
    Pass(std::clamp<int64_t>(limits.max_wait.count(), 0, 50));
    return result;
  }
  size_t room = std::min<size_t>(limits.max_records, static_cast<size_t>(host_->random().Between(1, 30)));
  room -= Fetch(InputClass::kCommand, room, &result);
  room -= Fetch(InputClass::kSignal, room, &result);
  room -= Fetch(InputClass::kIntake, room, &result);
  if (limits.take_alerts) Fetch(InputClass::kAlert, room, &result);
  if (result.records.empty()) Pass(std::clamp<int64_t>(limits.max_wait.count(), 0, 50));
  return result;
}

Status SimClient::Assign(const std::vector<PartitionOffset>& partitions) {
  host_->Point("assign");
  if (host_->Fault("assign")) return EnvironmentError("assign failed");
  positions_.clear();
  fetching_ = host_->random().Below(3) == 0;
  for (const PartitionOffset& partition : partitions) {
    TRIAGED_CHECK(partition.offset >= 0);
    positions_[partition.where] = partition.offset;
  }
  if (awaits_answer_) {
    awaits_answer_ = false;
    holds_assignment_ = false;
    host_->Point("mid_revoke");
    if (host_->broker().Check(member_) == GroupFault::kNone) host_->broker().Rejoin(member_);
  }
  return {};
}

Result<std::map<TopicPartition, BrokerClient::Committed>> SimClient::CommittedOffsets(
    const std::vector<TopicPartition>& partitions, Duration bound) {
  host_->Point("committed");
  if (Away(bound)) return EnvironmentError("committed(): no broker answers");
  auto committed = host_->broker().Committed(partitions);
  if (committed && !host_->Fault("committed")) {
    Pass(3);
    return *committed;
  }
  host_->broker().Advance(bound / 4);  // waits for stable offsets
  if (host_->bugs().unknown_offset_is_none) {
    std::map<TopicPartition, Committed> none;
    for (const TopicPartition& where : partitions) none[where] = {};
    return none;
  }
  return EnvironmentError("committed(): timed out");
}

Result<BrokerClient::Watermarks> SimClient::QueryWatermarks(const TopicPartition& partition, Duration bound) {
  host_->Point("watermarks");
  Pass(2);
  if (Away(partition, bound)) return EnvironmentError("watermarks: no broker answers");
  if (host_->Fault("watermarks")) return EnvironmentError("watermarks: timed out");
  const Log& log = host_->broker().LogOf(partition);
  if (host_->bugs().watermark_cached && partition.topic == names_.state) return cached_[partition];
  return Watermarks{log.low, log.high()};
}

std::vector<std::pair<TopicPartition, int64_t>> SimClient::Lags() const {
  std::vector<std::pair<TopicPartition, int64_t>> lags;
  for (const auto& [where, next] : positions_) lags.emplace_back(where, host_->broker().LogOf(where).high() - next);
  return lags;
}

Status SimClient::OpenChangelog(int32_t partition, int64_t from, int64_t end) {
  TRIAGED_CHECK(!readers_.contains(partition));
  readers_[partition] = {from, end};
  return {};
}

Result<ChangelogSlice> SimClient::ReadChangelog(int32_t partition, size_t max_records, Duration bound) {
  host_->Point("mid_restore");
  Pass(3);
  if (host_->Fault("restore")) return EnvironmentError("changelog: broker away");
  Reader& reader = readers_.at(partition);
  if (Away(TopicPartition{names_.state, partition}, bound)) {  // nothing comes, and nobody says why
    ChangelogSlice nothing;
    nothing.next_offset = reader.next;
    return nothing;
  }
  const Log& log = host_->broker().LogOf({names_.state, partition});
  const bool uncommitted = host_->bugs().changelog_uncommitted;
  const int64_t stable = uncommitted ? log.high() : log.last_stable();
  const size_t room = std::min<size_t>(max_records, static_cast<size_t>(host_->random().Between(1, 60)));
  ChangelogSlice slice;
  for (; reader.next < stable && slice.records.size() < room; ++reader.next) {
    const Entry& entry = log.entries[static_cast<size_t>(reader.next)];
    if (entry.control || (entry.fate != Fate::kCommitted && !uncommitted)) continue;
    slice.records.push_back({*entry.key, entry.value, reader.next});
  }
  if (reader.end != kFollow) host_->OnRestored(slice.records.size());
  if (reader.end == kFollow && host_->bugs().follower_skips && slice.records.size() > 1) {
    slice.records.erase(slice.records.end() - 2);
  }
  slice.next_offset = reader.next;
  slice.log_end = log.high();
  const bool short_of_it = host_->bugs().restore_stops_short && !slice.records.empty();
  slice.at_end = short_of_it || reader.next >= (host_->bugs().restore_to_last_stable ? std::min(stable, reader.end) : reader.end);
  return slice;
}

void SimClient::CloseChangelog(int32_t partition) { readers_.erase(partition); }

// ---- transactions

Status SimClient::Begin() {
  host_->Point("before_begin");
  TRIAGED_CHECK(!began_);
  if (host_->broker().Fenced(producer_)) return EnvironmentError("begin: producer fenced");
  began_ = true;
  produced_ = 0;
  refused_.reset();
  state_offsets_.clear();
  return {};
}

Status SimClient::Produce(const OutputRecord& record) {
  TRIAGED_CHECK(began_);
  host_->Point("before_produce");
  if (host_->Fault("produce")) {
    if (host_->bugs().produce_unchecked) return {};
    return EnvironmentError("produce: message timed out");
  }
  if (host_->TooLarge(record)) {
    refused_ = produced_++;
    // The client itself knows at once, of the broker's limit the delivery report tells.
    return host_->random().Below(2) == 0 ? EnvironmentError("produce: MSG_SIZE_TOO_LARGE") : Status();
  }
  ++produced_;
  const std::string& topic = names_.Of(record.topic);
  const int32_t partitions = host_->broker().Partitions(topic);
  const int32_t partition =
      record.partition >= 0 ? record.partition : PartitionForKey(record.key.value_or(""), partitions);
  if (Away(TopicPartition{topic, partition}, kMessageTimeout)) return EnvironmentError("produce: no broker answers");
  Entry entry;
  entry.key = record.key;
  entry.value = record.value;
  entry.headers = record.headers;
  const auto offset = host_->broker().Produce(producer_, {topic, partition}, std::move(entry));
  if (!offset) return offset.error();
  if (record.topic == OutputTopic::kState) state_offsets_[partition] = *offset;
  stamped_ = host_->broker().Stamp({topic, partition});
  stamped_at_ = host_->broker().now();
  host_->Point("after_produce");
  return {};
}

Status SimClient::SendOffsets(const std::vector<PartitionOffset>& offsets) {
  TRIAGED_CHECK(began_);
  host_->Point("before_send_offsets");
  if (Away(kMessageTimeout)) return EnvironmentError("send offsets: no broker answers");
  if (host_->Fault("send_offsets")) return EnvironmentError("send offsets: coordinator away");
  std::vector<PartitionOffset> sent = offsets;
  const Bugs& bugs = host_->bugs();
  if (bugs.idle_steps_send_no_offsets) {
    const auto before = host_->broker().Committed([&] {
      std::vector<TopicPartition> all;
      for (const PartitionOffset& offset : offsets) all.push_back(offset.where);
      return all;
    }());
    const bool moved = !before || std::any_of(offsets.begin(), offsets.end(), [&](const PartitionOffset& offset) {
      return before->at(offset.where).offset != offset.offset;
    });
    if (!moved) return {};
  }
  if (bugs.only_one_partition_sent) {
    std::erase_if(sent, [&](const PartitionOffset& offset) {
      return offset.where.partition != sent.front().where.partition &&
             ClassOf(offset.where.topic) != InputClass::kAlert;
    });
  }
  const int generation = bugs.generation_read_at_commit ? host_->broker().generation() : generation_;
  std::string member = member_;
  if (bugs.generation_read_at_commit && host_->broker().Check(member) == GroupFault::kUnknownMember) {
    member = member_ = host_->broker().Join(options_.instance, options_.topics);
  }
  const GroupFault fault = host_->broker().SendOffsets(producer_, member, generation, sent);
  if (fault != GroupFault::kNone) return EnvironmentError("send offsets: refused, the group moved on");
  host_->Point("after_send_offsets");
  return {};
}

CommitOutcome SimClient::Commit(Duration bound) {
  TRIAGED_CHECK(began_);
  host_->Point("before_commit");
  Pass(5);
  if (Away(bound)) return CommitOutcome::kUnknown;
  if (refused_) return CommitOutcome::kAborted;
  if (host_->TooMany(produced_)) {
    host_->broker().Advance(kTransactionTimeout);
    return CommitOutcome::kAborted;
  }
  if (host_->Fault("commit_aborts")) {
    if (!host_->bugs().store_before_kafka) return CommitOutcome::kAborted;
    host_->broker().EndTransaction(producer_, false);
    began_ = false;
    return CommitOutcome::kCommitted;
  }
  if (host_->Fault("commit_unknown")) {
    const bool reached = host_->random().Below(2) == 0;
    if (reached) host_->broker().EndTransaction(producer_, true);
    host_->broker().Advance(bound);
    if (host_->bugs().unknown_commit_is_abort) return CommitOutcome::kAborted;
    return CommitOutcome::kUnknown;
  }
  if (!host_->broker().EndTransaction(producer_, true)) return CommitOutcome::kAborted;
  began_ = false;
  host_->Point("after_commit");
  if (host_->Fault("no_position")) state_offsets_.clear();
  if (host_->bugs().position_guessed) {
    for (auto& [partition, offset] : state_offsets_) offset += 3;
  }
  return CommitOutcome::kCommitted;
}

Status SimClient::Abort(Duration bound) {
  host_->Point("before_abort");
  if (Away(bound)) return EnvironmentError("abort: no broker answers");
  if (host_->Fault("abort")) {
    if (!host_->bugs().abort_unchecked) return EnvironmentError("abort: coordinator away");
    began_ = false;
    return {};
  }
  if (host_->bugs().unknown_commit_is_abort && host_->broker().Decided(producer_.id)) {
    began_ = false;
    return {};
  }
  if (!host_->broker().EndTransaction(producer_, false)) return EnvironmentError("abort: producer fenced");
  began_ = false;
  return {};
}

std::optional<Timestamp> SimClient::BrokerTime() const {
  if (!stamped_) return std::nullopt;
  if (host_->bugs().wall_clock_is_broker_time) return host_->WallTime();
  return *stamped_ + (host_->broker().now() - stamped_at_);
}

Duration SimClient::Monotonic() const { return host_->broker().now().time_since_epoch(); }

int32_t SimClient::StatePartitions() const { return host_->broker().Partitions(names_.state); }

void SimClient::Leave(Duration bound) {
  if (!Away(bound)) host_->broker().Leave(member_);
}

}  // namespace triaged::sim
