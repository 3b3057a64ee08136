// KafkaClient against a real Apache Kafka: what KAFKA.md says about brokers and librdkafka, tried. Run by
// `broker.py run -- kafka_client_test`, which starts the broker and names it in TRIAGED_TEST_BOOTSTRAP.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include "tests/kafka/kafka_fixture.h"

#include <algorithm>
#include <random>
#include <set>

#include "daemon/clock.h"
#include "daemon/kafka_admin.h"
#include "pipeline/base/hash.h"

namespace triaged {
namespace {

using std::chrono::seconds;

// The producer compresses: what is to be too large for a broker must not shrink.
std::string Incompressible(size_t size) {
  std::mt19937_64 random(1);
  std::string bytes(size, 0);
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST_CASE("topics: everything missing or wrong is told at once, and what is created is right") {
  const std::string application = NewApplication();
  KafkaConfig kafka;
  kafka.bootstrap_servers = Bootstrap();
  kafka.alert_topics = {application + "-alerts"};
  kafka.partitions = 3;

  const auto missing = CheckTopics(kafka, {application}, seconds(10));
  REQUIRE(missing.ok());
  CHECK(missing->size() == 8);

  REQUIRE(CreateMissingTopics(kafka, {application, 1 << 20}, seconds(10)).ok());
  const auto right = CheckTopics(kafka, {application}, seconds(10), /*patience=*/seconds(10));
  REQUIRE(right.ok());
  for (const std::string& problem : *right) FAIL_CHECK(problem);
  REQUIRE(CreateMissingTopics(kafka, {application, 1 << 20}, seconds(10)).ok());  // again: nothing to do

  const auto archived = CheckTopics(kafka, {application, 0, /*archive=*/true}, seconds(10));
  REQUIRE(archived.ok());
  REQUIRE(archived->size() == 1);  // needed only by those who archive
  CHECK(archived->front().find(".archive") != std::string::npos);

  const auto small = CheckTopics(kafka, {application, 100 << 20}, seconds(10));
  REQUIRE(small.ok());
  CHECK(small->size() == 8);  // none takes an alert of 100 MiB

  kafka.partitions = 4;
  const auto wrong = CheckTopics(kafka, {application}, seconds(10));
  REQUIRE(wrong.ok());
  CHECK(wrong->size() == 5);  // intake, commands, signals, state, steps
  kafka.partitions = 3;
  kafka.routing = Routing::kDirect;
  const auto direct = CheckTopics(kafka, {application}, seconds(10));
  REQUIRE(direct.ok());
  REQUIRE(direct->size() == 1);  // the alert topic is not there
  CHECK(direct->front().find(kafka.alert_topics.front()) != std::string::npos);
}

TEST_CASE("topics: a topic made by hand with the broker's defaults is named with each wrong setting") {
  const std::string application = NewApplication();
  const TopicNames names = TopicNames::For(application);
  CreateTopic(names.state, 2);
  KafkaConfig kafka;
  kafka.bootstrap_servers = Bootstrap();
  kafka.partitions = 2;
  REQUIRE(CreateMissingTopics(kafka, {application, 1 << 20}, seconds(10)).ok());
  const auto problems = CheckTopics(kafka, {application}, seconds(10), /*patience=*/seconds(10));
  REQUIRE(problems.ok());
  REQUIRE(problems->size() == 2);
  CHECK(problems->at(0).find("cleanup.policy=delete: set it to compact") != std::string::npos);
  CHECK(problems->at(1).find("LogAppendTime") != std::string::npos);
}

TEST_CASE("start: missing topics are an error that names one") {
  const std::string application = NewApplication();
  auto client = KafkaClient::Make(OptionsFor(application));
  REQUIRE(client.ok());
  const Status started = (*client)->Start(seconds(20));
  REQUIRE_FALSE(started.ok());
  CHECK(started.error().message.find(application + ".") != std::string::npos);
  CHECK(started.error().message.find("topics create") != std::string::npos);
}

TEST_CASE("start: no broker is an error within the bound, and ending is bounded too") {
  KafkaOptions options = OptionsFor(NewApplication());
  options.bootstrap_servers = "127.0.0.1:1";
  const Duration begun = MonotonicTime();
  {
    auto client = KafkaClient::Make(options);
    REQUIRE(client.ok());
    CHECK_FALSE((*client)->Start(seconds(1)).ok());
    CHECK_FALSE((*client)->QueryWatermarks({"x", 0}, seconds(1)).ok());
    CHECK_FALSE((*client)->CommittedOffsets({{"x", 0}}, seconds(1)).ok());
  }
  CHECK(MonotonicTime() - begun < seconds(12));
}

TEST_CASE("settings: ours win, a wrong one is named, our own topics are no alert topics") {
  KafkaOptions options = OptionsFor(NewApplication());
  options.properties = {{"isolation.level", "read_uncommitted"}, {"no.such.setting", "1"}};
  const auto unknown = KafkaClient::Make(options);
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().kind == ErrorClass::kBadInput);
  CHECK(unknown.error().message.find("no.such.setting") != std::string::npos);

  options.properties.clear();
  for (const std::string& topic : std::vector<std::string>{"^.*", "^" + options.application_id, "^(("}) {
    options.alert_topics = {topic};
    const auto refused = KafkaClient::Make(options);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().kind == ErrorClass::kBadInput);
  }
}

TEST_CASE("group: alerts (by pattern) and intake are assigned, commands are not") {
  Member member(2);
  member.Join();
  // The alert topic may become known to the member a little later than the intake topic: then it is assigned then.
  CHECK(Eventually([&] {
    if (member.Owned(member.alerts()) == 0) member.Step();
    return member.Owned(member.alerts()) == 1;
  }));
  CHECK(member.Owned(member.names().intake) == 2);
  CHECK(member.Owned(member.names().commands) == 0);
  CHECK(member->StatePartitions() == 2);
}

TEST_CASE("transaction: committed is seen, aborted is not; offsets, positions, keys, headers, tombstones, broker time") {
  Member member(3);
  member.Join();
  CHECK_FALSE(member->BrokerTime().has_value());

  REQUIRE(member->Begin().ok());
  REQUIRE(member->Produce(StateRecord(1, "a", "one")).ok());
  REQUIRE(member->Produce(StateRecord(1, "b", std::nullopt)).ok());
  OutputRecord event;
  event.topic = OutputTopic::kEscalations;
  event.key = "1-7";
  event.value = "{}";
  event.headers = {{"ce_id", "1-7/1"}, {"empty", ""}};
  REQUIRE(member->Produce(event).ok());
  REQUIRE(member->SendOffsets({{{member.names().intake, 1}, 0, "{\"v\":1}"}, {{member.names().commands, 1}, 0, {}}}).ok());
  REQUIRE(member->Commit(seconds(20)) == CommitOutcome::kCommitted);
  CHECK(member->LastStateOffsets() == std::map<int32_t, int64_t>{{1, 1}});

  const auto broker_time = member->BrokerTime();
  REQUIRE(broker_time.has_value());
  CHECK(std::chrono::abs(*broker_time - WallTime()) < seconds(5));

  REQUIRE(member->Begin().ok());
  REQUIRE(member->Produce(StateRecord(1, "c", "never")).ok());
  REQUIRE(member->SendOffsets({{{member.names().intake, 1}, 5, {}}}).ok());
  REQUIRE(member->Abort(seconds(20)).ok());

  REQUIRE(member->Begin().ok());
  REQUIRE(member->Produce(StateRecord(1, "d", "two")).ok());
  REQUIRE(member->Commit(seconds(20)) == CommitOutcome::kCommitted);

  const auto state = ReadCommitted(member.names().state, 1);
  REQUIRE(state.size() == 3);
  CHECK(state[0].key == "a");
  CHECK(state[0].value == "one");
  CHECK(state[1].key == "b");
  CHECK_FALSE(state[1].value.has_value());
  CHECK(state[2].key == "d");
  CHECK(member->LastStateOffsets() == std::map<int32_t, int64_t>{{1, state[2].offset}});

  std::vector<Read> events;
  for (int32_t p = 0; p < PartitionsOf(member.names().escalations); ++p) {
    for (Read& one : ReadCommitted(member.names().escalations, p)) {
      CHECK(p == PartitionForKey("1-7", PartitionsOf(member.names().escalations)));
      events.push_back(std::move(one));
    }
  }
  REQUIRE(events.size() == 1);
  CHECK(events[0].headers == std::vector<Header>{{"ce_id", "1-7/1"}, {"empty", ""}});

  const auto committed = member->CommittedOffsets({{member.names().intake, 1}, {member.names().intake, 0}}, seconds(10));
  REQUIRE(committed.ok());
  const auto& told = committed->at({member.names().intake, 1});
  CHECK(told.offset == std::optional<int64_t>(0));
  CHECK(told.metadata == "{\"v\":1}");
  CHECK_FALSE(committed->at({member.names().intake, 0}).offset.has_value());  // none, which is not unknown
}

TEST_CASE("produce: a record that no broker would take is refused at once, as bad input") {
  Member member(1, [](KafkaOptions& options) { options.max_record_bytes = 100'000; });
  member.Join();
  REQUIRE(member->Begin().ok());
  const Status refused = member->Produce(StateRecord(0, "large", std::string(200'000, 'x')));
  REQUIRE_FALSE(refused.ok());
  CHECK(member->RefusedForSize() == 0);
  REQUIRE(member->Abort(seconds(20)).ok());
  REQUIRE(member->Begin().ok());
  CHECK_FALSE(member->RefusedForSize());
  REQUIRE(member->Produce(StateRecord(9, "no such partition", "x")).ok() == false);
  REQUIRE(member->Abort(seconds(20)).ok());
}

TEST_CASE("produce: a record the broker refuses aborts the transaction, never passes silently") {
  Member member(1);
  member.Join();
  REQUIRE(member->Begin().ok());
  REQUIRE(member->Produce(StateRecord(0, "before", "x")).ok());
  OutputRecord letter;  // beyond the topic's max.message.bytes, below the producer's
  letter.topic = OutputTopic::kDeadLetter;
  letter.key = "k";
  letter.value = Incompressible(6'000'000);
  REQUIRE(member->Produce(letter).ok());
  REQUIRE(member->Produce(StateRecord(0, "behind", "x")).ok());
  CHECK(member->Commit(seconds(20)) == CommitOutcome::kAborted);
  CHECK(member->RefusedForSize() == 1);
  REQUIRE(member->Abort(seconds(20)).ok());
  CHECK(ReadCommitted(member.names().state, 0).empty());
}

TEST_CASE("open transaction: watermarks show beyond it, the changelog waits for it, committed offsets are unknown") {
  Member member(1);
  member.Join();
  REQUIRE(member->Begin().ok());
  REQUIRE(member->Produce(StateRecord(0, "a", "1")).ok());
  REQUIRE(member->SendOffsets({{{member.names().intake, 0}, 3, {}}}).ok());
  REQUIRE(member->Commit(seconds(20)) == CommitOutcome::kCommitted);

  // A second producer of the group, in the middle of its transaction.
  Other other(member.application());
  other.producer().Begin().IgnoreError();
  REQUIRE(other.producer().Produce(StateRecord(0, "b", "2")).ok());
  REQUIRE(other.SendOffsets({{{member.names().intake, 0}, 4, {}}}).ok());
  other.Flush();

  const TopicPartition state{member.names().state, 0};
  const auto marks = member->QueryWatermarks(state, seconds(5));
  REQUIRE(marks.ok());
  CHECK(marks->low == 0);
  CHECK(marks->high == 3);  // a, its marker, b: the last stable offset would be 2

  const Duration asked = MonotonicTime();
  CHECK_FALSE(member->CommittedOffsets({{member.names().intake, 0}}, seconds(1)).ok());
  CHECK(MonotonicTime() - asked < seconds(3));

  REQUIRE(member->OpenChangelog(0, 0, marks->high).ok());
  auto slice = member->ReadChangelog(0, 100, seconds(1));
  REQUIRE(slice.ok());
  CHECK_FALSE(slice->at_end);
  REQUIRE(slice->records.size() == 1);
  CHECK(slice->records[0].key == "a");
  slice = member->ReadChangelog(0, 100, Duration(500));
  REQUIRE(slice.ok());
  CHECK(slice->records.empty());
  CHECK_FALSE(slice->at_end);

  REQUIRE(other.producer().Commit(seconds(20)) == CommitOutcome::kCommitted);
  std::vector<std::string> keys;
  const bool ended = Eventually([&] {
    slice = member->ReadChangelog(0, 100, Duration(200));
    REQUIRE(slice.ok());
    for (const auto& record : slice->records) keys.push_back(record.key);
    return slice->at_end;
  });
  CHECK(ended);
  CHECK(keys == std::vector<std::string>{"b"});
  member->CloseChangelog(0);
  const bool known = Eventually([&] {
    const auto committed = member->CommittedOffsets({{member.names().intake, 0}}, seconds(1));
    return committed.ok() && committed->at({member.names().intake, 0}).offset == std::optional<int64_t>(4);
  });
  CHECK(known);
}

TEST_CASE("changelog: an aborted tail is passed over, several partitions at once, from an offset, in slices") {
  Member member(2);
  member.Join();
  for (int32_t p : {0, 1}) {
    REQUIRE(member->Begin().ok());
    for (int i = 0; i < 500; ++i) REQUIRE(member->Produce(StateRecord(p, std::to_string(i), "v")).ok());
    REQUIRE(member->Commit(seconds(20)) == CommitOutcome::kCommitted);
  }
  Other other(member.application());
  REQUIRE(other.producer().Begin().ok());
  for (int32_t p : {0, 1}) REQUIRE(other.producer().Produce(StateRecord(p, "aborted", "v")).ok());
  other.Flush();
  REQUIRE(other.producer().Abort(seconds(20)).ok());

  std::map<int32_t, size_t> records;
  std::map<int32_t, size_t> largest;
  for (int32_t p : {0, 1}) {
    const auto marks = member->QueryWatermarks({member.names().state, p}, seconds(5));
    REQUIRE(marks.ok());
    REQUIRE(member->OpenChangelog(p, p == 0 ? 0 : 100, marks->high).ok());
  }
  std::set<int32_t> open = {0, 1};
  const bool ended = Eventually([&] {
    for (int32_t p : std::set<int32_t>(open)) {
      const auto slice = member->ReadChangelog(p, 120, Duration(100));
      REQUIRE(slice.ok());
      for (const auto& record : slice->records) {
        CHECK(record.key != "aborted");
        ++records[p];
      }
      largest[p] = std::max(largest[p], slice->records.size());
      if (slice->at_end) {
        member->CloseChangelog(p);
        open.erase(p);
      }
    }
    return open.empty();
  });
  CHECK(ended);
  CHECK(records == std::map<int32_t, size_t>{{0, 500}, {1, 400}});
  CHECK(largest[0] <= 120);
}

TEST_CASE("the end of a partition is reached at the high watermark, not at the last stable offset") {
  Member member(1);
  member.Join();
  Other other(member.application());
  REQUIRE(other.producer().Begin().ok());
  OutputRecord record;
  record.topic = OutputTopic::kIntake;
  record.partition = 0;
  record.key = "k";
  record.value = "v";
  REQUIRE(other.producer().Produce(record).ok());
  other.Flush();
  const TopicPartition intake{member.names().intake, 0};
  const TopicPartition commands{member.names().commands, 0};
  REQUIRE(member->Assign({{intake, 0, {}}, {commands, 0, {}}}).ok());
  std::set<TopicPartition> ended;
  size_t records = 0;
  const auto poll = [&] {
    const PollResult polled = member->Poll({});
    REQUIRE_FALSE(polled.fatal.has_value());
    for (const PartitionOffset& end : polled.reached_end) ended.insert(end.where);
    records += polled.records.size();
  };
  CHECK(Eventually([&] { poll(); return ended.contains(commands); }));
  for (int i = 0; i < 20; ++i) poll();
  CHECK_FALSE(ended.contains(intake));
  CHECK(records == 0);
  REQUIRE(other.producer().Commit(seconds(20)) == CommitOutcome::kCommitted);
  CHECK(Eventually([&] { poll(); return ended.contains(intake); }));
  CHECK(records == 1);
}

TEST_CASE("rewinding: exactly the asked offset comes first and nothing is skipped, however often") {
  Member member(1);
  member.Join();
  constexpr int kRecords = 20'000;
  Fill(member.alerts(), 0, kRecords);
  const TopicPartition where{member.alerts(), 0};
  PollLimits limits;
  limits.max_records = 700;
  int64_t next = 0;
  int rewinds = 0;
  for (int round = 0; round < 150; ++round) {
    // Sometimes far on, sometimes back to the start, always while a prefetch is under way.
    next = (round * 7919) % (kRecords / 2);
    REQUIRE(member->Assign({{where, next, {}}}).ok());
    ++rewinds;
    int polls = 0;
    const bool flows = Eventually([&] {
      const PollResult polled = member->Poll(limits);
      REQUIRE_FALSE(polled.fatal.has_value());
      for (const InputRecord& record : polled.records) {
        REQUIRE(record.offset == next);
        ++next;
      }
      if (!polled.records.empty()) ++polls;
      return polls >= 1 + round % 4;
    });
    REQUIRE(flows);
  }
  CHECK(rewinds == 150);
}

TEST_CASE("assigning again and again at once does no harm") {
  Member member(2);
  member.Join();
  Fill(member.alerts(), 0, 100);
  const std::vector<PartitionOffset> all = {{{member.alerts(), 0}, 0, {}}, {{member.names().intake, 0}, 0, {}},
                                            {{member.names().intake, 1}, 0, {}}, {{member.names().commands, 0}, 0, {}}};
  REQUIRE(member->Assign(all).ok());
  CHECK(Eventually([&] { return !member->Poll({}).records.empty(); }));  // fetchers run
  for (int round = 0; round < 60; ++round) REQUIRE(member->Assign(all).ok());
  CHECK(Eventually([&] { return !member->Poll({}).records.empty(); }));
}

TEST_CASE("classes: a command overtakes prefetched alerts, and alerts can be left untaken") {
  Member member(1);
  member.Join();
  constexpr int kAlerts = 50'000;
  Fill(member.alerts(), 0, kAlerts);
  const TopicPartition alerts{member.alerts(), 0};
  const TopicPartition commands{member.names().commands, 0};
  REQUIRE(member->Assign({{alerts, 0, {}}, {commands, 0, {}}}).ok());
  PollLimits limits;
  limits.max_records = 1;
  REQUIRE(Eventually([&] { return !member->Poll(limits).records.empty(); }));
  Fill(member.names().commands, 0, 1);
  int taken = 1;
  REQUIRE(Eventually([&] {
    const PollResult polled = member->Poll(limits);
    if (polled.records.empty()) return false;
    ++taken;
    return polled.records.front().input_class == InputClass::kCommand;
  }));
  CHECK(taken < kAlerts * 9 / 10);  // in the order of arrival it would be the last
  limits.take_alerts = false;
  for (int i = 0; i < 10; ++i) CHECK(member->Poll(limits).records.empty());
  limits.take_alerts = true;
  CHECK(Eventually([&] { return !member->Poll(limits).records.empty(); }));
}

TEST_CASE("an offset that is gone is told, never skipped") {
  Member member(1);
  member.Join();
  Fill(member.alerts(), 0, 10);
  REQUIRE(member->Assign({{{member.alerts(), 0}, 1000, {}}}).ok());
  std::optional<Error> fatal;
  REQUIRE(Eventually([&] {
    fatal = member->Poll({}).fatal;
    return fatal.has_value();
  }));
  CHECK(fatal->message.find(member.alerts()) != std::string::npos);
}

TEST_CASE("a second member with our name: we are fenced, our transaction does not commit") {
  Member first(1);
  first.Join();
  REQUIRE(first->Begin().ok());
  REQUIRE(first->Produce(StateRecord(0, "zombie", "x")).ok());
  Member second(first.application(), 1);  // the same instance and worker
  second.Join();
  const Status sent = first->SendOffsets({{{first.names().intake, 0}, 1, {}}});
  CHECK((!sent.ok() || first->Commit(seconds(10)) != CommitOutcome::kCommitted));
  bool fenced = false;
  CHECK(Eventually([&] {
    const PollResult polled = first->Poll({});
    fenced = polled.fenced_instance;
    return polled.fatal.has_value();
  }));
  CHECK(ReadCommitted(first.names().state, 0).empty());
  REQUIRE(second->Begin().ok());
  REQUIRE(second->Produce(StateRecord(0, "owner", "x")).ok());
  REQUIRE(second->SendOffsets({{{second.names().intake, 0}, 1, {}}}).ok());
  CHECK(second->Commit(seconds(20)) == CommitOutcome::kCommitted);
}

TEST_CASE("generation: a stopped owner that wakes after the takeover commits nothing") {
  const std::string application = NewApplication();
  MakeTopics(application, 1);
  Child child("zombie", application);  // joins, begins, produces, stops itself
  REQUIRE(child.WaitStopped(seconds(40)));
  Member owner(application, 1, [](KafkaOptions& options) {
    options.instance = "owner";
    options.session_timeout = seconds(3);
  });
  owner.Join();  // after the zombie's session time-out; its transaction is still open
  REQUIRE(owner->Begin().ok());
  REQUIRE(owner->Produce(StateRecord(0, "owner", "x")).ok());
  REQUIRE(owner->SendOffsets({{{owner.names().intake, 0}, 1, {}}}).ok());
  REQUIRE(owner->Commit(seconds(30)) == CommitOutcome::kCommitted);
  child.Continue();
  CHECK(child.Wait(seconds(60)) == kNotCommitted);
  const auto state = ReadCommitted(owner.names().state, 0);
  REQUIRE(state.size() == 1);
  CHECK(state[0].key == "owner");
}

TEST_CASE("child: zombie" * doctest::skip(ChildRole() != "zombie")) {
  Member member(ChildApplication(), 1, [](KafkaOptions& options) {
    options.instance = "zombie";
    options.session_timeout = seconds(3);
    options.transaction_timeout = seconds(120);  // so that the generation fences, not the transaction's time-out
  });
  member.Join();
  REQUIRE(member->Begin().ok());
  REQUIRE(member->Produce(StateRecord(0, "zombie", "x")).ok());
  StopMyself();
  const Status sent = member->SendOffsets({{{member.names().intake, 0}, 1, {}}});
  const bool committed = sent.ok() && member->Commit(seconds(20)) == CommitOutcome::kCommitted;
  if (!committed) member->Abort(seconds(20)).IgnoreError();
  ExitChild(committed ? kCommitted : kNotCommitted);
}

TEST_CASE("ending: at once, in the middle of a rebalance too, and the member keeps its place") {
  const std::string application = NewApplication();
  MakeTopics(application, 2);
  const auto named = [](const char* name) {
    return [name](KafkaOptions& options) {
      options.instance = name;
      options.session_timeout = seconds(8);
    };
  };
  Member second(application, 2, named("second"));
  {
    Member first(application, 2, named("first"));
    first.Join();
    second.Start();
    REQUIRE(Eventually([&] {
      first.Step();
      second.Step();
      return first.Owned(first.names().intake) == 1 && second.Owned(first.names().intake) == 1;
    }));
    const Duration begun = MonotonicTime();
    first.End();
    CHECK(MonotonicTime() - begun < seconds(5));
  }
  Member again(application, 2, named("first"));
  const Duration begun = MonotonicTime();
  again.Start();
  CHECK(Eventually([&] {
    again.Step();
    second.Step();
    return again.Owned(again.names().intake) == 1 && second.Owned(again.names().intake) == 1;
  }));
  CHECK(MonotonicTime() - begun < seconds(6));  // sooner than the session time-out

  // Another member joins: whoever ends now has a revocation before it that it never answers.
  Member third(application, 2, named("third"));
  third.Start();
  const Duration ending = MonotonicTime();
  again.End();
  CHECK(MonotonicTime() - ending < seconds(5));
}

TEST_CASE("leaving for good: what was owned is handed over at once") {
  const std::string application = NewApplication();
  MakeTopics(application, 2);
  const auto named = [](const char* name) {
    return [name](KafkaOptions& options) {
      options.instance = name;
      options.session_timeout = seconds(30);
    };
  };
  Member stays(application, 2, named("stays"));
  Member leaves(application, 2, named("leaves"));
  leaves.Join();
  stays.Start();
  REQUIRE(Eventually([&] {
    leaves.Step();
    stays.Step();
    return leaves.Owned(leaves.names().intake) == 1 && stays.Owned(stays.names().intake) == 1;
  }));
  const Duration begun = MonotonicTime();
  leaves->Leave(seconds(10));
  CHECK(MonotonicTime() - begun < seconds(5));
  CHECK(Eventually([&] {
    stays.Step();
    return stays.Owned(stays.names().intake) == 2;
  }));
  CHECK(MonotonicTime() - begun < seconds(20));  // sooner than the session time-out
}

}  // namespace
}  // namespace triaged
