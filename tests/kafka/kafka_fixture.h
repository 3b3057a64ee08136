// What the tests on a real broker share: applications of their own, members of groups, a reader and a second producer
// that do not go through the code under test.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/kafka_client.h"

namespace triaged {

// TRIAGED_TEST_BOOTSTRAP; without it the tests fail rather than pass on nothing.
std::string Bootstrap();
// A name that no other test has used on this broker.
std::string NewApplication();
// One alert topic of one partition ("<application>-alerts", subscribed to by pattern), and a short session.
KafkaOptions OptionsFor(const std::string& application);
// Our own topics with `partitions`, and the alert topic.
void MakeTopics(const std::string& application, int partitions);
// With the broker's defaults.
void CreateTopic(const std::string& topic, int partitions);
int32_t PartitionsOf(const std::string& topic);
// Writes `count` records without a transaction.
void Fill(const std::string& topic, int32_t partition, int count);

OutputRecord StateRecord(int32_t partition, std::string key, std::optional<std::string> value);

struct Read {
  std::string key;
  std::optional<std::string> value;
  std::vector<Header> headers;
  int64_t offset = 0;
};
// All committed records of a partition: read_committed, by a consumer of the test's own, until no transaction is open.
std::vector<Read> ReadCommitted(const std::string& topic, int32_t partition);

// True as soon as `condition` is; false after 40 s.
bool Eventually(const std::function<bool()>& condition);

// A KafkaClient of an application.
class Member {
 public:
  using Tweak = std::function<void(KafkaOptions&)>;
  explicit Member(int partitions, const Tweak& tweak = {}) : Member(NewApplication(), partitions, tweak) {}
  Member(const std::string& application, int partitions, const Tweak& tweak = {});

  void Start();
  // One poll; answers what the group says by consuming nothing, and remembers it.
  void Step();
  // Start, then Step until something is assigned.
  std::vector<TopicPartition> Join();
  size_t Owned(const std::string& topic) const;
  void End() { client_.reset(); }  // keeps its place in the group

  BrokerClient* operator->() { return client_.get(); }
  const std::string& application() const { return application_; }
  const TopicNames& names() const { return names_; }
  std::string alerts() const { return application_ + "-alerts"; }

 private:
  std::string application_;
  TopicNames names_;
  std::unique_ptr<BrokerClient> client_;
  std::vector<TopicPartition> assigned_;
};

// Another transactional producer of the same application, which belongs to no group.
class Other {
 public:
  explicit Other(const std::string& application);
  KafkaProducer& producer() { return *producer_; }
  Status SendOffsets(const std::vector<PartitionOffset>& offsets);
  void Flush();  // what was produced is in the log, the transaction still open

 private:
  std::unique_ptr<KafkaProducer> producer_;
  RdGroupMetadata group_;
};

// A second process: this program, running the one test case "child: ROLE".
inline constexpr int kCommitted = 41;
inline constexpr int kNotCommitted = 42;
std::string ChildRole();         // empty in the first process
std::string ChildApplication();
void StopMyself();               // SIGSTOP
[[noreturn]] void ExitChild(int code);

class Child {
 public:
  Child(const std::string& role, const std::string& application);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  bool WaitStopped(Duration bound);
  void Continue() const;
  int Wait(Duration bound);      // its exit code, or -1

 private:
  int pid_ = -1;
};

}  // namespace triaged
