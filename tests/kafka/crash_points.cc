// Death at a named point, for one process: preloaded, it ends the process with SIGKILL, as `kill -9` would, when the
// call that the point names is made for the Nth time. TRIAGED_CRASH_POINT=POINT:N, for during_commit POINT:N:MICROSECONDS
// (how long after the call began). At the point hang_in_commit it does not die: that call never returns. The daemon itself
// knows nothing of it. exactly_once_test.py's kill and hang use each point.
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace {

struct Plan {
  std::string point;
  long call = 0;  // the Nth, from 1
  long microseconds = 0;
  std::atomic<long> calls{0};

  Plan() {
    const char* text = std::getenv("TRIAGED_CRASH_POINT");
    if (!text || !*text) return;
    char name[64] = "";
    if (std::sscanf(text, "%63[a-z_]:%ld:%ld", name, &call, &microseconds) < 2 || call < 1) {
      std::fprintf(stderr, "TRIAGED_CRASH_POINT takes POINT:N or POINT:N:MICROSECONDS, not '%s'\n", text);
      std::abort();
    }
    point = name;
  }
};

[[noreturn]] void Hang() {
  while (true) pause();
}

[[noreturn]] void Die() {
  kill(getpid(), SIGKILL);
  Hang();
}

Plan& ThePlan() {
  static Plan plan;
  return plan;
}

bool Now(const char* point) {
  Plan& plan = ThePlan();
  return plan.point == point && ++plan.calls == plan.call;
}

void At(const char* point) {
  if (Now(point)) Die();
}

template <typename Function>
Function* Next(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// The store's files: a flush or a compaction makes its tables durable with this.
int Sync(int (*next)(int), int file) {
  At("before_sync");
  const int result = next(file);
  At("after_sync");
  return result;
}

}  // namespace

extern "C" {

rd_kafka_error_t* rd_kafka_begin_transaction(rd_kafka_t* client) {
  static auto* const next = Next(&rd_kafka_begin_transaction, "rd_kafka_begin_transaction");
  At("before_begin");
  rd_kafka_error_t* error = next(client);
  At("after_begin");
  return error;
}

// Made for each record right before it is produced; rd_kafka_producev itself cannot be forwarded.
rd_kafka_headers_t* rd_kafka_headers_new(size_t count) {
  static auto* const next = Next(&rd_kafka_headers_new, "rd_kafka_headers_new");
  At("before_produce");
  return next(count);
}

rd_kafka_error_t* rd_kafka_send_offsets_to_transaction(rd_kafka_t* client, const rd_kafka_topic_partition_list_t* offsets,
                                                       const rd_kafka_consumer_group_metadata_t* group, int milliseconds) {
  static auto* const next = Next(&rd_kafka_send_offsets_to_transaction, "rd_kafka_send_offsets_to_transaction");
  At("before_send_offsets");
  rd_kafka_error_t* error = next(client, offsets, group, milliseconds);
  At("after_send_offsets");
  return error;
}

rd_kafka_error_t* rd_kafka_commit_transaction(rd_kafka_t* client, int milliseconds) {
  static auto* const next = Next(&rd_kafka_commit_transaction, "rd_kafka_commit_transaction");
  At("before_commit");
  if (Now("hang_in_commit")) Hang();
  if (Now("during_commit")) {
    std::thread([] {
      std::this_thread::sleep_for(std::chrono::microseconds(ThePlan().microseconds));
      Die();
    }).detach();
  }
  rd_kafka_error_t* error = next(client, milliseconds);
  At("after_commit");
  return error;
}

// With partitions it answers an assignment, without any a revocation.
rd_kafka_resp_err_t rd_kafka_assign(rd_kafka_t* client, const rd_kafka_topic_partition_list_t* partitions) {
  static auto* const next = Next(&rd_kafka_assign, "rd_kafka_assign");
  At(partitions ? "before_assign" : "before_revoke");
  const rd_kafka_resp_err_t error = next(client, partitions);
  At(partitions ? "after_assign" : "after_revoke");
  return error;
}

int rd_kafka_consume_start_queue(rd_kafka_topic_t* topic, int32_t partition, int64_t offset, rd_kafka_queue_t* queue) {
  static auto* const next = Next(&rd_kafka_consume_start_queue, "rd_kafka_consume_start_queue");
  At("before_restore");
  return next(topic, partition, offset, queue);
}

rd_kafka_message_t* rd_kafka_consume_queue(rd_kafka_queue_t* queue, int milliseconds) {
  static auto* const next = Next(&rd_kafka_consume_queue, "rd_kafka_consume_queue");
  rd_kafka_message_t* message = next(queue, milliseconds);
  At("mid_restore");
  return message;
}

int fsync(int file) {
  static auto* const next = Next(&fsync, "fsync");
  return Sync(next, file);
}

int fdatasync(int file) {
  static auto* const next = Next(&fdatasync, "fdatasync");
  return Sync(next, file);
}

}  // extern "C"
